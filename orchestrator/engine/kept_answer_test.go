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

// A question that nobody has answered comes again under its number, with what is
// left of its time, also after a start of another engine.
func TestQuestionIsAskedAgain(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		begun := make(chan struct{}, 2)
		var got Answer
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			begun <- struct{}{}
			var err error
			if got, err = rec.Ask(ctx, Question{Kind: workflow.QuestionText, Text: "Which?"}); err != nil {
				return workflow.TurnFinished{}, err
			}
			return endTurn(req), nil
		}
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{Finding: workflow.FindingInterrupted}, nil
		}
		s := openStore(t, dir)
		first := newEngine(s, f)
		d := run(t, first)
		id := first.mustSubmit(t, parse(t, single))
		<-begun
		synctest.Wait()
		before, err := s.Task(t.Context(), id)
		if err != nil || len(before.Questions) != 1 {
			t.Fatalf("%+v, %v", before.Questions, err)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
		<-time.After(time.Minute)
		second := newEngine(s, f)
		run(t, second)
		<-begun
		synctest.Wait()
		after, err := s.Task(t.Context(), id)
		if err != nil || len(after.Questions) != 1 {
			t.Fatalf("%+v, %v", after.Questions, err)
		}
		if q, old := after.Questions[0], before.Questions[0]; q.ID != old.ID || !q.Expires.Equal(old.Expires) || q.Attempt != 2 {
			t.Errorf("asked as %+v, and again as %+v", old, q)
		}
		if _, err := second.AnswerQuestion(t.Context(), id, 1, "that one", "ada"); err != nil {
			t.Fatal(err)
		}
		if state := second.wait(t, id); state.Status != workflow.TaskSucceeded || got.Text != "that one" {
			t.Errorf("answer %+v, %+v", got, state.Result)
		}
	})
}
