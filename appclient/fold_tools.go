package appclient

import (
	"encoding/json"
	"strings"
)

// runFold collects one run. Builders keep long answers from being copied with each chunk.
type runFold struct {
	id        string
	stop      StopReason
	reasoning strings.Builder
	keys      []string
	texts     map[string]*strings.Builder
}

// run finds or adds the run of a delta.
func (f *fold) run(id string) *runFold {
	if run := f.runIndex[id]; run != nil {
		return run
	}
	run := &runFold{id: id, texts: make(map[string]*strings.Builder)}
	if f.runIndex == nil {
		f.runIndex = make(map[string]*runFold)
	}
	f.runIndex[id] = run
	f.runs = append(f.runs, run)
	return run
}

// add appends a chunk to the message it belongs to.
func (r *runFold) add(d *Delta) {
	key := d.Key()
	text := r.texts[key]
	if text == nil {
		text = new(strings.Builder)
		r.texts[key] = text
		r.keys = append(r.keys, key)
	}
	text.WriteString(d.Text)
}

func (r *runFold) run() Run {
	run := Run{ID: r.id, StopReason: r.stop, Reasoning: r.reasoning.String()}
	for _, key := range r.keys {
		run.Messages = append(run.Messages, AssistantText{Key: key, Text: r.texts[key].String()})
	}
	return run
}

// tool follows a tool call from its announcement to its result.
func (f *fold) tool(d *Delta) {
	switch d.MessageType {
	case DeltaApprovalRequest, DeltaToolCall:
		f.run(d.RunID)
		for _, call := range d.ToolCalls {
			f.announce(call, d.RunID)
		}
	case DeltaToolStart:
		use := f.use(d.ToolCallID, d.RunID)
		use.Started = true
		if use.Name == "" {
			use.Name, use.Arguments = d.ToolName, d.ToolArgs
		}
	case DeltaToolEnd:
		if use := f.last(d.ToolCallID); use != nil {
			use.Status, use.ended = d.Status, true
		}
	case DeltaToolReturn:
		if use := f.last(d.ToolCallID); use != nil {
			use.Output = d.ToolReturn
			if !d.Partial {
				use.Status, use.ended = d.Status, true
			}
		}
	}
}

// last is the last call of this id, ended or not.
func (f *fold) last(id string) *ToolUse {
	for i := len(f.result.ToolCalls) - 1; i >= 0; i-- {
		if f.result.ToolCalls[i].ID == id {
			return &f.result.ToolCalls[i]
		}
	}
	return nil
}

// announce adds a call, or a further piece of its arguments.
func (f *fold) announce(call ToolCallRequest, runID string) {
	use := f.use(call.ID, runID)
	if call.Name != "" {
		use.Name = call.Name
	}
	// Arguments that are complete are not added to: some servers announce a call twice.
	if !complete(use.Arguments) {
		use.Arguments += call.Arguments
	}
}

// complete says whether arguments need no further piece. Only what ends like an object is worth reading: there may
// be thousands of pieces.
func complete(arguments string) bool {
	return strings.HasSuffix(strings.TrimRight(arguments, " \t\r\n"), "}") && json.Valid([]byte(arguments))
}

// use finds the open call of this id, or opens one: models may use an id again.
func (f *fold) use(id, runID string) *ToolUse {
	uses := &f.result.ToolCalls
	for i := len(*uses) - 1; i >= 0; i-- {
		if (*uses)[i].ID == id && !(*uses)[i].ended {
			return &(*uses)[i]
		}
	}
	*uses = append(*uses, ToolUse{ID: id, RunID: runID})
	return &(*uses)[len(*uses)-1]
}
