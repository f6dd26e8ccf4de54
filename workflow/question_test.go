package workflow

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

const askTeam = `version: 1
name: ask
agents:
  a: {prompt: A., approvals: {otherwise: ask, expires: 5m}}
checks:
  check: {run: x}
start: a
handoffs:
  - {from: a, on: end_turn, to: check}
  - {from: "*", on: [error, failed], retry: {max: 1, backoff: 0s}}
  - {from: check, on: uncertain, to: failed}
  - {from: "*", on: "*", to: succeeded}
`

func TestQuestions(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	r.send()
	r.must(QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "ls"})
	r.must(QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionText, Text: "Which?", Choices: []string{"x", "y"}})
	r.must(QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionText, Text: "Why?"})
	r.wantStatus(TaskRunning)
	first := r.s.Questions[0]
	if r.turn().State != TurnAwaitingApproval || first.ID != 1 || first.Tool != "Bash" || !first.Expires.Equal(first.Asked.Add(5*time.Minute)) || !r.s.WakeAt.Equal(first.Expires) {
		t.Fatalf("turn %+v, questions %+v, wakes at %s", r.turn(), r.s.Questions, r.s.WakeAt)
	}
	for _, wrong := range []QuestionAnswered{{Question: 1, Answer: "perhaps"}, {Question: 2, Answer: "z"}} {
		_, err := r.do(wrong)
		if answer, ok := errors.AsType[*AnswerError](err); !ok || answer.Question != wrong.Question || !strings.Contains(err.Error(), "choose one of") {
			t.Errorf("%+v: %v", wrong, err)
		}
	}
	got := effect[AnswerQuestion](t, r.must(QuestionAnswered{Question: 2, Answer: "y", By: "ann"}))
	if want := (AnswerQuestion{Question: 2, Turn: 1, Attempt: 1, Answer: "y", By: "ann"}); got != want {
		t.Errorf("%+v", got)
	}
	if _, err := r.do(QuestionAnswered{Question: 2, Answer: "y"}); !errors.Is(err, ErrStale) {
		t.Errorf("answered twice: %v", err)
	}
	if r.turn().State != TurnAwaitingApproval {
		t.Errorf("the turn is %s, and two questions are open", r.turn().State)
	}
	r.now = r.s.WakeAt
	effects := r.must(TimerFired{})
	if want := (AnswerQuestion{Question: 1, Turn: 1, Attempt: 1, Answer: AnswerDeny, Expired: true}); !slices.Contains(effects, Effect(want)) {
		t.Errorf("nobody answered: %+v", effects)
	}
	r.now = r.now.Add(time.Second)
	if len(r.s.Questions) == 1 { // it was asked a second later
		r.now = r.s.WakeAt
		got = effect[AnswerQuestion](t, r.must(TimerFired{}))
		if got.Answer != "" || !got.Expired {
			t.Errorf("%+v", got)
		}
	}
	if r.turn().State != TurnRunning || len(r.s.Questions) != 0 || !r.s.WakeAt.IsZero() {
		t.Errorf("turn %+v, questions %+v", r.turn(), r.s.Questions)
	}
}

// The questions of a turn that is over, in whatever way, are gone.
func TestQuestionsOfATurnThatIsOver(t *testing.T) {
	t.Parallel()
	for name, over := range map[string]EventBody{
		"finished":     TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonEndTurn},
		"tried again":  TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonError},
		"interrupted":  TurnReconciled{Turn: 1, Attempt: 1, Finding: FindingInterrupted},
		"not consumed": TurnReconciled{Turn: 1, Attempt: 1, Finding: FindingNotConsumed},
		"cancelled":    CancelRequested{},
	} {
		r := start(t, unchecked(t, askTeam), nil)
		r.send()
		r.must(QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionApproval, Text: "May I?"})
		r.must(over)
		if len(r.s.Questions) != 0 || !r.s.WakeAt.IsZero() {
			t.Errorf("%s: %+v, wakes at %s", name, r.s.Questions, r.s.WakeAt)
		}
		if _, err := r.do(QuestionAnswered{Question: 1, Answer: AnswerAllow}); err == nil {
			t.Errorf("%s: answered", name)
		}
	}
}

// What an agent alone can report is refused of anything else.
func TestReportsOfAgentsAlone(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	r.end(TurnFinished{})
	check := r.turn()
	r.must(TurnSending{Turn: check.ID, Attempt: 1})
	for _, body := range []EventBody{
		QuestionAsked{Turn: check.ID, Attempt: 1}, ProgressReported{Turn: check.ID, Attempt: 1}, TaskSpawned{Turn: check.ID, Attempt: 1}, ChildReported{Turn: check.ID, Attempt: 1},
	} {
		_, err := r.do(body)
		if _, refused := errors.AsType[*TransitionError](err); !refused || !strings.Contains(err.Error(), "a check") {
			t.Errorf("%s: %v", body.EventType(), err)
		}
	}
}

