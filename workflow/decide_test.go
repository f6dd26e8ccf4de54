package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// run drives one task through Decide and checks, at every step, what holds for
// every decision.
type run struct {
	t    testing.TB
	team *Team
	s    State
	now  time.Time
	log  []Event
	all  []Effect
}

func start(t testing.TB, team *Team, input map[string]any) *run {
	t.Helper()
	r := &run{t: t, team: team, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	bound, err := team.BindInput(input)
	if err != nil {
		t.Fatal(err)
	}
	r.must(TaskSubmitted{Task: "T1", Team: team.Name, Revision: team.Revision, Input: bound, Workspace: "/w"})
	r.must(TaskClaimed{})
	return r
}

// do applies an event one second later.
func (r *run) do(body EventBody) ([]Effect, error) {
	r.t.Helper()
	r.now = r.now.Add(time.Second)
	before := encode(r.t, r.s)
	e := Event{At: r.now, Body: body}
	next, effects, err := Decide(r.team, r.s, e)
	if after := encode(r.t, r.s); after != before {
		r.t.Fatalf("Decide changed the old state:\n%s\n%s", before, after)
	}
	if err != nil {
		if diff := cmp.Diff(r.s, next); diff != "" || effects != nil {
			r.t.Fatalf("an error came with a change: %v\n%s", err, diff)
		}
		return nil, err
	}
	if next.Version != r.s.Version+1 || !next.Updated.Equal(r.now) {
		r.t.Fatalf("version %d -> %d, updated %v", r.s.Version, next.Version, next.Updated)
	}
	r.s, r.log, r.all = next, append(r.log, e), append(r.all, effects...)
	return effects, nil
}

func (r *run) must(body EventBody) []Effect {
	r.t.Helper()
	effects, err := r.do(body)
	if err != nil {
		r.t.Fatalf("%s: %v", body.EventType(), err)
	}
	return effects
}

// turn is the only live turn.
func (r *run) turn() Turn {
	r.t.Helper()
	if len(r.s.Turns) != 1 {
		r.t.Fatalf("%d live turns, status %s, result %+v", len(r.s.Turns), r.s.Status, r.s.Result)
	}
	return r.s.Turns[0]
}

// send brings the live turn to running.
func (r *run) send() Turn {
	r.t.Helper()
	t := r.turn()
	r.must(TurnSending{Turn: t.ID, Attempt: t.Attempt, ClientMessageID: "m", Runtime: Runtime{Server: "s", AgentID: t.Node, ConversationID: "c-" + t.Node}})
	r.must(TurnAccepted{Turn: t.ID, Attempt: t.Attempt})
	return r.turn()
}

// end sends the live turn and ends it.
func (r *run) end(f TurnFinished) []Effect {
	r.t.Helper()
	t := r.send()
	f.Turn, f.Attempt = t.ID, t.Attempt
	if f.Reason == "" {
		f.Reason = ReasonEndTurn
	}
	return r.must(f)
}

func encode(t testing.TB, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func effect[T Effect](t testing.TB, effects []Effect) T {
	t.Helper()
	for _, e := range effects {
		if e, ok := e.(T); ok {
			return e
		}
	}
	var zero T
	t.Fatalf("no %s among %+v", zero.EffectType(), effects)
	return zero
}

func (r *run) wantStatus(want TaskState) {
	r.t.Helper()
	if r.s.Status != want {
		r.t.Fatalf("status %s, want %s; result %+v", r.s.Status, want, r.s.Result)
	}
}

const reviewTeam = `version: 1
name: review
inputs: {goal: {required: true}, rounds: {type: int, default: 5}}
limits: {turns: 20}
agents:
  coder: {prompt: Code.}
  reviewer: {prompt: Review., outcomes: [approve, request_changes]}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: reviewer}
  - {from: reviewer, on: request_changes, when: data.score < 3, to: failed}
  - {from: reviewer, on: request_changes, to: coder, max: 2, message: "{{ .summary }}: {{ .output }} (round {{ .visits }} of {{ .input.rounds }})"}
  - {from: reviewer, on: approve, to: succeeded}
  - {from: "*", on: [llm_api_error, connection_lost], retry: {max: 2, backoff: 10s}}
  - {from: "*", on: cancelled, to: cancelled}
  - {from: "*", on: "*", to: failed}
`

func TestDecideToTheEnd(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "Add a flag"})
	if got := r.turn(); got.Message != "Add a flag" || got.Node != "coder" || got.Attempt != 1 || got.State != TurnPending {
		t.Fatalf("first turn %+v", got)
	}
	effects := r.end(TurnFinished{Output: "done it", Usage: Usage{TotalTokens: 10, Requests: 1}})
	wantHandoff := Handoff{FromTurn: 1, From: "coder", Reason: ReasonEndTurn, Rule: 1, Fired: 1, To: "reviewer", ToTurn: 2}
	if diff := cmp.Diff(wantHandoff, effect[Handoff](t, effects)); diff != "" {
		t.Errorf("first handoff (-want +got):\n%s", diff)
	}
	want := "The task:\nAdd a flag\n\ncoder ended with end_turn.\n\nIts output:\ndone it"
	if got := effect[StartTurn](t, effects); got.Message != want || got.Turn != 2 || got.Node != "reviewer" {
		t.Errorf("start of the reviewer: %+v", got)
	}
	effects = r.end(TurnFinished{Outcome: "request_changes", Summary: "tests", Output: "add tests", Usage: Usage{TotalTokens: 5}})
	handoff := effect[Handoff](t, effects)
	if handoff.Rule != 3 || handoff.Fired != 1 || handoff.Max != 2 || handoff.Reason != "request_changes" {
		t.Errorf("second handoff %+v", handoff)
	}
	if len(handoff.Skipped) != 1 || handoff.Skipped[0].Rule != 2 || !strings.Contains(handoff.Skipped[0].Why, "counts as false") {
		t.Errorf("skipped %+v: data is nil, so rule 2 cannot be evaluated", handoff.Skipped)
	}
	if got := r.turn().Message; got != "tests: add tests (round 1 of 5)" {
		t.Errorf("message %q", got)
	}
	effects = r.end(TurnFinished{Output: "with tests"})
	if got := effect[StartTurn](t, effects).Message; strings.Contains(got, "The task") {
		t.Errorf("the reviewer is told the task a second time: %q", got)
	}
	effects = r.end(TurnFinished{Outcome: "approve", Summary: "fine", Data: map[string]any{"score": 9.0}})
	r.wantStatus(TaskSucceeded)
	result := effect[FinishTask](t, effects).Result
	wantResult := Result{State: TaskSucceeded, Node: "reviewer", Reason: "approve", Rule: 4,
		Outcome: "approve", Summary: "fine", Data: map[string]any{"score": 9.0},
		Explanation: "reviewer ended with approve, and rule 4 goes to succeeded", At: r.now}
	if diff := cmp.Diff(wantResult, result); diff != "" {
		t.Errorf("result (-want +got):\n%s", diff)
	}
	if r.s.Result == nil || len(r.s.Turns) != 0 || r.s.Attempts != 4 || r.s.LastTurn != 4 || r.s.Usage.TotalTokens != 15 {
		t.Errorf("state at the end: %+v", r.s)
	}
	if got := r.s.Nodes["coder"]; got.Visits != 2 || got.Output != "with tests" || got.Turn != 3 {
		t.Errorf("coder at the end: %+v", got)
	}
	if _, err := r.do(TimerFired{}); !errors.Is(err, ErrTerminal) {
		t.Errorf("an event after the end: %v", err)
	}
}

