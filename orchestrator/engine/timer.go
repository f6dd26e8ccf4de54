package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// longestSleep bounds one wait, because a sleeping machine stops the timers of
// Go, and a clock that is set moves the wake times. Waking up early costs a
// comparison and no query.
const longestSleep = time.Minute

// keepTimers fires the wake times of waiting tasks until ctx ends. It sleeps
// until the earliest one.
func (e *Engine) keepTimers(ctx context.Context) error {
	for ctx.Err() == nil {
		next, err := e.fireTimers(ctx)
		if err == nil {
			e.sleepUntil(ctx, next)
		} else if ctx.Err() == nil {
			return err
		}
	}
	return nil
}

// fireTimers fires what is due and returns the earliest wake time after that,
// zero when there is none.
func (e *Engine) fireTimers(ctx context.Context) (time.Time, error) {
	now := e.now()
	due, err := e.o.Store.Due(ctx, now, e.driven())
	if err != nil {
		return time.Time{}, fmt.Errorf("look for tasks that are due: %w", err)
	}
	for _, task := range due {
		e.mu.Lock()
		drives := e.drives(task)
		e.mu.Unlock()
		if !drives {
			continue
		}
		e.handle(ctx, task, "wake the task", e.wakeTask(ctx, task, now))
	}
	next, err := e.o.Store.NextWake(ctx, now, e.driven())
	if err != nil {
		return time.Time{}, fmt.Errorf("look for the next wake time: %w", err)
	}
	return next, nil
}

// wakeTask fires the wake time of a task, unless it has moved since the task was
// found to be due: what it waited for may have come from elsewhere meanwhile.
func (e *Engine) wakeTask(ctx context.Context, task string, now time.Time) error {
	ent := e.acquire(task)
	defer e.release(ent)
	ent.mu.Lock()
	defer ent.mu.Unlock()
	state, _, err := e.load(ctx, ent, e.o.Store)
	if err != nil || state.WakeAt.IsZero() || state.WakeAt.After(now) {
		return err
	}
	_, err = e.decideAgain(ctx, ent, e.o.Store, proposal{body: workflow.TimerFired{}})
	return err
}

// sleepUntil returns when the timers must be looked at, or when ctx ended.
func (e *Engine) sleepUntil(ctx context.Context, next time.Time) {
	for {
		var expired <-chan time.Time
		stop := func() bool { return true }
		if !next.IsZero() {
			left := next.Sub(e.o.Clock.Now())
			if left <= 0 {
				return
			}
			timer := e.o.Clock.NewTimer(min(left, longestSleep))
			expired, stop = timer.C(), timer.Stop
		}
		select {
		case <-ctx.Done():
			stop()
			return
		case <-e.wake:
			stop()
			return
		case <-expired:
		}
	}
}

// lookAtTimers makes keepTimers read the wake times again.
func (e *Engine) lookAtTimers() {
	select {
	case e.wake <- struct{}{}:
	default: // it is going to anyway
	}
}
