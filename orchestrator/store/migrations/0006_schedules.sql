-- Schedules, and what became of each of their fires.

-- +goose Up
-- spec is JSON of schedule.Spec. considered is up to when fires are planned. What
-- is gone from all files is kept with removed, for its history. file_enabled is
-- enabled as the file says, which a person may have changed since.
CREATE TABLE schedules (
  name         TEXT    NOT NULL PRIMARY KEY,
  spec         TEXT    NOT NULL,
  hash         TEXT    NOT NULL,
  times        TEXT    NOT NULL,
  source       TEXT    NOT NULL,
  enabled      INTEGER NOT NULL,
  file_enabled INTEGER NOT NULL,
  removed      INTEGER NOT NULL,
  created      INTEGER NOT NULL,
  considered   INTEGER NOT NULL,
  updated      INTEGER NOT NULL
) STRICT;

-- key is the idempotency key of the fire's task too. by is set where a person
-- asked for the fire.
CREATE TABLE fires (
  key       TEXT    NOT NULL PRIMARY KEY,
  schedule  TEXT    NOT NULL REFERENCES schedules (name),
  scheduled INTEGER NOT NULL,
  due       INTEGER NOT NULL,
  state     TEXT    NOT NULL,
  reason    TEXT    NOT NULL,
  task      TEXT,
  by        TEXT,
  decided   INTEGER
) STRICT;

CREATE INDEX fires_by_schedule ON fires (schedule, scheduled);
CREATE INDEX fires_open ON fires (due) WHERE state IN ('due', 'queued');

-- +goose Down
DROP TABLE fires;
DROP TABLE schedules;
