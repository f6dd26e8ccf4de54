package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
)

// AgentHome returns the App Server on which an agent of a team lives. One that
// lives nowhere yet, or on a server that is not among known any more, lives on
// offered from now on. Errors: ErrStorage.
func (s *Store) AgentHome(ctx context.Context, team, agent, offered string, known []string) (string, error) {
	const op = "look for the home of an agent"
	const look = "SELECT server FROM agent_homes WHERE team = ? AND agent = ?"
	var home string
	err := s.reads.QueryRowContext(ctx, look, team, agent).Scan(&home)
	if err == nil && slices.Contains(known, home) {
		return home, nil
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return "", s.fail(ctx, op, err)
	}
	err = s.write(ctx, op, func(tx *sql.Tx) error {
		// Before there was this table, the registry alone said where the agent was.
		_, err := tx.ExecContext(ctx,
			`INSERT INTO agent_homes (team, agent, server) VALUES (?1, ?2, coalesce(
			   (SELECT r.server FROM runtimes r JOIN tasks t ON t.id = r.task
			    WHERE t.team = ?1 AND r.agent = ?2 AND r.server IN (SELECT value FROM json_each(?4))
			    ORDER BY r.last_started DESC LIMIT 1), ?3))
			 ON CONFLICT DO UPDATE SET server = excluded.server WHERE server NOT IN (SELECT value FROM json_each(?4))`,
			team, agent, offered, jsonList(known))
		if err == nil {
			err = tx.QueryRowContext(ctx, look, team, agent).Scan(&home)
		}
		return s.fail(ctx, op, err)
	})
	return home, err
}

// Conversations counts the conversations on each App Server, by its name. Errors: ErrStorage.
func (s *Store) Conversations(ctx context.Context) (map[string]int, error) {
	type count struct {
		server string
		n      int
	}
	list, err := query(ctx, s, "count the conversations", func(rows *sql.Rows) (c count, err error) {
		return c, rows.Scan(&c.server, &c.n)
	}, "SELECT server, count(*) FROM runtimes GROUP BY server")
	out := make(map[string]int, len(list))
	for _, c := range list {
		out[c.server] = c.n
	}
	return out, err
}
