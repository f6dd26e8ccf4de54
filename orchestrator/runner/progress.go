package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxArgument bounds the argument of a tool as it is shown, in characters.
const maxArgument = 200

// progress turns the events of a turn into what people watch. The event method
// is called from the turn's goroutine alone.
type progress struct {
	cwd string

	mu   sync.Mutex // one at a time reaches the recorder
	show func(engine.Progress)

	usage workflow.Usage
	tools map[string]*announced // by call id
}

// announced is a tool call whose return has not come.
type announced struct {
	name, arguments string
	told            bool
}

func (p *progress) event(e appclient.Event) {
	if e.Delta == nil {
		return
	}
	if e.Frame.SubagentID != "" { // what sub-agents do is no part of the turn's own story
		p.subagent(e.Frame.SubagentID, e.Delta)
		return
	}
	d := e.Delta
	switch d.MessageType {
	case appclient.DeltaAssistant:
		p.text(engine.ProgressText, d.Text)
	case appclient.DeltaReasoning:
		p.text(engine.ProgressThinking, d.Text)
	case appclient.DeltaApprovalRequest, appclient.DeltaToolCall:
		for _, call := range d.ToolCalls {
			p.announce(call)
		}
	case appclient.DeltaToolStart:
		p.tool(d.ToolCallID).name = cmp.Or(d.ToolName, p.tool(d.ToolCallID).name)
		p.tool(d.ToolCallID).told = true
		p.call(engine.ProgressTool, "", d.ToolCallID, d.ToolName, d.ToolArgs)
	case appclient.DeltaToolEnd:
		p.send(engine.Progress{Kind: engine.ProgressToolDone, Tool: p.tool(d.ToolCallID).name, Text: d.Status})
	case appclient.DeltaToolReturn:
		p.returned("", d)
	case appclient.DeltaUsage:
		if d.Usage != nil {
			// The sum so far, so that a watcher who missed one is right again with the next.
			p.usage = p.usage.Add(usageOf(*d.Usage))
			p.send(engine.Progress{Kind: engine.ProgressUsage, Usage: p.usage})
		}
	case appclient.DeltaStopReason:
		p.text(engine.ProgressStop, string(d.StopReason))
	case appclient.DeltaUser: // our own input, which the server repeats
	default:
		p.status(d)
	}
	if d.Retry != nil {
		p.send(engine.Progress{Kind: engine.ProgressRetry, Text: retryText(*d.Retry)})
	}
}

// subagent passes on what a sub-agent does, for the transcript.
func (p *progress) subagent(id string, d *appclient.Delta) {
	switch d.MessageType {
	case appclient.DeltaAssistant, appclient.DeltaReasoning:
		kind := engine.ProgressText
		if d.MessageType == appclient.DeltaReasoning {
			kind = engine.ProgressThinking
		}
		if d.Text != "" {
			p.send(engine.Progress{Kind: kind, Subagent: id, Text: d.Text})
		}
	case appclient.DeltaToolStart:
		p.call(engine.ProgressToolCall, id, d.ToolCallID, d.ToolName, d.ToolArgs)
	case appclient.DeltaToolReturn:
		if !d.Partial {
			p.send(engine.Progress{Kind: engine.ProgressToolReturn, Subagent: id, Call: d.ToolCallID, Text: d.ToolReturn, Status: d.Status})
		}
	}
}

func (p *progress) call(kind engine.ProgressKind, subagent, id, name, arguments string) {
	use := toolUse{name, json.RawMessage(arguments), p.cwd}
	p.send(engine.Progress{Kind: kind, Subagent: subagent, Tool: name, Argument: short(use.argument(), maxArgument), Call: id, Input: arguments})
}

// returned passes on what came back of a call, and first the call where it did not
// start: it was denied, or its arguments were wrong.
func (p *progress) returned(subagent string, d *appclient.Delta) {
	if d.Partial {
		return // the end has all of it
	}
	tool := p.tool(d.ToolCallID)
	if !tool.told {
		p.call(engine.ProgressToolCall, subagent, d.ToolCallID, tool.name, tool.arguments)
	}
	delete(p.tools, d.ToolCallID)
	p.send(engine.Progress{Kind: engine.ProgressToolReturn, Call: d.ToolCallID, Tool: tool.name, Text: d.ToolReturn, Status: d.Status})
}

// status passes on what else the server says, for the transcript.
func (p *progress) status(d *appclient.Delta) {
	if d.Retry != nil {
		return // which is told as one
	}
	text := strings.TrimSpace(strings.Join([]string{d.MessageType, d.EventType, d.Level, d.Status}, " "))
	if d.Text != "" {
		text += ": " + d.Text
	}
	p.send(engine.Progress{Kind: engine.ProgressStatus, Text: text})
}

func (p *progress) send(progress engine.Progress) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(progress)
}

func (p *progress) text(kind engine.ProgressKind, text string) {
	if text != "" {
		p.send(engine.Progress{Kind: kind, Text: text})
	}
}

// tool is the call with an ID.
func (p *progress) tool(id string) *announced {
	if p.tools == nil {
		p.tools = map[string]*announced{}
	}
	if p.tools[id] == nil {
		p.tools[id] = &announced{}
	}
	return p.tools[id]
}

// announce notes a call, which may come in pieces, of which only the first names the tool.
func (p *progress) announce(call appclient.ToolCallRequest) {
	tool := p.tool(call.ID)
	if call.Name != "" {
		tool.name = call.Name
	}
	// Some servers announce a call twice. Only what ends like an object is worth reading.
	if !strings.HasSuffix(tool.arguments, "}") || !json.Valid([]byte(tool.arguments)) {
		tool.arguments += call.Arguments
	}
}

// approval shows a decision. It is called from any goroutine.
func (p *progress) approval(request appclient.ApprovalRequest, v verdict) {
	text := "denied"
	switch {
	case v.allow:
		text = "allowed"
	case v.ask:
		text = "a person is asked"
	}
	if by := cmp.Or(v.by, v.pattern); by != "" {
		text += " by " + by
	}
	use := toolUse{request.ToolName, request.Input, p.cwd}
	p.send(engine.Progress{Kind: engine.ProgressApproval, Tool: request.ToolName, Argument: short(use.argument(), maxArgument), Text: text})
}

func retryText(r appclient.Retry) string {
	text := fmt.Sprintf("the App Server asks the model again (%d of %d)", r.Attempt, r.MaxAttempts)
	if r.DelayMS > 0 {
		text += " in " + (time.Duration(r.DelayMS) * time.Millisecond).String()
	}
	if r.Message != "" {
		text += ": " + short(r.Message, 300)
	}
	return text
}
