-- No position of an event is given twice, also where the newest events were
-- removed with their task: clients go on after the last position that they saw.

-- +goose Up
CREATE TABLE removed_positions (
  one  INTEGER PRIMARY KEY CHECK (one = 1),
  last INTEGER NOT NULL -- the highest position of an event that was removed
) STRICT;
INSERT INTO removed_positions (one, last) VALUES (1, 0);

-- +goose Down
DROP TABLE removed_positions;
