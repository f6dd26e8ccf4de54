package orchestrator

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Open opens a data directory, which nobody else may have open, without an App
// Server: its tasks can be answered, paused, resumed and cancelled, but not
// run. What follows is done by whoever runs them next. Close must be called.
// Errors: those of store.Open.
func Open(ctx context.Context, dataDir string, log zerolog.Logger) (*Orchestrator, error) {
	opened, err := store.Open(ctx, store.Options{Dir: dataDir})
	if err != nil {
		return nil, err
	}
	o := &Orchestrator{
		store:  opened,
		engine: engine.New(engine.Options{Store: opened, Runner: offline{}, Log: log, OutputDir: filepath.Join(opened.Dir(), "outputs")}),
	}
	o.batches = batch.NewDriver(batch.DriverOptions{Store: opened, Tasks: o.engine, Log: log})
	return o, nil
}

// errOffline is returned for what needs an App Server.
var errOffline = errors.New("the data directory was opened without an App Server: no turn can run")

// offline is the runner of an orchestrator without an App Server.
type offline struct{}

// Run implements engine.TurnRunner.
func (offline) Run(context.Context, engine.TurnRequest, engine.Recorder) (workflow.TurnFinished, error) {
	return workflow.TurnFinished{}, errOffline
}

// Reconcile implements engine.TurnRunner.
func (offline) Reconcile(context.Context, engine.TurnRequest) (workflow.TurnReconciled, error) {
	return workflow.TurnReconciled{}, errOffline
}
