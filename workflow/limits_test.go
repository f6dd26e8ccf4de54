package workflow

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// limited parses a team of a, then b, with limits and rules before the last ones.
func limited(t *testing.T, limits, rules string) *run {
	t.Helper()
	return start(t, unchecked(t, `version: 1
name: limited
limits: {`+limits+`}
agents:
  a: {prompt: A.}
  b: {prompt: B., outcomes: [done]}
checks:
  check: {run: x}
gates:
  gate: {question: "More?", expires: 2h}
start: a
handoffs:
`+rules+`  - {from: a, on: end_turn, to: b}
  - {from: b, on: done, to: succeeded}
`), nil)
}

// TestLimitsBeforeATurn: what is reached refuses the next turn, says so, and
// pauses the task where no rule says more.
func TestLimitsBeforeATurn(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits, rules string
		end           TurnFinished
		after         time.Duration
		want          TaskState
		note          string
	}{
		"turns":    {limits: "turns: 1", want: TaskPaused, note: "limits.turns of the task: 1 reached; there is nothing left for a turn of b by rule 1"},
		"tokens":   {limits: "tokens: 50", end: TurnFinished{Usage: Usage{TotalTokens: 51}}, want: TaskPaused, note: "limits.tokens of the task: 51 of 50 used; there is nothing left"},
		"cost":     {limits: "cost: 0.01", end: TurnFinished{Cost: 12_000}, want: TaskPaused, note: "limits.cost of the task: $0.0120 of $0.0100 used"},
		"unpriced": {limits: "cost: 1", end: TurnFinished{Unpriced: true, Model: "m/x"}, want: TaskPaused, note: "the price of m/x is not known; add it to the price file"},
		"no price": {limits: "tokens: 5", end: TurnFinished{Unpriced: true, Model: "m/x"}, want: TaskRunning},
		"left":     {limits: "turns: 2, tokens: 50, cost: 1, duration: 1h", end: TurnFinished{Usage: Usage{TotalTokens: 49}, Cost: 999_999}, want: TaskRunning},
		"time":     {limits: "duration: 1h", after: time.Hour, want: TaskPaused, note: "limits.duration of the task: 1h0m0s are over"},
		"a rule that ends the task": {
			limits: "turns: 1", rules: "  - {from: a, on: budget_exceeded, to: failed}\n", want: TaskFailed, note: "rule 1 goes to failed",
		},
		"a rule for everything": {limits: "turns: 1", rules: "  - {from: a, on: error, to: b}\n  - {from: '*', on: ['*'], when: 'reason == \"budget_exceeded\"', to: cancelled}\n", want: TaskCancelled},
		"at_limit": {
			limits: "turns: 1, at_limit: pause", rules: "  - {from: a, on: '*', when: 'reason == \"budget_exceeded\"', to: failed}\n", want: TaskPaused,
		},
		"at_limit and a rule by name": {
			limits: "turns: 1, at_limit: pause", rules: "  - {from: a, on: [budget_exceeded], to: failed}\n", want: TaskFailed,
		},
		"a rule that asks for a turn": {limits: "turns: 1", rules: "  - {from: a, on: budget_exceeded, to: b}\n  - {from: a, on: budget_exceeded, retry: {max: 1}}\n", want: TaskPaused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := limited(t, test.limits, test.rules)
			turn := r.send()
			r.now = r.now.Add(test.after)
			test.end.Turn, test.end.Attempt, test.end.Reason = turn.ID, 1, ReasonEndTurn
			r.must(test.end)
			r.wantStatus(test.want)
			said := ""
			if r.s.Pause != nil {
				said = r.s.Pause.Note
			}
			if r.s.Result != nil {
				said = r.s.Result.Explanation
			}
			if !strings.Contains(said, test.note) {
				t.Errorf("said %q, want %q", said, test.note)
			}
			if test.want == TaskPaused && (len(r.s.Held) != 1 || r.s.Held[0].Turn.Node != "a") {
				t.Errorf("held %+v", r.s.Held)
			}
		})
	}
}

