package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestDrain(t *testing.T) {
	const grace = 30 * time.Second
	for name, tt := range map[string]struct {
		lasts time.Duration // of the running turn, from the beginning of the drain
		stop  bool          // stop at once after a second
		want  time.Duration // how long Run goes on
		ended bool          // the end of the turn is recorded
	}{
		"turn ends in time":   {lasts: 10 * time.Second, want: 10 * time.Second, ended: true},
		"turn takes too long": {lasts: time.Hour, want: grace},
		"stopped meanwhile":   {lasts: time.Hour, stop: true, want: time.Second},
		"nothing runs":        {lasts: 0, want: 0, ended: true},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				begun, f := make(chan string, 9), &fake{server: newServer()}
				f.answer = func(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
					begun <- req.Agent.Name
					timer := time.NewTimer(tt.lasts)
					defer timer.Stop()
					select {
					case <-timer.C:
						return endTurn(req), nil
					case <-ctx.Done():
						if !errors.Is(context.Cause(ctx), ErrStopping) {
							t.Errorf("stopped because of %v", context.Cause(ctx))
						}
						return workflow.TurnFinished{}, context.Cause(ctx)
					}
				}
				s := openStore(t, dir)
				e := newEngine(s, f, func(o *Options) { o.MaxTurns = 1 })
				d := run(t, e)
				id := e.mustSubmit(t, parse(t, chain))
				other := e.mustSubmit(t, parse(t, single))
				if tt.lasts == 0 {
					e.wait(t, id)
					e.wait(t, other)
					synctest.Wait()
				} else {
					<-begun
				}
				from := time.Now()
				e.Drain(grace)
				e.Drain(time.Hour)
				if tt.stop {
					timer := time.AfterFunc(time.Second, d.end)
					defer timer.Stop()
				}
				if err := <-d.ended; err != nil {
					t.Fatal(err)
				}
				if took := time.Since(from); took != tt.want {
					t.Errorf("it took %s, want %s", took, tt.want)
				}
				state, err := s.Task(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				if ended := state.Nodes["a"].Reason != ""; ended != tt.ended {
					t.Errorf("ended %v, want %v", ended, tt.ended)
				}
				if tt.lasts == 0 {
					return
				}
				if left, err := s.Task(t.Context(), other); err != nil || left.Status != workflow.TaskQueued || len(begun) != 0 {
					t.Errorf("other task is %s, %v; %d turns were started", left.Status, err, len(begun))
				}
				f.answer = nil
				second := newEngine(s, f)
				run(t, second)
				for _, id := range []string{id, other} {
					if state := second.wait(t, id); state.Status != workflow.TaskSucceeded {
						t.Errorf("task: %+v", state.Result)
					}
				}
				for id, n := range f.server.sent {
					if n != 1 {
						t.Errorf("%s was sent %d times", id, n)
					}
				}
			})
		})
	}
}

// A turn that is being prepared when the drain begins is not sent any more.
func TestDrainSendsNothing(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		preparing, proceed := make(chan bool), make(chan bool)
		f := &fake{server: newServer()}
		f.runtime = func(req TurnRequest) workflow.Runtime {
			preparing <- true
			<-proceed
			return workflow.Runtime{Server: "s", AgentID: req.Agent.Name, ConversationID: req.Task}
		}
		s := openStore(t, dir)
		e := newEngine(s, f)
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		<-preparing
		e.Drain(time.Hour)
		proceed <- true
		if err := <-d.ended; err != nil {
			t.Error(err)
		}
		state, err := s.Task(t.Context(), id)
		if err != nil || state.Turns[0].State != workflow.TurnPending || f.server.inputs() != 0 {
			t.Errorf("task: %+v, %v, %d inputs", state.Turns, err, f.server.inputs())
		}
	})
}

func TestDrainBeforeRun(t *testing.T) {
	f := &fake{server: newServer()}
	e := newEngine(openStore(t, t.TempDir()), f)
	e.mustSubmit(t, parse(t, single))
	e.Drain(time.Hour)
	if err := e.Run(t.Context()); err != nil || f.server.inputs() != 0 {
		t.Errorf("%v, %d inputs", err, f.server.inputs())
	}
}
