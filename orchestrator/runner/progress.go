package runner

import (
	"cmp"
	"encoding/json"
	"fmt"
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
	names map[string]string // tool names by call id
}

func (p *progress) event(e appclient.Event) {
	// What sub-agents do is no part of the turn's own story.
	if e.Delta == nil || e.Frame.SubagentID != "" {
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
			p.name(call.ID, call.Name)
		}
	case appclient.DeltaToolStart:
		p.name(d.ToolCallID, d.ToolName)
		use := toolUse{d.ToolName, json.RawMessage(d.ToolArgs), p.cwd}
		p.send(engine.Progress{Kind: engine.ProgressTool, Tool: d.ToolName, Argument: short(use.argument(), maxArgument)})
	case appclient.DeltaToolEnd:
		p.send(engine.Progress{Kind: engine.ProgressToolDone, Tool: p.names[d.ToolCallID], Text: d.Status})
		delete(p.names, d.ToolCallID)
	case appclient.DeltaUsage:
		if d.Usage != nil {
			// The sum so far, so that a watcher who missed one is right again with the next.
			p.usage = p.usage.Add(usageOf(*d.Usage))
			p.send(engine.Progress{Kind: engine.ProgressUsage, Usage: p.usage})
		}
	}
	if d.Retry != nil {
		p.send(engine.Progress{Kind: engine.ProgressRetry, Text: retryText(*d.Retry)})
	}
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

func (p *progress) name(call, tool string) {
	if p.names == nil {
		p.names = make(map[string]string)
	}
	if tool != "" { // where a call comes in pieces only the first names the tool
		p.names[call] = tool
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
