package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Retry makes a task that goes on where another one has ended, as engine.Retry
// does, and where that was of an item of a batch, has the item go on with it.
func (o *Orchestrator) Retry(ctx context.Context, task string, turn int) (workflow.State, error) {
	state, err := o.engine.Retry(ctx, task, turn)
	if err != nil || state.Batch == "" {
		return state, err
	}
	// The task is there; the batch takes notice of it at the next start at the latest.
	if err := o.batches.Note(context.WithoutCancel(ctx), state.Batch); err != nil {
		return state, fmt.Errorf("task %s was made, and its batch has not taken notice of it yet: %w", state.Task, err)
	}
	return state, nil
}

// Batches gives access to batches. What it is asked for is done at once, but
// items begin only while Run or RunBatch is running.
func (o *Orchestrator) Batches() *batch.Driver { return o.batches }

// RunBatch drives one batch, named by its whole ID, with the tasks of its items
// until ctx ends, and leaves all others as they are. It may be called instead of Run.
func (o *Orchestrator) RunBatch(ctx context.Context, id string) error {
	tasks, err := o.store.BatchTasks(ctx, id)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was over before it began: the batch is settled already
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
