package workflow

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
)

const pauseTeam = `version: 1
name: pause
limits: {turns: 20}
agents:
  a: {prompt: A.}
  b: {prompt: B., outcomes: [done]}
checks:
  check: {run: x}
gates:
  gate: {question: "More?", expires: 2h, at_expiry: approved}
start: a
handoffs:
  - {from: a, on: end_turn, to: [b, check, gate]}
  - {from: a, on: [llm_api_error, error], retry: {max: 2, backoff: 1h, max_backoff: 1h}}
  - {from: check, on: failed, to: check, max: 1}
  - {from: [b, check, gate], on: "*", join: all, to: succeeded}
`

// While a task is paused what runs goes on, what ends is kept, nothing begins;
// then everything goes on.
func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, pauseTeam), nil)
	r.finish(r.live("a"), TurnFinished{})
	b, check, gate := r.live("b"), r.live("check"), r.live("gate")
	r.must(TurnSending{Turn: b.ID, Attempt: 1})
	attempts := r.s.Attempts
	effects := r.must(PauseRequested{By: "ann"})
	r.wantStatus(TaskPaused)
	if p := effect[PauseTask](t, effects).Pause; p.By != "ann" || p.Note != "paused by ann" || *r.s.Pause != p {
		t.Errorf("pause %+v", p)
	}
	if a := effect[AbortTurn](t, effects); a.Turn != check.ID || len(r.s.Held) != 1 || !r.s.WakeAt.IsZero() {
		t.Errorf("%+v, held %+v, wakes at %s", a, r.s.Held, r.s.WakeAt)
	}
	if _, err := r.do(PauseRequested{}); err == nil {
		t.Error("paused twice")
	}
	effects = r.must(TurnFinished{Turn: b.ID, Attempt: 1, Reason: ReasonEndTurn}) // and has to be reminded
	effects = append(effects, r.must(GateAnswered{Turn: gate.ID, Approved: true, By: "ann", Comment: "go"})...)
	r.wantNodes("")
	r.wantStatus(TaskPaused)
	if len(effects) != 0 || len(r.s.Held) != 3 || r.s.Attempts != attempts {
		t.Errorf("%+v, held %+v, %d attempts", effects, r.s.Held, r.s.Attempts)
	}
	r.must(ResumeRequested{By: "ann"})
	r.wantStatus(TaskRunning)
	r.wantNodes("b@b check@check")
	if got := r.live("check"); got.Attempt != 2 {
		t.Errorf("%+v", got)
	}
	if got := r.live("b"); !got.Reminder || got.Attempt != 1 {
		t.Errorf("%+v", got)
	}
	if r.s.Attempts != attempts+1 || len(r.s.Held) != 0 || r.s.Pause != nil {
		t.Errorf("%d attempts, held %+v, pause %+v", r.s.Attempts, r.s.Held, r.s.Pause)
	}
	r.finish(r.live("b"), TurnFinished{Outcome: "done"})
	r.finish(r.live("check"), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskSucceeded)
	if got := r.s.Nodes["gate"]; got.By != "ann" || got.Output != "go" || got.Reason != ReasonApproved {
		t.Errorf("gate %+v", got)
	}
	if _, err := r.do(ResumeRequested{}); !errors.Is(err, ErrTerminal) {
		t.Errorf("resumed after the end: %v", err)
	}
}

// Whatever asks for another attempt during a pause waits for its end.
func TestPauseHoldsAttempts(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		event   EventBody
		message string
		waits   bool
		attempt int
	}{
		"not consumed": {TurnReconciled{Finding: FindingNotConsumed}, "start", false, 2},
		"interrupted":  {TurnReconciled{Finding: FindingInterrupted}, continuationStart, false, 2},
		"quota":        {TurnFinished{Reason: ReasonLLMAPIError}, quotaStart, true, 2},
		"retry":        {TurnFinished{Reason: ReasonError}, "start", true, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, unchecked(t, strings.Replace(pauseTeam, "start: a", "start: a\nmessage: start", 1)), nil)
			r.send()
			r.must(PauseRequested{})
			switch e := test.event.(type) {
			case TurnReconciled:
				e.Turn, e.Attempt = 1, 1
				test.event = e
			case TurnFinished:
				e.Turn, e.Attempt = 1, 1
				if name == "quota" {
					e.QuotaReset = r.now.Add(time.Hour)
				}
				test.event = e
			}
			if effects := r.must(test.event); len(effects) != 0 || len(r.s.Held) != 1 {
				t.Fatalf("%+v, held %+v", effects, r.s.Held)
			}
			r.must(ResumeRequested{})
			got := r.turn()
			if got.Attempt != test.attempt || !strings.HasPrefix(got.Message, test.message) || got.NotBefore.IsZero() == test.waits {
				t.Errorf("%+v", got)
			}
		})
	}
}

// A task that was paused can still be cancelled, and its questions answered.
func TestPausedTask(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, pauseTeam), nil)
	r.send()
	r.must(QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionApproval, Text: "?"})
	r.must(PauseRequested{})
	if r.s.WakeAt.IsZero() {
		t.Error("the question never expires")
	}
	r.must(QuestionAnswered{Question: 1, Answer: AnswerAllow})
	if got := r.turn().State; got != TurnRunning {
		t.Errorf("the turn is %s", got)
	}
	r.must(CancelRequested{By: "ann"})
	r.wantStatus(TaskCancelled)
	if r.s.Pause != nil || len(r.s.Held) != 0 {
		t.Errorf("left %+v", r.s)
	}
}

