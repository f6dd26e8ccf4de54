//nolint:contextcheck // the goroutines of a connection outlive the call that started them, and end with the client
package appclient

import (
	"context"
	"encoding/json"
	"time"
)

// approvalsIn takes up the approval requests of a frame. Old servers send them
// in the device status alone, new ones in both.
func (l *turnLoop) approvalsIn(in incoming) {
	if l.watching.Load() {
		rt := l.session.rt
		rt.mu.Lock()
		defer rt.mu.Unlock()
		rt.idleApprovals(l.client, in)
		return
	}
	if in.approval != nil {
		l.approval(*in.approval)
	}
	if in.device == nil || (l.fold.waiting() && !l.fold.acked) {
		return
	}
	if string(member(in.device.raw, "pending_control_requests")) == "[]" {
		return // which is so nearly always
	}
	for _, request := range in.device.get().pending() {
		l.approval(request)
	}
}

// approval has one request decided and answered on a goroutine of its own.
func (l *turnLoop) approval(request ApprovalRequest) {
	if _, taken := l.asked[request.RequestID]; taken || request.RequestID == "" {
		return
	}
	if l.fold.over {
		l.late = append(l.late, request) // of a turn that the server has begun since
		return
	}
	l.asked[request.RequestID] = request.ToolCallID
	l.aliveBy = time.Time{} // somebody may take long to decide
	request.Runtime = l.session.Runtime()
	approve := l.turn.Approve
	if tool, served := l.session.rt.serves(request.ToolName); served {
		if approve = tool.Approve; approve == nil {
			approve = func(context.Context, ApprovalRequest) (Decision, error) { return Allow(), nil }
		}
	}
	if l.aborting.Load() {
		approve = func(context.Context, ApprovalRequest) (Decision, error) {
			return Deny("The turn has been aborted."), nil
		}
	}
	l.deciding++
	ctx := l.approvals
	if l.aborting.Load() {
		ctx = l.client.ctx
	}
	l.client.wg.Go(func() { l.decideAndAnswer(ctx, approve, request) })
}

// decided tells the turn's goroutine about an approval request, first of its
// decision and then of how the server took the answer.
type decided struct {
	approval *Approval // nil when the request was closed before it was decided
	answered string    // the request whose answer was answered
	err      error
}

// decideAndAnswer has a request decided and sends the answer. The decision is told to the turn
// before it is sent, and the server's answer in order with its other frames, so that a turn
// that ends at once has both.
func (t *RunningTurn) decideAndAnswer(ctx context.Context, approve ApproveFunc, request ApprovalRequest) {
	decision := decide(ctx, approve, request)
	if ctx.Err() != nil { // the abort has closed the request
		t.mailbox.push(incoming{decided: &decided{}}, 0)
		return
	}
	c := t.session.client
	answers := c.acknowledges()
	t.mailbox.push(incoming{decided: &decided{approval: &Approval{
		RequestID: request.RequestID, ToolName: request.ToolName, Decision: decision, Accepted: !answers,
	}}}, 0)
	tell := func(err error) {
		t.mailbox.push(incoming{decided: &decided{answered: request.RequestID, err: err}}, 0)
	}
	command := map[string]any{"type": "input", "runtime": t.session.rt.raw, "payload": decision.payload(request.RequestID)}
	if !answers {
		// The turn may be over before this returns.
		if err := c.sendCommand(c.ctx, command); err != nil {
			tell(err)
		}
		return
	}
	if _, err := c.request(c.ctx, command, func(frame Frame) { tell(acceptedError(frame)) }); err != nil {
		tell(err)
	}
}

// decided takes in a decision, or the server's answer to one.
func (l *turnLoop) decided(d decided, now time.Time) {
	approvals := l.fold.result.Approvals
	if d.answered != "" {
		for i := range approvals {
			if approvals[i].RequestID == d.answered {
				approvals[i].Accepted, approvals[i].Err = d.err == nil, d.err
			}
		}
		return
	}
	l.deciding--
	l.lastFrame = now
	if !l.fold.alive && l.fold.acked {
		l.aliveBy = now.Add(l.startTimeout())
	}
	if d.approval != nil {
		l.fold.result.Approvals = append(approvals, *d.approval)
		l.emit(Event{Kind: EventApproval, Approval: d.approval})
	}
}

// serves finds the tool of that name that this session serves.
func (rt *runtimeState) serves(name string) (Tool, bool) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	tool, ok := rt.tools[name]
	return tool, ok
}

// serving says whether tool handlers of this session are at work.
func (rt *runtimeState) serving() bool {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return len(rt.calls) > 0
}

// toolCalled reads the call for the event.
func (l *turnLoop) toolCalled(frame Frame) *ToolCall {
	var call struct {
		ScopeID    string          `json:"scope_id"`
		ToolCallID string          `json:"tool_call_id"`
		ToolName   string          `json:"tool_name"`
		Input      json.RawMessage `json:"input"`
	}
	if json.Unmarshal(frame.Raw, &call) != nil {
		return nil
	}
	return &ToolCall{
		RequestID: frame.RequestID, Runtime: l.session.Runtime(), ScopeID: call.ScopeID,
		ToolCallID: call.ToolCallID, Name: call.ToolName, Input: call.Input,
	}
}
