package main

import (
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const fixtureTeam = `version: 1
name: plan-code-review
inputs:
  goal: {type: string, required: true}
limits: {turns: 20}
agents:
  planner: {prompt: Plan., turn_timeout: 15m}
  coder: {prompt: Code.}
  reviewer: {prompt: Review., outcomes: [approve, request_changes]}
start: planner
handoffs:
  - {from: planner, on: end_turn, to: coder, message: "Goal: {{ .input.goal }}\n\nPlan:\n{{ .output }}"}
  - {from: coder, on: end_turn, to: reviewer}
  - {from: reviewer, on: request_changes, to: coder, max: 3, message: "{{ .output }}"}
  - {from: reviewer, on: approve, to: succeeded}
  - {from: "*", on: [llm_api_error, connection_lost], retry: {max: 5, backoff: 30s}}
  - {from: "*", on: "*", to: failed}
`

// journal builds the journal of a task by deciding for real.
type journal struct {
	t       *testing.T
	team    *workflow.Team
	state   workflow.State
	at      time.Time
	records []store.Record
}

func newJournal(t *testing.T) *journal {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(fixtureTeam), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{t: t, team: team, at: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)}
	j.add(0, workflow.TaskSubmitted{
		Task: "01JDQ7", Team: team.Name, Revision: team.Revision, Input: map[string]any{"goal": "Add a --json flag"}, Workspace: "/home/user/repo",
	})
	j.add(time.Millisecond, workflow.TaskClaimed{})
	return j
}

// add commits one event some time after the one before.
func (j *journal) add(after time.Duration, body workflow.EventBody) {
	j.t.Helper()
	j.at = j.at.Add(after)
	event := workflow.Event{At: j.at, Body: body}
	next, effects, err := workflow.Decide(j.team, j.state, event)
	if err != nil {
		j.t.Fatalf("%s: %v", body.EventType(), err)
	}
	j.state = next
	j.records = append(j.records, store.Record{Task: next.Task, Seq: next.Version, Event: event, Effects: effects})
}

// send begins the only live turn.
func (j *journal) send() workflow.Turn {
	j.t.Helper()
	turn := j.state.Turns[0]
	rt := workflow.Runtime{Server: "ws://127.0.0.1:4500", AgentID: "agent-" + turn.Node, ConversationID: "conv-" + turn.Node}
	j.add(200*time.Millisecond, workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, ClientMessageID: "id", Runtime: rt})
	j.add(5*time.Millisecond, workflow.TurnAccepted{Turn: turn.ID, Attempt: turn.Attempt, Disposition: "started"})
	return turn
}

// turn runs the only live turn to its end.
func (j *journal) turn(took time.Duration, f workflow.TurnFinished) {
	j.t.Helper()
	turn := j.send()
	f.Turn, f.Attempt = turn.ID, turn.Attempt
	j.add(took, f)
}

func tokens(n int64) workflow.Usage {
	return workflow.Usage{PromptTokens: n - 100, CompletionTokens: 100, TotalTokens: n, Requests: 2}
}

// wholeStory goes through everything that can happen short of failing.
func wholeStory(t *testing.T) *journal {
	j := newJournal(t)
	j.turn(12*time.Second, workflow.TurnFinished{
		Reason: workflow.ReasonEndTurn, Output: "1. Edit main.go\n2. Test\n3.\n4.\n5.\n6.\n7.\n8.\n9. Done\n",
		Usage: tokens(3100), ToolCalls: 3, RunID: "run-1", TurnID: "batch-1",
	})
	j.turn(48*time.Second, workflow.TurnFinished{Reason: workflow.ReasonLLMAPIError, Error: "500: overloaded\ntry later", Usage: tokens(400)})
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{})
	j.turn(61*time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Done.", Usage: tokens(11900), ToolCalls: 12})
	j.turn(9*time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Looks odd.", Usage: tokens(5000)})
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Outcome: "request_changes", Summary: "Name the flag.", Usage: tokens(900)})
	crashed := j.send()
	j.add(5*time.Minute, workflow.TurnReconciled{
		Turn: crashed.ID, Attempt: crashed.Attempt, Finding: workflow.FindingInterrupted, Detail: "the input is in the conversation, an answer is not",
	})
	j.turn(20*time.Second, workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Named.", Usage: tokens(4000), ToolCalls: 2})
	j.turn(7*time.Second, workflow.TurnFinished{
		Reason: workflow.ReasonEndTurn, Outcome: "approve", Summary: "Good.", Data: map[string]any{"risk": "low"}, Usage: tokens(5700),
	})
	if j.state.Status != workflow.TaskSucceeded {
		t.Fatalf("the story ends as %s", j.state.Status)
	}
	return j
}

// failedStory ends because no rule wants the reason but the last.
func failedStory(t *testing.T) *journal {
	j := newJournal(t)
	j.turn(3*time.Second, workflow.TurnFinished{Reason: workflow.ReasonMaxTokensExceeded, Error: "the answer was cut", Usage: tokens(9000)})
	return j
}
