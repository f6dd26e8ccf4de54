package workflow

import (
	"strings"
	"testing"
)

const uncertainTeam = `version: 1
name: t
on_uncertain: POLICY
inputs: {goal: {}}
agents:
  a: {prompt: Work.}
checks:
  c: {run: make, rerun: false}
start: a
handoffs:
  - {from: a, on: end_turn, to: c}
  - {from: c, on: passed, to: succeeded}
  - {from: "*", on: "*", retry: {max: 3}}
  - {from: "*", on: "*", to: failed}
`

// lose takes the task to where it cannot be known whether its turn ran.
func (r *run) lose() []Effect {
	t := r.send()
	return r.must(TurnReconciled{Turn: t.ID, Attempt: t.Attempt, Finding: FindingUnknown, Detail: "the list does not tell", ConversationLost: true})
}

func TestUncertainPolicies(t *testing.T) {
	t.Parallel()
	for policy, check := range map[string]func(r *run, effects []Effect){
		UncertainAsk: func(r *run, effects []Effect) {
			r.wantStatus(TaskWaiting)
			if q := effect[AskPerson](t, effects).Question; !q.Expires.IsZero() || !strings.Contains(q.Text, "the list does not tell") || !r.s.WakeAt.IsZero() {
				t.Errorf("question %+v, wakes at %s", q, r.s.WakeAt)
			}
		},
		UncertainContinue: func(r *run, effects []Effect) {
			if got := effect[StartTurn](t, effects); got.Attempt != 2 || !strings.HasPrefix(got.Message, uncertainStart) || !strings.HasSuffix(got.Message, "g") {
				t.Errorf("start %+v", got)
			}
			for range MaxRecoveries {
				r.lose()
			}
			r.wantStatus(TaskFailed) // and no rule for all reasons has tried it again
		},
		UncertainFail: func(r *run, effects []Effect) {
			r.wantStatus(TaskFailed)
			if h := effect[Handoff](t, effects); h.Rule != 4 || h.Reason != ReasonUncertain || len(h.Skipped) == 0 {
				t.Errorf("handoff %+v", h)
			}
		},
	} {
		r := start(t, mustParse(t, strings.Replace(uncertainTeam, "POLICY", policy, 1)), map[string]any{"goal": "g"})
		check(r, r.lose())
		if _, known := r.s.Conversations["a"]; known {
			t.Errorf("%s: the lost conversation is still there", policy)
		}
	}
}

func TestUncertainAnswers(t *testing.T) {
	t.Parallel()
	for answer, check := range map[string]func(r *run, effects []Effect){
		AnswerContinue: func(r *run, effects []Effect) {
			if got := effect[StartTurn](t, effects); got.Attempt != 2 || !strings.HasPrefix(got.Message, uncertainStart) {
				t.Errorf("start %+v", got)
			}
			r.wantStatus(TaskRunning)
		},
		AnswerRetry: func(_ *run, effects []Effect) {
			if got := effect[StartTurn](t, effects); got.Attempt != 2 || got.Message != "g" {
				t.Errorf("start %+v", got)
			}
		},
		AnswerFail: func(r *run, _ []Effect) { r.wantStatus(TaskFailed) },
	} {
		r := start(t, mustParse(t, strings.Replace(uncertainTeam, "POLICY", "ask", 1)), map[string]any{"goal": "g"})
		r.lose()
		if _, err := r.do(QuestionAnswered{Question: 1, Answer: "perhaps"}); err == nil {
			t.Error("any answer is taken")
		}
		if answered := effect[AnswerQuestion](t, r.do2(QuestionAnswered{Question: 1, Answer: answer, By: "ada"}, check)); answered.By != "ada" {
			t.Errorf("%+v", answered)
		}
		if _, err := r.do(QuestionAnswered{Question: 1, Answer: answer}); err == nil {
			t.Errorf("%s: answered twice", answer)
		}
	}
}

// do2 applies an event, looks at what follows and returns it.
func (r *run) do2(body EventBody, check func(*run, []Effect)) []Effect {
	effects := r.must(body)
	check(r, effects)
	return effects
}

// A question about a turn stays open, and can be answered, while the task is paused.
func TestUncertainWhilePaused(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, strings.Replace(uncertainTeam, "POLICY", "ask", 1)), map[string]any{"goal": "g"})
	turn := r.send()
	r.must(PauseRequested{By: "ada"})
	r.must(TurnReconciled{Turn: turn.ID, Attempt: 1, Finding: FindingUnknown})
	r.must(QuestionAnswered{Question: 1, Answer: AnswerRetry})
	r.wantStatus(TaskPaused)
	if got := effect[StartTurn](t, r.must(ResumeRequested{})); got.Attempt != 2 || got.Message != "g" {
		t.Errorf("start %+v", got)
	}
}

// A person says how a check ended that must not be run again.
func TestUncertainCheck(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]TaskState{"passed": TaskSucceeded, "failed": TaskWaiting, AnswerRetry: TaskRunning} {
		r := start(t, mustParse(t, strings.Replace(uncertainTeam, "POLICY", "continue", 1)), map[string]any{"goal": "g"})
		r.end(TurnFinished{})
		r.must(TurnSending{Turn: r.turn().ID, Attempt: 1})
		r.must(TurnReconciled{Turn: r.turn().ID, Attempt: 1, Finding: FindingUnknown})
		r.wantStatus(TaskWaiting)
		r.must(QuestionAnswered{Question: 1, Answer: answer})
		if r.s.Status != want {
			t.Errorf("%s: %s", answer, r.s.Status)
		}
	}
}

// A rule that names the reason wins over the policy, and an earlier one for all
// reasons does not take its place.
func TestUncertainNamed(t *testing.T) {
	t.Parallel()
	source := strings.Replace(strings.Replace(uncertainTeam, "POLICY", "ask", 1), `  - {from: "*", on: "*", to: failed}`,
		`  - {from: a, on: uncertain, max: 1, to: c}`+"\n"+`  - {from: "*", on: "*", to: failed}`, 1)
	r := start(t, unchecked(t, source), map[string]any{"goal": "g"})
	if h := effect[Handoff](t, r.lose()); h.Rule != 4 || h.To != "c" {
		t.Errorf("handoff %+v", h)
	}
}
