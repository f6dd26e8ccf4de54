package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// slowWorkspace makes the directory of a sub-team's task when it is let go, and
// not at all when its ctx has ended and obeys is set.
func slowWorkspace(making chan<- string, release <-chan struct{}, obeys bool) func(*Options) {
	return func(o *Options) {
		o.Workspaces = PlaceFunc(func(ctx context.Context, req PlaceRequest) (Place, error) {
			if req.Given != "" {
				return Place{Directory: req.Given}, nil
			}
			making <- req.Task
			<-release
			if obeys && ctx.Err() != nil {
				return Place{}, fmt.Errorf("the command was killed: %w", ctx.Err()) // as exec does; it is not the cause
			}
			return Place{Directory: "/own"}, nil
		})
	}
}

func ownPlace(t testing.TB, team string) *workflow.Team {
	t.Helper()
	return parseFiles(t, map[string]string{"team.yaml": team, "part.yaml": part + "workspace: {directory: own}\n"})
}

// A task that is cancelled while the task of its sub-team is made leaves none that runs.
func TestCancelWhileASubTeamIsMade(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
		making, release := make(chan string, 1), make(chan struct{})
		e := newEngine(s, f, slowWorkspace(making, release, obeys))
		d := run(t, e)
		id := e.mustSubmit(t, ownPlace(t, parts))
		child := <-making
		if _, err := e.Cancel(t.Context(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		close(release)
		e.mu.Lock()
		broken := len(e.broken)
		e.mu.Unlock()
		if state := e.wait(t, child); state.Status != workflow.TaskCancelled || state.Attempts != 0 {
			t.Errorf("child: %+v, %d attempts", state.Result, state.Attempts)
		}
		if err := d.stop(); err != nil || broken != 0 || len(e.broken) != 0 {
			t.Errorf("obeys %v: stop: %v; %v", obeys, err, e.broken)
		}
	}
}

// An engine that stops while the task of a sub-team is made records no failure; the next one makes it.
func TestStopWhileASubTeamIsMade(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	making, release := make(chan string, 1), make(chan struct{})
	e := newEngine(s, f, slowWorkspace(making, release, true))
	d := run(t, e)
	id := e.mustSubmit(t, ownPlace(t, parts))
	<-making
	d.end()
	for e.stillRuns() { // until the turns have been told
		runtime.Gosched()
	}
	close(release)
	if err := <-d.ended; err != nil {
		t.Fatal(err)
	}
	second := newEngine(s, f, withChecks(&commands{}), slowWorkspace(make(chan string, 9), release, true))
	approve(t, second, s, id)
	run(t, second)
	if state := second.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("task: %+v", state.Result)
	}
}

// stillRuns reports whether the engine has not begun to stop.
func (e *Engine) stillRuns() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.phase == phaseRunning
}