// A fan-out that a limit breaks off begins whole when there is more.
func TestPauseWithinAFanOut(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, `version: 1
name: wide
limits: {turns: 2}
agents:
  a: {prompt: A.}
  b: {prompt: B.}
  c: {prompt: C.}
start: a
handoffs:
  - {from: a, on: end_turn, to: [b, c, a]}
  - {from: "*", on: end_turn, join: all, to: succeeded}
`), nil)
	r.end(TurnFinished{})
	r.wantStatus(TaskPaused)
	r.wantNodes("")
	if len(r.s.Held) != 3 || r.s.Attempts != 1 || len(r.s.Branches) != 3 {
		t.Fatalf("held %+v, %d attempts", r.s.Held, r.s.Attempts)
	}
	r.must(ResumeRequested{Raise: Limits{Turns: 1}})
	r.wantStatus(TaskPaused)
	r.must(ResumeRequested{Raise: Limits{Turns: 1}})
	r.wantStatus(TaskRunning)
	r.wantNodes("a@a b@b c@c")
	if r.s.Attempts != 4 {
		t.Errorf("%d attempts", r.s.Attempts)
	}
}

func TestGateExpires(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, pauseTeam), nil)
	r.finish(r.live("a"), TurnFinished{})
	gate := r.live("gate")
	for _, body := range []EventBody{
		TurnFinished{Turn: gate.ID, Attempt: 1, Reason: ReasonApproved}, TurnSending{Turn: gate.ID, Attempt: 1}, TurnReconciled{Turn: gate.ID, Attempt: 1},
	} {
		if _, err := r.do(body); err == nil {
			t.Errorf("%s of a gate", body.EventType())
		}
	}
	r.finish(r.live("b"), TurnFinished{Outcome: "done"})
	r.finish(r.live("check"), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskWaiting)
	r.now = r.s.WakeAt
	r.must(TimerFired{})
	r.wantStatus(TaskSucceeded)
	if got := r.s.Nodes["gate"]; got.Reason != ReasonApproved || got.By != "" {
		t.Errorf("gate %+v", got)
	}
}

// What the version before has written goes on: its turns have no kind and no
// key of a conversation, and its states nothing of branches and limits.
func TestStateOfTheVersionBefore(t *testing.T) {
	t.Parallel()
	const stored = `{"version":9,"task":"T1","team":"review","revision":"r","status":"running","input":{"goal":"g","rounds":5},"workspace":"/w",
		"created":"2026-01-02T03:04:05Z","updated":"2026-01-02T03:04:15Z","started":"2026-01-02T03:04:06Z",
		"turns":[{"id":3,"node":"coder","attempt":1,"state":"running","message":"m","client_message_id":"c","runtime":{"agent_id":"a","conversation_id":"old"},"started":"2026-01-02T03:04:14Z"}],
		"last_turn":3,"attempts":3,"fired":{"1":1,"3":1},"nodes":{"coder":{"visits":2,"turn":1,"reason":"end_turn"},"reviewer":{"visits":1,"turn":2,"reason":"request_changes"}},
		"conversations":{"coder":{"agent_id":"a","conversation_id":"old"},"reviewer":{"agent_id":"b","conversation_id":"c2"}},"usage":{"total_tokens":5}}`
	var s State
	if err := json.Unmarshal([]byte(stored), &s); err != nil {
		t.Fatal(err)
	}
	r := &run{t: t, team: mustParse(t, reviewTeam), s: s, now: s.Updated}
	if got := r.s.RuntimeOf(r.turn()).ConversationID; got != "old" {
		t.Errorf("conversation %q", got)
	}
	r.must(TurnReconciled{Turn: 3, Attempt: 1, Finding: FindingInterrupted})
	r.end(TurnFinished{Output: "x"})
	if got := r.turn(); got.Node != "reviewer" || r.s.RuntimeOf(got).ConversationID != "c2" || strings.Contains(got.Message, "The task") {
		t.Errorf("the reviewer's next turn: %+v, in %+v", got, r.s.Conversations)
	}
	r.end(TurnFinished{Outcome: "approve"})
	r.wantStatus(TaskSucceeded)
	if r.s.Attempts != 5 {
		t.Errorf("%d attempts", r.s.Attempts)
	}
}

// A loop without any bound ends all the same.
func TestMaxVisits(t *testing.T) {
	t.Parallel()
	team := unchecked(t, `version: 1
name: endless
checks:
  check: {run: x}
start: check
handoffs:
  - {from: check, on: "*", to: check}
`)
	r := start(t, team, nil)
	s := r.s
	s.Visits = MaxVisits - 1
	r.s = s
	r.finish(r.live("check"), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskRunning)
	r.finish(r.live("check"), TurnFinished{Reason: ReasonPassed})
	r.wantStatus(TaskFailed)
	if got := r.s.Result.Explanation; !strings.Contains(got, "the task has visited 10000 nodes, which is the most that any task may") {
		t.Errorf("explanation %q", got)
	}
}

// What was held in a branch that a join has ended meanwhile is forgotten.
func TestResumeFiresAJoin(t *testing.T) {
	t.Parallel()
	r := parallel(t, "any")
	r.finish(r.live("coder"), TurnFinished{})
	for _, node := range []string{"security", "style", "docs"} {
		r.must(TurnSending{Turn: r.live(node).ID, Attempt: 1})
	}
	r.must(PauseRequested{})
	for _, node := range []string{"style", "security"} {
		r.must(TurnFinished{Turn: r.live(node).ID, Attempt: 1, Reason: ReasonEndTurn, Outcome: "request_changes"})
	}
	r.must(ResumeRequested{})
	r.wantNodes("coder")
	if got := r.turn().Message; got != "style=request_changes;" {
		t.Errorf("message %q", got)
	}
}
