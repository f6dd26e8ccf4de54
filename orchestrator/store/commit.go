package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// encoded is a decision as it is stored, made before the writer is taken.
type encoded struct {
	state, event, effects []byte
}

func encode(state workflow.State, event workflow.Event, effects []workflow.Effect) (encoded, error) {
	out, err := encodeEvent(&state, event, effects)
	if err != nil {
		return encoded{}, err
	}
	out.state, err = encodeState(&state)
	return out, err
}

func encodeState(state *workflow.State) ([]byte, error) {
	data, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("encode the state of task %s: %w", state.Task, err)
	}
	return data, nil
}

// encodeEvent leaves the state out. What encodes itself is asked for it directly:
// json.Marshal would look through it once more.
func encodeEvent(state *workflow.State, event workflow.Event, effects []workflow.Effect) (encoded, error) {
	var out encoded
	var err error
	if out.event, err = event.MarshalJSON(); err != nil {
		return encoded{}, fmt.Errorf("encode an event of task %s: %w", state.Task, err)
	}
	if out.effects, err = workflow.Effects(effects).MarshalJSON(); err != nil {
		return encoded{}, fmt.Errorf("encode the effects of an event of task %s: %w", state.Task, err)
	}
	return out, nil
}

// Create stores a new task with its first event. When a task has been created
// with the same key before, however long ago, nothing is stored and that task
// is returned with created false. An empty key is no key. The revision must
// have been saved. Errors: ErrRemoved, ErrStorage.
func (s *Store) Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (id string, created bool, err error) {
	enc, err := encode(state, event, effects)
	if err != nil {
		return "", false, err
	}
	err = s.write(ctx, "create task", func(tx *sql.Tx) error {
		id, created = state.Task, true
		if key != "" {
			err := tx.QueryRowContext(ctx, "SELECT id FROM tasks WHERE idempotency_key = ?", key).Scan(&id)
			if err == nil {
				created = false
				return nil
			}
			if !errors.Is(err, sql.ErrNoRows) {
				return s.fail(ctx, "look up the idempotency key", err)
			}
			if err := s.removedByKey(ctx, tx, key); err != nil {
				return err
			}
		}
		_, err := s.exec(ctx, tx,
			`INSERT INTO tasks (id, idempotency_key, team, revision, status, version, state, created, updated, wake_at, parent, priority, batch, schedule)
			 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			state.Task, optional(key), state.Team, state.Revision, string(state.Status), state.Version,
			string(enc.state), micros(state.Created), micros(state.Updated), wakeMicros(state.WakeAt), parentOf(state),
			state.Priority, optional(state.Batch), optional(state.Schedule))
		if err != nil {
			return s.fail(ctx, "create task", err)
		}
		if state.Batch != "" && state.Origin != nil {
			// It goes on with an item, which the batch is to take notice of.
			if _, err := tx.ExecContext(ctx, "UPDATE batches SET open = 1 WHERE id = ?", state.Batch); err != nil {
				return s.fail(ctx, "create task", err)
			}
		}
		if err := s.shareDirectory(ctx, tx, state); err != nil {
			return err
		}
		if err := s.appendEvents(ctx, tx, []Decision{{State: &state, Event: event}}, []encoded{enc}); err != nil {
			return err
		}
		return s.notice(ctx, tx, Notices(state, event, effects))
	})
	if err != nil {
		return "", false, err
	}
	return id, created, nil
}

// Decision is a decision about a task, as it is stored.
type Decision struct {
	// Prev is the version that the task must have before.
	Prev int64
	// Was is the state of that version, and State the next one.
	Was, State *workflow.State
	Event      workflow.Event
	Effects    []workflow.Effect
	// Runtime, where it is not nil, is stored with it, as SaveRuntime would at the
	// time of the event.
	Runtime *Runtime
}

// Commit stores one decision in one transaction: the event is appended, the
// state is replaced where its version is still prev, and the conversation that
// the event takes (TurnSending) or gives back (an end of the turn) is marked.
// Likewise the directory that WorkspaceReady takes and the end of the task gives back.
// Errors: ErrConflict, ErrConversationBusy, ErrDirectoryBusy, ErrStorage.
func (s *Store) Commit(ctx context.Context, prev int64, state workflow.State, event workflow.Event, effects []workflow.Effect) error {
	was, err := s.state(ctx, state.Task)
	if err != nil {
		return err
	}
	return s.CommitAll(ctx, []Decision{{Prev: prev, Was: &was, State: &state, Event: event, Effects: effects}})
}

// CommitAll is Commit for several decisions, one after the other, of which all or
// none are stored. Errors: those of Commit.
func (s *Store) CommitAll(ctx context.Context, decisions []Decision) error {
	all := make([]encoded, len(decisions))
	for i, d := range decisions {
		var err error
		if all[i], err = encodeEvent(d.State, d.Event, d.Effects); err != nil {
			return err
		}
	}
	// Of several decisions about a task in a row the last state alone is written.
	var replaced []replacement
	for i := 0; i < len(decisions); {
		last := i
		for last+1 < len(decisions) && follows(decisions[last], decisions[last+1]) {
			last++
		}
		state, err := encodeState(decisions[last].State)
		if err != nil {
			return err
		}
		replaced = append(replaced, replacement{decisions: decisions[i : last+1], events: all[i : last+1], state: state})
		i = last + 1
	}
	return s.write(ctx, "commit", func(tx *sql.Tx) error {
		for _, r := range replaced {
			if err := s.replace(ctx, tx, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// follows says whether a decision was made on the state that another one led to.
func follows(d, next Decision) bool {
	return next.State.Task == d.State.Task && next.Prev == d.State.Version
}

// replacement are decisions about a task that follow from each other, and the last state.
type replacement struct {
	decisions []Decision
	events    []encoded
	state     []byte
}

func (s *Store) replace(ctx context.Context, tx *sql.Tx, r replacement) error {
	const op = "replace the state of a task"
	first, state := r.decisions[0], r.decisions[len(r.decisions)-1].State
	var result sql.Result
	var err error
	if was := first.Was; was.Status == state.Status && was.WakeAt.Equal(state.WakeAt) && was.PlaceOpen() == state.PlaceOpen() {
		// SQLite writes the indexes of all columns that are set, whatever to.
		result, err = s.exec(ctx, tx, "UPDATE tasks SET version = ?, state = ?, updated = ? WHERE id = ? AND version = ?",
			state.Version, string(r.state), micros(state.Updated), state.Task, first.Prev)
	} else {
		result, err = s.exec(ctx, tx,
			"UPDATE tasks SET status = ?, version = ?, state = ?, updated = ?, wake_at = ?, place_open = ? WHERE id = ? AND version = ?",
			string(state.Status), state.Version, string(r.state), micros(state.Updated), wakeMicros(state.WakeAt), state.PlaceOpen(), state.Task, first.Prev)
	}
	if err != nil {
		return s.fail(ctx, op, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return s.fail(ctx, op, err)
	} else if n == 0 {
		return fmt.Errorf("commit %s for task %s at version %d: %w", first.Event.Body.EventType(), state.Task, first.Prev, ErrConflict)
	}
	if err := s.appendEvents(ctx, tx, r.decisions, r.events); err != nil {
		return err
	}
	for _, d := range r.decisions {
		if err := s.commitOne(ctx, tx, d); err != nil {
			return err
		}
	}
	return nil
}

// commitOne stores what a decision leads to beside the state and the event.
func (s *Store) commitOne(ctx context.Context, tx *sql.Tx, d Decision) error {
	state := d.State
	_, sends := d.Event.Body.(workflow.TurnSending)
	if d.Runtime != nil && !sends { // else it is stored with the conversation that is taken
		if err := s.saveRuntime(ctx, tx, *d.Runtime, d.Event.At); err != nil {
			return err
		}
	}
	if err := s.markDirectories(ctx, tx, state, d.Event); err != nil {
		return err
	}
	if err := s.notice(ctx, tx, Notices(*state, d.Event, d.Effects)); err != nil {
		return err
	}
	if err := s.countUsage(ctx, tx, state, d.Event); err != nil {
		return err
	}
	return s.markConversations(ctx, tx, d)
}

// appendEvents adds events of one task to its journal, in one statement.
func (s *Store) appendEvents(ctx context.Context, tx *sql.Tx, decisions []Decision, events []encoded) error {
	const columns = 7
	args := make([]any, 0, columns*len(decisions))
	for i, d := range decisions {
		s.position++
		args = append(args, s.position, d.State.Task, d.State.Version, micros(d.Event.At), d.Event.Body.EventType(), string(events[i].event), string(events[i].effects))
	}
	_, err := s.exec(ctx, tx, "INSERT INTO events (rowid, task, seq, at, type, event, effects) VALUES (?, ?, ?, ?, ?, ?, ?)"+
		strings.Repeat(", (?, ?, ?, ?, ?, ?, ?)", len(decisions)-1), args...)
	return s.fail(ctx, "append events", err)
}

// markConversations keeps one turn at a time in a conversation.
func (s *Store) markConversations(ctx context.Context, tx *sql.Tx, d Decision) error {
	lost := false
	switch body := d.Event.Body.(type) {
	case workflow.TurnSending:
		if body.Runtime == (workflow.Runtime{}) {
			return nil // of a check or a sub-team
		}
		if err := s.shareConversation(ctx, tx, d.State, body); err != nil {
			return err
		}
		return s.takeConversation(ctx, tx, body, d)
	case workflow.TurnFinished:
		lost = body.ConversationLost
	case workflow.TurnReconciled:
		lost = body.ConversationLost
	}
	if err := s.loseShared(ctx, tx, d.State, lost); err != nil {
		return err
	}
	return s.giveBackConversations(ctx, tx, d)
}

// takeConversation marks the conversation, and stores what the runtime was started
// for. A row that is held has the holder in task as well, which has an index.
func (s *Store) takeConversation(ctx context.Context, tx *sql.Tx, sending workflow.TurnSending, d Decision) error {
	const op = "take the conversation"
	rt := Runtime{Runtime: sending.Runtime, Task: d.State.Task}
	set := ""
	if d.Runtime != nil {
		rt = *d.Runtime
		set = "cwd = excluded.cwd, mode = excluded.mode, role = excluded.role, agent = excluded.agent, raw = excluded.raw, last_started = excluded.last_started, "
	}
	at := micros(d.Event.At)
	result, err := s.exec(ctx, tx,
		`INSERT INTO runtimes (server, agent_id, conversation_id, cwd, mode, role, agent, task, raw, first_started, last_started, active_task, active_turn, active_attempt)
		 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		 ON CONFLICT DO UPDATE SET `+set+`task = excluded.task, active_task = excluded.active_task, active_turn = excluded.active_turn, active_attempt = excluded.active_attempt
		 WHERE runtimes.active_task IS NULL OR (runtimes.active_task = excluded.active_task AND runtimes.active_turn = excluded.active_turn)`,
		rt.Server, rt.AgentID, rt.ConversationID, rt.CWD, rt.Mode, rt.Role, rt.Agent, d.State.Task, append([]byte{}, rt.Raw...), at, at,
		d.State.Task, sending.Turn, sending.Attempt)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return s.fail(ctx, op, err)
	} else if n > 0 {
		return nil
	}
	busy := &BusyError{Runtime: sending.Runtime}
	err = tx.QueryRowContext(ctx,
		"SELECT active_task, active_turn, active_attempt FROM runtimes WHERE server = ? AND agent_id = ? AND conversation_id = ?",
		rt.Server, rt.AgentID, rt.ConversationID).Scan(&busy.Holder.Task, &busy.Holder.Turn, &busy.Holder.Attempt)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	return busy
}

// giveBackConversations clears the marks of turns that do not hold their conversation
// any more. It compares the states rather than look at the event, so that whatever
// ends a turn (its answer, a cancelled task, a rule) gives the conversation back.
func (s *Store) giveBackConversations(ctx context.Context, tx *sql.Tx, d Decision) error {
	for _, turn := range d.Was.Turns {
		if turn.Runtime == (workflow.Runtime{}) || !holdsConversation(turn) || slices.ContainsFunc(d.State.Turns, func(t workflow.Turn) bool {
			return t.ID == turn.ID && holdsConversation(t)
		}) {
			continue
		}
		_, err := s.exec(ctx, tx,
			`UPDATE runtimes SET active_task = NULL, active_turn = NULL, active_attempt = NULL
			 WHERE server = ? AND agent_id = ? AND conversation_id = ? AND active_task = ? AND active_turn = ?`,
			turn.Runtime.Server, turn.Runtime.AgentID, turn.Runtime.ConversationID, d.State.Task, turn.ID)
		if err != nil {
			return s.fail(ctx, "give the conversation back", err)
		}
	}
	return nil
}

// optional is NULL for an empty text.
func optional(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }
