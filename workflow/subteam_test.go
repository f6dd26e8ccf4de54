package workflow

import (
	"errors"
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
	if _, err := r.do(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 2, Usage: Usage{TotalTokens: 44}}); !errors.Is(err, ErrStale) {
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

// keeps is a team whose limits pause it.
const keeps = `version: 1
name: outer
limits: {turns: 4, tokens: 100, duration: 1h, at_limit: pause}
agents:
  plan: {prompt: Plan.}
teams:
  work: {team: inner.yaml, input: {goal: "do {{ .output }}"}}
gates:
  ok: {question: "Good?", expires: 72h}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: work}
  - {from: work, on: succeeded, to: ok}
  - {from: ok, on: "*", to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// inWork begins the sub-team of a run of keeps.
func inWork(t *testing.T) (*run, Turn) {
	t.Helper()
	r := start(t, unchecked(t, keeps), nil)
	r.end(TurnFinished{Output: "it", Usage: Usage{TotalTokens: 20}})
	turn := r.turn()
	r.must(TurnSending{Turn: turn.ID, Attempt: 1, Child: "C"})
	return r, r.turn()
}

// A sub-team that a limit of this task stops is kept, and goes on when there is more.
func TestSubTeamGoesOnWithItsTask(t *testing.T) {
	t.Parallel()
	r, turn := inWork(t)
	want := func(wish ChildWish) {
		t.Helper()
		if got := r.s.Children()["C"]; got != wish {
			t.Errorf("%q is wanted of the sub-team, not %q", got, wish)
		}
	}
	want(ChildRuns)
	effects := r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 1, Usage: Usage{TotalTokens: 80}, Status: TaskRunning})
	if stop := effect[StopTurn](t, effects); stop.Turn != turn.ID {
		t.Errorf("%+v", stop)
	}
	want(ChildStops)
	r.must(TurnFinished{Turn: turn.ID, Attempt: 1, Reason: ReasonBudgetExceeded})
	r.wantStatus(TaskPaused)
	want(ChildStops)
	r.must(ResumeRequested{Raise: Limits{Tokens: 50}})
	r.wantStatus(TaskRunning)
	if turn = r.turn(); turn.Attempt != 2 || turn.Child != "C" || turn.State != TurnPending || turn.ChildUsage.TotalTokens != 80 {
		t.Errorf("%+v", turn)
	}
	want(ChildStops) // until the attempt is recorded
	r.must(TurnSending{Turn: turn.ID, Attempt: 2, Child: "C"})
	want(ChildRuns)
	r.must(ChildReported{Turn: turn.ID, Attempt: 2, Attempts: 2, Usage: Usage{TotalTokens: 90}, Status: TaskRunning})
	r.must(TurnFinished{Turn: turn.ID, Attempt: 2, Reason: ReasonSucceeded})
	if r.s.Usage.TotalTokens != 110 || r.s.Attempts != 3 {
		t.Errorf("%d tokens, %d attempts", r.s.Usage.TotalTokens, r.s.Attempts)
	}
	want("")
}

// A turn that a sub-team is about to begin is refused where there is none left.
func TestSubTeamTurnThatIsOneTooMany(t *testing.T) {
	t.Parallel()
	r, turn := inWork(t)
	for attempts := 1; attempts <= 4; attempts++ {
		r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: attempts, Status: TaskRunning, Starting: true})
		if stopping, over := r.turn().Stopping, attempts > 3; (stopping != "") != over {
			t.Errorf("%d attempts: %q", attempts, stopping)
		}
	}
	if want := "limits.turns of the task: 4 reached"; r.turn().Stopping != want {
		t.Errorf("%q", r.turn().Stopping)
	}
	r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 3, Status: TaskPaused}) // it took the turn back
	if r.s.Attempts != 4 {
		t.Errorf("%d attempts", r.s.Attempts)
	}
}

func TestLimitReachedBelow(t *testing.T) {
	t.Parallel()
	r, turn := inWork(t)
	r.must(LimitReached{Turn: turn.ID, Attempt: 1, Note: "enough"})
	if r.turn().Stopping != "enough" {
		t.Errorf("%+v", r.turn())
	}
	if _, err := r.do(LimitReached{Turn: turn.ID, Attempt: 1, Note: "more than enough"}); !errors.Is(err, ErrStale) {
		t.Errorf("told twice: %v", err)
	}
}

// While a sub-team waits for a person, so does the task: the clock stands still.
func TestSubTeamWaits(t *testing.T) {
	t.Parallel()
	r, turn := inWork(t)
	report := ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 1, Status: TaskWaiting}
	r.must(report)
	r.wantStatus(TaskWaiting)
	if !r.s.WakeAt.IsZero() {
		t.Errorf("it waits for %s", r.s.WakeAt)
	}
	r.now = r.now.Add(10 * time.Hour)
	report.Status = TaskRunning
	r.must(report)
	r.wantStatus(TaskRunning)
	if r.turn().Stopping != "" || r.s.Waited < 10*time.Hour || r.s.WakeAt.Before(r.now) {
		t.Errorf("waited %s, stopping %q", r.s.Waited, r.turn().Stopping)
	}
	report.Status = TaskPaused
	r.must(report)
	r.wantStatus(TaskWaiting)
	r.must(TurnFinished{Turn: turn.ID, Attempt: 1, Reason: ReasonSucceeded})
	r.wantNodes("ok")
}

// What a parent has paused goes on with the parent alone.
func TestPausedByTheParent(t *testing.T) {
	t.Parallel()
	r, turn := inWork(t)
	r.must(PauseRequested{By: "ann"})
	if got := r.s.Children()["C"]; got != ChildPauses {
		t.Errorf("%q is wanted", got)
	}
	r.must(ChildReported{Turn: turn.ID, Attempt: 1, Attempts: 1, Status: TaskPaused})
	if r.s.WaitingSince.IsZero() {
		t.Error("its clock does not stand still")
	}
	r.must(ResumeRequested{By: "ann"})
	r.wantStatus(TaskRunning)
	if got := r.s.Children()["C"]; got != ChildRuns {
		t.Errorf("%q is wanted", got)
	}

	child := start(t, unchecked(t, keeps), nil)
	child.s.Parent = &Parent{Task: "P", Turn: 1, Attempt: 1}
	running := child.turn()
	child.must(TurnSending{Turn: running.ID, Attempt: 1})
	child.must(PauseRequested{By: "task P", Note: "paused with task P", Parent: true})
	effects := child.must(PauseRequested{By: "task P", Note: "enough", Parent: true, Stop: true})
	if stop := effect[StopTurn](t, effects); stop.Turn != running.ID || stop.Note != "enough" {
		t.Errorf("%+v", stop)
	}
	var byParent *PausedByParentError
	if _, err := child.do(ResumeRequested{By: "ann"}); !errors.As(err, &byParent) || byParent.Parent != "P" {
		t.Errorf("resumed by a person: %v", err)
	}
	child.must(TurnFinished{Turn: running.ID, Attempt: 1, Reason: ReasonBudgetExceeded, Output: "half"})
	child.wantStatus(TaskPaused) // whatever its own rules make of a limit
	child.must(ResumeRequested{By: "task P", Parent: true})
	if again := child.turn(); again.Node != "plan" || again.Attempt != 2 {
		t.Errorf("%+v", again)
	}
}
