package engine

import "time"

// Clock tells the time and wakes up. Tests of teams replace it, so that a
// back-off of an hour takes none.
type Clock interface {
	Now() time.Time
	NewTimer(d time.Duration) Timer
}

// Timer is what Clock.NewTimer returns.
type Timer interface {
	// C gets the time once, when the timer has run out.
	C() <-chan time.Time
	// Stop reports whether it stopped the timer before that.
	Stop() bool
}

// SystemClock is the clock of the machine.
func SystemClock() Clock { return systemClock{} }

// systemClock is the clock of the machine; now replaces its time where it is set.
type systemClock struct{ now func() time.Time }

func (c systemClock) Now() time.Time {
	if c.now != nil {
		return c.now()
	}
	return time.Now()
}

func (systemClock) NewTimer(d time.Duration) Timer { return systemTimer{time.NewTimer(d)} }

type systemTimer struct{ timer *time.Timer }

func (t systemTimer) C() <-chan time.Time { return t.timer.C }
func (t systemTimer) Stop() bool          { return t.timer.Stop() }
