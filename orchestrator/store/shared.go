package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// SharedConversation is the conversation that an agent has for all tasks of its
// team; zero when it has none yet. Errors: ErrStorage.
func (s *Store) SharedConversation(ctx context.Context, team, agent string) (workflow.Runtime, error) {
	var rt workflow.Runtime
	err := s.reads.QueryRowContext(ctx, "SELECT server, agent_id, conversation_id FROM shared_conversations WHERE team = ? AND agent = ?", team, agent).
		Scan(&rt.Server, &rt.AgentID, &rt.ConversationID)
	if errors.Is(err, sql.ErrNoRows) {
		return workflow.Runtime{}, nil
	}
	return rt, s.fail(ctx, "look for the shared conversation", err)
}

// shareConversation notes the first conversation of an agent that shares one. A
// turn that comes with another one was prepared at the same time: it is refused
// as if that one were busy, and finds it the next time.
func (s *Store) shareConversation(ctx context.Context, tx *sql.Tx, state *workflow.State, body workflow.TurnSending) error {
	const op = "share the conversation"
	i := slices.IndexFunc(state.Turns, func(t workflow.Turn) bool { return t.ID == body.Turn })
	if i < 0 || !strings.HasSuffix(state.Turns[i].Conversation, "!shared") {
		return nil
	}
	node := state.Turns[i].Node
	_, err := s.exec(ctx, tx,
		"INSERT INTO shared_conversations (team, agent, server, agent_id, conversation_id) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		state.Team, node, body.Runtime.Server, body.Runtime.AgentID, body.Runtime.ConversationID)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	var rt workflow.Runtime
	err = tx.QueryRowContext(ctx, "SELECT server, agent_id, conversation_id FROM shared_conversations WHERE team = ? AND agent = ?", state.Team, node).
		Scan(&rt.Server, &rt.AgentID, &rt.ConversationID)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	if rt != body.Runtime {
		return &BusyError{Runtime: rt}
	}
	return nil
}

// loseShared forgets shared conversations of a team that no live turn and no
// entry of the state backs any more, after one was lost.
func (s *Store) loseShared(ctx context.Context, tx *sql.Tx, state *workflow.State, lost bool) error {
	if !lost {
		return nil
	}
	kept := []string{}
	for key := range state.Conversations {
		if agent, ok := strings.CutSuffix(key, "!shared"); ok {
			kept = append(kept, agent)
		}
	}
	// The conversation is the one that the ending turn holds.
	_, err := s.exec(ctx, tx,
		`DELETE FROM shared_conversations WHERE team = ?1 AND agent NOT IN (SELECT value FROM json_each(?2)) AND EXISTS (
		   SELECT 1 FROM runtimes r WHERE r.active_task = ?3 AND r.server = shared_conversations.server
		   AND r.agent_id = shared_conversations.agent_id AND r.conversation_id = shared_conversations.conversation_id)`,
		state.Team, jsonList(kept), state.Task)
	return s.fail(ctx, "forget the shared conversation", err)
}

func parentOf(state workflow.State) sql.NullString {
	if state.Parent == nil {
		return sql.NullString{}
	}
	return sql.NullString{String: state.Parent.Task, Valid: true}
}

// Children returns the tasks that a task has started, the oldest first. Errors: ErrStorage.
func (s *Store) Children(ctx context.Context, task string) ([]workflow.State, error) {
	return query(ctx, s, "list the tasks of sub-teams", func(rows *sql.Rows) (workflow.State, error) {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return workflow.State{}, err
		}
		return decodeState(text)
	}, "SELECT state FROM tasks WHERE parent = ? ORDER BY created, id", task)
}
