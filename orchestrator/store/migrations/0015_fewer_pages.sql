-- Every page that a commit changes is written to the log, and later once more to
-- the file. What is marked as held needs no index of its own: a conversation that
-- is held has the holder in task, which has one. Turns are counted in the order of
-- their accounts instead of having an index for it.

-- +goose Up
DROP INDEX runtimes_by_active_task;
DROP INDEX runtimes_by_task;
ALTER TABLE runtimes RENAME TO runtimes_before;
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
) STRICT, WITHOUT ROWID;
INSERT INTO runtimes
SELECT server, agent_id, conversation_id, cwd, mode, role, agent, COALESCE(active_task, task), raw, first_started, last_started,
  active_task, active_turn, active_attempt
FROM runtimes_before;
DROP TABLE runtimes_before;
CREATE INDEX runtimes_by_task ON runtimes (task);

DROP INDEX turn_usage_by_at;
DROP INDEX turn_usage_by_account;
DROP INDEX turn_usage_by_batch;
ALTER TABLE turn_usage RENAME TO turn_usage_before;
CREATE TABLE turn_usage (
  account    TEXT    NOT NULL,
  task       TEXT    NOT NULL,
  turn       INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  team       TEXT    NOT NULL,
  agent      TEXT    NOT NULL,
  server     TEXT    NOT NULL,
  model      TEXT    NOT NULL DEFAULT '',
  batch      TEXT    NOT NULL DEFAULT '',
  at         INTEGER,
  prompt     INTEGER NOT NULL DEFAULT 0,
  completion INTEGER NOT NULL DEFAULT 0,
  total      INTEGER NOT NULL DEFAULT 0,
  cached     INTEGER NOT NULL DEFAULT 0,
  reasoning  INTEGER NOT NULL DEFAULT 0,
  requests   INTEGER NOT NULL DEFAULT 0,
  cost       INTEGER NOT NULL DEFAULT 0,
  unpriced   INTEGER NOT NULL DEFAULT 0,
  reconciled INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account, task, turn, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO turn_usage
SELECT account, task, turn, attempt, team, agent, server, model, batch, at, prompt, completion, total, cached, reasoning, requests, cost, unpriced, reconciled
FROM turn_usage_before;
DROP TABLE turn_usage_before;
CREATE INDEX turn_usage_by_at ON turn_usage (at) WHERE at IS NOT NULL;
CREATE INDEX turn_usage_by_batch ON turn_usage (batch) WHERE batch <> '';

-- +goose Down
DROP INDEX turn_usage_by_at;
DROP INDEX turn_usage_by_batch;
ALTER TABLE turn_usage RENAME TO turn_usage_after;
CREATE TABLE turn_usage (
  task       TEXT    NOT NULL,
  turn       INTEGER NOT NULL,
  attempt    INTEGER NOT NULL,
  account    TEXT    NOT NULL,
  team       TEXT    NOT NULL,
  agent      TEXT    NOT NULL,
  server     TEXT    NOT NULL,
  model      TEXT    NOT NULL DEFAULT '',
  batch      TEXT    NOT NULL DEFAULT '',
  at         INTEGER,
  prompt     INTEGER NOT NULL DEFAULT 0,
  completion INTEGER NOT NULL DEFAULT 0,
  total      INTEGER NOT NULL DEFAULT 0,
  cached     INTEGER NOT NULL DEFAULT 0,
  reasoning  INTEGER NOT NULL DEFAULT 0,
  requests   INTEGER NOT NULL DEFAULT 0,
  cost       INTEGER NOT NULL DEFAULT 0,
  unpriced   INTEGER NOT NULL DEFAULT 0,
  reconciled INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (task, turn, attempt)
) STRICT, WITHOUT ROWID;
INSERT INTO turn_usage
SELECT task, turn, attempt, account, team, agent, server, model, batch, at, prompt, completion, total, cached, reasoning, requests, cost, unpriced, reconciled
FROM turn_usage_after;
DROP TABLE turn_usage_after;
CREATE INDEX turn_usage_by_at ON turn_usage (at) WHERE at IS NOT NULL;
CREATE INDEX turn_usage_by_account ON turn_usage (account) WHERE at IS NOT NULL;
CREATE INDEX turn_usage_by_batch ON turn_usage (batch) WHERE batch <> '';

DROP INDEX runtimes_by_task;
ALTER TABLE runtimes RENAME TO runtimes_after;
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
INSERT INTO runtimes SELECT * FROM runtimes_after;
DROP TABLE runtimes_after;
CREATE INDEX runtimes_by_task ON runtimes (task);
CREATE INDEX runtimes_by_active_task ON runtimes (active_task) WHERE active_task IS NOT NULL;
