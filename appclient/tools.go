//nolint:contextcheck // the goroutines of a connection outlive the call that started them, and end with the client
package appclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Tool is a tool that this client serves to the agent. It is bound to the
// runtime and the connection of the StartRuntime that registered it.
type Tool struct {
	// Name must not be the name of a built-in tool.
	Name        string
	Label       string
	Description string
	// Parameters is a JSON schema of type object. The server checks only that
	// required names are present: the handler must validate its input.
	Parameters json.RawMessage
	// ScopeID hides the tool from every turn whose Turn.ToolScopes does not list it.
	ScopeID string
	// Approve decides where the server asks whether the model may call the tool,
	// which it does in every mode but ModeUnrestricted; nil allows every call. A
	// server waits for this decision as long as it takes, but only five minutes
	// for Handler: what takes long is better done here. It is not asked about
	// calls of turns that are not of this client.
	Approve ApproveFunc
	// Handler is called in a goroutine of its own. ctx ends when the turn is
	// aborted or the connection closes; the call has then been answered already.
	// An error is reported to the model as a failure of the tool's execution.
	Handler func(ctx context.Context, call ToolCall) (ToolResult, error)
}

// ToolCall is one call of an external tool.
type ToolCall struct {
	RequestID  string
	Runtime    Runtime
	ScopeID    string
	ToolCallID string
	Name       string
	// Input is the arguments, not checked against the schema.
	Input json.RawMessage
}

// ToolResult answers a ToolCall.
type ToolResult struct {
	Content []ToolContent
	// IsError marks the result as the tool's own failure, which the model may mend.
	IsError bool
}

// ToolContent is one part of a result.
type ToolContent struct {
	Type     string `json:"type"` // "text" or "image"
	Text     string `json:"text,omitempty"`
	Data     string `json:"data,omitempty"` // base64
	MimeType string `json:"mimeType,omitempty"`
}

// TextResult is a successful result of one text.
func TextResult(text string) ToolResult {
	return ToolResult{Content: []ToolContent{{Type: "text", Text: text}}}
}

// ErrorResult is a failed result of one text, for the model to mend.
func ErrorResult(text string) ToolResult {
	return ToolResult{Content: []ToolContent{{Type: "text", Text: text}}, IsError: true}
}

// answerTool is the frame that answers one call.
type answerTool struct {
	Type      string          `json:"type"`
	RequestID string          `json:"request_id"`
	Result    *wireToolResult `json:"result,omitempty"`
	Error     string          `json:"error,omitempty"`
}

type wireToolResult struct {
	Content []ToolContent `json:"content"`
	IsError bool          `json:"is_error"`
}

// openCall is a call of an external tool that has not been answered.
type openCall struct {
	call     ToolCall
	rt       *runtimeState
	turn     *RunningTurn // nil outside of turns of this client
	cancel   context.CancelCauseFunc
	answered atomic.Bool
}

// errCallEnded ends the context of a handler whose call was answered for it.
var errCallEnded = errors.New("the tool call has been ended")

// serveTool takes in an external_tool_call_request on the reader's goroutine.
func (c *Client) serveTool(frame Frame) {
	var body struct {
		ScopeID    string          `json:"scope_id"`
		ToolCallID string          `json:"tool_call_id"`
		ToolName   string          `json:"tool_name"`
		Input      json.RawMessage `json:"input"`
	}
	if frame.Runtime == nil || frame.RequestID == "" || json.Unmarshal(frame.Raw, &body) != nil {
		return
	}
	call := ToolCall{
		RequestID: frame.RequestID, Runtime: *frame.Runtime, ScopeID: body.ScopeID,
		ToolCallID: body.ToolCallID, Name: body.ToolName, Input: body.Input,
	}
	c.mu.Lock()
	rt, retired := c.runtimes[call.Runtime], c.retired[call.Runtime]
	c.mu.Unlock()
	switch {
	case rt != nil:
		rt.serve(c, call)
	case retired:
		c.wg.Go(func() { c.refuseCall(call, "the session that served this tool is closed") })
	default:
		// The runtime was started with Request or Send: whoever did that answers.
	}
}

