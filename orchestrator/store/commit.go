package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// encoded is a decision as it is stored, made before the writer is taken.
type encoded struct {
	state, event, effects []byte
}

func encode(state workflow.State, event workflow.Event, effects []workflow.Effect) (encoded, error) {
	out, err := encodeEvent(state, event, effects)
	if err != nil {
		return encoded{}, err
	}
	out.state, err = encodeState(state)
	return out, err
}

func encodeState(state workflow.State) ([]byte, error) {
	data, err := json.Marshal(state)
	if err != nil {
		return nil, fmt.Errorf("encode the state of task %s: %w", state.Task, err)
	}
	return data, nil
}

// encodeEvent leaves the state out.
func encodeEvent(state workflow.State, event workflow.Event, effects []workflow.Effect) (encoded, error) {
	var out encoded
	var err error
	if out.event, err = json.Marshal(event); err != nil {
		return encoded{}, fmt.Errorf("encode an event of task %s: %w", state.Task, err)
	}
	if out.effects, err = json.Marshal(workflow.Effects(effects)); err != nil {
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
		if err := s.appendEvent(ctx, tx, state, event, enc); err != nil {
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
	// Was is the state of that version, where the caller has it: what has not changed
	// need not be written.
	Was     *workflow.State
	State   workflow.State
	Event   workflow.Event
	Effects []workflow.Effect
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
	return s.CommitAll(ctx, []Decision{{Prev: prev, State: state, Event: event, Effects: effects}})
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
	if was := first.Was; was != nil && was.Status == state.Status && was.WakeAt.Equal(state.WakeAt) && was.PlaceOpen() == state.PlaceOpen() {
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
	for i, d := range r.decisions {
		if err := s.commitOne(ctx, tx, d, r.events[i]); err != nil {
			return err
		}
	}
	return nil
}

// commitOne stores what a decision leads to beside the state.
func (s *Store) commitOne(ctx context.Context, tx *sql.Tx, d Decision, enc encoded) error {
	state := d.State
	if d.Runtime != nil {
		if err := s.saveRuntime(ctx, tx, *d.Runtime, d.Event.At); err != nil {
			return err
		}
	}
	if err := s.appendEvent(ctx, tx, state, d.Event, enc); err != nil {
		return err
	}
	if err := s.markDirectories(ctx, tx, state, d.Event); err != nil {
		return err
	}
	if err := s.notice(ctx, tx, Notices(state, d.Event, d.Effects)); err != nil {
		return err
	}
	if err := s.countUsage(ctx, tx, state, d.Event); err != nil {
		return err
	}
	return s.markConversations(ctx, tx, state, d.Event)
}

func (s *Store) appendEvent(ctx context.Context, tx *sql.Tx, state workflow.State, event workflow.Event, enc encoded) error {
	_, err := s.exec(ctx, tx, "INSERT INTO events (rowid, task, seq, at, type, event, effects) VALUES (1 + "+lastPosition+", ?, ?, ?, ?, ?, ?)",
		state.Task, state.Version, micros(event.At), event.Body.EventType(), string(enc.event), string(enc.effects))
	return s.fail(ctx, "append event", err)
}

// markConversations keeps one turn at a time in a conversation.
func (s *Store) markConversations(ctx context.Context, tx *sql.Tx, state workflow.State, event workflow.Event) error {
	switch body := event.Body.(type) {
	case workflow.TaskSubmitted, workflow.TaskClaimed, workflow.TurnAccepted, workflow.TurnUsed, workflow.QuestionAsked,
		workflow.ProgressReported, workflow.TaskSpawned, workflow.WorkspaceWaits, workflow.WorkspacePreparing, workflow.WorkspaceReady,
		workflow.WorkspaceRestored, workflow.WorkspaceSaved, workflow.WorkspacePublishing, workflow.WorkspacePublished,
		workflow.PublishRequested, workflow.WorkspaceFinished:
		return nil // none of these begins or ends a sent turn
	case workflow.TurnSending:
		if body.Runtime == (workflow.Runtime{}) {
			return nil // of a check or a sub-team
		}
		if err := s.shareConversation(ctx, tx, state, body); err != nil {
			return err
		}
		return s.takeConversation(ctx, tx, body.Runtime, ActiveTurn{Task: state.Task, Turn: body.Turn, Attempt: body.Attempt}, event.At)
	case workflow.TurnFinished:
		return errors.Join(s.loseShared(ctx, tx, state, body.ConversationLost), s.giveBackConversations(ctx, tx, state))
	case workflow.TurnReconciled:
		return errors.Join(s.loseShared(ctx, tx, state, body.ConversationLost), s.giveBackConversations(ctx, tx, state))
	default:
		return s.giveBackConversations(ctx, tx, state)
	}
}

func (s *Store) takeConversation(ctx context.Context, tx *sql.Tx, rt workflow.Runtime, turn ActiveTurn, at time.Time) error {
	const op = "take the conversation"
	started := micros(at)
	result, err := s.exec(ctx, tx,
		`INSERT INTO runtimes (server, agent_id, conversation_id, cwd, mode, role, agent, task, raw, first_started, last_started, active_task, active_turn, active_attempt)
		 VALUES (?, ?, ?, '', '', '', '', ?, x'', ?, ?, ?, ?, ?)
		 ON CONFLICT DO UPDATE SET active_task = excluded.active_task, active_turn = excluded.active_turn, active_attempt = excluded.active_attempt
		 WHERE runtimes.active_task IS NULL OR (runtimes.active_task = excluded.active_task AND runtimes.active_turn = excluded.active_turn)`,
		rt.Server, rt.AgentID, rt.ConversationID, turn.Task, started, started, turn.Task, turn.Turn, turn.Attempt)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	if n, err := result.RowsAffected(); err != nil {
		return s.fail(ctx, op, err)
	} else if n > 0 {
		return nil
	}
	busy := &BusyError{Runtime: rt}
	err = tx.QueryRowContext(ctx,
		"SELECT active_task, active_turn, active_attempt FROM runtimes WHERE server = ? AND agent_id = ? AND conversation_id = ?",
		rt.Server, rt.AgentID, rt.ConversationID).Scan(&busy.Holder.Task, &busy.Holder.Turn, &busy.Holder.Attempt)
	if err != nil {
		return s.fail(ctx, op, err)
	}
	return busy
}

// giveBackConversations clears the marks of this task that no live turn of the
// state backs. It reads the state rather than the event, so that whatever ends
// a turn (its answer, a cancelled task, a rule) gives the conversation back.
func (s *Store) giveBackConversations(ctx context.Context, tx *sql.Tx, state workflow.State) error {
	held := []int{}
	for _, turn := range state.Turns {
		if holdsConversation(turn) {
			held = append(held, turn.ID)
		}
	}
	list, err := json.Marshal(held)
	if err != nil {
		return fmt.Errorf("encode turn numbers: %w", err)
	}
	_, err = s.exec(ctx, tx,
		`UPDATE runtimes SET active_task = NULL, active_turn = NULL, active_attempt = NULL
		 WHERE active_task = ? AND active_turn NOT IN (SELECT value FROM json_each(?))`, state.Task, string(list))
	return s.fail(ctx, "give the conversation back", err)
}

// optional is NULL for an empty text.
func optional(text string) sql.NullString { return sql.NullString{String: text, Valid: text != ""} }
