package runner

import (
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
	valid  []string
	schema *dataSchema // nil takes any object, or none

	mu      sync.Mutex
	outcome string
	summary string
	data    any
}

// tool is the tool as it is offered to the model.
func (o *outcomeReport) tool() appclient.Tool {
	required := []string{"outcome", "summary"}
	data := property("object", "Optional: facts for whoever comes next, as a JSON object.")
	if o.schema != nil {
		data = o.schema.parameter()
		if !o.schema.optional() {
			required = append(required, "data")
		}
	}
	return appclient.Tool{
		Name: outcomeTool, Label: "Report outcome",
		Description: "Report the outcome of your work in this turn: one of " + strings.Join(o.valid, ", ") +
			". Call it once, when the outcome is certain and before your last message. A later call replaces an earlier one.",
		Parameters: object(map[string]any{
			"outcome": choice(o.valid, "The outcome."),
			"summary": property("string", "Why, in one or two sentences."),
			"data":    data,
		}, required...),
		Handler: o.handle,
	}
}

// handle takes a call.
func (o *outcomeReport) handle(_ context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	choices := strings.Join(o.valid, ", ")
	args, err := argumentsOf(call)
	if err != nil {
		return refusal("the arguments must be a JSON object with outcome (one of %s) and summary.", choices)
	}
	outcome, ok := args.text("outcome")
	if !ok || !slices.Contains(o.valid, outcome) {
		return refusal("outcome must be one of %s, not %s. Call %s again.", choices, shown(args["outcome"]), outcomeTool)
	}
	summary, ok := args.text("summary")
	if !ok || summary == "" {
		return refusal("summary must be a text of one or two sentences. Call %s again.", outcomeTool)
	}
	if len(args["data"]) > maxData {
		return refusal("data is larger than %d KiB. Shorten it and call %s again.", maxData>>10, outcomeTool)
	}
	var data map[string]any
	if args.has("data") && json.Unmarshal(args["data"], &data) != nil {
		return refusal("data must be a JSON object, not %s. Call %s again.", shown(args["data"]), outcomeTool)
	}
	if o.schema != nil {
		if mistakes := o.schema.check(args["data"]); mistakes != "" {
			return refusal("data does not match its schema:\n%s\nMend this and call %s again with all of its arguments.", mistakes, outcomeTool)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.outcome, o.summary, o.data = outcome, summary, nil
	if data != nil {
		o.data = data
	}
	return appclient.TextResult(fmt.Sprintf("Recorded the outcome %q. Now write your last message. "+
		"It must be complete by itself: nothing that you wrote before it is handed on.", outcome)), nil
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
