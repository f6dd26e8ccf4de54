package store

import (
	"context"
	"database/sql"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TaskCount says how many tasks of a team are in a state.
type TaskCount struct {
	Team   string
	Status workflow.TaskState
	Count  int64
}

// CountTasks counts all tasks by team and state. It reads every row, so that it
// is for the start of a program and not for every moment. Errors: ErrStorage.
func (s *Store) CountTasks(ctx context.Context) ([]TaskCount, error) {
	return query(ctx, s, "count the tasks", scanTaskCount, "SELECT team, status, COUNT(*) FROM tasks GROUP BY team, status")
}

func scanTaskCount(rows *sql.Rows) (TaskCount, error) {
	var c TaskCount
	err := rows.Scan(&c.Team, &c.Status, &c.Count)
	return c, err
}

// StateCount says how many of something are in a state.
type StateCount struct {
	State string
	Count int64
}

func scanStateCount(rows *sql.Rows) (StateCount, error) {
	var c StateCount
	err := rows.Scan(&c.State, &c.Count)
	return c, err
}

// CountBatches counts the batches that have not ended by their status, and their
// items by their state. Errors: ErrStorage.
func (s *Store) CountBatches(ctx context.Context) (batches, items []StateCount, err error) {
	batches, err = query(ctx, s, "count the batches", scanStateCount, "SELECT status, COUNT(*) FROM batches WHERE open GROUP BY status")
	if err != nil {
		return nil, nil, err
	}
	items, err = query(ctx, s, "count the items of batches", scanStateCount,
		"SELECT i.state, COUNT(*) FROM batches b CROSS JOIN batch_items i ON i.batch = b.id WHERE b.open GROUP BY i.state")
	return batches, items, err
}