// serve starts the handler of a call. Without one, or while the turn is being aborted, the call is answered at once,
// because the conversation is blocked for minutes otherwise.
func (rt *runtimeState) serve(c *Client, call ToolCall) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	tool, known := rt.tools[call.Name]
	switch {
	case !known:
		c.wg.Go(func() { c.refuseCall(call, fmt.Sprintf("this connection has no tool %q", call.Name)) })
		return
	case rt.blocked || (rt.turn != nil && rt.turn.aborting.Load()):
		c.wg.Go(func() { c.refuseCall(call, "the turn has been aborted") })
		return
	case rt.calls[call.RequestID] != nil:
		return // the same request twice
	}
	ctx, cancel := context.WithCancelCause(c.ctx)
	open := &openCall{call: call, rt: rt, turn: rt.turn, cancel: cancel}
	rt.calls[call.RequestID] = open
	c.wg.Go(func() {
		defer cancel(nil)
		result, err := tool.Handler(ctx, call)
		if open.answered.CompareAndSwap(false, true) {
			c.answerCall(open, result, err)
		}
	})
}

// answerCall sends the answer of a call that the caller has marked as answered.
func (c *Client) answerCall(open *openCall, result ToolResult, err error) {
	answer := answerTool{Type: "external_tool_call_response", RequestID: open.call.RequestID}
	outcome := toolOutcome{call: open.call}
	if err != nil {
		answer.Error = err.Error()
		if answer.Error == "" {
			answer.Error = "the tool failed"
		}
		outcome.failure = answer.Error
	} else {
		content := slices.Clone(result.Content)
		if content == nil {
			content = []ToolContent{} // the server drops an answer whose content is not an array
		}
		for i := range content {
			if content[i].Type == "" {
				content[i].Type = "text"
			}
		}
		result.Content = content
		answer.Result = &wireToolResult{Content: content, IsError: result.IsError}
		outcome.result = &result
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.RequestTimeout)
	defer cancel()
	if sendErr := c.sendCommand(ctx, answer); sendErr != nil {
		outcome.failure = "the answer could not be sent: " + sendErr.Error()
	}
	open.rt.mu.Lock()
	defer open.rt.mu.Unlock()
	delete(open.rt.calls, open.call.RequestID)
	if open.turn != nil {
		open.turn.mailbox.push(incoming{tool: &outcome}, 0)
	}
}

// refuseCall answers a call that has no handler to run.
func (c *Client) refuseCall(call ToolCall, reason string) {
	ctx, cancel := context.WithTimeout(c.ctx, c.cfg.RequestTimeout)
	defer cancel()
	// When this fails the connection is gone, and the call with it.
	_ = c.sendCommand(ctx, answerTool{Type: "external_tool_call_response", RequestID: call.RequestID, Error: reason})
}

// endCalls answers every open call of the runtime with an error and ends its handler's context.
func (c *Client) endCalls(rt *runtimeState, reason string) {
	rt.mu.Lock()
	calls := make([]*openCall, 0, len(rt.calls))
	for _, open := range rt.calls {
		calls = append(calls, open)
	}
	rt.mu.Unlock()
	for _, open := range calls {
		// Marked first: the handler may return as soon as its context ends.
		if open.answered.CompareAndSwap(false, true) {
			open.cancel(fmt.Errorf("%w: %s", errCallEnded, reason))
			c.answerCall(open, ToolResult{}, errors.New(reason))
		}
	}
}

// failOpenCalls answers all open calls before the connection is closed.
func (c *Client) failOpenCalls() {
	c.mu.Lock()
	runtimes := make([]*runtimeState, 0, len(c.runtimes))
	for _, rt := range c.runtimes {
		runtimes = append(runtimes, rt)
	}
	c.mu.Unlock()
	finished := make(chan struct{})
	c.wg.Go(func() {
		defer close(finished)
		for _, rt := range runtimes {
			c.endCalls(rt, "the client has closed the connection")
		}
	})
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-finished:
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// toolOutcome tells a turn how one of its calls was answered.
type toolOutcome struct {
	call    ToolCall
	result  *ToolResult
	failure string
}
