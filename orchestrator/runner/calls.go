package runner

import (
	"context"
	"errors"
	"sync"
)

// errTurnOver ends the context of what a turn was still doing when it ended.
var errTurnOver = errors.New("the turn is over")

// calls are the uses of the recorder that the App Server causes while a turn
// runs: its questions and its calls of our tools come on goroutines of their
// own, and none of them may use the recorder when Run has returned.
type calls struct {
	mu   sync.Mutex
	life context.Context // nil before the turn
	end  context.CancelCauseFunc
	over bool
	wg   sync.WaitGroup
}

// open lets calls begin. What they do ends when the turn is aborted or over,
// and not with ctx: an answer that is sent before the abort would let the model go on.
func (c *calls) open(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.life, c.end = context.WithCancelCause(context.WithoutCancel(ctx))
}

// begin begins a call; done ends it. The returned ctx ends with the given one
// and with the turn. ok is false outside of the turn.
func (c *calls) begin(ctx context.Context) (inside context.Context, done func(), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil || c.over {
		return nil, nil, false
	}
	c.wg.Add(1)
	inside, cancel := context.WithCancelCause(ctx)
	life := c.life
	stop := context.AfterFunc(life, func() { cancel(context.Cause(life)) })
	return inside, func() {
		stop()
		cancel(nil)
		c.wg.Done()
	}, true
}

// start runs fn on a goroutine of its own until the turn is over at the latest.
// It is false outside of the turn.
func (c *calls) start(fn func(ctx context.Context)) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil || c.over {
		return false
	}
	life := c.life
	c.wg.Go(func() { fn(life) })
	return true
}

// close ends all calls and waits for them.
func (c *calls) close() {
	c.mu.Lock()
	c.over = true
	if c.end != nil {
		c.end(errTurnOver)
	}
	c.mu.Unlock()
	c.wg.Wait()
}
