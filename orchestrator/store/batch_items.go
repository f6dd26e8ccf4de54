package store

import (
	"context"
	"database/sql"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// BatchItem is one item of a batch.
type BatchItem struct {
	// Number counts from 1 in the order in which the items were given.
	Number int
	// Key is unique in the batch.
	Key string
	// Label is short, for people. Origin says where the item was read, as FILE:LINE.
	Label, Origin string
	// Input is the JSON of the input of its task.
	Input []byte
	// State is pending, running, or that of its task at the end.
	State string
	// Attempt counts from 1; retries have higher ones.
	Attempt int
	// Task is that of the attempt; empty before it is made. Earlier are those of
	// the attempts before.
	Task    string
	Earlier []string
	// Detail says why an item that has ended did not succeed.
	Detail string
	// Started is when the task was made, and EndedAt when it was seen to have
	// ended; of the first and the last attempt.
	Started, EndedAt time.Time
	// Ended is positive when the item has ended, and grows with every item that ends.
	Ended int64
	// TaskStatus is that of the task now, TaskUpdated when it last changed, and
	// AwaitsPerson whether nothing but a person can bring it on; zero when there
	// is no task, or when it was removed.
	TaskStatus   workflow.TaskState
	TaskUpdated  time.Time
	AwaitsPerson bool
	// Finishing says that the task has ended and its workspace is still to be
	// finished (workflow.State.PlaceOpen). It is known of running items.
	Finishing bool
	// Explanation says why the task ended as it did. It is known of running items.
	Explanation string
}

func (s *Store) updateItems(ctx context.Context, tx *sql.Tx, batch string, items []BatchItem) error {
	const op = "change the items of the batch"
	for _, item := range items {
		if _, err := tx.ExecContext(ctx,
			"UPDATE batch_items SET state = ?, attempt = ?, task = ?, earlier = ?, detail = ?, started = ?, ended_at = ?, ended = ? WHERE batch = ? AND number = ?",
			item.State, item.Attempt, item.Task, strings.Join(item.Earlier, " "), item.Detail,
			optionalMicros(item.Started), optionalMicros(item.EndedAt), item.Ended, batch, item.Number); err != nil {
			return s.fail(ctx, op, err)
		}
	}
	return nil
}

// SetBatchItems changes some items of a batch in one transaction. Errors: ErrStorage.
func (s *Store) SetBatchItems(ctx context.Context, batch string, items []BatchItem) error {
	return s.write(ctx, "change the items of the batch", func(tx *sql.Tx) error {
		return s.updateItems(ctx, tx, batch, items)
	})
}

// ItemFilter selects items of a batch. The zero ItemFilter selects all.
type ItemFilter struct {
	// State selects items in any of these; empty means all.
	State []string
	// After is the number of the last item of the page before.
	After int
	// EndedAfter selects the items that ended after the one with this
	// BatchItem.Ended, in that order; nil is all, in the order of their numbers.
	EndedAfter *int64
	// Limit is the most to return; 0 is without one.
	Limit int
}

// BatchItems returns items of a batch. Errors: ErrStorage.
func (s *Store) BatchItems(ctx context.Context, batch string, f ItemFilter) ([]BatchItem, error) {
	where, args, order := []string{"i.batch = ?", "i.number > ?"}, []any{batch, f.After}, "i.number"
	if len(f.State) > 0 {
		where, args = append(where, "i.state IN (SELECT value FROM json_each(?))"), append(args, jsonList(f.State))
	}
	if f.EndedAfter != nil {
		where, args, order = append(where, "i.ended > 0 AND i.ended > ?"), append(args, *f.EndedAfter), "i.ended"
	}
	limit := f.Limit
	if limit <= 0 {
		limit = -1
	}
	return query(ctx, s, "list the items of the batch", scanItem,
		itemColumns+"FROM batch_items i "+withTask+" WHERE "+strings.Join(where, " AND ")+" ORDER BY "+order+" LIMIT ?",
		append(args, limit)...)
}

// UnnotedTasks returns the tasks of a batch that are not the present task of one
// of its items, by their idempotency keys: those of earlier attempts, and those
// that were made and not noted. Errors: ErrStorage.
func (s *Store) UnnotedTasks(ctx context.Context, batch string) (map[string]string, error) {
	type pair struct{ key, task string }
	found, err := query(ctx, s, "look for tasks of the batch", func(rows *sql.Rows) (pair, error) {
		var p pair
		err := rows.Scan(&p.key, &p.task)
		return p, err
	}, `SELECT idempotency_key, id FROM tasks WHERE batch = ?1 AND idempotency_key IS NOT NULL
	    AND NOT EXISTS (SELECT 1 FROM batch_items i WHERE i.batch = ?1 AND i.task = tasks.id)`, batch)
	if err != nil {
		return nil, err
	}
	byKey := make(map[string]string, len(found))
	for _, p := range found {
		byKey[p.key] = p.task
	}
	return byKey, nil
}

const itemColumns = `SELECT i.number, i.key, i.label, i.origin, i.input, i.state, i.attempt, i.task, i.earlier, i.detail, i.started, i.ended_at, i.ended,
	COALESCE(t.status, ''), COALESCE(t.updated, 0),
	COALESCE(t.status = 'paused' OR (t.status = 'waiting' AND json_extract(t.state, '$.waiting_since') IS NOT NULL), FALSE),
	i.state = 'running' AND COALESCE(t.status IN ` + terminal + ` AND json_extract(t.state, '$.place.kind') = 'worktree'
	  AND json_extract(t.state, '$.place.status') IN ('preparing', 'ready', 'saved'), FALSE),
	CASE WHEN i.state = 'running' THEN COALESCE(json_extract(t.state, '$.result.explanation'), '') ELSE '' END `

const withTask = "LEFT JOIN tasks t ON i.task <> '' AND t.id = i.task"

func scanItem(rows *sql.Rows) (BatchItem, error) {
	var item BatchItem
	var earlier string
	var started, endedAt, updated int64
	err := rows.Scan(&item.Number, &item.Key, &item.Label, &item.Origin, &item.Input, &item.State, &item.Attempt, &item.Task, &earlier, &item.Detail,
		&started, &endedAt, &item.Ended, &item.TaskStatus, &updated, &item.AwaitsPerson, &item.Finishing, &item.Explanation)
	item.Earlier = strings.Fields(earlier)
	item.Started, item.EndedAt, item.TaskUpdated = fromOptionalMicros(started), fromOptionalMicros(endedAt), fromOptionalMicros(updated)
	return item, err
}

// ItemCount says how many items of a batch are in a state.
type ItemCount struct {
	State string
	// All counts them, and First those among the first items, as many as were asked for.
	All, First int
	// Time is the sum of the times from Started to EndedAt of those that have both, and Timed how many these are.
	Time  time.Duration
	Timed int
}

// BatchLook is how a batch stands, read at one moment.
type BatchLook struct {
	// Active are the items in the state running.
	Active []BatchItem
	Counts []ItemCount
	// LastEnded is the highest BatchItem.Ended; 0 where no item has ended.
	LastEnded int64
}

// LookAtBatch counts the items of a batch by their state. active is the state of
// those to return, and first how many of the first items to count by themselves. Errors: ErrStorage.
func (s *Store) LookAtBatch(ctx context.Context, batch, active string, first int) (l BatchLook, err error) {
	const op = "look at the batch"
	tx, err := s.reads.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return l, s.fail(ctx, op, err)
	}
	defer func() {
		if back := tx.Rollback(); err == nil {
			err = s.fail(ctx, op, back)
		}
	}()
	if l.Active, err = queryIn(ctx, s, tx, op, scanItem, itemColumns+"FROM batch_items i "+withTask+" WHERE i.batch = ? AND i.state = ? ORDER BY i.number", batch, active); err != nil {
		return l, err
	}
	if l.Counts, err = queryIn(ctx, s, tx, op, func(rows *sql.Rows) (ItemCount, error) {
		var c ItemCount
		var us int64
		err := rows.Scan(&c.State, &c.All, &c.First, &us, &c.Timed)
		c.Time = time.Duration(us) * time.Microsecond
		return c, err
	}, `SELECT state, COUNT(*), SUM(number <= ?2), SUM(CASE WHEN started > 0 AND ended_at > 0 THEN ended_at - started ELSE 0 END), SUM(started > 0 AND ended_at > 0)
	    FROM batch_items WHERE batch = ?1 GROUP BY state`, batch, first); err != nil {
		return l, err
	}
	err = tx.QueryRowContext(ctx, "SELECT COALESCE(MAX(ended), 0) FROM batch_items WHERE batch = ? AND ended > 0", batch).Scan(&l.LastEnded)
	return l, s.fail(ctx, op, err)
}

// BatchTasks returns the states of all tasks that were made for a batch. Errors: ErrStorage.
func (s *Store) BatchTasks(ctx context.Context, batch string) ([]workflow.State, error) {
	return query(ctx, s, "read the tasks of the batch", func(rows *sql.Rows) (workflow.State, error) {
		var text []byte
		if err := rows.Scan(&text); err != nil {
			return workflow.State{}, err
		}
		return decodeState(text)
	}, "SELECT state FROM tasks WHERE batch = ? AND parent IS NULL", batch)
}

func optionalMicros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return micros(t)
}

func fromOptionalMicros(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return fromMicros(us)
}
