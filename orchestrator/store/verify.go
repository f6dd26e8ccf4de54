package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// CheckFile reads the whole file and says whether SQLite finds it whole, its
// indexes and references included. It takes minutes for a file of gigabytes.
// Errors: ErrDamaged, ErrStorage.
func (s *Store) CheckFile(ctx context.Context) error {
	const op = "check the store"
	found, err := query(ctx, s, op, scanString, "PRAGMA integrity_check(1)")
	if err == nil && !slices.Equal(found, []string{"ok"}) {
		err = s.fail(ctx, op, &damageError{strings.Join(found, "\n")})
	}
	if err != nil {
		return err
	}
	var table, parent string
	var row sql.NullInt64
	var key int
	err = s.reads.QueryRowContext(ctx, "PRAGMA foreign_key_check").Scan(&table, &row, &parent, &key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		err = &damageError{fmt.Sprintf("row %d of %s names something that is not in %s", row.Int64, table, parent)}
	}
	return s.fail(ctx, op, err)
}

// TaskIDs returns the IDs of all tasks, the oldest first.
func (s *Store) TaskIDs(ctx context.Context) ([]string, error) {
	return query(ctx, s, "list the tasks", scanString, "SELECT id FROM tasks ORDER BY created, id")
}

// VerifyTask takes the journal of a task through workflow.Decide and compares
// what comes out with what is stored: the effects of every event, the state,
// the columns that repeat parts of it, the conversations that its turns
// hold, and what is counted of what they have used. It returns how many events there are. A task that is being written can be
// verified. Errors: *workflow.HistoryError, ErrMissingFile, ErrUnreadable, ErrNotFound, ErrStorage.
func (s *Store) VerifyTask(ctx context.Context, task string) (events int, err error) {
	const op = "verify the task"
	// One transaction, so that what is read belongs together.
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return 0, s.fail(ctx, op, err)
	}
	defer func() {
		if back := tx.Rollback(); err == nil {
			err = s.fail(ctx, op, back)
		}
	}()
	state, err := s.verifyRow(ctx, tx, task)
	if err != nil {
		return 0, err
	}
	records, err := s.events(ctx, tx, task, 0)
	if err != nil {
		return 0, err
	}
	journal := make([]workflow.Recorded, len(records))
	for i, r := range records {
		journal[i] = workflow.Recorded{Seq: r.Seq, Event: r.Event, Effects: r.Effects}
	}
	revision, err := s.Revision(ctx, state.Revision) // it never changes
	if err != nil {
		return len(records), err
	}
	team, err := workflow.Parse(revision.File, revision.Source, workflow.ParseOptions{Load: workflow.LoadSources(revision.File, revision.Sources)})
	if err != nil {
		return len(records), fmt.Errorf("the team of task %s: %w", task, err)
	}
	if err := workflow.VerifyHistory(team, journal, state); err != nil {
		return len(records), err
	}
	if err := s.verifyHeld(ctx, tx, state); err != nil {
		return len(records), err
	}
	if err := s.verifyDirectory(ctx, tx, state); err != nil {
		return len(records), err
	}
	if err := s.verifyUsage(ctx, tx, state.Task, journal); err != nil {
		return len(records), err
	}
	return len(records), s.verifyFiles(task, journal)
}

// OutputsName is the directory, in the data directory, of outputs that are too
// long for the journal; each task has one in it.
const OutputsName = "outputs"

// verifyFiles looks for the files that a journal names. Those of a copied data
// directory are in the copy.
func (s *Store) verifyFiles(task string, journal []workflow.Recorded) error {
	for _, r := range journal {
		file := ""
		switch b := r.Event.Body.(type) {
		case workflow.TurnFinished:
			file = b.OutputFile
		case workflow.TurnReconciled:
			file = b.OutputFile
		}
		if file == "" {
			continue
		}
		_, err := os.Stat(file)
		if err != nil {
			_, err = os.Stat(filepath.Join(s.dir, OutputsName, task, filepath.Base(file)))
		}
		if err != nil {
			return fmt.Errorf("event %d of task %s: %w: %s", r.Seq, task, ErrMissingFile, file)
		}
	}
	return nil
}

