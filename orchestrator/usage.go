package orchestrator

import (
	"context"
	"errors"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// Usage sums up what turns have used. The batch and the task of the filter are
// named by their ID or any unique beginning or end of it; what is not there any
// more by its whole ID. Errors: those of store.Store.Usage, store.ErrBatchNotFound, store.ErrAmbiguous.
func Usage(ctx context.Context, s *store.Store, f store.UsageFilter) ([]store.UsageSum, error) {
	if f.Batch != "" {
		row, err := s.Batch(ctx, f.Batch)
		if err != nil {
			return nil, err
		}
		f.Batch = row.ID
	}
	if f.Task != "" {
		state, err := s.Task(ctx, f.Task)
		switch {
		case err == nil:
			f.Task = state.Task
		case !errors.Is(err, store.ErrNotFound): // it may have been removed
			return nil, err
		}
	}
	return s.Usage(ctx, f)
}

// Usage implements api.Service.
func (d *Daemon) Usage(ctx context.Context, f store.UsageFilter) ([]store.UsageSum, error) {
	return Usage(ctx, d.store, f)
}
