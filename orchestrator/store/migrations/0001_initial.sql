-- Times are whole microseconds since 1970-01-01 UTC.

-- +goose Up
CREATE TABLE revisions (
  hash    TEXT    NOT NULL PRIMARY KEY,
  name    TEXT    NOT NULL,
  file    TEXT    NOT NULL,
  source  BLOB    NOT NULL,
  created INTEGER NOT NULL
) STRICT;

-- state is the whole workflow.State; the other columns repeat what is selected on.
CREATE TABLE tasks (
  id              TEXT    NOT NULL PRIMARY KEY,
  idempotency_key TEXT    UNIQUE,
  team            TEXT    NOT NULL,
  revision        TEXT    NOT NULL REFERENCES revisions (hash),
  status          TEXT    NOT NULL,
  version         INTEGER NOT NULL,
  state           TEXT    NOT NULL,
  created         INTEGER NOT NULL,
  updated         INTEGER NOT NULL,
  wake_at         INTEGER
) STRICT;

CREATE INDEX tasks_by_created ON tasks (created, id);
CREATE INDEX tasks_by_status ON tasks (status, created, id);
CREATE INDEX tasks_by_wake_at ON tasks (wake_at) WHERE wake_at IS NOT NULL;

-- seq is the version of the task's state after the event.
CREATE TABLE events (
  task    TEXT    NOT NULL REFERENCES tasks (id),
  seq     INTEGER NOT NULL,
  at      INTEGER NOT NULL,
  type    TEXT    NOT NULL,
  event   TEXT    NOT NULL,
  effects TEXT    NOT NULL,
  PRIMARY KEY (task, seq)
) STRICT;

-- One row for every runtime that was started. active_* name the attempt that
-- has been sent into the conversation and has not ended.
CREATE TABLE runtimes (
  server          TEXT    NOT NULL,
  agent_id        TEXT    NOT NULL,
  conversation_id TEXT    NOT NULL,
  cwd             TEXT    NOT NULL,
  mode            TEXT    NOT NULL,
  role            TEXT    NOT NULL,
  agent           TEXT    NOT NULL,
  task            TEXT    NOT NULL,
  raw             BLOB    NOT NULL,
  first_started   INTEGER NOT NULL,
  last_started    INTEGER NOT NULL,
  active_task     TEXT,
  active_turn     INTEGER,
  active_attempt  INTEGER,
  PRIMARY KEY (server, agent_id, conversation_id)
) STRICT;

CREATE INDEX runtimes_by_task ON runtimes (task);
CREATE INDEX runtimes_by_active_task ON runtimes (active_task) WHERE active_task IS NOT NULL;

-- +goose Down
DROP TABLE runtimes;
DROP TABLE events;
DROP TABLE tasks;
DROP TABLE revisions;
