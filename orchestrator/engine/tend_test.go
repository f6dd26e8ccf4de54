package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// nested runs part as the sub-team of a sub-team, under a limit of the task at the top.
const nested = `
version: 1
name: nested
limits: {turns: 9, tokens: 25, at_limit: pause}
teams:
  middle: {team: middle.yaml}
start: middle
handoffs:
  - {from: middle, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

const middle = `
version: 1
name: middle
limits: {turns: 9}
teams:
  part: {team: part.yaml, input: {goal: it}}
start: part
handoffs:
  - {from: part, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

func nestedTeam(t testing.TB) *workflow.Team {
	t.Helper()
	return parseFiles(t, map[string]string{"team.yaml": nested, "middle.yaml": middle, "part.yaml": part})
}

// greedy answers like paid, but y is over the limit before it ends the first time.
func greedy(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
	if req.Agent.Name != "y" || req.Turn.Attempt > 1 {
		return paid(ctx, req, rec)
	}
	used := workflow.Usage{TotalTokens: 30, Requests: 1}
	rec.Progress(Progress{Kind: ProgressUsage, Usage: used})
	<-ctx.Done()
	if _, limit := errors.AsType[*BudgetError](context.Cause(ctx)); !limit {
		return workflow.TurnFinished{}, context.Cause(ctx)
	}
	return workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Output: "half", Model: "m", Usage: used}, nil
}

// waitTold is wait, and tells how everything stands where a task does not end.
func (e *Engine) waitTold(t testing.TB, s *store.Store, task string) workflow.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	state, err := e.Wait(ctx, task)
	if err != nil {
		for _, state := range tree(t, s, task) {
			t.Logf("%+v", state)
		}
		t.Fatalf("wait: %v", err)
	}
	return state
}

// react calls fn with the state of a task now and after every decision on it, until the test ends.
func react(t testing.TB, e *Engine, s *store.Store, task string, fn func(workflow.State) error) {
	t.Helper()
	sub := e.Subscribe(task)
	done := make(chan struct{})
	t.Cleanup(func() {
		sub.Close()
		<-done
	})
	call := func(state workflow.State) {
		err := fn(state)
		if err != nil && !errors.Is(err, workflow.ErrStale) && !errors.Is(err, workflow.ErrTerminal) && !errors.Is(err, ErrStopped) && !errors.Is(err, errCrash) {
			t.Error(err)
		}
	}
	if state, err := s.Task(t.Context(), task); err != nil {
		t.Error(err)
	} else {
		call(state)
	}
	go func() {
		defer close(done)
		for u := range sub.Updates() {
			if u.Record != nil {
				call(*u.Record.State)
			}
		}
	}()
}

// resumeWith resumes a task whenever a limit has paused it.
func resumeWith(t testing.TB, e *Engine, s *store.Store, task string, raise workflow.Limits) {
	t.Helper()
	react(t, e, s, task, func(state workflow.State) error {
		if state.Status != workflow.TaskPaused {
			return nil
		}
		_, err := e.Resume(context.Background(), task, "ann", raise)
		if _, changed := errors.AsType[*workflow.TransitionError](err); changed {
			return nil // it was resumed for the update before
		}
		return err
	})
}

