package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// An answer that a person gives while the App Server is down reaches the agent
// when it is back and asks the same again.
func TestAnswerWhileTheAppServerIsDown(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		question := Question{Kind: workflow.QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "rm x"}
		up := make(chan struct{})
		var got Answer
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			if req.Turn.Attempt == 1 {
				short, lost := context.WithTimeout(ctx, time.Second)
				defer lost()
				_, _ = rec.Ask(short, question) // it is recorded, and its turn gets out of touch
				return workflow.TurnFinished{}, &UnknownOutcomeError{Err: errors.New("reset by peer"), Consumed: true}
			}
			var err error
			got, err = rec.Ask(ctx, question)
			return endTurn(req), err
		}
		f.reconcile = func(ctx context.Context, _ TurnRequest) (workflow.TurnReconciled, error) {
			select {
			case <-up:
				return workflow.TurnReconciled{Finding: workflow.FindingInterrupted}, nil
			default:
				return workflow.TurnReconciled{}, errors.New("no route to the server")
			}
		}
		e := newEngine(openStore(t, dir), f)
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		<-time.After(10 * time.Second)
		if _, err := e.AnswerQuestion(t.Context(), id, 1, workflow.AnswerAllow, "ada"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.AnswerQuestion(t.Context(), id, 1, workflow.AnswerDeny, "bob"); !errors.Is(err, workflow.ErrStale) {
			t.Errorf("answered twice: %v", err)
		}
		close(up)
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || got.Text != workflow.AnswerAllow || got.By != "ada" {
			t.Errorf("answer %+v, %+v", got, state.Result)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}