func TestDecideConditionOnData(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	r.end(TurnFinished{Output: "x"})
	r.end(TurnFinished{Outcome: "request_changes", Data: map[string]any{"score": 1.0}})
	r.wantStatus(TaskFailed)
	if r.s.Result.Rule != 2 {
		t.Errorf("result %+v, want rule 2", r.s.Result)
	}
}

func TestDecideUsedUpRule(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	for range 2 {
		r.end(TurnFinished{Output: "x"})
		r.end(TurnFinished{Outcome: "request_changes", Output: "again"})
	}
	r.end(TurnFinished{Output: "x"})
	effects := r.end(TurnFinished{Outcome: "request_changes", Output: "again"})
	r.wantStatus(TaskFailed)
	handoff := effect[Handoff](t, effects)
	if handoff.Rule != 7 || handoff.To != TerminalFailed {
		t.Errorf("handoff %+v, want rule 7", handoff)
	}
	if why := handoff.Skipped[1]; why.Rule != 3 || why.Why != "used up: it has fired 2 of 2 times" {
		t.Errorf("skipped %+v", handoff.Skipped)
	}
}

func TestDecideRetry(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	first := r.turn()
	effects := r.end(TurnFinished{Reason: ReasonLLMAPIError, Error: "500"})
	r.wantStatus(TaskWaiting)
	wait := r.s.WakeAt.Sub(r.now)
	if wait < 8*time.Second || wait > 12*time.Second {
		t.Errorf("first wait %s, want 10s and at most a fifth more or less", wait)
	}
	handoff := effect[Handoff](t, effects)
	if !handoff.Retry || handoff.Fired != 1 || handoff.Max != 2 || handoff.To != "coder" || handoff.ToTurn != 1 || !handoff.NotBefore.Equal(r.s.WakeAt) {
		t.Errorf("retry handoff %+v", handoff)
	}
	if len(effects) != 1 {
		t.Errorf("a waiting turn was started: %+v", effects)
	}
	again := r.turn()
	if again.ID != first.ID || again.Attempt != 2 || again.Message != first.Message || again.State != TurnPending || again.ClientMessageID != "" {
		t.Errorf("second attempt %+v", again)
	}
	if _, err := r.do(TurnSending{Turn: 1, Attempt: 2}); err == nil {
		t.Error("a waiting turn was sent")
	}
	if _, err := r.do(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonEndTurn}); !errors.Is(err, ErrStale) {
		t.Errorf("an answer from the older attempt: %v", err)
	}
	started := effect[StartTurn](t, r.must(TimerFired{}))
	if started.Turn != 1 || started.Attempt != 2 || !r.s.WakeAt.IsZero() || !r.turn().NotBefore.IsZero() {
		t.Errorf("after the timer: %+v, state %+v", started, r.s)
	}
	r.wantStatus(TaskRunning)
	r.end(TurnFinished{Reason: ReasonConnectionLost})
	if wait := r.s.WakeAt.Sub(r.now); wait < 16*time.Second || wait > 24*time.Second {
		t.Errorf("second wait %s, want about 20s", wait)
	}
	r.must(TimerFired{})
	effects = r.end(TurnFinished{Reason: ReasonConnectionLost, Error: "refused\nagain"})
	r.wantStatus(TaskFailed)
	if got := effect[Handoff](t, effects).Skipped; got[len(got)-2].Why != "used up: 2 of 2 retries of this turn" {
		t.Errorf("skipped %+v", got)
	}
	if got := r.s.Result.Explanation; got != "coder ended with connection_lost (refused again), and rule 7 goes to failed" {
		t.Errorf("explanation %q", got)
	}
	if got := r.s.Nodes["coder"].Visits; got != 1 {
		t.Errorf("retries counted as visits: %d", got)
	}
}

func TestDecideRetryAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, strings.Replace(reviewTeam, "backoff: 10s", "backoff: 0s", 1)), map[string]any{"goal": "g"})
	effects := r.end(TurnFinished{Reason: ReasonLLMAPIError})
	r.wantStatus(TaskRunning)
	if got := effect[StartTurn](t, effects); got.Attempt != 2 {
		t.Errorf("start %+v", got)
	}
}

func TestDecideReminder(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name     string
		reminder TurnFinished
		status   TaskState
		reason   Reason
		output   string
	}{
		{"reported", TurnFinished{Outcome: "approve", Summary: "ok", Output: "Reported."}, TaskSucceeded, "approve", "the review"},
		{"not reported", TurnFinished{Output: "I am sorry."}, TaskFailed, ReasonNoOutcome, "the review"},
		{"not an outcome", TurnFinished{Outcome: "maybe"}, TaskFailed, ReasonNoOutcome, "the review"},
		{"failed", TurnFinished{Reason: ReasonError}, TaskFailed, ReasonError, "the review"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
			r.end(TurnFinished{Output: "x"})
			effects := r.end(TurnFinished{Output: "the review", Outcome: "unheard-of"})
			started := effect[StartTurn](t, effects)
			if !started.Reminder || started.Turn != 3 || !strings.Contains(started.Message, "approve, request_changes") || !strings.Contains(started.Message, "report_outcome") {
				t.Fatalf("reminder %+v", started)
			}
			if len(effects) != 1 || r.turn().PriorOutput != "the review" {
				t.Fatalf("effects %+v, turn %+v", effects, r.turn())
			}
			r.end(test.reminder)
			r.wantStatus(test.status)
			got := r.s.Nodes["reviewer"]
			if got.Reason != test.reason || got.Output != test.output || got.Visits != 1 {
				t.Errorf("node %+v, want reason %s and output %q", got, test.reason, test.output)
			}
		})
	}
}

