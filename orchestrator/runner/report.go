package runner

import (
	"context"
	"encoding/json"
	"math"
	"sync"
	"unicode/utf8"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// maxReports bounds the reports of progress in one turn; each is stored.
	maxReports = 100
	// maxReportText bounds one report, in characters.
	maxReportText = 500
)

// progressReports serves update_progress.
type progressReports struct {
	a *attempt

	mu   sync.Mutex
	made int
}

func (p *progressReports) tool() appclient.Tool {
	return appclient.Tool{
		Name: workflow.ToolUpdateProgress, Label: "Update progress",
		Description: "Tell the people who watch this task what you have done and what you do next. Use it at the steps that matter, not for every command.",
		Parameters: object(map[string]any{
			"text":    property("string", "One or two sentences."),
			"percent": map[string]any{"type": "number", "minimum": 0, "maximum": 100, "description": "Optional: how much of the work is done."},
		}, "text"),
		Handler: p.a.during(p.handle),
	}
}

func (p *progressReports) handle(ctx context.Context, call appclient.ToolCall) (appclient.ToolResult, error) {
	args, err := argumentsOf(call)
	if err != nil {
		return refusal("the arguments must be a JSON object with text.")
	}
	text, ok := args.text("text")
	if !ok || text == "" || utf8.RuneCountInString(text) > maxReportText {
		return refusal("text must be one or two sentences, of at most %d characters. Call %s again.", maxReportText, workflow.ToolUpdateProgress)
	}
	var percent *int
	if args.has("percent") {
		var number float64
		if json.Unmarshal(args["percent"], &number) != nil || number < 0 || number > 100 {
			return refusal("percent must be a number from 0 to 100 or left out, not %s. Call %s again.", shown(args["percent"]), workflow.ToolUpdateProgress)
		}
		percent = new(int(math.Round(number)))
	}
	if !p.count() {
		return refusal("progress was reported %d times in this turn, which is as often as it may be. Go on with the work without it.", maxReports)
	}
	if err := p.a.rec.Report(ctx, text, percent); err != nil {
		return appclient.ToolResult{}, err
	}
	return appclient.TextResult("Recorded."), nil
}

func (p *progressReports) count() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made >= maxReports {
		return false
	}
	p.made++
	return true
}
