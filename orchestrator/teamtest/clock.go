package teamtest

import (
	"sync"
	"time"
)

// epoch is when every scenario begins.
func epoch() time.Time { return time.Date(2030, time.January, 1, 9, 0, 0, 0, time.UTC) }

// clock is a clock that stands still until it is advanced.
type clock struct {
	mu     sync.Mutex
	now    time.Time
	timers map[*timer]bool
}

func newClock() *clock { return &clock{now: epoch(), timers: map[*timer]bool{}} }

// Now is the virtual time.
func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// advance moves the clock to at, unless it is later already, and fires what is due.
func (c *clock) advance(at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.After(c.now) {
		c.now = at
	}
	for t := range c.timers {
		if !t.at.After(c.now) {
			t.fire(c.now)
			delete(c.timers, t)
		}
	}
}

func (c *clock) newTimer(d time.Duration) *timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{clock: c, at: c.now.Add(d), fired: make(chan time.Time, 1)}
	if d <= 0 {
		t.fire(c.now)
	} else {
		c.timers[t] = true
	}
	return t
}

// timer is a timer of a clock.
type timer struct {
	clock *clock
	at    time.Time
	fired chan time.Time // takes one value
}

func (t *timer) fire(now time.Time) { t.fired <- now }

// C gets the time when the timer fires.
func (t *timer) C() <-chan time.Time { return t.fired }

// Stop reports whether the timer was still going to fire.
func (t *timer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	active := t.clock.timers[t]
	delete(t.clock.timers, t)
	return active
}
