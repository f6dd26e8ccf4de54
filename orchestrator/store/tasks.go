package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxMatches bounds how many tasks an AmbiguousError lists.
const maxMatches = 10

// Record is one event of a task as it was committed.
type Record struct {
	Task string
	// Seq is the version of the state after the event; it counts from 1.
	Seq     int64
	Event   workflow.Event
	Effects []workflow.Effect
}

// Ref names a task that has not ended.
type Ref struct {
	ID       string
	Status   workflow.TaskState
	Team     string
	Priority int
	Created  time.Time
}

// Filter selects tasks. The zero Filter selects all.
type Filter struct {
	// Status selects tasks in any of these states; empty means all.
	Status []workflow.TaskState
	Team   string
	// Batch and Schedule select the tasks that come from one of them; empty means all.
	Batch, Schedule string
	// Children includes tasks that other tasks started.
	Children bool
	// Limit is the most tasks to return; 0 means 100.
	Limit int
	// After is the ID of the last task of the page before.
	After string
}

// Task returns the state of the task with this ID or, where no ID is equal,
// the one task whose ID begins or ends with it, in upper or lower case.
// Errors: ErrNotFound, ErrAmbiguous, ErrStorage.
func (s *Store) Task(ctx context.Context, id string) (workflow.State, error) {
	state, err := s.state(ctx, id)
	if !errors.Is(err, ErrNotFound) || id == "" {
		return state, err
	}
	pattern := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(id)
	// It looks at all IDs, so that the beginning is compared rather than matched, which takes longer.
	matches, err := query(ctx, s, "look up the task", scanString,
		`SELECT id FROM tasks WHERE (id BETWEEN ? COLLATE NOCASE AND ? COLLATE NOCASE OR id LIKE ? ESCAPE '\') AND (parent IS NULL OR ?)
		 ORDER BY created DESC, id DESC LIMIT ?`,
		id, id+"\U0010FFFF", "%"+pattern, strings.Contains(id, "."), maxMatches+1)
	switch {
	case err != nil:
		return workflow.State{}, err
	case len(matches) == 0:
		return workflow.State{}, fmt.Errorf("task %q: %w", id, ErrNotFound)
	case len(matches) > maxMatches:
		return workflow.State{}, &AmbiguousError{Name: id, Matches: matches[:maxMatches], More: true}
	case len(matches) > 1:
		return workflow.State{}, &AmbiguousError{Name: id, Matches: matches}
	}
	return s.state(ctx, matches[0])
}

func (s *Store) state(ctx context.Context, id string) (workflow.State, error) {
	var text []byte
	err := s.stateOf.QueryRowContext(ctx, id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return workflow.State{}, fmt.Errorf("task %q: %w", id, ErrNotFound)
	}
	if err != nil {
		return workflow.State{}, s.fail(ctx, "read the task", err)
	}
	return decodeState(text)
}

func decodeState(text []byte) (workflow.State, error) {
	var state workflow.State
	if err := json.Unmarshal(text, &state); err != nil {
		return workflow.State{}, fmt.Errorf("state of a task: %w: %w", ErrUnreadable, err)
	}
	return state, nil
}

// ByKey returns the task that was created with this idempotency key. Errors:
// ErrNotFound, ErrRemoved, ErrStorage.
func (s *Store) ByKey(ctx context.Context, key string) (workflow.State, error) {
	var text []byte
	err := s.reads.QueryRowContext(ctx, "SELECT state FROM tasks WHERE idempotency_key = ?", key).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		if err := s.removedByKey(ctx, s.reads, key); err != nil {
			return workflow.State{}, err
		}
		return workflow.State{}, fmt.Errorf("task with the idempotency key %q: %w", key, ErrNotFound)
	}
	if err != nil {
		return workflow.State{}, s.fail(ctx, "look up the idempotency key", err)
	}
	return decodeState(text)
}

// Events returns the journal of a task in order, from the event after seq on.
func (s *Store) Events(ctx context.Context, task string, after int64) ([]Record, error) {
	return s.events(ctx, s.reads, task, after)
}

// List returns tasks, the newest first.
func (s *Store) List(ctx context.Context, f Filter) ([]workflow.State, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = 100
	}
	// Each state is looked up by itself, in the order of an index: with several at
	// once SQLite would read and sort all tasks that are in any of them.
	statuses := slices.Clone(f.Status)
	slices.Sort(statuses)
	statuses = slices.Compact(statuses)
	if len(statuses) < 2 {
		statement, args := listOne(f, slices.Concat(statuses, []workflow.TaskState{""})[0])
		return query(ctx, s, "list the tasks", scanState, statement+" ORDER BY created DESC, id DESC LIMIT ?", append(args, limit)...)
	}
	var parts []string
	var args []any
	for _, status := range statuses {
		part, more := listOne(f, status)
		parts = append(parts, "SELECT * FROM ("+part+" ORDER BY created DESC, id DESC LIMIT ?)")
		args = append(append(args, more...), limit)
	}
	return query(ctx, s, "list the tasks", scanState,
		"SELECT state, created, id FROM ("+strings.Join(parts, " UNION ALL ")+") ORDER BY created DESC, id DESC LIMIT ?", append(args, limit)...)
}

