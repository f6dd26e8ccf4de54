package workflow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// live finds the live turn of a node, in a branch with this label where one is given.
func (r *run) live(node string, label ...string) Turn {
	r.t.Helper()
	for _, t := range r.s.Turns {
		if t.Node == node && (len(label) == 0 || r.s.label(t.Branch) == label[0]) {
			return t
		}
	}
	r.t.Fatalf("no live turn of %s %v: %+v, status %s, result %+v", node, label, r.s.Turns, r.s.Status, r.s.Result)
	return Turn{}
}

// finish sends a turn and ends it.
func (r *run) finish(t Turn, f TurnFinished) []Effect {
	r.t.Helper()
	sending := TurnSending{Turn: t.ID, Attempt: t.Attempt}
	if t.Kind == KindAgent {
		sending.ClientMessageID, sending.Runtime = "m", Runtime{Server: "s", AgentID: t.Node, ConversationID: "c-" + t.key()}
	}
	r.must(sending)
	f.Turn, f.Attempt = t.ID, t.Attempt
	if f.Reason == "" {
		f.Reason = ReasonEndTurn
	}
	return r.must(f)
}

// nodes lists the live nodes with the labels of their branches.
func (r *run) nodes() string {
	var out []string
	for _, t := range r.s.Turns {
		out = append(out, strings.TrimSuffix(t.Node+"@"+r.s.label(t.Branch), "@"))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

func (r *run) wantNodes(want string) {
	r.t.Helper()
	if got := r.nodes(); got != want {
		r.t.Fatalf("alive are %q, want %q; status %s, result %+v", got, want, r.s.Status, r.s.Result)
	}
}

const parallelTeam = `version: 1
name: parallel
limits: {turns: 40}
agents:
  coder: {prompt: Code., permission_mode: acceptEdits}
  security: {prompt: Review., tools: [Read], outcomes: [approve, request_changes]}
  style: {prompt: Review., tools: [Read], outcomes: [approve, request_changes]}
  docs: {prompt: Review., tools: [Read], outcomes: [approve, request_changes]}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: [security, style, docs], max: 3, message: "You are {{ .target }}: {{ .output }}"}
  - {from: [security, style, docs], on: approve, join: JOIN, to: succeeded}
  - {from: [docs, security, style], on: [approve, request_changes], join: JOIN, to: coder, message: "{{ range .branches }}{{ .label }}={{ .outcome }};{{ end }}"}
  - {from: "*", on: "*", to: failed}
`

func parallel(t *testing.T, join string) *run {
	t.Helper()
	return start(t, mustParse(t, strings.ReplaceAll(parallelTeam, "JOIN", join)), nil)
}

func TestFanOutAndJoinOfAll(t *testing.T) {
	t.Parallel()
	r := parallel(t, "all")
	r.finish(r.live("coder"), TurnFinished{Output: "done"})
	r.wantNodes("docs@docs security@security style@style")
	if got := r.live("style").Message; got != "You are style: done" {
		t.Errorf("message %q", got)
	}
	conversation := r.live("style").Conversation
	r.finish(r.live("style"), TurnFinished{Outcome: "approve"})
	r.finish(r.live("security"), TurnFinished{Outcome: "request_changes"})
	r.wantNodes("docs@docs")
	r.finish(r.live("docs"), TurnFinished{Outcome: "approve"})
	r.wantNodes("coder")
	if got := r.live("coder").Message; got != "security=request_changes;style=approve;docs=approve;" {
		t.Errorf("message %q", got)
	}
	if len(r.s.Groups)+len(r.s.Branches) != 0 || r.s.Nodes["style"].Outcome != "approve" || r.s.Nodes["style"].Visits != 1 {
		t.Errorf("after the join: %+v %+v %+v", r.s.Groups, r.s.Branches, r.s.Nodes)
	}
	r.finish(r.live("coder"), TurnFinished{Output: "again"})
	if got := r.live("style").Conversation; got != conversation || got == "" {
		t.Errorf("the second round is in conversation %q, the first was in %q", got, conversation)
	}
	for _, node := range []string{"security", "style", "docs"} {
		r.finish(r.live(node), TurnFinished{Outcome: "approve"})
	}
	r.wantStatus(TaskSucceeded)
}

func TestJoinOfAnyCancelsTheRest(t *testing.T) {
	t.Parallel()
	r := parallel(t, "any")
	r.finish(r.live("coder"), TurnFinished{})
	slow := r.live("docs")
	r.must(TurnSending{Turn: slow.ID, Attempt: 1, Runtime: Runtime{AgentID: "docs"}})
	effects := r.finish(r.live("style"), TurnFinished{Outcome: "request_changes"})
	r.wantNodes("coder")
	aborted := map[int]bool{}
	for _, e := range effects {
		if a, ok := e.(AbortTurn); ok {
			aborted[a.Turn] = true
		}
	}
	if len(aborted) != 2 || !aborted[slow.ID] {
		t.Errorf("aborted %v", aborted)
	}
	if _, err := r.do(TurnFinished{Turn: slow.ID, Attempt: 1, Reason: ReasonEndTurn, Outcome: "approve"}); err == nil {
		t.Error("the late end of a cancelled branch is taken")
	}
}

func TestJoinOfANumber(t *testing.T) {
	t.Parallel()
	r := parallel(t, "2")
	r.finish(r.live("coder"), TurnFinished{})
	r.finish(r.live("style"), TurnFinished{Outcome: "approve"})
	r.wantNodes("docs@docs security@security")
	r.finish(r.live("docs"), TurnFinished{Outcome: "approve"})
	r.wantStatus(TaskSucceeded)
}

func TestWhatFailsInABranchFailsTheTask(t *testing.T) {
	t.Parallel()
	r := parallel(t, "all")
	r.finish(r.live("coder"), TurnFinished{})
	r.finish(r.live("style"), TurnFinished{Reason: ReasonError, Error: "boom"})
	r.wantStatus(TaskFailed)
	if r.s.Result.Node != "style" || len(r.s.Turns) != 0 {
		t.Errorf("result %+v", r.s.Result)
	}
}

const eachTeam = `version: 1
name: each
limits: {turns: 40}
agents:
  planner: {prompt: Plan., outcomes: [planned, nothing], data: {type: object}}
  worker: {prompt: Work., tools: [Read]}
checks:
  tests: {run: "true"}
start: planner
handoffs:
  - {from: planner, on: planned, for_each: data.items, max_parallel: 2, max_items: 4, to: worker, message: "do {{ .item }} {{ .index }}"}
  - {from: planner, on: planned, to: failed}
  - {from: worker, on: end_turn, to: tests}
  - {from: tests, on: failed, to: worker, max: 1, message: "{{ .item }} fails, visit {{ .visits }}"}
  - {from: [tests], on: "*", join: all, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

func TestForEach(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, eachTeam), nil)
	r.finish(r.live("planner"), TurnFinished{Outcome: "planned", Data: map[string]any{"items": []any{"a", "b", "c"}}})
	r.wantNodes("worker@worker[0] worker@worker[1]")
	if a, b := r.live("worker", "worker[0]"), r.live("worker", "worker[1]"); a.Message != "do a 0" || b.Message != "do b 1" || a.key() == b.key() {
		t.Errorf("%+v %+v", a, b)
	}
	// Each element has counters of its own: the rule with max 1 fires in both.
	for i := range 2 {
		label := fmt.Sprintf("worker[%d]", i)
		r.finish(r.live("worker", label), TurnFinished{})
		r.finish(r.live("tests", label), TurnFinished{Reason: ReasonFailed, ExitCode: 1})
		if got := r.live("worker", label).Message; got != string("ab"[i])+" fails, visit 1" {
			t.Errorf("message %q", got)
		}
	}
	r.finish(r.live("worker", "worker[1]"), TurnFinished{})
	r.finish(r.live("tests", "worker[1]"), TurnFinished{Reason: ReasonPassed})
	r.wantNodes("worker@worker[0] worker@worker[2]")
	for _, label := range []string{"worker[2]", "worker[0]"} {
		r.finish(r.live("worker", label), TurnFinished{})
		r.finish(r.live("tests", label), TurnFinished{Reason: ReasonPassed})
	}
	r.wantStatus(TaskSucceeded)
}

func TestForEachThatDoesNotMatch(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		data any
		why  string
	}{
		"empty":   {map[string]any{"items": []any{}}, "its list is empty"},
		"long":    {map[string]any{"items": []any{1.0, 2.0, 3.0, 4.0, 5.0}}, "its list has 5 elements, max_items is 4"},
		"missing": {nil, "its list could not be had"},
		"no list": {map[string]any{"items": "a"}, "not a list"},
	} {
		r := start(t, mustParse(t, eachTeam), nil)
		effects := r.finish(r.live("planner"), TurnFinished{Outcome: "planned", Data: c.data})
		r.wantStatus(TaskFailed)
		h := effect[Handoff](t, effects)
		if len(h.Skipped) == 0 || !strings.Contains(h.Skipped[0].Why, c.why) {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

const gateTeam = `version: 1
name: gated
limits: {turns: 5, duration: 1h}
agents:
  coder: {prompt: Code.}
gates:
  merge: {question: "Merge {{ .output }}?", expires: 72h}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: merge}
  - {from: merge, on: approved, to: succeeded}
  - {from: merge, on: rejected, to: coder, max: 1, message: "{{ .by }} says {{ .output }}"}
  - {from: "*", on: "*", to: failed}
`

func TestGate(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, gateTeam), nil)
	r.finish(r.live("coder"), TurnFinished{Output: "it"})
	r.wantStatus(TaskWaiting)
	g := r.live("merge")
	if g.Message != "Merge it?" || !r.s.WakeAt.Equal(r.now.Add(72*time.Hour)) {
		t.Errorf("gate %+v, wake at %s", g, r.s.WakeAt)
	}
	r.now = r.now.Add(48 * time.Hour) // longer than the limit, which does not count it
	r.must(GateAnswered{Turn: g.ID, By: "ann", Comment: "not yet"})
	r.wantStatus(TaskRunning)
	if got := r.live("coder").Message; got != "ann says not yet" {
		t.Errorf("message %q", got)
	}
	if _, err := r.do(GateAnswered{Turn: g.ID, Approved: true}); err == nil {
		t.Error("a gate is answered twice")
	}
	r.finish(r.live("coder"), TurnFinished{Output: "it"})
	r.now = r.s.WakeAt
	r.must(TimerFired{})
	r.wantStatus(TaskFailed)
	if r.s.Result.Reason != ReasonExpired {
		t.Errorf("result %+v", r.s.Result)
	}
}

func TestLimitPausesAndGoesOn(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, `version: 1
name: limited
limits: {tokens: 100, at_limit: pause}
agents:
  a: {prompt: A.}
  b: {prompt: B.}
start: a
handoffs:
  - {from: a, on: end_turn, to: b}
  - {from: b, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`), nil)
	r.finish(r.live("a"), TurnFinished{Output: "from a", Usage: Usage{TotalTokens: 100}})
	r.wantStatus(TaskPaused)
	if r.s.Pause == nil || !strings.Contains(r.s.Pause.Note, "limits.tokens of the task: 100 of 100 used") {
		t.Errorf("pause %+v", r.s.Pause)
	}
	r.must(ResumeRequested{By: "ann", Raise: Limits{Tokens: 50}})
	r.wantStatus(TaskRunning)
	b := r.live("b")
	if !strings.Contains(b.Message, "from a") {
		t.Errorf("what was paid for is lost: %q", b.Message)
	}
	// The next turn is cut off by the meter.
	r.finish(b, TurnFinished{Reason: ReasonBudgetExceeded, Output: "half", Usage: Usage{TotalTokens: 60}, Error: "stopped"})
	r.wantStatus(TaskPaused)
	r.must(ResumeRequested{Raise: Limits{Tokens: 500}})
	again := r.live("b")
	if again.ID != b.ID || again.Attempt != b.Attempt+1 || !strings.HasPrefix(again.Message, budgetStart) {
		t.Errorf("goes on as %+v", again)
	}
	r.finish(again, TurnFinished{})
	r.wantStatus(TaskSucceeded)
}
