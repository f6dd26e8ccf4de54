package teamtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
)

// How long the real parts may take, in real time.
const (
	connectTimeout = 10 * time.Second
	abortGrace     = 5 * time.Second
	settleTime     = 10 * time.Millisecond
)

// running is the orchestrator of a simulation, from its start to its crash.
type running struct {
	engine *engine.Engine
	runner *runner.Runner
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	ended  error         // of Run; valid after done
	group  sync.WaitGroup
}

// start begins to drive the tasks of the store.
func (s *simulation) start(ctx context.Context) {
	r := &running{done: make(chan struct{})}
	r.runner = runner.New(runner.Options{
		Server: runner.FixedServer(s.server.URL()), Roles: s.options.Roles, Model: scriptedModel, Local: true, Version: s.options.Version,
		Log: zerolog.Nop(), ConnectTimeout: connectTimeout, RequestTimeout: connectTimeout, AbortGrace: abortGrace, SettleTime: settleTime,
	})
	r.engine = engine.New(s.engineOptions(&turns{simulation: s, runner: r.runner}))
	updates := r.engine.Subscribe("")
	ctx, r.cancel = context.WithCancel(ctx)
	r.group.Go(func() {
		for u := range updates.Updates() {
			s.observe(u)
		}
		if err := updates.Err(); errors.Is(err, engine.ErrSlowReader) {
			s.fail(err)
		}
	})
	r.group.Go(func() {
		r.ended = r.engine.Run(ctx)
		close(r.done)
		s.signal()
	})
	s.engine = r
}

// stop ends the orchestrator without a trace in the journal, as its death does.
func (r *running) stop() error {
	r.cancel()
	r.group.Wait()
	return errors.Join(r.ended, r.runner.Close())
}

// err is why Run has ended although nobody wanted it to.
func (r *running) err() error {
	<-r.done
	if r.ended == nil {
		return engine.ErrStopped
	}
	return r.ended
}

// restart lets the orchestrator die, and another one take over.
func (s *simulation) restart(ctx context.Context) error {
	if err := s.engine.stop(); err != nil { //nolint:contextcheck // it bounds itself
		return fmt.Errorf("stop the orchestrator: %w", err)
	}
	s.mu.Lock()
	clear(s.asleep)
	clear(s.blocked)
	tasks := make([]string, 0, len(s.states))
	for task := range s.states {
		tasks = append(tasks, task)
	}
	s.mu.Unlock()
	for _, task := range tasks {
		if err := s.applied(s.store.Task(ctx, task)); err != nil {
			return err
		}
	}
	s.start(ctx)
	return nil
}
