package runner

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// outcomeTool is the tool through which an agent reports its outcome.
const outcomeTool = "report_outcome"

// maxData bounds the data of a report, in bytes; it is stored with the task.
const maxData = 64 << 10

// outcomeReport is what an agent has reported in a turn. The last valid report counts.
type outcomeReport struct {
	valid []string

	mu      sync.Mutex
	outcome string
	summary string
	data    any
}

// tool is the tool as it is offered to the model.
func (o *outcomeReport) tool() appclient.Tool {
	// Strings always encode.
	names, _ := json.Marshal(o.valid)
	return appclient.Tool{
		Name: outcomeTool, Label: "Report outcome",
		Description: "Report the outcome of your work in this turn: one of " + strings.Join(o.valid, ", ") +
			". Call it once, when the outcome is certain and before your last message. A later call replaces an earlier one.",
		Parameters: json.RawMessage(`{"type":"object","properties":{` +
			`"outcome":{"type":"string","enum":` + string(names) + `,"description":"The outcome."},` +
			`"summary":{"type":"string","description":"Why, in one or two sentences."},` +
			`"data":{"type":"object","description":"Optional: facts for whoever comes next, as a JSON object."}},` +
			`"required":["outcome","summary"],"additionalProperties":false}`),
		Handler: o.handle,
	}
}

// handle takes a call. The server checks nothing but that the required names are there.
func (o *outcomeReport) handle(_ context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	var input struct {
		Outcome json.RawMessage `json:"outcome"`
		Summary json.RawMessage `json:"summary"`
		Data    json.RawMessage `json:"data"`
	}
	refuse := func(format string, args ...any) (appclient.ToolResult, error) {
		return appclient.ErrorResult("Nothing was recorded: " + fmt.Sprintf(format, args...)), nil
	}
	choices := strings.Join(o.valid, ", ")
	if err := json.Unmarshal(call.Input, &input); err != nil {
		return refuse("the arguments must be a JSON object with outcome (one of %s) and summary.", choices)
	}
	var outcome, summary string
	var data map[string]any
	if json.Unmarshal(input.Outcome, &outcome) != nil || !slices.Contains(o.valid, outcome) {
		return refuse("outcome must be one of %s, not %s. Call %s again.", choices, shown(input.Outcome), outcomeTool)
	}
	if json.Unmarshal(input.Summary, &summary) != nil || strings.TrimSpace(summary) == "" {
		return refuse("summary must be a text of one or two sentences. Call %s again.", outcomeTool)
	}
	if len(input.Data) > maxData {
		return refuse("data is larger than %d KiB. Shorten it and call %s again.", maxData>>10, outcomeTool)
	}
	if input.Data != nil && json.Unmarshal(input.Data, &data) != nil {
		return refuse("data must be a JSON object or left out, not %s. Call %s again.", shown(input.Data), outcomeTool)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcome, o.summary, o.data = outcome, strings.TrimSpace(summary), nil
	if data != nil {
		o.data = data
	}
	return appclient.TextResult(fmt.Sprintf("Recorded the outcome %q. Now write your last message. "+
		"It must be complete by itself: nothing that you wrote before it is handed on.", outcome)), nil
}

// shown renders an argument for a message to the model.
func shown(raw json.RawMessage) string {
	if raw = bytes.TrimSpace(raw); len(raw) == 0 {
		return "nothing"
	}
	return short(string(raw), 100)
}

// report puts the report into the result of the turn. It does nothing when o is nil.
func (o *outcomeReport) report(finished *workflow.TurnFinished) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	finished.Outcome, finished.Summary, finished.Data = o.outcome, o.summary, o.data
	if strings.TrimSpace(finished.Output) == "" && finished.Reason == workflow.ReasonEndTurn {
		finished.Output = o.summary // better than nothing for the next agent
	}
}
