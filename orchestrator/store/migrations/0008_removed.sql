-- What is left of tasks that were removed when their time was over: their
-- idempotency keys, which must never start a second task.

-- +goose Up
CREATE TABLE removed_tasks (
  idempotency_key TEXT    NOT NULL PRIMARY KEY,
  id              TEXT    NOT NULL,
  team            TEXT    NOT NULL,
  status          TEXT    NOT NULL,
  ended           INTEGER NOT NULL,
  removed         INTEGER NOT NULL
) STRICT;

CREATE INDEX tasks_by_end ON tasks (updated) WHERE parent IS NULL AND status IN ('succeeded', 'failed', 'cancelled');

-- +goose Down
DROP INDEX tasks_by_end;
DROP TABLE removed_tasks;
