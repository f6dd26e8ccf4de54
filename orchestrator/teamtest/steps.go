package teamtest

import (
	"cmp"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The turn of an agent that is cut off is silent in short pieces, since the
// App Server notices an abort between them.
const (
	silence      = 10 * time.Millisecond
	silentPieces = 3000
)

// cutOff reports whether the turn does not end by itself.
func (e *Ending) cutOff() bool {
	switch e.Reason {
	case EndingCrash, string(workflow.ReasonTurnTimeout), string(workflow.ReasonStalled):
		return true
	}
	return false
}

// answer is what the agent does in the turn, for the scripted App Server.
func (e *Ending) answer(agent *workflow.Agent) apptest.Turn {
	var turn apptest.Turn
	say := func() {
		if e.Output != "" {
			turn = append(turn, apptest.Step{Say: literal(e.Output)})
		}
	}
	call := func(name string, input map[string]any) {
		turn = append(turn, apptest.Step{External: &apptest.Call{Name: name, Input: input}}, apptest.Step{Usage: &apptest.Usage{}})
	}
	turn = append(turn, apptest.Step{Usage: &apptest.Usage{}})
	for _, c := range e.Calls {
		turn = append(turn, apptest.Step{Tool: &apptest.Call{Name: c.Tool, Input: c.Input}}, apptest.Step{Usage: &apptest.Usage{}})
	}
	if e.Handoff != "" {
		call(workflow.ToolHandoff, map[string]any{"to": e.Handoff, "message": literal(cmp.Or(e.HandoffMessage, e.Output, e.Handoff))})
	}
	if e.reports(agent) {
		input := map[string]any{"outcome": e.Reason, "summary": literal(cmp.Or(e.Summary, firstLine(e.Output), e.Reason))}
		if e.Data != nil {
			input["data"] = literals(e.Data)
		}
		call("report_outcome", input)
	}
	if e.cutOff() {
		say()
		for range silentPieces {
			turn = append(turn, apptest.Step{Delay: silence})
		}
		return turn
	}
	turn[len(turn)-1] = apptest.Step{Usage: &apptest.Usage{PromptTokens: e.PromptTokens, CompletionTokens: e.CompletionTokens}}
	say()
	switch reason := workflow.Reason(e.Reason); {
	case e.Reason == EndingQuota, reason == workflow.ReasonLLMAPIError:
		turn = append(turn, apptest.Step{Error: &apptest.Failure{Status: e.status(), Message: e.Error}})
	case e.reports(agent), reason == workflow.ReasonEndTurn, reason == workflow.ReasonNoOutcome, reason == workflow.ReasonUncertain:
	default:
		turn = append(turn, apptest.Step{StopReason: e.Reason})
	}
	return turn
}

// status is what the provider of the model answers.
func (e *Ending) status() int {
	if e.Reason == EndingQuota {
		return 429
	}
	return 500
}

// reports reports whether the ending is an outcome of the agent.
func (e *Ending) reports(agent *workflow.Agent) bool {
	for _, outcome := range agent.Outcomes {
		if outcome == e.Reason {
			return true
		}
	}
	return false
}

// takes is how long the node takes in virtual time.
func (e *Ending) takes(otherwise time.Duration) time.Duration {
	if e.Takes != nil {
		return *e.Takes
	}
	return otherwise
}

// literal keeps a text from being read as a template of the script.
func literal(text string) string { return strings.ReplaceAll(text, "{{", `{{"{{"}}`) }

func literals(value any) any {
	switch v := value.(type) {
	case string:
		return literal(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = literals(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = literals(item)
		}
		return out
	}
	return value
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}
