package main

import (
	"context"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// driver is what makes a task go on: an engine of this process, or the daemon.
type driver interface {
	backend
	// Watch tells what happens to a task, and to those that it starts, from now on.
	Watch(ctx context.Context, task string) (watching, error)
	// Drive drives the task until ctx ends, and returns when nothing of it is left
	// in this process. A daemon drives it anyhow.
	Drive(ctx context.Context, task string) error
	// Await waits for the end of the task.
	Await(ctx context.Context, task string) error
	// Drain ends Drive in good order.
	Drain(grace time.Duration)
}

// watching delivers what happens to a task.
type watching interface {
	// Updates is closed where the reader was too slow; what is missing is in the journal.
	Updates() <-chan engine.Update
	// Interruptions are those of the connection to the daemon.
	Interruptions() <-chan interruptionOfDaemon
	Close()
}

// interruptionOfDaemon says that the daemon does not answer; with nil it answers
// again, and what was missed is in the journal.
type interruptionOfDaemon struct{ err error }

// localDriver is the engine of this process.
type localDriver struct{ *localBackend }

// localWatching is a subscription of it.
type localWatching struct{ *engine.Subscription }

// Interruptions implements watching: there are none.
func (localWatching) Interruptions() <-chan interruptionOfDaemon { return nil }

// Watch implements driver.
func (d localDriver) Watch(context.Context, string) (watching, error) {
	return localWatching{d.o.Engine().Subscribe("")}, nil
}

// Drive implements driver.
func (d localDriver) Drive(ctx context.Context, task string) error { return d.o.Run(ctx, task) }

// Await implements driver.
func (d localDriver) Await(ctx context.Context, task string) error {
	_, err := d.o.Engine().Wait(ctx, task)
	return err
}

// Drain implements driver.
func (d localDriver) Drain(grace time.Duration) { d.o.Engine().Drain(grace) }
