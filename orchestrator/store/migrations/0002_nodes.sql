-- Sub-teams are tasks with a parent; a revision holds the files of its
-- sub-teams; and an agent may have one conversation for all tasks of its team.

-- +goose Up
ALTER TABLE tasks ADD COLUMN parent TEXT;
CREATE INDEX tasks_by_parent ON tasks (parent) WHERE parent IS NOT NULL;

-- JSON, the contents by path as base64; see workflow.Team.Sources.
ALTER TABLE revisions ADD COLUMN sources TEXT;

CREATE TABLE shared_conversations (
  team            TEXT NOT NULL,
  agent           TEXT NOT NULL,
  server          TEXT NOT NULL,
  agent_id        TEXT NOT NULL,
  conversation_id TEXT NOT NULL,
  PRIMARY KEY (team, agent)
) STRICT;

-- +goose Down
DROP TABLE shared_conversations;
ALTER TABLE revisions DROP COLUMN sources;
DROP INDEX tasks_by_parent;
ALTER TABLE tasks DROP COLUMN parent;
