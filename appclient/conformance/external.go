package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func externalScenarios() []scenario {
	return []scenario{
		{"external tool", nil, externalOK},
		{"external tool reports an error", nil, externalIsError},
		{"external tool fails", nil, externalFails},
		{"two external calls in one step", nil, externalTwo},
		{"external tool in a mode that asks", nil, externalStandard},
		{"external tool whose permission is decided", nil, externalDecided},
		{"external tool without a required argument", nil, externalMissing},
		{"external tools are replaced", nil, externalReplaced},
		{"scoped external tool", nil, externalScoped},
	}
}

const schema = `{"type":"object","properties":{"to":{"type":"string"}},"required":["to"]}`

// tool is an external tool that says what it was called with.
func tool(name string, handler func(context.Context, appclient.ToolCall) (appclient.ToolResult, error)) appclient.Tool {
	if handler == nil {
		handler = func(_ context.Context, c appclient.ToolCall) (appclient.ToolResult, error) {
			return appclient.TextResult(name + " got " + string(c.Input)), nil
		}
	}
	return appclient.Tool{Name: name, Description: "hands over", Parameters: json.RawMessage(schema), Handler: handler}
}

func externalOK(e *env) {
	r := e.say(e.session(tool("handoff", nil)), `x [[tool:handoff:{"to":"bob"}]]`)
	e.equal("status", e.use(r, 0).Status, "success")
	e.contains("output", e.use(r, 0).Output, `handoff got {"to":"bob"}`)
	e.text(r.Text, `tool said: handoff got {"to":"bob"}`)
}

func externalIsError(e *env) {
	s := e.session(tool("handoff", func(context.Context, appclient.ToolCall) (appclient.ToolResult, error) {
		return appclient.ErrorResult("bob is away"), nil
	}))
	r := e.say(s, `x [[tool:handoff:{"to":"bob"}]] [[say:well]]`)
	e.equal("status", e.use(r, 0).Status, "error")
	e.equal("output", e.use(r, 0).Output, "bob is away")
	e.text(r.Text, "well")
}

func externalFails(e *env) {
	s := e.session(tool("handoff", func(context.Context, appclient.ToolCall) (appclient.ToolResult, error) {
		return appclient.ToolResult{}, errors.New("controller down")
	}))
	r := e.say(s, `x [[tool:handoff:{"to":"bob"}]] [[say:well]]`)
	e.equal("status", e.use(r, 0).Status, "error")
	e.contains("output", e.use(r, 0).Output, "External tool execution error: ")
	e.contains("output", e.use(r, 0).Output, "controller down")
}

func externalTwo(e *env) {
	var mu sync.Mutex
	var order []string
	open, most := 0, 0
	handler := func(_ context.Context, c appclient.ToolCall) (appclient.ToolResult, error) {
		mu.Lock()
		defer mu.Unlock()
		open++
		most = max(most, open)
		order = append(order, c.Name)
		open--
		return appclient.TextResult("ok " + c.Name), nil
	}
	r := e.say(e.session(tool("first", handler), tool("second", handler)), `x [[par:first:{"to":"a"}]] [[par:second:{"to":"b"}]] [[say:both]]`)
	e.equal("order", fmt.Sprint(order), "[first second]")
	e.equal("first output", e.use(r, 0).Output, "ok first")
	e.equal("second output", e.use(r, 1).Output, "ok second")
}

func externalStandard(e *env) {
	s := e.start(e.dial(), appclient.RuntimeStart{Mode: appclient.ModeStandard, Tools: []appclient.Tool{tool("handoff", nil)}})
	r := e.say(s, `x [[tool:handoff:{"to":"bob"}]] [[say:ok]]`)
	e.equal("status", e.use(r, 0).Status, "success")
}

// A tool that decides itself whether it may be called is asked with the id that
// its call then has, and only in modes that ask.
func externalDecided(e *env) {
	var mu sync.Mutex
	var asked, called []string
	gate := tool("handoff", func(_ context.Context, c appclient.ToolCall) (appclient.ToolResult, error) {
		mu.Lock()
		defer mu.Unlock()
		called = append(called, c.ToolCallID)
		return appclient.TextResult("handed over"), nil
	})
	gate.Approve = func(_ context.Context, r appclient.ApprovalRequest) (appclient.Decision, error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.ToolCallID)
		if len(asked) == 1 {
			return appclient.Deny("not to " + string(r.Input)), nil
		}
		return appclient.Allow(), nil
	}
	s := e.start(e.dial(), appclient.RuntimeStart{Mode: appclient.ModeStandard, Tools: []appclient.Tool{gate}})
	r := e.say(s, `x [[tool:handoff:{"to":"bob"}]] [[tool:handoff:{"to":"eve"}]] [[say:ok]]`)
	e.equal("status of the denied call", e.use(r, 0).Status, "error")
	e.contains("output of the denied call", e.use(r, 0).Output, `not to {"to":"bob"}`)
	e.equal("status of the allowed call", e.use(r, 1).Status, "success")
	mu.Lock()
	defer mu.Unlock()
	e.equal("asked", len(asked), 2)
	e.equal("called with", fmt.Sprint(called), fmt.Sprint(asked[1:]))
	asked = nil
	start := again(s)
	start.Mode, start.Tools = appclient.ModeUnrestricted, []appclient.Tool{gate}
	unasked := e.start(s.Client(), start)
	mu.Unlock()
	e.say(unasked, `x [[tool:handoff:{"to":"bob"}]] [[say:ok]]`)
	mu.Lock()
	e.equal("asked in the mode unrestricted", len(asked), 0)
	e.equal("calls", len(called), 2)
}

func externalMissing(e *env) {
	called := false
	s := e.session(tool("handoff", func(context.Context, appclient.ToolCall) (appclient.ToolResult, error) {
		called = true
		return appclient.TextResult("no"), nil
	}))
	r := e.say(s, `x [[tool:handoff:{"other":1}]] [[say:ok]]`)
	e.equal("status", e.use(r, 0).Status, "error")
	e.contains("output", e.use(r, 0).Output, "missing required parameter: to")
	e.equal("called", called, false)
}

func externalReplaced(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{Tools: []appclient.Tool{tool("old", nil)}})
	start := again(s)
	start.Tools = []appclient.Tool{tool("new", nil)}
	r := e.say(e.start(c, start), `x [[tool:old:{"to":"a"}]] [[tool:new:{"to":"b"}]] [[say:ok]]`)
	e.contains("output of the old", e.use(r, 0).Output, "Tool not found: old")
	e.equal("status of the new", e.use(r, 1).Status, "success")
}

func externalScoped(e *env) {
	scoped := tool("scoped", nil)
	scoped.ScopeID = "s1"
	s := e.session(scoped)
	r := e.say(s, `x [[tool:scoped:{"to":"a"}]] [[say:ok]]`)
	e.contains("output without the scope", e.use(r, 0).Output, "Tool not found: scoped")
	r = e.turn(s, appclient.Turn{Text: `y [[tool:scoped:{"to":"a"}]] [[say:ok]]`, ToolScopes: []string{"s1"}})
	e.equal("status with the scope", e.use(r, 0).Status, "success")
}