// When the time is over, what runs is told to end, and keeps what it has done.
func TestDeadline(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 1h", "  - {from: a, on: budget_exceeded, to: gate}\n  - {from: gate, on: approved, to: succeeded}\n")
	r.send()
	if want := r.s.Started.Add(time.Hour); !r.s.WakeAt.Equal(want) {
		t.Fatalf("wakes at %s, want %s", r.s.WakeAt, want)
	}
	r.now = r.s.WakeAt
	stop := effect[StopTurn](t, r.must(TimerFired{}))
	want := "limits.duration of the task: 1h0m0s are over"
	if stop.Turn != 1 || stop.Note != want || r.turn().Stopping != want || !r.s.WakeAt.IsZero() {
		t.Errorf("%+v, turn %+v, wakes at %s", stop, r.turn(), r.s.WakeAt)
	}
	h := effect[Handoff](t, r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonBudgetExceeded, Output: "half"}))
	if h.Reason != ReasonBudgetExceeded || h.Note != want || h.To != "gate" {
		t.Errorf("%+v", h)
	}
	// The gate is what a rule wants at the limit, and is not ended by it.
	r.wantStatus(TaskWaiting)
	r.wantNodes("gate")
	if got := r.turn().Expires; !r.s.WakeAt.Equal(got) {
		t.Errorf("wakes at %s, the gate expires at %s", r.s.WakeAt, got)
	}
	if r.s.Nodes["a"].Output != "half" {
		t.Errorf("what a has done is lost: %+v", r.s.Nodes["a"])
	}
	r.must(GateAnswered{Turn: 2, Approved: true})
	r.wantStatus(TaskSucceeded)
}

// A turn that waits for its back-off has not begun: it ends when the time is over.
func TestDeadlineOfAPendingTurn(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 10m", "  - {from: a, on: error, retry: {max: 1, backoff: 1h, max_backoff: 1h}}\n")
	r.end(TurnFinished{Reason: ReasonError})
	r.wantStatus(TaskWaiting)
	r.now = r.s.WakeAt
	effects := r.must(TimerFired{})
	r.wantStatus(TaskPaused)
	if effect[AbortTurn](t, effects).Attempt != 2 || r.s.Attempts != 1 || len(r.s.Held) != 1 {
		t.Errorf("%+v, %d attempts, held %+v", effects, r.s.Attempts, r.s.Held)
	}
	r.must(ResumeRequested{Raise: Limits{Duration: time.Hour}})
	r.wantStatus(TaskWaiting)
	if got := r.turn(); got.Attempt != 3 || got.NotBefore.IsZero() || got.Message != startMessage(r.team, &r.s) {
		t.Errorf("%+v", got)
	}
}

// The time in which a task waits for a person alone counts for no limit.
func TestWaitingForAPersonIsNoDuration(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 1h", "  - {from: a, on: end_turn, max: 1, to: gate}\n  - {from: gate, on: approved, to: a, message: x}\n")
	r.now = r.now.Add(30 * time.Minute)
	r.end(TurnFinished{})
	r.wantStatus(TaskWaiting)
	r.now = r.now.Add(90 * time.Minute)
	r.must(PauseRequested{})
	r.now = r.now.Add(24 * time.Hour)
	r.must(ResumeRequested{})
	if got := r.s.WakeAt.Sub(r.now); got < 29*time.Minute || got > 31*time.Minute {
		t.Errorf("the gate expires in %s: it stood still while the task was paused", got)
	}
	r.must(GateAnswered{Turn: 2, Approved: true})
	r.wantNodes("a")
	if got := r.s.WakeAt.Sub(r.now); got < 29*time.Minute || got > 31*time.Minute {
		t.Errorf("%s are left of the hour, half of which was used", got)
	}
	if !r.s.WaitingSince.IsZero() || r.s.Waited < 25*time.Hour {
		t.Errorf("waited %s, since %s", r.s.Waited, r.s.WaitingSince)
	}
}

const branchLimits = `version: 1
name: branches
limits: {turns: 30}
agents:
  plan: {prompt: Plan.}
  part: {prompt: Work.}
  last: {prompt: Sum up.}
start: plan
handoffs:
  - {from: plan, on: end_turn, for_each: "[1, 2]", to: part, limits: {LIMIT}}
  - {from: part, on: error, to: part, message: again}
  - {from: part, on: ON, join: all, to: last, message: "{{ range .branches }}{{ .label }} {{ .reason }} {{ .output }};{{ end }}"}
  - {from: "*", on: max_steps, to: failed}
`

func branches(t *testing.T, limit, on string) *run {
	t.Helper()
	r := start(t, unchecked(t, strings.NewReplacer("LIMIT", limit, "ON", on).Replace(branchLimits)), nil)
	r.finish(r.live("plan"), TurnFinished{})
	return r
}

