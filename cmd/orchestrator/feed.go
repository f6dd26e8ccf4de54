package main

import (
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// feedInterval is how long changes are collected before the tasks are read again.
	feedInterval = 250 * time.Millisecond
	// feedEnded is how many of the newest tasks are told, whatever their state.
	feedEnded = 50
)

// feed tells the states of all tasks as they change.
type feed struct {
	reader reader
	filter store.Filter
	// states gets the tasks that there are, and then those that have changed.
	states func([]workflow.State)
	// batches gets those that are open, whenever tasks have changed; nil does not read them.
	batches func([]batch.View)
	// lost is told when the daemon does not answer, and with nil when it does again.
	lost func(error)

	mu      sync.Mutex
	changed map[string]bool
	all     bool
	wake    chan struct{}
}

// run tells until ctx ends. It calls states and batches from one goroutine, and lost from another.
func (f *feed) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	f.changed, f.wake = map[string]bool{}, make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() { ended <- f.follow(ctx) }()
	for {
		select {
		case err := <-ended:
			cancel()
			return err
		case <-f.wake:
		}
		if err := f.load(ctx); err != nil && !f.passes(err) {
			cancel()
			return errors.Join(err, ignoreCancelled(<-ended))
		}
		pause := time.NewTimer(feedInterval)
		select {
		case <-pause.C:
		case <-ctx.Done(): // ended follows
			pause.Stop()
		}
	}
}

// passes says of an error that following tells it, or gets over it.
func (f *feed) passes(err error) bool {
	_, gone := unreachable(err)
	return gone || errors.Is(err, context.Canceled)
}

func ignoreCancelled(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, errInterrupted) {
		return nil
	}
	return err
}

// follow notes which tasks change.
func (f *feed) follow(ctx context.Context) error {
	events := f.reader.Follow(ctx, followOptions{
		lost: f.lost, connected: func() { f.note("") },
	})
	for e, err := range events {
		if err != nil {
			return err
		}
		if e.record != nil {
			f.note(e.task)
		}
	}
	return nil
}

// note has a task be read; empty is all.
func (f *feed) note(task string) {
	f.mu.Lock()
	if task == "" {
		f.all = true
	} else {
		f.changed[task] = true
	}
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default: // it is about to look
	}
}

// load reads what has changed. What it cannot read it leaves for the next time.
func (f *feed) load(ctx context.Context) error {
	if err := f.loadBatches(ctx); err != nil {
		f.note("")
		return err
	}
	f.mu.Lock()
	all, changed := f.all, slices.Sorted(maps.Keys(f.changed))
	f.all, f.changed = false, map[string]bool{}
	f.mu.Unlock()
	if all {
		tasks, err := f.list(ctx)
		if err != nil {
			f.mu.Lock()
			f.all = true
			f.mu.Unlock()
			return err
		}
		f.states(tasks)
		return nil
	}
	var tasks []workflow.State
	for i, id := range changed {
		state, err := f.reader.Task(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // it was removed
		}
		if err != nil {
			for _, left := range changed[i:] {
				f.mu.Lock()
				f.changed[left] = true
				f.mu.Unlock()
			}
			return err
		}
		if f.wants(state) {
			tasks = append(tasks, state)
		}
	}
	f.states(tasks)
	return nil
}

// loadBatches reads the batches that are open.
func (f *feed) loadBatches(ctx context.Context) error {
	if f.batches == nil {
		return nil
	}
	var from batchReader
	switch r := f.reader.(type) {
	case *daemonBackend:
		from = daemonBatches{r}
	case localReader:
		from = storedBatches{r.Store}
	default:
		return nil
	}
	views, err := from.Batches(ctx, store.BatchFilter{Team: f.filter.Team, Open: true, Limit: maxBars})
	if err != nil {
		return err
	}
	f.batches(views)
	return nil
}

// wants says whether a task is one of those that are told.
func (f *feed) wants(s workflow.State) bool {
	return (f.filter.Team == "" || s.Team == f.filter.Team) && (f.filter.Batch == "" || s.Batch == f.filter.Batch) &&
		(f.filter.Children || s.Parent == nil)
}

// list reads the tasks that have not ended, and the newest.
func (f *feed) list(ctx context.Context) ([]workflow.State, error) {
	live := f.filter
	live.Limit = math.MaxInt32
	live.Status = []workflow.TaskState{workflow.TaskQueued, workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused}
	tasks, err := f.reader.List(ctx, live)
	if err != nil {
		return nil, err
	}
	newest := f.filter
	newest.Limit = feedEnded
	ended, err := f.reader.List(ctx, newest)
	for _, s := range ended {
		if s.Status.Terminal() {
			tasks = append(tasks, s)
		}
	}
	return tasks, err
}
