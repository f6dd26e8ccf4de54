package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ErrRemoved means that the task with an idempotency key has ended and was
// removed when its time was over. The error is a *RemovedError.
var ErrRemoved = errors.New("the task was removed")

// RemovedError is what is left of a task that was removed.
type RemovedError struct {
	Key, Task, Team string
	// Status is the state that it ended in.
	Status         workflow.TaskState
	Ended, Removed time.Time
}

// Error implements error.
func (e *RemovedError) Error() string {
	return fmt.Sprintf("the key %q belongs to task %s of team %s, which ended as %s on %s and was removed on %s",
		e.Key, e.Task, e.Team, e.Status, e.Ended.Format(time.DateOnly), e.Removed.Format(time.DateOnly))
}

// Is makes errors.Is(err, ErrRemoved) true.
func (e *RemovedError) Is(target error) bool { return target == ErrRemoved }

// ErrNotEnded means that a task, or one that it started, goes on.
var ErrNotEnded = errors.New("the task has not ended")

const terminal = `('succeeded', 'failed', 'cancelled')`

// endedWholly is true for the task ?1 with all that it started, the last of which ended before ?2,
// and whose workspaces are finished.
// What a task started has an ID that begins with its own and a dot; "/" follows the dot.
const endedWholly = `NOT EXISTS (SELECT 1 FROM tasks c WHERE (c.id = t.id OR c.id > t.id || '.' AND c.id < t.id || '/')
  AND (c.status NOT IN ` + terminal + ` OR c.updated >= ?2 OR c.place_open = 1))`

// endedBefore names its index: without statistics SQLite takes the one by status,
// and reads every task that has ended.
const endedBefore = `SELECT id FROM tasks t INDEXED BY tasks_by_end WHERE parent IS NULL AND status IN ` + terminal + `
  AND updated < ?2 AND ` + endedWholly + ` ORDER BY updated, id LIMIT ?1`

// EndedBefore returns tasks that nobody started but people, and that have ended
// before a time with all that they started: at most limit, the oldest end first.
// Errors: ErrStorage.
func (s *Store) EndedBefore(ctx context.Context, before time.Time, limit int) ([]string, error) {
	return query(ctx, s, "look for tasks whose time is over", scanString,
		endedBefore, limit, micros(before))
}

// RemoveTask removes a task that has ended before a time, with all that it
// started: states, journals, and the conversations that nothing else uses, in
// one transaction. Its idempotency key is kept for ever. Files are left to the
// caller. It returns the IDs that are gone. Errors: ErrNotFound, ErrNotEnded, ErrStorage.
func (s *Store) RemoveTask(ctx context.Context, id string, before, now time.Time) (removed []string, err error) {
	const op = "remove a task"
	var counts []TaskCount
	err = s.write(ctx, op, func(tx *sql.Tx) error {
		var over bool
		err := tx.QueryRowContext(ctx, `SELECT `+endedWholly+` FROM tasks t WHERE id = ?1 AND parent IS NULL`, id, micros(before)).Scan(&over)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("remove task %q: %w", id, ErrNotFound)
		case err != nil:
			return s.fail(ctx, op, err)
		case !over:
			return fmt.Errorf("remove task %s: %w", id, ErrNotEnded)
		}
		if removed, err = queryIn(ctx, s, tx, op, scanString, `SELECT id FROM tasks WHERE id = ?1 OR id > ?1 || '.' AND id < ?1 || '/'`, id); err != nil {
			return err
		}
		gone := jsonList(removed)
		if counts, err = queryIn(ctx, s, tx, op, scanTaskCount, `SELECT team, status, COUNT(*) FROM tasks WHERE id IN (SELECT value FROM json_each(?1)) GROUP BY team, status`, gone); err != nil {
			return err
		}
		for _, statement := range []string{
			`INSERT INTO removed_tasks (idempotency_key, id, team, status, ended, removed)
			   SELECT idempotency_key, id, team, status, updated, ?2 FROM tasks
			   WHERE id IN (SELECT value FROM json_each(?1)) AND idempotency_key IS NOT NULL`,
			`DELETE FROM workspace_locks WHERE task IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL`,
			`UPDATE removed_positions SET last = ` + lastPosition + ` WHERE ?1 IS NOT NULL AND ?2 IS NOT NULL`,
			`DELETE FROM events WHERE task IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL`,
			`DELETE FROM runtimes WHERE task IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL AND active_task IS NULL
			   AND NOT EXISTS (SELECT 1 FROM shared_conversations s WHERE s.server = runtimes.server
			     AND s.agent_id = runtimes.agent_id AND s.conversation_id = runtimes.conversation_id)`,
			`DELETE FROM tasks WHERE id IN (SELECT value FROM json_each(?1)) AND ?2 IS NOT NULL`,
		} {
			if _, err := tx.ExecContext(ctx, statement, gone, micros(now)); err != nil {
				return s.fail(ctx, op, err)
			}
		}
		return nil
	})
	if err == nil && s.removed != nil {
		s.removed(counts)
	}
	return removed, err
}

// Has reports whether there is a task with this very ID. Errors: ErrStorage.
func (s *Store) Has(ctx context.Context, id string) (bool, error) {
	var found bool
	err := s.reads.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM tasks WHERE id = ?)", id).Scan(&found)
	return found, s.fail(ctx, "look up the task", err)
}

// removedByKey returns a *RemovedError where the task with a key was removed, and nil else.
func (s *Store) removedByKey(ctx context.Context, in rowQuerier, key string) error {
	e := &RemovedError{Key: key}
	var endedAt, removedAt int64
	err := in.QueryRowContext(ctx, "SELECT id, team, status, ended, removed FROM removed_tasks WHERE idempotency_key = ?", key).
		Scan(&e.Task, &e.Team, &e.Status, &endedAt, &removedAt)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return s.fail(ctx, "look up the idempotency key", err)
	}
	e.Ended, e.Removed = fromMicros(endedAt), fromMicros(removedAt)
	return e
}

// rowQuerier is a pool of connections or a transaction.
type rowQuerier interface {
	QueryRowContext(ctx context.Context, statement string, args ...any) *sql.Row
}
