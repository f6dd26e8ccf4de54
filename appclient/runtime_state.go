package appclient

import (
	"context"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"
)

// runtimeState is what a client knows about one started runtime. Sessions on
// the same runtime share it.
type runtimeState struct {
	runtime Runtime
	raw     json.RawMessage
	loop    atomic.Pointer[lazy[LoopStatus]]
	device  atomic.Pointer[lazy[DeviceStatus]]

	mu       sync.Mutex
	sessions int
	tools    map[string]Tool
	approve  ApproveFunc
	turn     *RunningTurn
	// blocked is set while an aborted turn has not ended.
	blocked bool
	// stale holds the runs of the last turn when it was cancelled on a server that does not say when such a turn is
	// really over; nil otherwise.
	stale map[string]bool
	// idle holds the approval requests of turns that are not ours, by request id, while they are open.
	idle    map[string]bool
	calls   map[string]*openCall
	devices int64         // how many device statuses were seen
	changed chan struct{} // closed and replaced with each device status
}

// acquire registers a runtime, or takes over a registered one: the server has replaced its tools too.
func (c *Client) acquire(runtime Runtime, raw json.RawMessage, start RuntimeStart) *runtimeState {
	c.mu.Lock()
	rt := c.runtimes[runtime]
	if rt == nil {
		rt = &runtimeState{
			runtime: runtime, raw: append(json.RawMessage(nil), raw...), idle: make(map[string]bool),
			calls: make(map[string]*openCall), changed: make(chan struct{}),
		}
		c.runtimes[runtime] = rt
	}
	if c.retired[runtime] {
		delete(c.retired, runtime)
		c.retiredOrder = slices.DeleteFunc(c.retiredOrder, func(other Runtime) bool { return other == runtime })
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	c.mu.Unlock()
	rt.sessions++
	rt.approve = start.Approve
	rt.tools = make(map[string]Tool, len(start.Tools))
	for _, tool := range start.Tools {
		rt.tools[tool.Name] = tool
	}
	return rt
}

// release forgets a runtime with its last session, unless a turn still runs on it.
func (c *Client) release(rt *runtimeState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.sessions--
	c.dropIfUnused(rt)
}

// dropIfUnused needs both locks.
func (c *Client) dropIfUnused(rt *runtimeState) {
	if rt.sessions <= 0 && rt.turn == nil && c.runtimes[rt.runtime] == rt {
		delete(c.runtimes, rt.runtime)
		if len(rt.tools) > 0 {
			c.retire(rt.runtime)
		}
	}
}

// maxRetired is how many closed sessions with tools are remembered. A call of one that is forgotten ends after the
// server's own timeout.
const maxRetired = 4096

// retire remembers that the tools of a runtime are served no more. It needs c.mu.
func (c *Client) retire(runtime Runtime) {
	if !c.retired[runtime] {
		c.retired[runtime] = true
		c.retiredOrder = append(c.retiredOrder, runtime)
	}
	if len(c.retiredOrder) > maxRetired {
		delete(c.retired, c.retiredOrder[0])
		c.retiredOrder = slices.Delete(c.retiredOrder, 0, 1)
	}
}

func (rt *runtimeState) setDevice(status *lazy[DeviceStatus]) {
	rt.device.Store(status)
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.devices++
	close(rt.changed)
	rt.changed = make(chan struct{})
}

func (rt *runtimeState) staleRuns() map[string]bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.stale
}

func (rt *runtimeState) deviceCount() int64 {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.devices
}

// awaitDevice waits until more than seen device statuses have come.
func (rt *runtimeState) awaitDevice(ctx context.Context, c *Client, seen int64) error {
	for {
		rt.mu.Lock()
		count, changed := rt.devices, rt.changed
		rt.mu.Unlock()
		if count > seen {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.ctx.Done():
			return c.Err()
		}
	}
}

// forward gives a frame to the turn that runs. Without one, approvals go to RuntimeStart.Approve.
func (rt *runtimeState) forward(c *Client, in incoming) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if in.frame.Type == TypeTurnFinished {
		rt.blocked = false
	}
	if in.frame.Type == TypeInputAccepted {
		return // the request that sent the input takes it
	}
	if rt.turn != nil {
		if rt.turn.standingBy.Load() {
			rt.turn.mailbox.pushQuietly(in, int64(len(in.frame.Raw)))
		} else {
			rt.turn.mailbox.push(in, int64(len(in.frame.Raw)))
		}
		return
	}
	rt.idleApprovals(c, in)
}

// idleApprovals gives the approvals of a frame to RuntimeStart.Approve. It needs rt.mu.
func (rt *runtimeState) idleApprovals(c *Client, in incoming) {
	switch {
	case in.approval != nil:
		rt.answerIdle(c, *in.approval)
	case in.device != nil && (rt.approve != nil || len(rt.idle) > 0):
		pending := in.device.get().pending()
		open := make(map[string]bool, len(pending))
		for _, request := range pending {
			open[request.RequestID] = true
			rt.answerIdle(c, request)
		}
		// What is not pending any more may come again under the same id.
		for id := range rt.idle {
			if !open[id] {
				delete(rt.idle, id)
			}
		}
	}
}

// answerIdle asks RuntimeStart.Approve about a call of a turn that is not ours. It needs rt.mu.
func (rt *runtimeState) answerIdle(c *Client, request ApprovalRequest) {
	if rt.approve == nil || rt.idle[request.RequestID] {
		return
	}
	rt.idle[request.RequestID] = true
	request.Runtime = rt.runtime
	_, own := rt.tools[request.ToolName]
	approve := rt.approve
	session := &Session{client: c, rt: rt}
	c.wg.Go(func() {
		decision := Allow()
		if !own {
			decision = decide(c.ctx, approve, request)
		}
		// A refusal or a lost connection changes nothing here: nobody waits for this answer.
		_ = session.Answer(c.ctx, request.RequestID, decision)
	})
}
