package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Runtime is one row of the runtime registry: a conversation on an App Server
// that was started, and what it was last started for.
type Runtime struct {
	workflow.Runtime
	CWD   string
	Mode  string
	Role  string
	Agent string // name of the team's agent
	Task  string
	// Raw is what the App Server returned, byte for byte.
	Raw                       []byte
	FirstStarted, LastStarted time.Time
	// Active is the turn that holds the conversation; zero when none does.
	Active ActiveTurn
}

// ActiveTurn names an attempt that has been sent and has not ended.
type ActiveTurn struct {
	Task    string
	Turn    int
	Attempt int
}

// RuntimeFilter selects runtimes. The zero RuntimeFilter selects all.
type RuntimeFilter struct {
	Server         string
	AgentID        string
	ConversationID string
	Task           string
	// Active selects those alone that a turn holds.
	Active bool
}

// SaveRuntime stores that a runtime was started at the given time. FirstStarted,
// LastStarted and Active of rt are not looked at. Errors: ErrStorage.
func (s *Store) SaveRuntime(ctx context.Context, rt Runtime, at time.Time) error {
	return s.write(ctx, "save the runtime", func(tx *sql.Tx) error { return s.saveRuntime(ctx, tx, rt, at) })
}

func (s *Store) saveRuntime(ctx context.Context, tx *sql.Tx, rt Runtime, at time.Time) error {
	_, err := s.exec(ctx, tx,
		`INSERT INTO runtimes (server, agent_id, conversation_id, cwd, mode, role, agent, task, raw, first_started, last_started)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			 ON CONFLICT DO UPDATE SET cwd = excluded.cwd, mode = excluded.mode, role = excluded.role, agent = excluded.agent,
			   task = excluded.task, raw = excluded.raw, last_started = excluded.last_started`,
		rt.Server, rt.AgentID, rt.ConversationID, rt.CWD, rt.Mode, rt.Role, rt.Agent, rt.Task, append([]byte{}, rt.Raw...), micros(at), micros(at))
	return s.fail(ctx, "save the runtime", err)
}

// Runtimes returns the registry, the runtime started last first.
func (s *Store) Runtimes(ctx context.Context, f RuntimeFilter) ([]Runtime, error) {
	return query(ctx, s, "read the runtimes", func(rows *sql.Rows) (Runtime, error) {
		var rt Runtime
		var first, last int64
		var task sql.NullString
		var turn, attempt sql.NullInt64
		err := rows.Scan(&rt.Server, &rt.AgentID, &rt.ConversationID, &rt.CWD, &rt.Mode, &rt.Role, &rt.Agent, &rt.Task, &rt.Raw,
			&first, &last, &task, &turn, &attempt)
		rt.FirstStarted, rt.LastStarted = fromMicros(first), fromMicros(last)
		rt.Active = ActiveTurn{Task: task.String, Turn: int(turn.Int64), Attempt: int(attempt.Int64)}
		return rt, err
	}, `SELECT server, agent_id, conversation_id, cwd, mode, role, agent, task, raw, first_started, last_started, active_task, active_turn, active_attempt
		FROM runtimes
		WHERE (?1 = '' OR server = ?1) AND (?2 = '' OR agent_id = ?2) AND (?3 = '' OR conversation_id = ?3)
		  AND (?4 = '' OR task = ?4) AND (NOT ?5 OR active_task IS NOT NULL)
		ORDER BY last_started DESC, server, agent_id, conversation_id`,
		f.Server, f.AgentID, f.ConversationID, f.Task, f.Active)
}
