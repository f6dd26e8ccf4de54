package orchestrator

import (
	"context"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// CreateBatch implements api.Service.
func (d *Daemon) CreateBatch(ctx context.Context, sub api.BatchSubmission) (batch.View, bool, error) {
	team, err := d.submitted(sub.Team)
	if err != nil {
		return batch.View{}, false, err
	}
	items, err := batch.CheckItems(sub.Items, team)
	if err != nil {
		return batch.View{}, false, err
	}
	return d.batches.Create(ctx, batch.Submission{Team: team, Items: items, Name: sub.Name, Key: sub.Key, GoOn: sub.GoOn, Options: sub.Options})
}

// Batches implements api.Service. It hides Orchestrator.Batches.
func (d *Daemon) Batches(ctx context.Context, f store.BatchFilter) ([]batch.View, error) {
	return batch.ReadViews(ctx, d.store, f, time.Now())
}

// Batch implements api.Service.
func (d *Daemon) Batch(ctx context.Context, id string) (batch.View, error) {
	return batch.ReadView(ctx, d.store, id, time.Now())
}

// BatchItems implements api.Service.
func (d *Daemon) BatchItems(ctx context.Context, id string, f store.ItemFilter) ([]batch.ItemView, error) {
	row, err := d.store.Batch(ctx, id)
	if err != nil {
		return nil, err
	}
	return batch.Items(ctx, d.store, row.ID, f)
}

// BatchReport implements api.Service.
func (d *Daemon) BatchReport(ctx context.Context, id string) (batch.Report, error) {
	return batch.ReadReport(ctx, d.store, id, time.Now())
}

// ChangeBatch implements api.Service.
func (d *Daemon) ChangeBatch(ctx context.Context, id string, verb batch.Verb, by string) (batch.View, error) {
	return d.batches.Change(ctx, id, verb, by)
}