// verifyRow reads a task and compares the columns with the state.
func (s *Store) verifyRow(ctx context.Context, tx *sql.Tx, task string) (workflow.State, error) {
	var text []byte
	var team, revision, status, parent, batch, schedule string
	var version, created, updated, priority int64
	var wake sql.NullInt64
	var open bool
	err := tx.QueryRowContext(ctx,
		"SELECT state, team, revision, status, COALESCE(parent, ''), version, created, updated, wake_at, priority, COALESCE(batch, ''), COALESCE(schedule, ''), place_open FROM tasks WHERE id = ?", task).
		Scan(&text, &team, &revision, &status, &parent, &version, &created, &updated, &wake, &priority, &batch, &schedule, &open)
	if errors.Is(err, sql.ErrNoRows) {
		return workflow.State{}, fmt.Errorf("task %q: %w", task, ErrNotFound)
	}
	if err != nil {
		return workflow.State{}, s.fail(ctx, "verify the task", err)
	}
	state, err := decodeState(text)
	if err != nil {
		return workflow.State{}, err
	}
	for _, c := range []struct {
		column      string
		have, wants any
	}{
		{"id", task, state.Task},
		{"team", team, state.Team},
		{"revision", revision, state.Revision},
		{"status", status, string(state.Status)},
		{"parent", parent, parentOf(state).String},
		{"version", version, state.Version},
		{"created", created, micros(state.Created)},
		{"updated", updated, micros(state.Updated)},
		{"priority", priority, int64(state.Priority)},
		{"batch", batch, state.Batch},
		{"schedule", schedule, state.Schedule},
		{"place_open", open, state.PlaceOpen()},
		{"wake_at", wake, wakeMicros(state.WakeAt)},
	} {
		if c.have != c.wants {
			return workflow.State{}, &workflow.HistoryError{Task: task, Seq: state.Version, Detail: fmt.Sprintf("the column %s is %v, and the state says %v", c.column, c.have, c.wants)}
		}
	}
	return state, nil
}

// verifyHeld compares the conversations that are marked as held by a task with its turns.
func (s *Store) verifyHeld(ctx context.Context, tx *sql.Tx, state workflow.State) error {
	holds := map[workflow.Runtime]ActiveTurn{}
	for _, turn := range state.Turns {
		if holdsConversation(turn) && turn.Kind == workflow.KindAgent {
			holds[turn.Runtime] = ActiveTurn{Task: state.Task, Turn: turn.ID, Attempt: turn.Attempt}
		}
	}
	marked, err := queryIn(ctx, s, tx, "verify the conversations", func(rows *sql.Rows) (Runtime, error) {
		rt := Runtime{Active: ActiveTurn{Task: state.Task}}
		err := rows.Scan(&rt.Server, &rt.AgentID, &rt.ConversationID, &rt.Active.Turn, &rt.Active.Attempt)
		return rt, err
	}, "SELECT server, agent_id, conversation_id, active_turn, active_attempt FROM runtimes WHERE task = ?1 AND active_task = ?1", state.Task)
	if err != nil {
		return err
	}
	for _, rt := range marked {
		if holds[rt.Runtime] != rt.Active {
			return &workflow.HistoryError{Task: state.Task, Seq: state.Version, Detail: fmt.Sprintf(
				"conversation %s of agent %s is marked as held by turn %d, attempt %d, which does not hold it", rt.ConversationID, rt.AgentID, rt.Active.Turn, rt.Active.Attempt)}
		}
		delete(holds, rt.Runtime)
	}
	for rt, turn := range holds {
		return &workflow.HistoryError{Task: state.Task, Seq: state.Version, Detail: fmt.Sprintf(
			"turn %d has been sent to conversation %s of agent %s, which is not marked as held by it", turn.Turn, rt.ConversationID, rt.AgentID)}
	}
	return nil
}

// holdsConversation reports whether a turn may be in the conversation that it was sent to.
func holdsConversation(turn workflow.Turn) bool {
	switch turn.State {
	case workflow.TurnSent, workflow.TurnRunning, workflow.TurnAwaitingApproval, workflow.TurnUncertain:
		return true
	case workflow.TurnPending, workflow.TurnEnded, workflow.TurnInterrupted:
	}
	return false
}

// events reads a journal with the given connection.
func (s *Store) events(ctx context.Context, in querier, task string, after int64) ([]Record, error) {
	return queryIn(ctx, s, in, "read the events", func(rows *sql.Rows) (Record, error) {
		r := Record{Task: task}
		var event, effects []byte
		if err := rows.Scan(&r.Seq, &event, &effects); err != nil {
			return Record{}, err
		}
		return r, decodeRecord(&r, event, effects)
	}, "SELECT seq, event, effects FROM events WHERE task = ? AND seq > ? ORDER BY seq", task, after)
}
