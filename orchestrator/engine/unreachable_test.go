package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// A turn waits for as long as its App Server cannot be reached, and another task
// has the one slot meanwhile. It is the same attempt, and no rule is asked.
func TestAppServerUnreachableForAnHour(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		back := time.Now().Add(time.Hour)
		tries, other := 0, ""
		e := newEngine(openStore(t, dir), runnerFunc(func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			if req.Task != other && time.Now().Before(back) {
				tries++
				return workflow.TurnFinished{}, &UnreachableError{Err: errors.New("connection refused")}
			}
			return f.Run(ctx, req, rec)
		}), func(o *Options) { o.MaxTurns = 1 })
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		synctest.Wait()
		e.o.IDs = func() string { return other }
		other = "second"
		e.mustSubmit(t, parse(t, single))
		if state := e.wait(t, other); state.Status != workflow.TaskSucceeded || !time.Now().Before(back) {
			t.Errorf("the other task: %+v", state.Result)
		}
		state := e.wait(t, id)
		if state.Status != workflow.TaskSucceeded || state.Attempts != 1 {
			t.Errorf("%d attempts: %+v", state.Attempts, state.Result)
		}
		if late := time.Since(back); tries < 30 || tries > 200 || late > 2*time.Minute {
			t.Errorf("%d tries, and %v too late", tries, late)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Cancelling a task that waits for its App Server ends the wait.
func TestCancelledWhileUnreachable(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(openStore(t, dir), runnerFunc(func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{}, &UnreachableError{Err: errors.New("connection refused")}
		}))
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		synctest.Wait()
		if _, err := e.Cancel(t.Context(), id, "ada"); err != nil {
			t.Fatal(err)
		}
		if state := e.wait(t, id); state.Status != workflow.TaskCancelled {
			t.Errorf("%+v", state.Result)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}