func TestProgressAndSpawnedTasks(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	r.send()
	r.must(ProgressReported{Turn: 1, Attempt: 1, Text: "half", Percent: new(50)})
	if p := r.turn().Progress; p == nil || p.Text != "half" || *p.Percent != 50 || !p.At.Equal(r.now) {
		t.Errorf("progress %+v", p)
	}
	r.must(TaskSpawned{Turn: 1, Attempt: 1, Task: "T1.1.s1", Team: "t"})
	if r.s.Spawned != 1 {
		t.Errorf("spawned %d", r.s.Spawned)
	}
	r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonError})
	if r.turn().Progress != nil {
		t.Error("the next attempt has the progress of the one before")
	}
}

// What becomes of a check that ran when the orchestrator died.
func TestReconciledCheck(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	r.end(TurnFinished{})
	check := r.turn()
	r.must(TurnSending{Turn: check.ID, Attempt: 1})
	attempts := r.s.Attempts
	r.must(TurnReconciled{Turn: check.ID, Attempt: 1, Finding: FindingNotConsumed})
	if got := r.turn(); got.ID != check.ID || got.Attempt != 2 || r.s.Attempts != attempts {
		t.Errorf("%+v, %d attempts", got, r.s.Attempts)
	}
	r.must(TurnSending{Turn: check.ID, Attempt: 2})
	r.must(TurnReconciled{Turn: check.ID, Attempt: 2, Finding: FindingUnknown, Detail: "it died"})
	r.wantStatus(TaskFailed)
	if r.s.Result.Reason != ReasonUncertain {
		t.Errorf("result %+v", r.s.Result)
	}
}

// A turn that the provider's quota ended waits for it, and no rule is asked.
func TestQuota(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	for wait := range MaxQuotaWaits {
		turn := r.send()
		reset := r.now.Add(time.Hour)
		h := effect[Handoff](t, r.must(TurnFinished{Turn: 1, Attempt: turn.Attempt, Reason: ReasonLLMAPIError, QuotaReset: reset}))
		if !h.Retry || h.Rule != 0 || h.NotBefore.Before(reset.Add(-time.Second)) || h.NotBefore.After(reset.Add(time.Minute)) ||
			h.Note != "the provider's quota is used up until "+reset.Format(time.RFC3339) {
			t.Fatalf("%+v, reset %s", h, reset)
		}
		r.wantStatus(TaskWaiting)
		if got := r.turn(); got.ID != 1 || got.QuotaWaits != wait+1 || strings.Count(got.Message, quotaStart) != 1 || !r.s.WakeAt.Equal(got.NotBefore) {
			t.Fatalf("%+v, wakes at %s", got, r.s.WakeAt)
		}
		r.now = r.s.WakeAt
		r.must(TimerFired{})
		r.wantStatus(TaskRunning)
	}
	turn := r.send()
	r.must(TurnFinished{Turn: 1, Attempt: turn.Attempt, Reason: ReasonLLMAPIError, QuotaReset: r.now.Add(time.Hour)})
	r.wantStatus(TaskSucceeded) // by the last rule
}

// The wait is bounded on both sides, whatever the provider says.
func TestQuotaThatIsNoTime(t *testing.T) {
	t.Parallel()
	for reset, want := range map[time.Duration]time.Duration{-time.Hour: time.Second, 1000 * time.Hour: maxQuotaWait} {
		r := start(t, unchecked(t, askTeam), nil)
		r.send()
		r.must(TurnFinished{Turn: 1, Attempt: 1, Reason: ReasonLLMAPIError, QuotaReset: r.now.Add(reset)})
		if got := r.s.WakeAt.Sub(r.now); got < want || got > want+time.Minute {
			t.Errorf("reset in %s: waits %s", reset, got)
		}
	}
}

// An answer that nobody was there to hear is given, once, when the turn asks the same again.
func TestKeptAnswer(t *testing.T) {
	t.Parallel()
	r := start(t, unchecked(t, askTeam), nil)
	r.send()
	ask := QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "rm x"}
	r.must(ask)
	r.must(QuestionAnswered{Question: 1, Answer: AnswerAllow, By: "ada", Kept: true})
	r.must(TurnReconciled{Turn: 1, Attempt: 1, Finding: FindingInterrupted})
	r.send()
	other := ask
	other.Attempt, other.Argument = 2, "rm y"
	r.must(other)
	if len(r.s.Questions) != 1 {
		t.Errorf("another question is answered: %+v", r.s.Questions)
	}
	r.must(QuestionAnswered{Question: 2, Answer: AnswerDeny})
	ask.Attempt = 2
	if got := effect[AnswerQuestion](t, r.must(ask)); got.Question != 3 || got.Answer != AnswerAllow || got.By != "ada" || len(r.s.Questions) != 0 {
		t.Errorf("%+v, open %+v", got, r.s.Questions)
	}
	if r.turn().State != TurnRunning {
		t.Errorf("turn %+v", r.turn())
	}
	r.must(ask)
	if len(r.s.Questions) != 1 {
		t.Error("the answer counts twice")
	}
}

