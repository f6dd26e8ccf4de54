package main

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// daemonDriver follows a task that a daemon drives. It watches one task.
type daemonDriver struct {
	*daemonBackend
	// changed holds a token when the task may have ended.
	changed chan struct{}
	// failed gets why the daemon cannot be followed any more.
	failed chan error
}

func newDaemonDriver(d *daemonBackend) *daemonDriver {
	return &daemonDriver{daemonBackend: d, changed: make(chan struct{}, 1), failed: make(chan error, 1)}
}

// Drive implements driver: the daemon drives, and this waits for what ends following it.
func (d *daemonDriver) Drive(ctx context.Context, _ string) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-d.failed:
		return err
	}
}

// Await implements driver.
func (d *daemonDriver) Await(ctx context.Context, task string) error {
	for {
		state, err := d.Task(ctx, task)
		if err == nil && state.Status.Terminal() {
			return nil
		}
		if _, gone := unreachable(err); err != nil && !gone {
			return err
		}
		select {
		case <-d.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Drain implements driver: what a daemon does is not ended by those who watch it.
func (d *daemonDriver) Drain(time.Duration) {}

func (d *daemonDriver) mayHaveEnded() {
	select {
	case d.changed <- struct{}{}:
	default: // one look is enough
	}
}

// Watch implements driver. It returns when the daemon has begun to tell.
func (d *daemonDriver) Watch(ctx context.Context, task string) (watching, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &daemonWatching{
		driver: d, task: task, cancel: cancel,
		updates: make(chan engine.Update), interruptions: make(chan interruptionOfDaemon),
	}
	begun, ended := make(chan struct{}), make(chan error, 1)
	w.reading.Go(func() { ended <- w.read(ctx, sync.OnceFunc(func() { close(begun) })) })
	select {
	case <-begun:
		w.reading.Go(func() {
			if err := <-ended; ctx.Err() == nil {
				d.failed <- err
			}
		})
		return w, nil
	case err := <-ended:
		w.Close()
		return nil, err
	}
}

// daemonWatching is a stream of events of a daemon.
type daemonWatching struct {
	driver        *daemonDriver
	task          string
	cancel        context.CancelFunc
	reading       sync.WaitGroup
	updates       chan engine.Update
	interruptions chan interruptionOfDaemon
}

// Updates implements watching.
func (w *daemonWatching) Updates() <-chan engine.Update { return w.updates }

// Interruptions implements watching.
func (w *daemonWatching) Interruptions() <-chan interruptionOfDaemon { return w.interruptions }

// Close implements watching.
func (w *daemonWatching) Close() {
	w.cancel()
	w.reading.Wait()
}

func (w *daemonWatching) read(ctx context.Context, begun func()) error {
	first := true
	interrupt := func(err error) {
		select {
		case w.interruptions <- interruptionOfDaemon{err}:
		case <-ctx.Done():
		}
	}
	lost := false
	for e, err := range w.driver.Follow(ctx, followOptions{
		tree: w.task, progress: true,
		lost: func(err error) {
			if first {
				return // whoever begins gets the error
			}
			if lost = err != nil; lost {
				interrupt(err)
			}
		},
		connected: func() {
			if first {
				first = false
				begun()
				return
			}
			interrupt(nil)
			w.driver.mayHaveEnded()
		},
	}) {
		if err != nil {
			return err
		}
		u := engine.Update{Task: e.task, Progress: e.progress, Storage: e.storage}
		if e.record != nil {
			state, err := w.driver.Task(ctx, e.task)
			if err != nil {
				continue // the connection is about to break; the record is in the journal
			}
			u.Record = &engine.Record{Seq: e.record.Seq, Event: e.record.Event, Effects: e.record.Effects, State: &state}
		}
		select {
		case w.updates <- u:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if u.Record != nil && finishes(u.Record.Effects) {
			w.driver.mayHaveEnded()
		}
	}
	return errors.New("the daemon tells no more")
}

func finishes(effects []workflow.Effect) bool {
	for _, effect := range effects {
		if _, ok := effect.(workflow.FinishTask); ok {
			return true
		}
	}
	return false
}
