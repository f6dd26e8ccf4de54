package engine

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Where nobody can know whether a turn ran, the task waits for a person, without
// a slot and with its conversation held, also over a restart.
func TestUncertainTurnWaitsForAPerson(t *testing.T) {
	for answer, want := range map[string][]string{
		workflow.AnswerContinue: {"begin", "Contact with the App Server was lost"},
		workflow.AnswerRetry:    {"begin", "begin"},
		workflow.AnswerFail:     {"begin"},
	} {
		dir, f := t.TempDir(), &fake{server: newServer()}
		var inputs []string
		f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
			inputs = append(inputs, req.Turn.Message)
			if req.Turn.Attempt == 1 {
				return workflow.TurnFinished{}, &UnknownOutcomeError{Err: errors.New("reset by peer")}
			}
			return endTurn(req), nil
		}
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{Finding: workflow.FindingUnknown, Detail: "who knows"}, nil
		}
		s := openStore(t, dir)
		first := newEngine(s, f)
		sub := first.Subscribe("")
		daemon := run(t, first)
		id := first.mustSubmit(t, parse(t, strings.Replace(single, "fail", "ask", 1)))
		await(t, sub, func(u Update) bool { return u.Record != nil && u.Record.State.Status == workflow.TaskWaiting })
		sub.Close()
		if err := daemon.stop(); err != nil {
			t.Fatal(err)
		}
		second := newEngine(s, f)
		run(t, second)
		rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true})
		if err != nil || len(rows) != 1 {
			t.Errorf("%s: conversations held meanwhile: %+v, %v", answer, rows, err)
		}
		if _, err := second.AnswerQuestion(t.Context(), id, 1, answer, "ada"); err != nil {
			t.Fatal(err)
		}
		state := second.wait(t, id)
		if succeeded := state.Status == workflow.TaskSucceeded; succeeded != (answer != workflow.AnswerFail) {
			t.Errorf("%s: %+v", answer, state.Result)
		}
		if len(inputs) != len(want) || !strings.HasPrefix(inputs[len(inputs)-1], want[len(want)-1]) {
			t.Errorf("%s: inputs %q", answer, inputs)
		}
		if _, err := second.AnswerQuestion(t.Context(), id, 1, answer, "bob"); !errors.Is(err, workflow.ErrTerminal) {
			t.Errorf("%s: answered twice: %v", answer, err)
		}
	}
}