func scanState(rows *sql.Rows) (workflow.State, error) {
	var text []byte
	var created int64
	var id string
	if err := rows.Scan(&text, &created, &id); err != nil {
		return workflow.State{}, err
	}
	return decodeState(text)
}

// listOne selects the tasks that a filter fits and that are in a state, where it is not empty.
func listOne(f Filter, status workflow.TaskState) (statement string, args []any) {
	where := []string{"TRUE"}
	and := func(condition string, value any) {
		where, args = append(where, condition), append(args, value)
	}
	if status != "" {
		and("status = ?", string(status))
	}
	if f.Team != "" {
		and("team = ?", f.Team)
	}
	if f.Batch != "" {
		and("batch = ?", f.Batch)
	}
	if f.Schedule != "" {
		and("schedule = ?", f.Schedule)
	}
	if !f.Children {
		where = append(where, "parent IS NULL")
	}
	if f.After != "" {
		and("(created, id) < (SELECT created, id FROM tasks WHERE id = ?)", f.After)
	}
	return "SELECT state, created, id FROM tasks WHERE " + strings.Join(where, " AND "), args
}

// Unfinished returns every task that has not ended, the oldest first.
func (s *Store) Unfinished(ctx context.Context) ([]Ref, error) {
	open := []workflow.TaskState{workflow.TaskQueued, workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused}
	return query(ctx, s, "list the unfinished tasks", func(rows *sql.Rows) (Ref, error) {
		var ref Ref
		var created int64
		err := rows.Scan(&ref.ID, &ref.Status, &ref.Team, &ref.Priority, &created)
		ref.Created = fromMicros(created)
		return ref, err
	}, "SELECT id, status, team, priority, created FROM tasks WHERE status IN (SELECT value FROM json_each(?)) ORDER BY created, id", jsonList(open))
}

// Due returns the tasks whose wake time has come. A nil only means all tasks,
// otherwise those alone.
func (s *Store) Due(ctx context.Context, now time.Time, only []string) ([]string, error) {
	return query(ctx, s, "look for due tasks", scanString,
		`SELECT id FROM tasks WHERE wake_at <= ?1 AND (?2 IS NULL OR EXISTS (`+descendant+`)) ORDER BY wake_at, id`,
		micros(now), restriction(only))
}

// NextWake returns the earliest wake time after now, and the zero time when
// no task waits for one. A nil only means all tasks, otherwise those alone.
func (s *Store) NextWake(ctx context.Context, now time.Time, only []string) (time.Time, error) {
	var next sql.NullInt64
	err := s.reads.QueryRowContext(ctx,
		`SELECT MIN(wake_at) FROM tasks WHERE wake_at > ?1 AND (?2 IS NULL OR EXISTS (`+descendant+`))`,
		micros(now), restriction(only)).Scan(&next)
	if err != nil {
		return time.Time{}, s.fail(ctx, "look for the next wake time", err)
	}
	if !next.Valid {
		return time.Time{}, nil
	}
	return fromMicros(next.Int64), nil
}

// descendant selects tasks among ?2, and those that they started.
const descendant = `SELECT 1 FROM json_each(?2) WHERE tasks.id = value OR tasks.id LIKE value || '.%'`

func restriction(only []string) any {
	if only == nil {
		return nil
	}
	return jsonList(only)
}

// jsonList encodes strings for json_each. It cannot fail for strings.
func jsonList[T ~string](list []T) string {
	text, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func scanString(rows *sql.Rows) (string, error) {
	var text string
	err := rows.Scan(&text)
	return text, err
}

// query reads all rows of one statement.
func query[T any](ctx context.Context, s *Store, op string, scan func(*sql.Rows) (T, error), statement string, args ...any) (list []T, err error) {
	return queryIn(ctx, s, s.reads, op, scan, statement, args...)
}

// querier is a pool of connections or a transaction.
type querier interface {
	QueryContext(ctx context.Context, statement string, args ...any) (*sql.Rows, error)
}

func queryIn[T any](ctx context.Context, s *Store, in querier, op string, scan func(*sql.Rows) (T, error), statement string, args ...any) (list []T, err error) {
	rows, err := in.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, s.fail(ctx, op, err)
	}
	defer func() {
		if closing := rows.Close(); err == nil {
			err = s.fail(ctx, op, closing)
		}
	}()
	for rows.Next() {
		item, err := scan(rows)
		if err != nil {
			return nil, s.fail(ctx, op, err)
		}
		list = append(list, item)
	}
	return list, s.fail(ctx, op, rows.Err())
}
