package client

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// Usage says what turns have used, in at most limit rows; 0 is the default of the daemon.
func (d *Daemon) Usage(ctx context.Context, f store.UsageFilter, limit int) (api.UsageReport, error) {
	by := GetUsageParamsBy(f.By)
	params := &GetUsageParams{By: &by, Team: given(f.Team), Batch: given(f.Batch), Task: given(f.Task)}
	if f.Location != nil {
		params.TimeZone = given(f.Location.String())
	}
	if !f.Since.IsZero() {
		params.Since = &f.Since
	}
	if !f.Until.IsZero() {
		params.Until = &f.Until
	}
	if limit > 0 {
		n := int64(limit)
		params.Limit = &n
	}
	return ask(ctx, d, func(ctx context.Context) (*GetUsageResponse, error) { return d.api.GetUsageWithResponse(ctx, params) },
		func(r *GetUsageResponse) *api.UsageReport { return r.JSON200 })
}
