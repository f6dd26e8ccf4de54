package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Positioned is an event with its place in the order of all commits.
type Positioned struct {
	// Position counts up with every commit; there may be gaps.
	Position int64
	Record
	// Team and Batch are those of the task.
	Team, Batch string
}

// EventsAfter returns at most limit events of all tasks, in the order of their
// commits, from after a position on; 0 is the beginning. Errors: ErrStorage, ErrUnreadable.
func (s *Store) EventsAfter(ctx context.Context, position int64, limit int) ([]Positioned, error) {
	// Rows of events are only ever appended, by one writer at a time, so that the
	// row IDs are in the order of the commits.
	return query(ctx, s, "read the events", func(rows *sql.Rows) (Positioned, error) {
		var p Positioned
		var event, effects []byte
		if err := rows.Scan(&p.Position, &p.Task, &p.Seq, &event, &effects, &p.Team, &p.Batch); err != nil {
			return p, err
		}
		return p, decodeRecord(&p.Record, event, effects)
	}, `SELECT events.rowid, events.task, seq, event, effects, team, COALESCE(batch, '') FROM events JOIN tasks ON tasks.id = events.task
	    WHERE events.rowid > ? ORDER BY events.rowid LIMIT ?`, position, limit)
}

// lastPosition is the highest position that was ever given.
const lastPosition = "MAX((SELECT COALESCE(MAX(rowid), 0) FROM events), (SELECT last FROM removed_positions))"

// LastPosition is the position of the event that was committed last, also where
// it was removed since; 0 where there was none.
func (s *Store) LastPosition(ctx context.Context) (int64, error) {
	var last int64
	err := s.reads.QueryRowContext(ctx, "SELECT "+lastPosition).Scan(&last)
	return last, s.fail(ctx, "look for the last event", err)
}

func decodeRecord(r *Record, event, effects []byte) error {
	if err := json.Unmarshal(event, &r.Event); err != nil {
		return fmt.Errorf("event %d of task %s: %w: %w", r.Seq, r.Task, ErrUnreadable, err)
	}
	if err := json.Unmarshal(effects, (*workflow.Effects)(&r.Effects)); err != nil {
		return fmt.Errorf("effects of event %d of task %s: %w: %w", r.Seq, r.Task, ErrUnreadable, err)
	}
	return nil
}
