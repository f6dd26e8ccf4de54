package workflow

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const subTeam = `version: 1
name: outer
limits: {turns: 10, tokens: 100, duration: 1h, cost: 0.001}
agents:
  plan: {prompt: Plan.}
teams:
  work: {team: inner.yaml, input: {goal: "do {{ .output }}"}, limits: {turns: 7, tokens: 90}}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: work}
  - {from: work, on: succeeded, to: succeeded}
  - {from: work, on: budget_exceeded, when: "input == {}", to: plan, message: "again: {{ .summary }}"}
  - {from: "*", on: "*", to: failed}
`

func TestSubTeam(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, subTeam), nil)
	r.end(TurnFinished{Output: "it", Usage: Usage{TotalTokens: 20}, Cost: 300})
	turn := r.turn()
	if !cmp.Equal(turn.Input, map[string]any{"goal": "do it"}) || turn.Kind != KindTeam || r.s.Attempts != 1 {
		t.Fatalf("turn %+v, %d attempts", turn, r.s.Attempts)
	}
	// The smallest of the inner team's, the node's, and what is left here.
	want := Limits{Turns: 5, Tokens: 80, Cost: 700, Duration: time.Hour - r.s.Updated.Sub(r.s.Started)}
	if got := ChildLimits(r.team, r.s, turn); got != want {
		t.Errorf("limits %+v, want %+v", got, want)
	}
	if !NeedsPrice(r.team, r.s, turn) {
		t.Error("a limit of money applies")
	}
	r.must(TurnSending{Turn: turn.ID, Attempt: 1, Child: "T1.2.1"})
	report := ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 2, Usage: Usage{TotalTokens: 30}, Cost: 100}
	r.must(report)
	report.Attempts, report.Usage.TotalTokens, report.Cost = 3, 45, 150
	r.must(report)
	if r.s.Attempts != 4 || r.s.Usage.TotalTokens != 65 || r.s.Cost != 450 || r.turn().Child != "T1.2.1" || len(r.s.Conversations) != 1 {
		t.Errorf("%d attempts, %d tokens, cost %d: %+v", r.s.Attempts, r.s.Usage.TotalTokens, r.s.Cost, r.s)
	}
	if _, err := r.do(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 2, Usage: Usage{TotalTokens: 45}}); err == nil {
		t.Error("an older report is taken")
	}
	if got := r.turn().Conversation; got != "" {
		t.Errorf("a team has the conversation %q", got)
	}
	r.must(TurnFinished{
		Turn: turn.ID, Attempt: 1, Reason: ReasonSucceeded, Output: "o", Outcome: "fine", Summary: "s", Data: []any{1.0}, Usage: Usage{TotalTokens: 45}, Cost: 150,
	})
	r.wantStatus(TaskSucceeded)
	if r.s.Usage.TotalTokens != 65 || r.s.Cost != 450 {
		t.Errorf("what the child reported is counted twice: %+v", r.s.Usage)
	}
	result := r.s.Result
	if result.Output != "o" || result.Outcome != "fine" || result.Summary != "s" || !cmp.Equal(result.Data, any([]any{1.0})) {
		t.Errorf("result %+v", result)
	}
}

// A sub-team that did not get along with its own limits is an end like any
// other while there is something left here, and a limit of this task is not.
func TestSubTeamOverBudget(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		used   int64
		status TaskState
		nodes  string
	}{
		"of its own": {30, TaskRunning, "plan"},
		"of here":    {100, TaskFailed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, unchecked(t, subTeam), nil)
			r.end(TurnFinished{Output: "it"})
			turn := r.turn()
			r.must(TurnSending{Turn: turn.ID, Attempt: 1, Child: "C"})
			effects := r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 1, Usage: Usage{TotalTokens: test.used}})
			if stopped := r.turn().Stopping != ""; stopped != (test.used == 100) {
				t.Errorf("told to stop: %v, %+v", stopped, effects)
			}
			r.must(TurnFinished{Turn: turn.ID, Attempt: 1, Reason: ReasonBudgetExceeded, Summary: "half"})
			r.wantStatus(test.status)
			r.wantNodes(test.nodes)
		})
	}
}

// Input that the inner team does not take ends the task with an explanation.
func TestSubTeamInputThatDoesNotFit(t *testing.T) {
	t.Parallel()
	team := unchecked(t, subTeam)
	in := team.Teams["work"].Team.Inputs["goal"]
	in.Type = InputInt
	team.Teams["work"].Team.Inputs = map[string]Input{"goal": in}
	r := start(t, team, nil)
	r.end(TurnFinished{Output: "it"})
	r.wantStatus(TaskFailed)
	want := `plan ended with end_turn, and the input of rule 1 for "work" does not fit: the input "goal" must be a whole number, not "do it"`
	if got := r.s.Result.Explanation; got != want {
		t.Errorf("explanation %q", got)
	}
}

// A sub-team that was told to end because of this task's limits has not failed.
func TestSubTeamThatWasStopped(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, subTeam), nil)
	r.end(TurnFinished{Output: "it"})
	turn := r.turn()
	r.must(TurnSending{Turn: turn.ID, Attempt: 1, Child: "C"})
	r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 1, Usage: Usage{TotalTokens: 100}})
	r.must(PauseRequested{})
	r.must(ResumeRequested{Raise: Limits{Tokens: 1000}})
	r.must(TurnFinished{Turn: turn.ID, Attempt: 1, Reason: ReasonBudgetExceeded})
	r.wantStatus(TaskFailed)
	if want := "limits.tokens of the task: 100 of 100 used, and rule 4 goes to failed"; r.s.Result.Explanation != want {
		t.Errorf("explanation %q", r.s.Result.Explanation)
	}
}