func TestDecideReminderAfterEmptyOutput(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	r.end(TurnFinished{Output: "x"})
	r.end(TurnFinished{})
	r.end(TurnFinished{Outcome: "approve", Output: "all in the reminder"})
	if got := r.s.Nodes["reviewer"].Output; got != "all in the reminder" {
		t.Errorf("output %q", got)
	}
}

func TestDecideTurnLimit(t *testing.T) {
	t.Parallel()
	limited := func(n string) string { return strings.Replace(reviewTeam, "turns: 20", "turns: "+n, 1) }
	for _, test := range []struct {
		name, team string
		drive      func(*run)
		rule       int // 0: none, and the task pauses
		want       string
	}{
		{"next turn", limited("1"), func(r *run) { r.end(TurnFinished{}) }, 7,
			"limits.turns of the task: 1 reached; there is nothing left for a turn of reviewer by rule 1, and rule 7 goes to failed"},
		{"retry", limited("1"), func(r *run) { r.end(TurnFinished{Reason: ReasonLLMAPIError}) }, 7,
			"limits.turns of the task: 1 reached; there is nothing left for a retry by rule 5, and rule 7 goes to failed"},
		{"reminder", limited("2"), func(r *run) { r.end(TurnFinished{}); r.end(TurnFinished{}) }, 7,
			"limits.turns of the task: 2 reached; there is nothing left for a reminder of the missing outcome, and rule 7 goes to failed"},
		{"repeat after a crash", limited("1"), func(r *run) {
			r.send()
			r.must(TurnReconciled{Turn: 1, Attempt: 1, Finding: FindingNotConsumed})
		}, 7, "limits.turns of the task: 1 reached; there is nothing left for another attempt at the turn, and rule 7 goes to failed"},
		{"no rule", strings.Replace(limited("1"), `{from: "*", on: "*", to: failed}`, `{from: "*", on: [error, uncertain], to: failed}`, 1), func(r *run) {
			r.end(TurnFinished{})
		}, 0, "limits.turns of the task: 1 reached; there is nothing left for a turn of reviewer by rule 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, unchecked(t, test.team), map[string]any{"goal": "g"})
			test.drive(r)
			if test.rule == 0 {
				r.wantStatus(TaskPaused)
				if r.s.Pause == nil || r.s.Pause.Note != test.want {
					t.Errorf("pause %+v, want %s", r.s.Pause, test.want)
				}
				return
			}
			r.wantStatus(TaskFailed)
			if r.s.Result.Reason != ReasonBudgetExceeded || r.s.Result.Rule != test.rule || r.s.Result.Explanation != test.want {
				t.Errorf("result %+v\nwant rule %d: %s", r.s.Result, test.rule, test.want)
			}
		})
	}
}

