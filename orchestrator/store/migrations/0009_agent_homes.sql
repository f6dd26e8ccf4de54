-- Where agents with memory live: an agent is made on one App Server and stays there.

-- +goose Up
CREATE TABLE agent_homes (
  team   TEXT NOT NULL,
  agent  TEXT NOT NULL,
  server TEXT NOT NULL,
  PRIMARY KEY (team, agent)
) STRICT;

-- +goose Down
DROP TABLE agent_homes;
