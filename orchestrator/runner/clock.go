package runner

import (
	"sync"
	"time"
)

// turnClock measures turn_timeout. It stands still while the turn waits for a person.
type turnClock struct {
	mu      sync.Mutex
	left    time.Duration
	running time.Time // since when the clock runs; zero while it stands still
	pauses  int
	timer   *time.Timer
	stopped bool
}

// start lets the clock run; fire is called, on a goroutine of its own, when limit has passed on it.
func (c *turnClock) start(limit time.Duration, fire func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.running = limit, time.Now()
	c.timer = time.AfterFunc(limit, fire)
}

// pause stops the clock until resume is called. Several may do so at the same time.
func (c *turnClock) pause() (resume func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pauses++
	if c.pauses == 1 && c.timer != nil && c.timer.Stop() {
		c.left -= time.Since(c.running)
	}
	return sync.OnceFunc(c.resume)
}

func (c *turnClock) resume() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pauses--; c.pauses > 0 || c.timer == nil || c.stopped {
		return
	}
	c.running = time.Now()
	c.timer.Reset(max(0, c.left))
}

// stop ends the clock.
func (c *turnClock) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopped = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