// A question that comes again after contact with its turn was lost is the same one:
// it keeps its number and its time, and what was answered meanwhile counts.
func TestQuestionIsAskedAgain(t *testing.T) {
	t.Parallel()
	asking := QuestionAsked{Turn: 1, Attempt: 1, Kind: QuestionText, Text: "Which?", Choices: []string{"x", "y"}}
	type outcome struct {
		ID       int
		Expires  time.Duration // after it was asked first; 0 where it is not open
		Answered string
		Open     int
	}
	for name, test := range map[string]struct {
		finding Finding
		late    time.Duration // between the first and the second time
		old     bool          // a journal of an earlier version
		ahead   string        // answered before it is asked again
		change  func(*QuestionAsked)
		want    outcome
	}{
		"the same":               {want: outcome{ID: 1, Expires: 5 * time.Minute, Open: 1}},
		"the same, not taken up": {finding: FindingNotConsumed, want: outcome{ID: 1, Expires: 5 * time.Minute, Open: 1}},
		"its time is over":       {late: time.Hour, want: outcome{ID: 1, Expires: time.Hour + 5*time.Minute, Open: 1}},
		"another text":           {change: func(b *QuestionAsked) { b.Text = "What?" }, want: outcome{ID: 2, Expires: 5*time.Minute + time.Minute, Open: 1}},
		"other choices":          {change: func(b *QuestionAsked) { b.Choices = nil }, want: outcome{ID: 2, Expires: 5*time.Minute + time.Minute, Open: 1}},
		"another kind":           {change: func(b *QuestionAsked) { b.Kind = QuestionApproval }, want: outcome{ID: 2, Expires: 5*time.Minute + time.Minute, Open: 1}},
		"answered meanwhile":     {ahead: "y", want: outcome{ID: 1, Answered: "y"}},
		"an earlier journal":     {old: true, want: outcome{ID: 2, Expires: 5*time.Minute + time.Minute, Open: 1}},
	} {
		r := start(t, unchecked(t, askTeam), nil)
		r.send()
		r.must(asking)
		first := r.s.Questions[0].Asked
		r.now = r.now.Add(max(test.late, time.Minute) - 4*time.Second) // three events follow, one of which is the asking
		r.must(TurnReconciled{Turn: 1, Attempt: 1, Finding: cmp.Or(test.finding, FindingInterrupted), KeepAsked: !test.old})
		if len(r.s.Questions) != 0 || !r.s.WakeAt.IsZero() {
			t.Errorf("%s: open between the attempts: %+v", name, r.s.Questions)
		}
		if test.ahead != "" {
			_, err := r.do(QuestionAnswered{Question: 1, Answer: "z", Kept: true})
			if _, wrong := errors.AsType[*AnswerError](err); !wrong {
				t.Errorf("%s: %v", name, err)
			}
			r.must(QuestionAnswered{Question: 1, Answer: test.ahead, By: "ada", Kept: true})
			if _, err := r.do(QuestionAnswered{Question: 1, Answer: test.ahead, Kept: true}); !errors.Is(err, ErrStale) {
				t.Errorf("%s: answered twice: %v", name, err)
			}
		}
		r.send()
		again := asking
		again.Attempt = 2
		if test.change != nil {
			test.change(&again)
		}
		again = AskedBefore(r.s, again)
		r.now = first.Add(max(test.late, time.Minute))
		effects := r.must(again)
		got := outcome{ID: cmp.Or(again.Question, r.s.LastQuestion), Open: len(r.s.Questions)}
		if got.Open > 0 {
			if r.s.Questions[0].ID != got.ID {
				t.Errorf("%s: %+v", name, r.s.Questions)
			}
			got.Expires = r.s.Questions[0].Expires.Sub(first).Truncate(time.Minute)
		} else {
			got.Answered = effect[AnswerQuestion](t, effects).Answer
		}
		if got != test.want {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
		if _, err := r.do(again); err == nil && again.Question != 0 {
			t.Errorf("%s: one question twice under the number %d", name, again.Question)
		}
	}
}
