package engine

import (
	"context"
	"time"
)

// draining is the end of Run without haste. It is guarded by Engine.mu.
type draining struct {
	asked bool
	grace time.Duration
	// idle is closed when nothing is in a slot any more.
	idle chan struct{}
	// stopLooking ends what looks for work; nil before Run.
	stopLooking context.CancelFunc
}

// Drain ends Run in good order: nothing new is started, and turns and checks
// that run may go on to their ends, for grace at the longest. What runs then is
// stopped as by the end of Run's ctx, and its outcome is found out by the next
// engine. It returns at once, and does nothing the second time.
func (e *Engine) Drain(grace time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining.asked {
		return
	}
	e.draining.asked, e.draining.grace = true, grace
	if e.draining.stopLooking != nil {
		e.draining.stopLooking()
	}
	e.noteIdle()
}

// noteIdle tells whoever drains that nothing runs. e.mu is held.
func (e *Engine) noteIdle() {
	if !e.draining.asked || e.slots+e.asking > 0 {
		return
	}
	select {
	case <-e.draining.idle:
	default:
		close(e.draining.idle)
	}
}

// drain waits until nothing is in a slot, the grace period is over, or ctx
// ends. It returns at once where nobody asked for it.
func (e *Engine) drain(ctx context.Context) {
	e.mu.Lock()
	asked, grace, running := e.draining.asked, e.draining.grace, e.slots+e.asking
	e.mu.Unlock()
	if !asked {
		return
	}
	e.o.Log.Info().Int("running", running).Dur("grace", grace).Msg("no new turn is started; waiting for those that run")
	timer := e.o.Clock.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-e.draining.idle:
	case <-timer.C():
	case <-ctx.Done():
	}
}

// starts reports whether work is started now. e.mu is held.
func (e *Engine) starts() bool {
	return e.phase == phaseRunning && e.fatal == nil && e.outage.trouble == nil && !e.draining.asked && !e.takingUp
}

// stopsStarting reports whether what has not been sent is not to be sent any more.
func (e *Engine) stopsStarting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining.asked
}