// innerTeam is every sub-team of unchecked.
const innerTeam = `version: 1
name: inner
inputs: {goal: {required: true}}
limits: {turns: 5}
agents:
  a: {prompt: x}
start: a
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// unchecked parses a team without the checks of its graph, since Decide must
// not depend on them.
func unchecked(t testing.TB, src string) *Team {
	t.Helper()
	inner := func(path string) (string, []byte, error) { return path, []byte(innerTeam), nil }
	p := newParser("t.yaml", []byte(src), "t.yaml", ParseOptions{}, &loading{load: inner, path: []string{"t.yaml"}, files: []string{"t.yaml"}, teams: map[string]*Team{}})
	root := p.document([]byte(src))
	if root == nil {
		t.Fatal(p.problems)
	}
	p.decode(root)
	p.checkStart()
	p.compileTemplates()
	for i := range p.handoffs {
		p.checkTexts(&p.handoffs[i])
	}
	if len(p.problems) > 0 {
		t.Fatal(p.problems)
	}
	return p.team
}

func TestDecideNoRule(t *testing.T) {
	t.Parallel()
	team := unchecked(t, strings.Replace(reviewTeam, `{from: "*", on: "*", to: failed}`, `{from: reviewer, on: "*", to: failed}`, 1))
	r := start(t, team, map[string]any{"goal": "g"})
	effects := r.end(TurnFinished{Reason: "something_new", Error: "boom"})
	r.wantStatus(TaskFailed)
	if got := r.s.Result.Explanation; got != "coder ended with something_new (boom), and no rule says what happens then" {
		t.Errorf("explanation %q", got)
	}
	if got := effect[Handoff](t, effects); got.Rule != 0 || got.To != TerminalFailed || len(got.Skipped) != 3 {
		t.Errorf("handoff %+v", got)
	}
}

// A turn is not recovered for ever: after MaxRecoveries in a row the rules are
// asked, and a retry of theirs continues what was consumed, and counts anew.
func TestDecideEndlessRecovery(t *testing.T) {
	t.Parallel()
	const team = `version: 1
name: one
inputs: {goal: {}}
limits: {turns: 50}
agents: {coder: {prompt: Code.}}
start: coder
handoffs:
  - {from: coder, on: [connection_lost, stalled], retry: {max: 1, backoff: 7s}}
  - {from: coder, on: "*", to: failed}
