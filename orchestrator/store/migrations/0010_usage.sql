-- What every attempt at a turn of an agent has used. The rows stay when their task
-- is removed.

-- +goose Up
-- account is the task that the attempt is charged to: the one itself, or the one
-- that it is a sub-team of, however many are between them; batch is that of the
-- account. at is when the figures came, and NULL before that. Tokens are those of
-- usage_statistics, and cost is in millionths of a US dollar. unpriced says that
-- the price is not known, and reconciled that the end was not seen, so that there
-- may have been more.
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

CREATE INDEX turn_usage_by_at ON turn_usage (at) WHERE at IS NOT NULL;
CREATE INDEX turn_usage_by_account ON turn_usage (account) WHERE at IS NOT NULL;
CREATE INDEX turn_usage_by_batch ON turn_usage (batch) WHERE batch <> '';

-- From the journals that there are: see Store.countUsage, which does the same with
-- every event. The ID of what an agent has spawned has an s after its last dot.
INSERT INTO turn_usage
WITH RECURSIVE
  accounts (id, account, batch, team) AS (
    SELECT id, id, batch, team FROM tasks WHERE parent IS NULL OR substr(id, length(parent) + 2) GLOB '*.s*'
    UNION ALL
    SELECT t.id, a.account, a.batch, t.team FROM tasks t JOIN accounts a ON t.parent = a.id
    WHERE NOT substr(t.id, length(t.parent) + 2) GLOB '*.s*'
  ),
  nodes (task, turn, node) AS MATERIALIZED (
    SELECT DISTINCT e.task, json_extract(f.value, '$.body.turn'), json_extract(f.value, '$.body.node')
    FROM events e, json_each(e.effects) f WHERE json_extract(f.value, '$.type') = 'start_turn'
  ),
  ends (task, turn, attempt, at, body, reconciled) AS MATERIALIZED (
    SELECT task, json_extract(event, '$.body.turn'), json_extract(event, '$.body.attempt'), at, json_extract(event, '$.body'),
      type = 'turn_reconciled' AND json_extract(event, '$.body.finding') <> 'not_consumed'
    FROM events WHERE type = 'turn_finished'
      OR type = 'turn_reconciled' AND (json_extract(event, '$.body.finding') <> 'not_consumed' OR json_extract(event, '$.body.usage') IS NOT NULL)
  ),
  sent (task, turn, attempt, server) AS MATERIALIZED (
    SELECT DISTINCT task, json_extract(event, '$.body.turn'), json_extract(event, '$.body.attempt'), json_extract(event, '$.body.runtime.server')
    FROM events WHERE type = 'turn_sending' AND json_extract(event, '$.body.runtime.server') IS NOT NULL
  )
SELECT s.task, s.turn, s.attempt, a.account, a.team, n.node, s.server, COALESCE(MAX(json_extract(e.body, '$.model')), ''), COALESCE(a.batch, ''), MAX(e.at),
  COALESCE(SUM(json_extract(e.body, '$.usage.prompt_tokens')), 0), COALESCE(SUM(json_extract(e.body, '$.usage.completion_tokens')), 0),
  COALESCE(SUM(json_extract(e.body, '$.usage.total_tokens')), 0), COALESCE(SUM(json_extract(e.body, '$.usage.cached_input_tokens')), 0),
  COALESCE(SUM(json_extract(e.body, '$.usage.reasoning_tokens')), 0), COALESCE(SUM(json_extract(e.body, '$.usage.requests')), 0),
  COALESCE(SUM(json_extract(e.body, '$.cost')), 0), COALESCE(MAX(json_extract(e.body, '$.unpriced')), 0), COALESCE(MAX(e.reconciled), 0)
FROM sent s JOIN accounts a ON a.id = s.task JOIN nodes n ON n.task = s.task AND n.turn = s.turn
LEFT JOIN ends e ON e.task = s.task AND e.turn = s.turn AND e.attempt = s.attempt
GROUP BY s.task, s.turn, s.attempt;

-- +goose Down
DROP TABLE turn_usage;
