package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// The waits between attempts to use a store that failed. A person frees disk
// space in minutes, and an attempt costs little.
const (
	storageFirstWait = 500 * time.Millisecond
	storageLastWait  = 15 * time.Second
)

// StorageTrouble says that the store cannot be used and may work again: a full
// disk, a failing one, missing rights. While it lasts nothing is claimed and no
// turn is started; what runs goes on, and how it ends is kept in memory and
// committed when the store works.
type StorageTrouble struct {
	// Err is the first failure; errors.Is(Err, store.ErrUnavailable).
	Err error
	// Since is when it was met.
	Since time.Time
	// Over is when the store worked again; zero while it does not.
	Over time.Time
}

// outage is the trouble that there is now. It is guarded by Engine.mu.
type outage struct {
	trouble *StorageTrouble // nil: the store works
	// began is closed while there is trouble, and over when it has ended.
	began, over chan struct{}
	// retries goes on where one trouble follows another at once.
	retries *backoff.ExponentialBackOff
}

func newOutage() outage {
	retries := backoff.NewExponentialBackOff()
	retries.InitialInterval, retries.MaxInterval = storageFirstWait, storageLastWait
	retries.Reset()
	return outage{began: make(chan struct{}), retries: retries}
}

// StorageTrouble returns the trouble that there is now with the store; nil
// when it works.
func (e *Engine) StorageTrouble() *StorageTrouble {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.outage.trouble == nil {
		return nil
	}
	trouble := *e.outage.trouble
	return &trouble
}

// persist carries out an operation of the store, and again until it works or
// fails for good. It gives up when ctx ends, and when the engine stops: what
// was to be stored is found out again by the next engine.
func (e *Engine) persist(ctx context.Context, do func() error) error {
	for {
		if err := e.awaitStore(ctx); err != nil {
			return err
		}
		err := do()
		if !errors.Is(err, store.ErrUnavailable) || !e.beginOutage(err) {
			return err
		}
	}
}

// awaitStore returns when the store works.
func (e *Engine) awaitStore(ctx context.Context) error {
	e.mu.Lock()
	trouble, over := e.outage.trouble, e.outage.over
	e.mu.Unlock()
	if trouble == nil {
		return nil
	}
	select {
	case <-over:
		return nil
	case <-e.stopping:
		return trouble.Err
	case <-ctx.Done():
		return fmt.Errorf("wait for the store: %w", context.Cause(ctx))
	}
}

// beginOutage notes that the store failed and has somebody try it again. It is
// false when the engine does not run, so that nobody would.
func (e *Engine) beginOutage(err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != phaseRunning || e.fatal != nil {
		return false
	}
	if e.outage.trouble != nil {
		return true
	}
	trouble := &StorageTrouble{Err: err, Since: e.now()}
	e.outage.trouble, e.outage.over = trouble, make(chan struct{})
	close(e.outage.began)
	e.o.Log.Error().Err(err).Msg("the store does not work: nothing new is started until it does; what runs goes on, and its end is kept in memory")
	e.hub.publish(Update{Storage: new(*trouble)})
	e.tellTrouble(*trouble)
	e.spawn(e.tryStore)
	return true
}

// tryStore tries the store with back-off until it works or the engine stops.
func (e *Engine) tryStore(ctx context.Context) {
	for {
		e.mu.Lock()
		wait := e.outage.retries.NextBackOff()
		e.mu.Unlock()
		timer := e.o.Clock.NewTimer(wait)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
		err := e.raw.Probe(context.WithoutCancel(ctx))
		switch {
		case err == nil:
			e.endOutage()
			return
		case !errors.Is(err, store.ErrUnavailable):
			e.fail(err)
			return
		}
		e.o.Log.Debug().Err(err).Msg("the store still does not work")
	}
}

// endOutage lets everything go on.
func (e *Engine) endOutage() {
	e.mu.Lock()
	defer e.mu.Unlock()
	trouble := *e.outage.trouble
	trouble.Over = e.now()
	if trouble.Over.Sub(trouble.Since) > storageLastWait {
		e.outage.retries.Reset()
	}
	e.outage.trouble, e.outage.began = nil, make(chan struct{})
	close(e.outage.over)
	e.o.Log.Warn().Dur("after", trouble.Over.Sub(trouble.Since)).Msg("the store works again: what waited is committed, and everything goes on")
	e.hub.publish(Update{Storage: &trouble})
	e.tellTrouble(trouble)
	e.lookAtTimers()
	e.pump()
}

// troubleBegan is closed while the store does not work.
func (e *Engine) troubleBegan() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.outage.began
}

// unusable is the reason for which people are refused while the store does not work.
func (e *Engine) unusable() error {
	if trouble := e.StorageTrouble(); trouble != nil {
		return fmt.Errorf("nothing can be recorded now, and it goes on by itself when it can: %w", trouble.Err)
	}
	return nil
}
