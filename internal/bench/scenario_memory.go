package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const megabyte = 1 << 20

// measureMemory measures the memory of the daemon, as the system counts it.
func measureMemory(ctx context.Context, b *bench) error {
	running, waiting := 1000, 100_000
	if b.quick {
		running, waiting = 50, 1000
	}
	if err := b.memoryRunning(ctx, running); err != nil {
		return err
	}
	for name, events := range map[string]func(string) []workflow.EventBody{"waiting": backingOff, "queued": queued} {
		if err := b.memoryKept(ctx, name, waiting, events); err != nil {
			return err
		}
	}
	return nil
}

// backingOff is a task whose turn is tried again in a long while.
func backingOff(task string) []workflow.EventBody {
	return append(inFlight("bench")(task), workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonConnectionLost, Error: "gone"})
}

// memoryRunning looks at the daemon while n turns run.
func (b *bench) memoryRunning(ctx context.Context, n int) (err error) {
	dir, err := b.newDataDir()
	if err != nil {
		return err
	}
	if err := b.submitted(ctx, dir, n); err != nil {
		return err
	}
	server, err := b.startScripted(ctx, "--delay", "10m")
	if err != nil {
		return err
	}
	defer server.kill()
	d, err := b.startDaemon(ctx, dir, server.url, n)
	if err != nil {
		return err
	}
	defer d.kill()
	if _, err := server.await(ctx, 2*time.Minute, func(log serverLog) bool { return log.Asked >= n }); err != nil {
		return err
	}
	return b.addMemory(ctx, d, fmt.Sprintf("Memory/running=%d", n))
}

// memoryKept looks at the daemon with n tasks that do nothing.
func (b *bench) memoryKept(ctx context.Context, name string, n int, events func(string) []workflow.EventBody) (err error) {
	dir, err := b.newDataDir()
	if err != nil {
		return err
	}
	if err := b.filled(ctx, dir, n, events); err != nil {
		return err
	}
	server, err := b.startScripted(ctx, "--delay", "10m")
	if err != nil {
		return err
	}
	defer server.kill()
	d, err := b.startDaemon(ctx, dir, server.url, 1)
	if err != nil {
		return err
	}
	defer d.kill()
	if err := d.ask(ctx, "/v1/tasks?limit=1", nil); err != nil {
		return err
	}
	return b.addMemory(ctx, d, fmt.Sprintf("Memory/%s=%d", name, n))
}

// filled makes a data directory with tasks of one kind.
func (b *bench) filled(ctx context.Context, dir string, n int, events func(string) []workflow.EventBody) error {
	k, err := b.fill(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(k.tasks(ctx, "T", n, "", "", events), k.close())
}

// settleTime is how long the daemon is left alone before it is looked at.
const settleTime = 3 * time.Second

func (b *bench) addMemory(ctx context.Context, d *daemon, name string) error {
	select {
	case <-time.After(settleTime):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	now, most, err := d.memory()
	if err != nil {
		return err
	}
	b.results.add(name, float64(now)/megabyte, "rss-MB", float64(most)/megabyte, "peak-rss-MB")
	return nil
}
