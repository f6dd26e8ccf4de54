-- Batches, and their items until they have a task and after: see package batch.

-- +goose Up
CREATE TABLE batches (
  id              TEXT    NOT NULL PRIMARY KEY,
  idempotency_key TEXT    UNIQUE,
  digest          TEXT    NOT NULL,
  name            TEXT    NOT NULL,
  team            TEXT    NOT NULL,
  revision        TEXT    NOT NULL REFERENCES revisions (hash),
  status          TEXT    NOT NULL,
  open            INTEGER NOT NULL,
  version         INTEGER NOT NULL,
  state           TEXT    NOT NULL,
  created         INTEGER NOT NULL,
  updated         INTEGER NOT NULL
) STRICT;

CREATE INDEX batches_by_age ON batches (created, id);
CREATE INDEX batches_open ON batches (digest) WHERE open;

-- The task of an item that was retried is the last one; earlier names those
-- before, separated by spaces. ended counts the ends of items of the batch.
CREATE TABLE batch_items (
  batch    TEXT    NOT NULL REFERENCES batches (id),
  number   INTEGER NOT NULL,
  key      TEXT    NOT NULL,
  label    TEXT    NOT NULL,
  origin   TEXT    NOT NULL,
  input    TEXT    NOT NULL,
  state    TEXT    NOT NULL,
  attempt  INTEGER NOT NULL DEFAULT 1,
  task     TEXT    NOT NULL DEFAULT '',
  earlier  TEXT    NOT NULL DEFAULT '',
  detail   TEXT    NOT NULL DEFAULT '',
  started  INTEGER NOT NULL DEFAULT 0,
  ended_at INTEGER NOT NULL DEFAULT 0,
  ended    INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (batch, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX batch_items_by_state ON batch_items (batch, state, number, started, ended_at);
CREATE INDEX batch_items_by_end ON batch_items (batch, ended) WHERE ended > 0;

-- +goose Down
DROP TABLE batch_items;
DROP TABLE batches;