`
	for finding, want := range map[Finding]Reason{FindingNotConsumed: ReasonStalled, FindingInterrupted: ReasonConnectionLost} {
		r := start(t, mustParse(t, team), map[string]any{"goal": "g"})
		recover := func(attempt int) []Effect {
			r.send()
			return r.must(TurnReconciled{Turn: 1, Attempt: attempt, Finding: finding, Detail: "reset by peer"})
		}
		for round := range 2 {
			first := round*(MaxRecoveries+1) + 1
			for i := range MaxRecoveries {
				if got := effect[StartTurn](t, recover(first+i)); got.Attempt != first+i+1 {
					t.Fatalf("%s: %+v", finding, got)
				}
			}
			got := effect[Handoff](t, recover(first+MaxRecoveries))
			if got.Reason != want || got.Retry != (round == 0) || !strings.Contains(r.s.Nodes["coder"].Error, "6 times in a row; last: reset by peer") {
				t.Fatalf("%s, round %d: %+v, %+v", finding, round, got, r.s.Nodes)
			}
			if round == 0 {
				again := effect[StartTurn](t, r.must(TimerFired{}))
				if strings.Contains(again.Message, "interrupted") != (finding == FindingInterrupted) {
					t.Errorf("%s: the retry says %q", finding, again.Message)
				}
			}
		}
		r.wantStatus(TaskFailed)
	}
}

func TestDecideReconciled(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		event TurnReconciled
		check func(*testing.T, *run, []Effect)
	}{
		{"not consumed", TurnReconciled{Finding: FindingNotConsumed}, func(t *testing.T, r *run, effects []Effect) {
			if got := effect[StartTurn](t, effects); got.Turn != 1 || got.Attempt != 2 || got.Message != "g" {
				t.Errorf("start %+v", got)
			}
		}},
		{"interrupted", TurnReconciled{Finding: FindingInterrupted}, func(t *testing.T, r *run, effects []Effect) {
			got := effect[StartTurn](t, effects)
			if got.Turn != 1 || got.Attempt != 2 || !strings.Contains(got.Message, "interrupted") || !strings.HasSuffix(got.Message, "\n\ng") {
				t.Errorf("start %+v", got)
			}
			r.send()
			again := effect[StartTurn](t, r.must(TurnReconciled{Turn: 1, Attempt: 2, Finding: FindingInterrupted}))
			if again.Message != got.Message || again.Attempt != 3 {
				t.Errorf("a second interruption: %+v", again)
			}
		}},
		{"finished", TurnReconciled{Finding: FindingFinished, Output: "collected"}, func(t *testing.T, r *run, effects []Effect) {
			if got := effect[StartTurn](t, effects); got.Node != "reviewer" || !strings.Contains(got.Message, "collected") {
				t.Errorf("start %+v", got)
			}
		}},
		{"unknown", TurnReconciled{Finding: FindingUnknown, Detail: "no such conversation", ConversationLost: true}, func(t *testing.T, r *run, effects []Effect) {
			if got := effect[AskPerson](t, effects).Question; got.Turn != 1 || got.Kind != QuestionUncertain || !strings.Contains(got.Text, "no such conversation") {
				t.Errorf("question %+v", got)
			}
			if _, ok := r.s.Conversations["coder"]; ok {
				t.Error("the lost conversation is still there")
			}
			r.wantStatus(TaskWaiting)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
			r.send()
			test.event.Turn, test.event.Attempt = 1, 1
			test.check(t, r, r.must(test.event))
		})
	}
}

// What was seen to be used counts once, whatever was found, and old journals have no price of it.
func TestReconciledUsageIsPaidFor(t *testing.T) {
	t.Parallel()
	for _, finding := range []Finding{FindingNotConsumed, FindingInterrupted, FindingFinished, FindingUnknown} {
		for _, unpriced := range []bool{false, true} {
			r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
			r.send()
			found := TurnReconciled{Turn: 1, Attempt: 1, Finding: finding, Usage: Usage{TotalTokens: 5}, Model: "m", Unpriced: unpriced}
			if !unpriced {
				found.Cost = 9
			}
			r.must(found)
			if r.s.Usage.TotalTokens != 5 || r.s.Cost != found.Cost || unpriced != (len(r.s.Unpriced) == 1) {
				t.Errorf("%s: usage %+v, cost %d, unpriced %v", finding, r.s.Usage, r.s.Cost, r.s.Unpriced)
			}
		}
	}
}

func TestDecideConversation(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	sent := r.send()
	if got := r.s.Conversations["coder"]; got != sent.Runtime || got.ConversationID != "c-coder" || sent.State != TurnRunning || sent.Started.IsZero() {
		t.Errorf("conversation %+v, turn %+v", got, sent)
	}
	r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonLLMAPIError, ConversationLost: true})
	if _, ok := r.s.Conversations["coder"]; ok {
		t.Error("the lost conversation is still there")
	}
}

func TestDecideCancel(t *testing.T) {
	t.Parallel()
	t.Run("running", func(t *testing.T) {
		t.Parallel()
		r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
		r.send()
		effects := r.must(CancelRequested{By: "ada"})
		r.wantStatus(TaskCancelled)
		if got := effect[AbortTurn](t, effects); got != (AbortTurn{Turn: 1, Attempt: 1}) {
			t.Errorf("abort %+v", got)
		}
		if got := effect[FinishTask](t, effects).Result.Explanation; got != "cancelled by ada" {
			t.Errorf("explanation %q", got)
		}
	})
	t.Run("waiting", func(t *testing.T) {
		t.Parallel()
		r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
		r.end(TurnFinished{Reason: ReasonLLMAPIError})
		r.must(CancelRequested{})
		r.wantStatus(TaskCancelled)
		if !r.s.WakeAt.IsZero() {
			t.Error("a cancelled task still waits")
		}
	})
	t.Run("queued", func(t *testing.T) {
		t.Parallel()
		team := mustParse(t, reviewTeam)
		r := &run{t: t, team: team}
		r.must(TaskSubmitted{Task: "T", Team: team.Name, Revision: team.Revision})
		r.must(CancelRequested{})
		r.wantStatus(TaskCancelled)
	})
}

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	running := func(t *testing.T) *run { return start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"}) }
	queued := func(t *testing.T) *run {
		r := &run{t: t, team: mustParse(t, reviewTeam)}
		r.must(TaskSubmitted{Task: "T"})
		return r
	}
	none := func(t *testing.T) *run { return &run{t: t, team: mustParse(t, reviewTeam)} }
	sent := func(t *testing.T) *run { r := running(t); r.send(); return r }
	for _, test := range []struct {
		name  string
		run   func(*testing.T) *run
		event EventBody
		want  string
		stale bool
	}{
		{"claim of nothing", none, TaskClaimed{}, "event task_claimed cannot happen while the task is not submitted", false},
		{"cancel of nothing", none, CancelRequested{}, "event cancel_requested cannot happen while the task is not submitted", false},
		{"no body", none, nil, "event without a body", false},
		{"second submission", queued, TaskSubmitted{}, "event task_submitted cannot happen while the task is queued", false},
		{"second claim", running, TaskClaimed{}, "event task_claimed cannot happen while the task is running", false},
		{"timer while running", running, TimerFired{}, "event timer_fired cannot happen while the task is running", false},
		{"turn of a queued task", queued, TurnFinished{Turn: 1, Attempt: 1}, "", true},
		{"accepted before sent", running, TurnAccepted{Turn: 1, Attempt: 1}, "event turn_accepted cannot happen while the turn 1 is pending", false},
		{"sent twice", sent, TurnSending{Turn: 1, Attempt: 1}, "event turn_sending cannot happen while the turn 1 is running", false},
		{"reconciled before sent", running, TurnReconciled{Turn: 1, Attempt: 1, Finding: FindingInterrupted}, "event turn_reconciled cannot happen while the turn 1 is pending", false},
		{"unknown finding", sent, TurnReconciled{Turn: 1, Attempt: 1, Finding: "lost"}, `finding type "lost" is not known`, false},
		{"unknown turn", sent, TurnFinished{Turn: 2, Attempt: 1}, "", true},
		{"other attempt", sent, TurnFinished{Turn: 1, Attempt: 2}, "", true},
		{"other attempt sending", running, TurnSending{Turn: 1, Attempt: 2}, "", true},
		{"other attempt accepted", running, TurnAccepted{Turn: 9, Attempt: 1}, "", true},
		{"other attempt reconciled", sent, TurnReconciled{Turn: 1, Attempt: 3}, "", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := test.run(t)
			_, err := r.do(test.event)
			if test.stale != errors.Is(err, ErrStale) || err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q, stale %v", err, test.want, test.stale)
			}
		})
	}
}

// A turn may end before it was sent, and before its acknowledgement was recorded.
func TestDecideFinishedEarly(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonConnectionLost})
	r.wantStatus(TaskWaiting)
	r.must(TimerFired{})
	r.must(TurnSending{Turn: 1, Attempt: 2})
	r.must(TurnFinished{Turn: 1, Attempt: 2, Reason: ReasonEndTurn})
	if got := r.turn().Node; got != "reviewer" {
		t.Errorf("live turn of %s", got)
	}
}

func TestDecideNoReason(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, reviewTeam), map[string]any{"goal": "g"})
	r.must(TurnFinished{Turn: 1, Attempt: 1})
	r.wantStatus(TaskFailed)
	if r.s.Result.Reason != ReasonError || !strings.Contains(r.s.Result.Explanation, "without a stop reason") {
		t.Errorf("result %+v", r.s.Result)
	}
}

func TestDecideBadMessages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, message, want string }{
		{"missing data", "{{ .data.findings }}", `and the message of rule 3 for "coder" cannot be rendered`},
		{"empty", "{{ .summary }} ", `and the message of rule 3 for "coder" is empty`},
		{"too long", `{{ range 9999 }}{{ printf "%1000s" "x" }}{{ end }}`, "the text is longer than 1024 KiB"},
		{"doubling", `{{ $x := "0123456789" }}{{ range 60 }}{{ $x = print $x $x }}{{ end }}`, "the text is longer than 1024 KiB"},
		{"endless range", `{{ range .data.n }}{{ end }}x`, "range over the number 900000000000: at most 10000 is allowed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			src := strings.Replace(reviewTeam, `"{{ .summary }}: {{ .output }} (round {{ .visits }} of {{ .input.rounds }})"`, "'"+test.message+"'", 1)
			src = strings.Replace(src, "when: data.score < 3", `when: output == "never"`, 1)
			r := start(t, mustParse(t, src), map[string]any{"goal": "g"})
			r.end(TurnFinished{})
			effects := r.end(TurnFinished{Outcome: "request_changes", Data: map[string]any{"n": 9e11}})
			r.wantStatus(TaskFailed)
			if !strings.Contains(r.s.Result.Explanation, test.want) || r.s.Nodes["coder"].Visits != 1 {
				t.Errorf("explanation %q, want %q", r.s.Result.Explanation, test.want)
			}
			if got := effect[Handoff](t, effects); got.To != TerminalFailed || r.s.Fired[3] != 0 {
				t.Errorf("handoff %+v, fired %v", got, r.s.Fired)
			}
		})
	}
}

func TestDecideStartMessage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, top string
		input     map[string]any
		want      string
		fails     bool
	}{
		{"no inputs", "", nil, "There is no further input. Do what your instructions say.", false},
		{"goal", "inputs: {goal: {}, n: {type: int}}\n", map[string]any{"goal": "Go", "n": "7"}, "Go", false},
		{"others", "inputs: {topic: {}, n: {type: int}}\n", map[string]any{"topic": "Ants", "n": "7"}, "n: 7\ntopic: Ants", false},
		{"template", "inputs: {n: {type: int}}\nmessage: \"{{ .input.n }} for {{ .task.id }} in {{ .task.workspace }}\"\n", map[string]any{"n": 3}, "3 for T1 in /w", false},
		{"template fails", "inputs: {s: {}}\nmessage: \"{{ .input.s }}\"\n", nil, "the first message, for \"a\", is empty", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			team := mustParse(t, "version: 1\nname: t\n"+test.top+"agents: {a: {prompt: x}}\nstart: a\nhandoffs: [{from: a, on: \"*\", to: succeeded}]\n")
			r := start(t, team, test.input)
			if test.fails {
				r.wantStatus(TaskFailed)
				if r.s.Result.Explanation != test.want {
					t.Errorf("explanation %q", r.s.Result.Explanation)
				}
				return
			}
			if got := r.turn().Message; got != test.want {
				t.Errorf("message %q, want %q", got, test.want)
			}
		})
	}
}

// A State that has been through JSON decides the same as before.
func TestDecideAfterJSON(t *testing.T) {
	t.Parallel()
	src := strings.Replace(reviewTeam, "when: data.score < 3", "when: input.rounds == 5 and data.score == 3", 1)
	r := start(t, mustParse(t, src), map[string]any{"goal": "g"})
	r.end(TurnFinished{Output: "x"})
	r.send()
	var stored State
	if err := json.Unmarshal([]byte(encode(t, r.s)), &stored); err != nil {
		t.Fatal(err)
	}
	r.s = stored
	r.must(TurnFinished{Turn: 2, Attempt: 1, Reason: ReasonEndTurn, Outcome: "request_changes", Data: map[string]any{"score": 3.0}})
	r.wantStatus(TaskFailed)
	if r.s.Result.Rule != 2 {
		t.Errorf("result %+v, want rule 2", r.s.Result)
	}
}

func TestRetryDelay(t *testing.T) {
	t.Parallel()
	r := Retry{Max: 9, Backoff: 10 * time.Second, MaxBackoff: time.Minute}
	for n, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute, time.Minute} {
		got := r.delay("T", 1, n+1, n)
		if got < want*8/10 || got > want*12/10 {
			t.Errorf("delay %d is %s, want %s and at most a fifth more or less", n, got, want)
		}
		if again := r.delay("T", 1, n+1, n); again != got {
			t.Errorf("delay %d is %s the second time and was %s", n, again, got)
		}
	}
	different := map[time.Duration]bool{}
	for _, task := range []string{"A", "B", "C", "D"} {
		different[r.delay(task, 1, 1, 0)] = true
	}
	if len(different) < 3 {
		t.Errorf("tasks that failed together return together: %v", different)
	}
	if got := (&Retry{}).delay("T", 1, 1, 4); got != 0 {
		t.Errorf("no back-off waits %s", got)
	}
}

func BenchmarkDecide(b *testing.B) {
	team := mustParse(b, reviewTeam)
	r := start(b, team, map[string]any{"goal": "g"})
	r.end(TurnFinished{Output: "x"})
	t := r.send()
	e := Event{At: r.now, Body: TurnFinished{Turn: t.ID, Attempt: t.Attempt, Reason: ReasonEndTurn, Outcome: "request_changes", Output: "again", Data: map[string]any{"score": 7.0}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Decide(team, r.s, e); err != nil {
			b.Fatal(err)
		}
	}
}