// The limit of a branch ends that branch, which then arrives at the join.
func TestBranchLimit(t *testing.T) {
	t.Parallel()
	r := branches(t, "turns: 2", "[end_turn, budget_exceeded]")
	r.finish(r.live("part", "part[0]"), TurnFinished{Reason: ReasonError, Output: "1"})
	r.finish(r.live("part", "part[0]"), TurnFinished{Reason: ReasonError, Output: "2"})
	r.wantNodes("part@part[1]")
	r.finish(r.live("part"), TurnFinished{Output: "3"})
	r.wantNodes("last")
	if got := r.turn().Message; got != "part[0] budget_exceeded 2;part[1] end_turn 3;" {
		t.Errorf("message %q", got)
	}
}

// Where no rule takes it, the task pauses, and more can be given to the branch.
func TestBranchLimitIsRaised(t *testing.T) {
	t.Parallel()
	r := branches(t, "tokens: 10", "end_turn")
	other := r.live("part", "part[1]")
	r.must(TurnSending{Turn: other.ID, Attempt: 1})
	r.finish(r.live("part", "part[0]"), TurnFinished{Reason: ReasonError, Usage: Usage{TotalTokens: 10}})
	r.wantStatus(TaskPaused)
	r.wantNodes("part@part[1]") // goes on to its end
	if want := "limits.tokens of branch part[0]: 10 of 10 used; there is nothing left for a turn of part by rule 2"; r.s.Pause.Note != want {
		t.Errorf("note %q", r.s.Pause.Note)
	}
	r.must(TurnFinished{Turn: other.ID, Attempt: 1, Reason: ReasonEndTurn, Usage: Usage{TotalTokens: 9}})
	if len(r.s.Held) != 2 {
		t.Fatalf("held %+v", r.s.Held)
	}
	r.must(ResumeRequested{Raise: Limits{Tokens: 5}})
	r.wantStatus(TaskRunning)
	r.wantNodes("part@part[0]")
	if got := r.s.Branches[0].Raised; got != (Limits{Tokens: 5}) {
		t.Errorf("raised %+v", got)
	}
	if got := r.team.Effective(r.s); got != (Limits{Turns: 30}) {
		t.Errorf("a limit that is not set was raised: %+v", got)
	}
	r.finish(r.live("part"), TurnFinished{})
	r.wantNodes("last")
}

// OverBudget counts what runs for everything that it belongs to.
func TestOverBudget(t *testing.T) {
	t.Parallel()
	r := branches(t, "tokens: 10", "end_turn")
	ids := []int{r.s.Turns[0].ID, r.s.Turns[1].ID}
	live := func(a, b int64) map[int]Spent {
		return map[int]Spent{ids[0]: {Tokens: a}, ids[1]: {Tokens: b}, 99: {Tokens: 1000}}
	}
	if got := OverBudget(r.team, r.s, live(9, 9)); len(got) != 0 {
		t.Errorf("within the limits: %v", got)
	}
	want := map[int]string{ids[1]: "limits.tokens of branch part[1]: 10 of 10 used"}
	if diff := cmp.Diff(want, OverBudget(r.team, r.s, live(9, 10))); diff != "" {
		t.Errorf("one branch (-want +got):\n%s", diff)
	}
	team := *r.team
	team.Limits.Tokens = 18
	note := "limits.tokens of the task: 18 of 18 used"
	if diff := cmp.Diff(map[int]string{ids[0]: note, ids[1]: note}, OverBudget(&team, r.s, live(9, 9))); diff != "" {
		t.Errorf("the task (-want +got):\n%s", diff)
	}
}

// A turn that is stopped because of another one is told so, and only then.
func TestLimitReachedBesideATurn(t *testing.T) {
	t.Parallel()
	r := branches(t, "turns: 3", "end_turn")
	team := *r.team
	team.Limits.Cost = 100
	r.team = &team
	other := r.live("part", "part[1]")
	r.must(TurnSending{Turn: other.ID, Attempt: 1})
	effects := r.finish(r.live("part", "part[0]"), TurnFinished{Unpriced: true, Model: "m"})
	r.wantNodes("part@part[1]")
	if got := r.live("part").Stopping; got != "" {
		t.Errorf("a turn that runs is stopped for a price that is not known: %s %+v", got, effects)
	}
	r.must(TurnFinished{Turn: other.ID, Attempt: 1, Reason: ReasonEndTurn, Cost: 1})
	r.wantStatus(TaskPaused)
	// A person goes on with what is not known; the next turn without a price pauses again.
	r.must(ResumeRequested{})
	r.wantStatus(TaskRunning)
	if !cmp.Equal(r.s.Unpriced, []string{"m"}) {
		t.Errorf("what is not known is forgotten: %v", r.s.Unpriced)
	}
	r.finish(r.live("last"), TurnFinished{Unpriced: true, Model: "m"})
	if len(r.s.AcceptedUnpriced) != 0 {
		t.Errorf("accepted %v", r.s.AcceptedUnpriced)
	}
}

