package orchestrator

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestDecisionsAreLogged(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	prev := &workflow.State{Task: "T", Team: "t", Status: workflow.TaskRunning, Turns: []workflow.Turn{{ID: 3, Node: "coder", Runtime: workflow.Runtime{Server: "s"}}}}
	next := &workflow.State{
		Task: "T", Team: "t", Batch: "B", Schedule: "nightly", Status: workflow.TaskFailed, Created: began, Updated: began.Add(2 * time.Second),
		Cost: 1_500_000, Usage: workflow.Usage{TotalTokens: 7}, Result: &workflow.Result{Explanation: "coder ended with error"},
	}
	d := engine.Decision{
		Prev: prev, Next: next, Event: workflow.Event{Body: workflow.TurnFinished{Turn: 3, Attempt: 2, Reason: workflow.ReasonError}},
		Effects: []workflow.Effect{workflow.Handoff{FromTurn: 3, From: "coder", To: "failed", Rule: 4, Reason: workflow.ReasonError}},
	}
	for level, want := range map[zerolog.Level]string{
		zerolog.ErrorLevel: "",
		zerolog.InfoLevel:  `{"level":"warn","task":"T","team":"t","state":"failed","took":2000,"tokens":7,"cost_usd":1.5,"batch":"B","schedule":"nightly","reason":"coder ended with error","message":"the task ended"}`,
		zerolog.DebugLevel: `{"level":"debug","task":"T","team":"t","turn":3,"attempt":2,"reason":"error","agent":"coder","server":"s","tokens":0,"message":"a turn ended"}` + "\n" +
			`{"level":"debug","task":"T","team":"t","turn":3,"rule":4,"from":"coder","to":"failed","reason":"error","message":"a handoff"}`,
	} {
		var out bytes.Buffer
		decisionLog{log: zerolog.New(&out).Level(level)}.Decided(d)
		got := strings.TrimSpace(out.String())
		if !strings.HasSuffix(got, want) || want == "" && got != "" {
			t.Errorf("at %s:\n%s\nwant\n%s", level, got, want)
		}
		for line := range strings.Lines(got) {
			if !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %s", line)
			}
		}
	}
	next.Status = workflow.TaskSucceeded
	var out bytes.Buffer
	decisionLog{log: zerolog.New(&out)}.Decided(d)
	if !strings.Contains(out.String(), `{"level":"info","task":"T"`) {
		t.Errorf("got %s", out.String())
	}
}
