-- A directory that several tasks name is worked in by one family of tasks at a
-- time, unless they say otherwise; and a task that has ended may have a
-- workspace that is still to be finished.

-- +goose Up
ALTER TABLE tasks ADD COLUMN place_open INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_by_place_open ON tasks (created, id) WHERE place_open = 1;

-- family is the task that a person submitted; lock is that of workflow.Place.
CREATE TABLE workspace_locks (
  task      TEXT NOT NULL PRIMARY KEY REFERENCES tasks (id),
  directory TEXT NOT NULL,
  lock      TEXT NOT NULL,
  family    TEXT NOT NULL
) STRICT;

-- +goose Down
DROP TABLE workspace_locks;
DROP INDEX tasks_by_place_open;
ALTER TABLE tasks DROP COLUMN place_open;