// TestSubTeamGoesOnAfterALimit: a limit of the task at the top stops a turn two
// tasks below in its middle. When the task is resumed that turn goes on, in the
// same tasks; nothing that was paid for is done again, wherever the
// orchestrator is killed meanwhile.
func TestSubTeamGoesOnAfterALimit(t *testing.T) {
	team := nestedTeam(t)
	for _, before := range []bool{true, false} {
		crashed := true
		for at := 1; crashed; at++ {
			name := fmt.Sprintf("killed at write %d, before %v", at, before)
			dir, f := t.TempDir(), &fake{server: newServer(), answer: greedy}
			s := openStore(t, dir)
			id := newEngine(s, f).mustSubmit(t, team)
			killed := &crashStore{Store: s, left: at, before: before}
			first := newEngine(killed, f)
			resumeWith(t, first, s, id, workflow.Limits{Tokens: 50})
			d := run(t, first)
			_, err := first.Wait(t.Context(), id)
			if err != nil && !errors.Is(err, errCrash) {
				t.Errorf("wait: %v", err)
			}
			killed.mu.Lock()
			crashed = killed.dead
			killed.mu.Unlock()
			d.end()
			<-first.done
			second := newEngine(s, f)
			resumeWith(t, second, s, id, workflow.Limits{Tokens: 50})
			run(t, second)
			state := second.waitTold(t, s, id)
			states := tree(t, s, id)
			if state.Status != workflow.TaskSucceeded || len(states) != 3 {
				t.Fatalf("%s: %+v, %d tasks", name, state.Result, len(states))
			}
			accounts(t, s, states)
			x := slices.DeleteFunc(slices.Clone(f.server.order), func(node string) bool { return node != "x" })
			for id, n := range f.server.sent {
				if n != 1 {
					t.Errorf("%s: %s was sent %d times", name, id, n)
				}
			}
			if len(x) != 1 || states[2].Nodes["y"].Output != "by y" {
				t.Errorf("%s: inputs %v, y ended with %+v", name, f.server.order, states[2].Nodes["y"])
			}
			if !crashed {
				if got := strings.Join(f.server.order, " "); got != "x y y" || state.Usage.TotalTokens != 50 {
					t.Errorf("inputs of %q, %d tokens", got, state.Usage.TotalTokens)
				}
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Pausing a task pauses the tasks below it after the turns that run, and
// resuming it resumes them.
func TestPausePausesSubTeams(t *testing.T) {
	s, f, begun := openStore(t, t.TempDir()), &fake{server: newServer()}, make(chan string, 1)
	goOn := make(chan struct{})
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name == "x" {
			begun <- req.Task
			<-goOn
		}
		return paid(ctx, req, rec)
	}
	e := newEngine(s, f)
	run(t, e)
	id := e.mustSubmit(t, parseFiles(t, map[string]string{"team.yaml": strings.Replace(nested, "tokens: 25, ", "", 1), "middle.yaml": middle, "part.yaml": part}))
	child := <-begun
	sub := e.Subscribe(child)
	defer sub.Close()
	if _, err := e.Pause(t.Context(), id, "ann"); err != nil {
		t.Fatal(err)
	}
	await(t, sub, func(u Update) bool { return u.Record != nil && u.Record.State.Status == workflow.TaskPaused })
	var byParent *workflow.PausedByParentError
	if _, err := e.Resume(t.Context(), child, "ann", workflow.Limits{}); !errors.As(err, &byParent) || byParent.Parent != strings.TrimSuffix(child, ".1.1") {
		t.Errorf("resumed alone: %v", err)
	}
	top := e.Subscribe(id)
	defer top.Close()
	close(goOn)
	held := await(t, sub, func(u Update) bool { return u.Record != nil && len(u.Record.State.Held) > 0 }).Record.State
	if held.Status != workflow.TaskPaused || held.Held[0].Cut || held.Pause.Note != "paused with task "+held.Parent.Task {
		t.Errorf("%+v", held)
	}
	// All that is below waits, and so does the clock of the top.
	await(t, top, func(u Update) bool { return u.Record != nil && !u.Record.State.WaitingSince.IsZero() })
	if _, err := e.Resume(t.Context(), id, "ann", workflow.Limits{}); err != nil {
		t.Fatal(err)
	}
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || strings.Join(f.server.order, " ") != "x y" {
		t.Errorf("%+v, inputs %v", state.Result, f.server.order)
	}
}

// Sub-teams that run at once share what the task allows.
func TestSubTeamsShareTheTurns(t *testing.T) {
	const both = `
version: 1
name: both
limits: {turns: 3, at_limit: pause}
workspace: {parallel_writers: true}
agents:
  plan: {prompt: P}
teams:
  left: {team: part.yaml, input: {goal: left}}
  right: {team: part.yaml, input: {goal: right}}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: [left, right]}
  - {from: [left, right], on: succeeded, join: all, to: succeeded}
  - {from: "*", on: "*", to: failed}
`
	for range 20 {
		s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
		e := newEngine(s, f)
		d := run(t, e)
		id := e.mustSubmit(t, parseFiles(t, map[string]string{"team.yaml": both, "part.yaml": part}))
		sub := e.Subscribe(id)
		state := *await(t, sub, func(u Update) bool {
			runs := func(turn workflow.Turn) bool { return turn.ChildStatus != workflow.TaskPaused }
			return u.Record != nil && u.Record.State.Status == workflow.TaskPaused && !slices.ContainsFunc(u.Record.State.Turns, runs)
		}).Record.State
		sub.Close()
		if n := f.server.inputs(); n > 3 {
			t.Errorf("%d inputs", n)
		}
		if want := "limits.turns of the task: 3 reached"; state.Pause.Note != want {
			t.Errorf("paused: %q", state.Pause.Note)
		}
		resumeWith(t, e, s, id, workflow.Limits{Turns: 1})
		if state = e.waitTold(t, s, id); state.Status != workflow.TaskSucceeded || f.server.inputs() != 5 || state.Attempts != 5 {
			t.Errorf("%+v, %d inputs, %d attempts", state.Result, f.server.inputs(), state.Attempts)
		}
		if states := tree(t, s, id); len(states) != 3 {
			t.Errorf("%d tasks", len(states))
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}

// A price that is not known stops a turn below a task with a limit of money.
func TestLimitOfMoneyAbove(t *testing.T) {
	source := strings.Replace(nested, "tokens: 25, ", "cost: 1, ", 1)
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid, model: "unknown"}
	e := newEngine(s, f, func(o *Options) { o.Prices = prices{"m": 1} })
	run(t, e)
	id := e.mustSubmit(t, parseFiles(t, map[string]string{"team.yaml": source, "middle.yaml": middle, "part.yaml": part}))
	state := e.wait(t, id)
	if f.server.inputs() != 0 || state.Status != workflow.TaskFailed {
		t.Errorf("%d inputs, %+v", f.server.inputs(), state.Result)
	}
}

func TestRunsFor(t *testing.T) {
	got := map[string]bool{}
	for _, task := range []string{"A", "A.1.1", "A.1.1.2.1", "A.1.s0", "A.1.1.2.s0", "A.1.s0.1.1", "AB.1.1", "B"} {
		got[task] = runsFor(task, "A")
	}
	want := map[string]bool{"A": true, "A.1.1": true, "A.1.1.2.1": true, "A.1.s0": false, "A.1.1.2.s0": false, "A.1.s0.1.1": false, "AB.1.1": false, "B": false}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// Pausing and resuming reach what is below also where no engine runs.
func TestPauseWithoutAnEngine(t *testing.T) {
	dir, f, begun := t.TempDir(), &fake{server: newServer()}, make(chan string, 1)
	f.answer = blockUntilStopped(begun)
	s := openStore(t, dir)
	first := run(t, newEngine(s, f))
	id := first.mustSubmit(t, nestedTeam(t))
	<-begun
	_ = first.stop()
	status := func(want workflow.TaskState) {
		t.Helper()
		for _, state := range tree(t, s, id) {
			if state.Status != want {
				t.Errorf("task %s is %s, want %s", state.Task, state.Status, want)
			}
		}
	}
	idle := newEngine(s, f)
	if _, err := idle.Pause(t.Context(), id, "ann"); err != nil {
		t.Fatal(err)
	}
	status(workflow.TaskPaused)
	if _, err := idle.Resume(t.Context(), id, "ann", workflow.Limits{}); err != nil {
		t.Fatal(err)
	}
	status(workflow.TaskRunning)
	f.answer = paid
	second := newEngine(s, f)
	run(t, second)
	if state := second.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("%+v", state.Result)
	}
}