// A turn that ends by itself after it was told to stop ends as it ended.
func TestStoppingTooLate(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 1h", "  - {from: a, on: end_turn, to: succeeded}\n")
	r.send()
	r.now = r.s.WakeAt
	r.must(TimerFired{})
	r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonEndTurn})
	r.wantStatus(TaskSucceeded)
	if got := r.s.Result.Explanation; got != "a ended with end_turn, and rule 1 goes to succeeded" {
		t.Errorf("explanation %q", got)
	}
}

// The reminder that a limit refused is given when there is more.
func TestReminderAfterTheLimit(t *testing.T) {
	t.Parallel()
	r := limited(t, "turns: 2", "")
	r.end(TurnFinished{})
	r.end(TurnFinished{Output: "work"})
	r.wantStatus(TaskPaused)
	r.must(ResumeRequested{Raise: Limits{Turns: 1}})
	if got := r.turn(); !got.Reminder || got.Node != "b" || got.Attempt != 1 || got.PriorOutput != "work" {
		t.Fatalf("%+v", got)
	}
	r.end(TurnFinished{Outcome: "done"})
	r.wantStatus(TaskSucceeded)
	if r.s.Result.Output != "work" {
		t.Errorf("result %+v", r.s.Result)
	}
}

// The limits of a task that another one started count, with the team's.
func TestLimitsOfAParent(t *testing.T) {
	t.Parallel()
	team := unchecked(t, nestedTeam)
	team.Limits = Limits{Turns: 5, Tokens: 7, AtLimit: AtLimitPause}
	s, _, err := Decide(team, State{}, Event{Body: TaskSubmitted{Task: "C", Parent: &Parent{Task: "P", Turn: 1, Attempt: 1}, Limits: Limits{Turns: 9, Tokens: 3, Cost: 2}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := team.Effective(s); got != (Limits{Turns: 5, Tokens: 3, Cost: 2, AtLimit: AtLimitPause}) {
		t.Errorf("limits %+v", got)
	}
	if got := team.Effective(State{}); got != team.Limits {
		t.Errorf("limits of the team alone %+v", got)
	}
}

// The limit of the task does not end a branch alone: its end does not arrive at a join.
func TestLimitOfTheTaskInABranch(t *testing.T) {
	t.Parallel()
	r := branches(t, "turns: 20", "[end_turn, budget_exceeded]")
	team := *r.team
	team.Limits.Turns = 3
	r.team = &team
	r.finish(r.live("part", "part[0]"), TurnFinished{Reason: ReasonError})
	r.wantStatus(TaskPaused)
	if len(r.s.Held) != 2 || len(r.s.Groups[0].Arrived) != 0 { // the other one has not begun
		t.Errorf("held %+v, groups %+v", r.s.Held, r.s.Groups)
	}
}

// A check that a rule wants when the time is over is not ended by that, and the
// task does not wake for it again and again.
func TestCheckAfterTheDeadline(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 1h", "  - {from: a, on: budget_exceeded, to: check}\n  - {from: check, on: passed, to: succeeded}\n")
	r.send()
	r.now = r.s.WakeAt
	r.must(TimerFired{})
	r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonBudgetExceeded})
	r.wantNodes("check")
	if !r.s.WakeAt.IsZero() || !r.turn().Late {
		t.Errorf("wakes at %s for %+v", r.s.WakeAt, r.turn())
	}
	r.finish(r.turn(), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskSucceeded)
}

// A pause is no time that the task has used.
func TestPauseIsNoDuration(t *testing.T) {
	t.Parallel()
	r := limited(t, "duration: 1h", "")
	r.must(PauseRequested{})
	r.now = r.now.Add(48 * time.Hour)
	r.must(ResumeRequested{})
	r.wantStatus(TaskRunning)
	if got := r.s.WakeAt.Sub(r.now); got < 59*time.Minute || got > time.Hour {
		t.Errorf("%s are left", got)
	}
}

// What the task waited before a branch began is no gain for the branch.
func TestBranchDeadline(t *testing.T) {
	t.Parallel()
	r := limited(t, "turns: 9", `  - {from: a, on: end_turn, to: gate}
  - {from: gate, on: approved, max: 1, to: check, limits: {duration: 10m}}
  - {from: check, on: failed, to: gate}
  - {from: gate, on: rejected, to: check}
  - {from: [check, gate], on: [passed, budget_exceeded], join: all, to: a}
`)
	r.end(TurnFinished{})
	r.now = r.now.Add(time.Hour)
	r.must(GateAnswered{Turn: 2, Approved: true})
	if got := r.s.WakeAt.Sub(r.now); got != 10*time.Minute {
		t.Errorf("the branch has %s", got)
	}
	r.finish(r.live("check"), TurnFinished{Reason: ReasonFailed})
	r.now = r.now.Add(time.Hour)
	r.must(GateAnswered{Turn: r.turn().ID})
	if got := r.s.WakeAt.Sub(r.now); got < 9*time.Minute || got > 10*time.Minute {
		t.Errorf("the branch has %s left", got)
	}
	check := r.turn()
	r.must(TurnSending{Turn: check.ID, Attempt: 1})
	r.now = r.s.WakeAt
	stop := effect[StopTurn](t, r.must(TimerFired{}))
	if stop.Note != "limits.duration of branch check: 10m0s are over" {
		t.Errorf("%+v", stop)
	}
	r.must(TurnFinished{Turn: check.ID, Attempt: 1, Reason: ReasonBudgetExceeded})
	r.wantNodes("a")
}

// A fan-out whose first branch ends the others before they have begun.
func TestFanOutThatIsJoinedAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, `version: 1
name: at-once
agents:
  a: {prompt: A.}
  b: {prompt: B.}
checks:
  check: {run: x}
  last: {run: x}
start: a
handoffs:
  - {from: a, on: end_turn, to: [b, check], limits: {cost: 1}}
  - {from: b, on: budget_exceeded, join: any, to: last}
`), nil)
	r.end(TurnFinished{Unpriced: true})
	r.wantNodes("last")
	r.wantStatus(TaskRunning)
}

