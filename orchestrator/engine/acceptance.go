package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// acceptanceWait is how long an acknowledgement may wait for the end of its turn,
// so that both are stored in one transaction. What is recovered is the same
// whether it is stored or not: the turn may have been sent.
const acceptanceWait = 2 * time.Second

// acceptance is an acknowledgement that is stored a little later.
type acceptance struct {
	proposal
	// taken is set by who stores it.
	taken atomic.Bool
	// hurry is closed when it must be stored now, and dropped when somebody else stores it.
	hurry, dropped chan struct{}
	hurried        atomic.Bool
	// done is closed when nobody is going to store it any more.
	done chan struct{}
}

// take returns it for whoever records the end of the turn; nothing where it is stored.
func (a *acceptance) take() []proposal {
	if a == nil {
		return nil
	}
	if a.taken.CompareAndSwap(false, true) {
		close(a.dropped)
		return []proposal{a.proposal}
	}
	<-a.done
	return nil
}

// flush has it stored, and returns when it is.
func (a *acceptance) flush() {
	if a == nil {
		return
	}
	if !a.hurried.Swap(true) {
		close(a.hurry)
	}
	<-a.done
}

// Accepted implements Recorder. The turn has begun, and is not held up: neither by
// the commit, nor because the store is unavailable.
func (r *recorder) Accepted(ctx context.Context, disposition string) error {
	return r.record(ctx, "record the acceptance", func() error {
		a := &acceptance{
			proposal: proposal{
				body: workflow.TurnAccepted{Turn: r.key.turn, Attempt: r.key.attempt, Disposition: disposition}, at: r.engine.now(),
			},
			hurry: make(chan struct{}), dropped: make(chan struct{}), done: make(chan struct{}),
		}
		if r.engine.acceptSoon(r.key, a) {
			r.acceptance = a
			return nil
		}
		_, err := r.engine.applyNow(ctx, r.key.task, a.body)
		return err
	})
}

// acceptSoon stores an acceptance soon, and as soon as the store works, unless
// somebody takes it before. It is false when the engine stops.
func (e *Engine) acceptSoon(key turnKey, a *acceptance) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.phase != phaseRunning || e.fatal != nil {
		return false
	}
	e.spawn(func(ctx context.Context) {
		defer close(a.done)
		wait := time.NewTimer(acceptanceWait)
		defer wait.Stop()
		select {
		case <-wait.C:
		case <-a.hurry:
		case <-ctx.Done():
		case <-a.dropped:
			return
		}
		if !a.taken.CompareAndSwap(false, true) {
			return
		}
		ctx = context.WithoutCancel(ctx)
		err := e.applyAll(ctx, key.task, a.proposal)
		if _, already := errors.AsType[*workflow.TransitionError](err); already {
			return // it was stored although the store failed
		}
		e.handle(ctx, key.task, "record the acceptance", err)
	})
	return true
}
