package client

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// CreateBatch makes a batch; with a key, at most one.
func (d *Daemon) CreateBatch(ctx context.Context, r api.CreateBatchRequest, key string) (api.CreatedBatch, error) {
	return ask(ctx, d, func(ctx context.Context) (*CreateBatchResponse, error) {
		return d.api.CreateBatchWithResponse(ctx, &CreateBatchParams{IdempotencyKey: given(key)}, r)
	}, func(r *CreateBatchResponse) *api.CreatedBatch { return r.JSON200 })
}

// Batches returns batches, the newest first, however many pages they take. Open is not known here.
func (d *Daemon) Batches(ctx context.Context, f store.BatchFilter) ([]batch.View, error) {
	params := &ListBatchesParams{Team: given(f.Team)}
	if len(f.Status) > 0 {
		states := make([]ListBatchesParamsStatus, len(f.Status))
		for i, state := range f.Status {
			states[i] = ListBatchesParamsStatus(state)
		}
		params.Status = &states
	}
	var all []batch.View
	for {
		limit := int64(listPage)
		if f.Limit > 0 {
			limit = min(limit, int64(f.Limit-len(all)))
		}
		params.Limit = &limit
		page, err := ask(ctx, d, func(ctx context.Context) (*ListBatchesResponse, error) {
			return d.api.ListBatchesWithResponse(ctx, params)
		},
			func(r *ListBatchesResponse) *api.BatchList { return r.JSON200 })
		all = append(all, page.Batches...)
		if err != nil || page.Next == "" || f.Limit > 0 && len(all) >= f.Limit {
			return all, err
		}
		params.After = &page.Next
	}
}

// Batch is how a batch stands.
func (d *Daemon) Batch(ctx context.Context, id string) (batch.View, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetBatchResponse, error) { return d.api.GetBatchWithResponse(ctx, id) },
		func(r *GetBatchResponse) *batch.View { return r.JSON200 })
}

// BatchItems are items of a batch.
func (d *Daemon) BatchItems(ctx context.Context, id string, f store.ItemFilter) ([]batch.ItemView, error) {
	after, limit := int64(f.After), int64(f.Limit)
	params := &ListBatchItemsParams{After: &after, Limit: &limit, EndedAfter: f.EndedAfter}
	if len(f.State) > 0 {
		states := make([]ListBatchItemsParamsState, len(f.State))
		for i, state := range f.State {
			states[i] = ListBatchItemsParamsState(state)
		}
		params.State = &states
	}
	list, err := ask(ctx, d, func(ctx context.Context) (*ListBatchItemsResponse, error) {
		return d.api.ListBatchItemsWithResponse(ctx, id, params)
	}, func(r *ListBatchItemsResponse) *api.BatchItemList { return r.JSON200 })
	return list.Items, err
}

// BatchReport is what became of every item of a batch.
func (d *Daemon) BatchReport(ctx context.Context, id string) (batch.Report, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetBatchReportResponse, error) {
		return d.api.GetBatchReportWithResponse(ctx, id)
	},
		func(r *GetBatchReportResponse) *batch.Report { return r.JSON200 })
}

// ChangeBatch does what a person wants of a batch.
func (d *Daemon) ChangeBatch(ctx context.Context, id string, verb batch.Verb, by string) (batch.View, error) {
	who := api.ByRequest{By: by}
	switch verb {
	case batch.Pause:
		return ask(ctx, d, func(ctx context.Context) (*PauseBatchResponse, error) {
			return d.api.PauseBatchWithResponse(ctx, id, who)
		},
			func(r *PauseBatchResponse) *batch.View { return r.JSON200 })
	case batch.Resume:
		return ask(ctx, d, func(ctx context.Context) (*ResumeBatchResponse, error) {
			return d.api.ResumeBatchWithResponse(ctx, id, who)
		},
			func(r *ResumeBatchResponse) *batch.View { return r.JSON200 })
	case batch.Continue:
		return ask(ctx, d, func(ctx context.Context) (*ContinueBatchResponse, error) {
			return d.api.ContinueBatchWithResponse(ctx, id, who)
		},
			func(r *ContinueBatchResponse) *batch.View { return r.JSON200 })
	case batch.Stop:
		return ask(ctx, d, func(ctx context.Context) (*StopBatchResponse, error) {
			return d.api.StopBatchWithResponse(ctx, id, who)
		},
			func(r *StopBatchResponse) *batch.View { return r.JSON200 })
	case batch.Cancel:
		return ask(ctx, d, func(ctx context.Context) (*CancelBatchResponse, error) {
			return d.api.CancelBatchWithResponse(ctx, id, who)
		},
			func(r *CancelBatchResponse) *batch.View { return r.JSON200 })
	case batch.RetryFailed:
		return ask(ctx, d, func(ctx context.Context) (*RetryFailedBatchResponse, error) {
			return d.api.RetryFailedBatchWithResponse(ctx, id, who)
		},
			func(r *RetryFailedBatchResponse) *batch.View { return r.JSON200 })
	case batch.Look:
	}
	return d.Batch(ctx, id)
}
