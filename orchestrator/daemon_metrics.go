package orchestrator

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/metrics"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
)

// measure gives the metrics what was there before, and what they are to ask for.
func (d *Daemon) measure(ctx context.Context) error {
	counts, err := d.store.CountTasks(ctx)
	if err != nil {
		return err
	}
	d.metrics.AddTasks(counts)
	sources := metrics.Sources{Batches: d.store.CountBatches}
	if d.pool != nil {
		sources.Servers = func() []metrics.Server { return measured(d.pool.Servers()) }
	}
	d.metrics.Ask(sources)
	return nil
}

// measured is what the metrics tell of the App Servers.
func measured(list []pool.Status) []metrics.Server {
	out := make([]metrics.Server, len(list))
	for i, s := range list {
		out[i] = metrics.Server{
			Name: s.Name, Up: s.State == pool.StateReady || s.State == pool.StateDraining,
			Turns: s.Running, Limit: s.Limit, Conversations: s.Conversations, Restarts: s.Restarts,
		}
	}
	return out
}