// The elements that had not begun when a limit paused the task begin when there is more.
func TestForEachGoesOnAfterAPause(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, `version: 1
name: each
limits: {turns: 2}
agents:
  plan: {prompt: Plan.}
  part: {prompt: Work.}
start: plan
handoffs:
  - {from: plan, on: end_turn, for_each: "[1, 2, 3, 4]", to: part}
  - {from: part, on: end_turn, join: all, to: succeeded}
`), nil)
	r.end(TurnFinished{})
	r.wantStatus(TaskPaused)
	if len(r.s.Held) != 2 || r.s.Groups[0].Next != 2 {
		t.Errorf("held %+v, group %+v", r.s.Held, r.s.Groups)
	}
	r.must(ResumeRequested{Raise: Limits{Turns: 5}})
	r.wantNodes("part@part[0] part@part[1] part@part[2] part@part[3]")
}

// A raise adds to the limits of branches that have reached one, and is refused
// where it would add to nothing.
func TestCheckRaise(t *testing.T) {
	t.Parallel()
	r := branches(t, "tokens: 10", "end_turn")
	for _, test := range []struct {
		used  int64
		raise Limits
		want  []string
	}{
		{0, Limits{}, nil},
		{0, Limits{Turns: 1}, nil},
		{0, Limits{Tokens: 1}, []string{"tokens"}},
		{10, Limits{Tokens: 1}, nil},
		{10, Limits{Tokens: 1, Cost: 1, Duration: 1}, []string{"duration", "cost"}},
	} {
		s := r.s.clone()
		s.Branches[0].Usage.TotalTokens = test.used
		err := CheckRaise(r.team, s, test.raise, s.Updated)
		none, refused := errors.AsType[*RaiseError](err)
		if refused != (test.want != nil) || refused && !slices.Equal(none.Limits, test.want) {
			t.Errorf("%+v after %d tokens: %v, want %q", test.raise, test.used, err, test.want)
		}
		d := decision{team: r.team, at: s.Updated, s: s.clone()}
		d.raise(test.raise)
		effect := d.s.Branches[0].Raised.set() || r.team.Effective(d.s) != r.team.Effective(s)
		if err == nil && test.raise.set() && !effect {
			t.Errorf("%+v after %d tokens has no effect", test.raise, test.used)
		}
	}
}
