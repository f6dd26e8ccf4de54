package apptest

import (
	"encoding/json"
)

// approval is a tool call that waits for a client's answer.
type approval struct {
	request controlRequest
	answer  chan approvalAnswer // receives one value, never blocks the sender
}

type approvalAnswer struct {
	allow   bool
	message string
	input   json.RawMessage // replaces the arguments when not nil
	aborted bool
}

func (rt *agentRuntime) approvalResponse(s *session, c inputCommand) {
	p := c.Payload
	switch {
	case p.Decision == nil && p.Error == nil:
		rt.violation("approval_response needs a decision or an error")
		return
	case p.Decision != nil && p.Decision.Behavior == "deny" && p.Decision.Message == nil:
		rt.violation("a deny decision needs a message")
		return
	case p.Decision != nil && p.Decision.Behavior != "allow" && p.Decision.Behavior != "deny":
		rt.violation("unknown behavior")
		return
	}
	if rt.pending == nil || rt.pending.request.RequestID != p.RequestID {
		s.acknowledge(c, false, "", "Approval request is no longer pending")
		return
	}
	answer := approvalAnswer{}
	switch {
	case p.Error != nil:
		answer.message = *p.Error
	case p.Decision.Behavior == "deny":
		answer.message = *p.Decision.Message
	default:
		answer.allow = true
		if !isNull(p.Decision.UpdatedInput) {
			answer.input = p.Decision.UpdatedInput
		}
	}
	pending := rt.pending
	rt.pending = nil
	rt.emitLoop(rt.subscribers)
	rt.emitDevice(rt.subscribers)
	s.acknowledge(c, true, "", "")
	pending.answer <- answer
}

// ask shows a call to the clients and waits for the answer. An abort answers too.
func (t *turn) ask(call toolCall) (approvalAnswer, error) {
	rt := t.rt
	a := &approval{answer: make(chan approvalAnswer, 1), request: controlRequest{
		RequestID: "perm-" + call.ID,
		Request: controlDetails{
			Subtype: "can_use_tool", ToolName: call.Name, Input: json.RawMessage(call.Arguments), ToolCallID: call.ID,
			Suggestions: []json.RawMessage{},
		},
	}}
	if !json.Valid(a.request.Request.Input) {
		a.request.Request.Input = json.RawMessage("{}")
	}
	rt.mu.Lock()
	if rt.cancelling {
		rt.mu.Unlock()
		return approvalAnswer{aborted: true}, nil
	}
	rt.pending = a
	rt.setStatus(statusApproval)
	rt.emitControl(rt.subscribers)
	rt.emitLoop(rt.subscribers)
	rt.emitDevice(rt.subscribers)
	rt.mu.Unlock()
	select {
	case answer := <-a.answer:
		return answer, nil
	case <-rt.process.ctx.Done():
		return approvalAnswer{}, errStopped
	}
}
