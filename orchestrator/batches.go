package orchestrator

import (
	"context"
	"errors"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
)

// Batches gives access to batches. What it is asked for is done at once, but
// items begin only while Run or RunBatch is running.
func (o *Orchestrator) Batches() *batch.Driver { return o.batches }

// RunBatch drives one batch, named by its whole ID, with the tasks of its items
// until ctx ends, and leaves all others as they are. It may be called instead of Run.
func (o *Orchestrator) RunBatch(ctx context.Context, id string) error {
	tasks, err := o.store.BatchTasks(ctx, id)
	if err != nil && ctx.Err() != nil {
		return nil // it was over before it began: the batch is settled already
	}
	if err != nil {
		return err
	}
	var open []string
	for _, task := range tasks {
		if !task.Status.Terminal() || task.PlaceOpen() {
			open = append(open, task.Task)
		}
	}
	o.engine.DriveBatch(id)
	return o.runWithBatches(ctx, open, id)
}

// runWithBatches runs the engine, with the tasks that are given or all, and beside
// it the batches that are given or all.
func (o *Orchestrator) runWithBatches(ctx context.Context, tasks []string, batches ...string) error {
	driving, stop := context.WithCancel(ctx)
	defer stop()
	var beside sync.WaitGroup
	var driverErr error
	beside.Go(func() {
		if driverErr = o.batches.Run(driving, batches...); driverErr != nil {
			stop()
		}
	})
	err := o.engine.Run(driving, tasks...)
	stop()
	beside.Wait()
	return errors.Join(err, driverErr)
}
