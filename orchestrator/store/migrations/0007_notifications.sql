-- What people are told.

-- +goose Up
-- A notice is written with the event that people are told of, and taken away in the
-- transaction that makes notifications of it. key is unique for ever; ref is a
-- question or a turn, and data is JSON of what has no task.
CREATE TABLE notices (
  number INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
  key    TEXT    NOT NULL UNIQUE,
  kind   TEXT    NOT NULL,
  task   TEXT    NOT NULL,
  ref    INTEGER NOT NULL,
  data   TEXT    NOT NULL,
  at     INTEGER NOT NULL
) STRICT;

-- One for each target. next is set while it is pending.
CREATE TABLE notifications (
  id       TEXT    NOT NULL PRIMARY KEY,
  type     TEXT    NOT NULL,
  task     TEXT    NOT NULL,
  target   TEXT    NOT NULL,
  body     TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  created  INTEGER NOT NULL,
  next     INTEGER,
  attempts INTEGER NOT NULL,
  status   TEXT    NOT NULL
) STRICT;

CREATE INDEX notifications_by_created ON notifications (created, id);
CREATE INDEX notifications_by_next ON notifications (next) WHERE next IS NOT NULL;

CREATE TABLE notification_attempts (
  notification TEXT    NOT NULL REFERENCES notifications (id),
  number       INTEGER NOT NULL,
  at           INTEGER NOT NULL,
  took         INTEGER NOT NULL,
  ok           INTEGER NOT NULL,
  status       TEXT    NOT NULL,
  PRIMARY KEY (notification, number)
) STRICT;

-- +goose Down
DROP TABLE notification_attempts;
DROP TABLE notifications;
DROP TABLE notices;
