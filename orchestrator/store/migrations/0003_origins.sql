-- Where a task comes from, and which is claimed first: see workflow.State.

-- +goose Up
ALTER TABLE tasks ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
ALTER TABLE tasks ADD COLUMN batch TEXT;
ALTER TABLE tasks ADD COLUMN schedule TEXT;
CREATE INDEX tasks_by_batch ON tasks (batch, created, id) WHERE batch IS NOT NULL;
CREATE INDEX tasks_by_schedule ON tasks (schedule, created, id) WHERE schedule IS NOT NULL;

-- +goose Down
DROP INDEX tasks_by_schedule;
DROP INDEX tasks_by_batch;
ALTER TABLE tasks DROP COLUMN schedule;
ALTER TABLE tasks DROP COLUMN batch;
ALTER TABLE tasks DROP COLUMN priority;
