package apptest

import (
	"context"
	"errors"
	"slices"
)

// turn is a running turn: the goroutine that plays it, and the way to cancel it.
type turn struct {
	rt    *agentRuntime
	id    string
	input *turnInput
	owner *session
	tools []registration // when the turn began

	ctx       context.Context // ends when the turn is cancelled; tools run in it
	cancel    context.CancelFunc
	stopped   bool // by disconnection, under rt.mu
	toolPhase bool // between a tool call and its result, under rt.mu

	// Below belongs to the turn's goroutine.
	agent        agent
	visit        int
	runID        string
	began        bool // the current run has been announced
	seq          int
	number       int // of the model request
	otid         string
	text         *message
	stored       []*message
	lastResult   string
	notices      []*Unsolicited
	injected     []string // ids of inputs that joined the running turn
	lastChunkID  string
	announced    map[string]string // delta id by call id
	terminalInfo map[string]any    // api_error of the terminal loop_error
}

var (
	errCancelled = errors.New("turn cancelled")
	errLost      = errors.New("model connection broken")
)

// startTurn begins a turn; rt.mu is held. The client has its acknowledgement already.
func (rt *agentRuntime) startTurn(owner *session, in *turnInput, id string) {
	t := &turn{rt: rt, id: id, input: in, owner: owner, tools: slices.Clone(rt.tools)}
	t.ctx, t.cancel = context.WithCancel(rt.process.ctx)
	rt.turn, rt.leftover = t, false
	rt.setStatus(statusSending)
	rt.emitDevice(rt.subscribers)
	if !rt.process.spawn(t.run) {
		t.cancel()
	}
}

// cancelTurn is the abort of the running turn; rt.mu is held. The turn ends by itself at its next chunk,
// when its tool is dead, or when its external call is answered. The returned function ends it at once if it
// only waited for an approval; it is called after the abort has been acknowledged.
func (rt *agentRuntime) cancelTurn(disconnected bool) func() {
	t := rt.turn
	if rt.cancelling {
		return nil
	}
	rt.cancelling = true
	t.stopped = disconnected
	pending := rt.pending
	rt.pending = nil
	rt.activeRuns, rt.executing = nil, nil
	rt.setStatus(statusIdle)
	rt.emitDevice(rt.subscribers)
	rt.leftover = !disconnected || t.toolPhase
	if pending != nil {
		rt.setStatus(statusIdle)
		rt.emitDevice(rt.subscribers)
	}
	rt.emitDelta(rt.lifecycle(delta{MessageType: "status", Message: "Interrupted", Level: "warning", RunID: t.announcedRun()}))
	wake := func() {
		t.cancel()
		if pending != nil {
			pending.answer <- approvalAnswer{aborted: true}
		}
	}
	if disconnected {
		wake()
		return nil
	}
	return wake
}

// announcedRun is the run of which the clients know; rt.mu is held by the reader and by the writer.
func (t *turn) announcedRun() string {
	if t.began {
		return t.runID
	}
	return ""
}

// run plays the turn to its end.
func (t *turn) run() {
	defer t.cancel()
	stop, problem, err := t.play()
	if err != nil && !errors.Is(err, errCancelled) {
		return // the server is gone, and with it the turn: no turn_finished
	}
	rt := t.rt
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.process.ctx.Err() != nil {
		return
	}
	if rt.cancelling || errors.Is(err, errCancelled) {
		stop, problem = "cancelled", ""
	}
	t.end(stop, problem)
}

type turnFinished struct {
	Type       string `json:"type"`
	TurnID     string `json:"turn_id"`
	StopReason string `json:"stop_reason"`
	RunID      string `json:"run_id,omitempty"`
	Error      string `json:"error,omitempty"`
}

// end tells the clients that the turn is over and begins the next one, if inputs wait; rt.mu is held.
func (t *turn) end(stop, problem string) {
	rt := t.rt
	cancelled := stop == "cancelled"
	rt.turn, rt.cancelling, rt.toolsLoaded = nil, false, true
	rt.activeRuns, rt.executing = nil, nil
	if !cancelled {
		rt.setStatus(statusIdle)
		rt.emitDevice(rt.subscribers)
	}
	if rt.process.server.features.turnEnd {
		rt.emit(rt.subscribers, "turn_finished", turnFinished{"turn_finished", t.id, stop, t.runID, problem})
	}
	if problem != "" { // a stream that broke is not explained
		terminal := true
		rt.emitDelta(rt.lifecycle(delta{
			MessageType: "loop_error", RunID: t.runID, Message: problem, StopReason: stop, Terminal: &terminal, APIError: t.terminalInfo,
		}))
	}
	rt.emitDevice(rt.subscribers)
	rt.seen = map[string]string{}
	for _, q := range rt.queue {
		rt.remember(q.input.ids, "queued")
	}
	for _, u := range t.notices {
		rt.notify(u)
	}
	switch {
	case len(rt.queue) > 0:
		rt.startQueued()
	case rt.batches > 0 && !cancelled && slices.Contains([]byte("0123456789"), t.id[len("batch-")]):
		rt.emitQueue(rt.subscribers)
		rt.setStatus(statusIdle)
	}
}

// aborted reports whether the turn should stop at its next chunk.
func (t *turn) aborted() bool { return t.ctx.Err() != nil }
