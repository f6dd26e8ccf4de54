package apptest

import (
	"encoding/json"
	"slices"
	"time"
)

// registration is a tool that a client serves for a runtime.
type registration struct {
	session *session
	scope   string
	tool    externalTool
}

// register replaces the client's tools of this runtime.
func (rt *agentRuntime) register(s *session, groups []toolGroup) {
	rt.tools = slices.DeleteFunc(rt.tools, func(r registration) bool { return r.session == s })
	for _, g := range groups {
		for _, t := range g.Tools {
			rt.tools = append(rt.tools, registration{session: s, scope: g.ScopeID, tool: t})
		}
	}
}

// external finds who serves a tool: the latest registration when the turn
// began, if the input offers it. One that comes later counts from the next turn on.
func (t *turn) external(name string) (registration, bool) {
	in := t.input
	if in.allowlist != nil && !slices.Contains(*in.allowlist, name) {
		return registration{}, false
	}
	for _, r := range slices.Backward(t.tools) {
		if *r.tool.Name == name && (r.scope == "" || slices.Contains(in.scopes, r.scope)) {
			return r, true
		}
	}
	return registration{}, false
}

// externalCall waits for a client's result.
type externalCall struct {
	rt     *agentRuntime
	result chan toolResult // receives one value, never blocks the sender
}

type externalRequest struct {
	Type       string          `json:"type"`
	RequestID  string          `json:"request_id"`
	Runtime    runtimeID       `json:"runtime"`
	ScopeID    string          `json:"scope_id,omitempty"`
	ToolCallID string          `json:"tool_call_id"`
	ToolName   string          `json:"tool_name"`
	Input      json.RawMessage `json:"input"`
}

type externalResponse struct {
	RequestID string `json:"request_id"`
	Result    *struct {
		Content []textPart `json:"content"`
		IsError bool       `json:"is_error"`
	} `json:"result"`
	Error *string `json:"error"`
}

func (s *session) externalResponse(c externalResponse) {
	if c.Result == nil && c.Error == nil {
		return // malformed: dropped, and the call keeps waiting
	}
	s.mu.Lock()
	call := s.calls[c.RequestID]
	delete(s.calls, c.RequestID)
	s.mu.Unlock()
	if call == nil {
		return
	}
	var result toolResult
	switch {
	case c.Error != nil:
		result = failed("External tool execution error: " + *c.Error)
	case len(c.Result.Content) == 0:
		result = toolResult{text: "[]", failed: c.Result.IsError}
	default:
		result = toolResult{text: joinParts(c.Result.Content), failed: c.Result.IsError}
	}
	call.result <- result
}

// failCalls ends the client's open calls for a runtime.
func (s *session) failCalls(rt *agentRuntime, problem string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, call := range s.calls {
		if call.rt == rt {
			call.result <- failed("External tool execution error: " + problem)
			delete(s.calls, id)
		}
	}
}

// callExternal sends a call to the client that serves it and waits: an abort does not release it.
func (t *turn) callExternal(r registration, call toolCall) (toolResult, error) {
	if missing := missingParameters(r.tool.Parameters, call.Arguments); len(missing) > 0 {
		return failed(missingText(call.Name, missing, call.Arguments)), nil
	}
	input := json.RawMessage(call.Arguments)
	if !json.Valid(input) {
		input = json.RawMessage("{}")
	}
	p := t.rt.process
	open := &externalCall{rt: t.rt, result: make(chan toolResult, 1)}
	id := "external-tool-" + string(newUUID())
	r.session.mu.Lock()
	gone := r.session.ctx.Err() != nil || r.session.scopes == nil
	if !gone {
		r.session.calls[id] = open
	}
	r.session.mu.Unlock()
	if gone {
		return failed("External tool execution error: External tool controller is not connected"), nil
	}
	r.session.answer(externalRequest{"external_tool_call_request", id, t.rt.id, r.scope, call.ID, call.Name, input})
	timer := time.NewTimer(p.server.opts.ExternalToolTimeout)
	defer timer.Stop()
	select {
	case result := <-open.result:
		return result, nil
	case <-timer.C:
		r.session.mu.Lock()
		delete(r.session.calls, id)
		r.session.mu.Unlock()
		return failed("External tool call timed out: " + call.Name), nil
	case <-p.ctx.Done():
		return toolResult{}, errStopped
	}
}
