-- Lists that are filtered, and the locks that matter to who only wants to share a
-- directory, are found without looking at all tasks.

-- +goose Up
CREATE INDEX tasks_by_team ON tasks (team, created, id);
CREATE INDEX tasks_by_team_status ON tasks (team, status, created, id);
CREATE INDEX tasks_by_batch_status ON tasks (batch, status, created, id) WHERE batch IS NOT NULL;
CREATE INDEX tasks_by_schedule_status ON tasks (schedule, status, created, id) WHERE schedule IS NOT NULL;
CREATE INDEX workspace_locks_by_lock ON workspace_locks (lock);

-- +goose Down
DROP INDEX workspace_locks_by_lock;
DROP INDEX tasks_by_schedule_status;
DROP INDEX tasks_by_batch_status;
DROP INDEX tasks_by_team_status;
DROP INDEX tasks_by_team;