// A deadline that passes while the task of a sub-team is made ends it too.
func TestDeadlineWhileASubTeamIsMade(t *testing.T) {
	for _, obeys := range []bool{true, false} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s, f := openStore(t, dir), &fake{server: newServer(), answer: paid}
			making, release := make(chan string, 1), make(chan struct{})
			e := newEngine(s, f, slowWorkspace(making, release, obeys))
			d := run(t, e)
			id := e.mustSubmit(t, ownPlace(t, parts))
			child := <-making
			<-time.After(11 * time.Hour)
			synctest.Wait()
			close(release)
			state := e.wait(t, id)
			if state.Status != workflow.TaskFailed || state.Result.Reason != workflow.ReasonBudgetExceeded || state.Result.Node != "part" {
				t.Errorf("obeys %v: task %+v", obeys, state.Result)
			}
			synctest.Wait()
			if !obeys {
				if state, err := s.Task(t.Context(), child); err != nil || state.Status != workflow.TaskCancelled || state.Attempts != 0 {
					t.Errorf("child: %+v, %v", state, err)
				}
			}
			if err := d.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A task that is paused while a turn prepares does not send it; it is sent, once, when the task is resumed.
func TestPauseWhileATurnPrepares(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	preparing, release := make(chan string, 2), make(chan struct{}, 2)
	f.runtime = func(req TurnRequest) workflow.Runtime {
		preparing <- req.Task
		<-release
		return workflow.Runtime{Server: "s", AgentID: "a", ConversationID: req.Task}
	}
	e := newEngine(s, f)
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	<-preparing
	if state, err := e.Pause(t.Context(), id, "ann"); err != nil || state.Status != workflow.TaskPaused {
		t.Fatalf("pause: %+v, %v", state, err)
	}
	if _, err := e.Pause(t.Context(), id, "ann"); err == nil {
		t.Error("a paused task was paused")
	}
	if state, err := e.Resume(t.Context(), id, "ann", workflow.Limits{}); err != nil || state.Status != workflow.TaskRunning {
		t.Fatalf("resume: %+v, %v", state, err)
	}
	release <- struct{}{}
	release <- struct{}{}
	state := e.wait(t, id)
	if state.Status != workflow.TaskSucceeded || len(f.server.sent) != 1 || state.Attempts != 1 {
		t.Errorf("task: %+v, inputs %v, %d attempts", state.Result, f.server.sent, state.Attempts)
	}
}

// A second engine on the same store stays out of what the first one does only
// because the store belongs to one process; what they do in turn must fit.
func TestTwoEnginesOneAfterTheOther(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	team := partsTeam(t)
	var ids []string
	for range 8 {
		ids = append(ids, newEngine(s, f).mustSubmit(t, team))
	}
	for _, id := range ids { // each engine is stopped somewhere in the middle
		e := newEngine(s, f, withChecks(&commands{}), func(o *Options) { o.MaxTurns = 3 })
		approve(t, e, s, id)
		d := run(t, e)
		e.wait(t, id)
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range ids {
		states := tree(t, s, id)
		if states[0].Status != workflow.TaskSucceeded || len(states) != 2 {
			t.Errorf("task: %+v, %d tasks", states[0].Result, len(states))
		}
		accounts(t, s, states)
	}
	for id, n := range f.server.sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
}

// Both engines decide on the same task at once; the store lets one of them.
func TestTwoEnginesAtOnce(t *testing.T) {
	s := openStore(t, t.TempDir())
	f := &fake{server: newServer()}
	c := &commands{end: func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
		return workflow.TurnFinished{Reason: workflow.ReasonPassed}, nil
	}}
	e := newEngine(s, f, withChecks(c))
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, checked))
	gate := openGate(record(t, s, sub, id, func(s workflow.State) bool { return openGate(s) != 0 }))
	other := newEngine(s, f)
	results := make(chan error, 2)
	for _, engine := range []*Engine{e, other} {
		go func() {
			_, err := engine.AnswerGate(context.Background(), id, gate, true, "", "")
			results <- err
		}()
	}
	var errs []error
	for range 2 {
		if err := <-results; err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) != 1 || !errors.Is(errs[0], workflow.ErrStale) && !errors.Is(errs[0], workflow.ErrTerminal) {
		t.Errorf("two answers: %v", errs)
	}
	records, err := s.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	answers := 0
	for _, r := range records {
		if strings.HasPrefix(r.Event.Body.EventType(), "gate_") {
			answers++
		}
	}
	if answers != 1 {
		t.Errorf("%d answers are recorded", answers)
	}
}

// A command that was told to end at a deadline, and whose end was not recorded,
// is not run again past it.
func TestCrashBetweenDeadlineAndItsEffect(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, c := openStore(t, dir), &commands{}
		c.end = func(ctx context.Context, _ CheckRequest) (workflow.TurnFinished, error) {
			<-ctx.Done()
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
		dying := &commitStore{Store: s, commit: func(_ context.Context, body workflow.EventBody) error {
			if end, ok := body.(workflow.TurnFinished); ok && end.Reason == workflow.ReasonBudgetExceeded {
				return &store.StorageError{Op: "commit", Err: errCrash}
			}
			return nil
		}}
		first := run(t, newEngine(dying, &fake{server: newServer()}, withChecks(c)))
		id := first.mustSubmit(t, parse(t, strings.ReplaceAll(checked, "turns: 9", "turns: 9, duration: 1h")))
		if err := <-first.ended; !errors.Is(err, errCrash) {
			t.Fatalf("run: %v", err)
		}
		if state, err := s.Task(t.Context(), id); err != nil || state.Turns[0].Stopping == "" {
			t.Fatalf("task: %+v, %v", state, err)
		}
		c.end = nil
		second := newEngine(s, &fake{server: newServer()}, withChecks(c))
		d := run(t, second)
		if state := second.wait(t, id); state.Nodes["tests"].Reason != workflow.ReasonBudgetExceeded || len(c.ran) != 1 {
			t.Errorf("check: %+v after %d runs", state.Nodes["tests"], len(c.ran))
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}
