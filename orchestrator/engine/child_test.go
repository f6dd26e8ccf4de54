package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const parts = `
version: 1
name: parts
inputs:
  goal: {type: string, default: go}
limits: {turns: 12, duration: 10h}
workspace: {parallel_writers: true}
agents:
  plan: {prompt: P}
  left: {prompt: L}
  right: {prompt: R}
checks:
  tests: {run: make}
gates:
  ok: {question: "Good?"}
teams:
  part: {team: part.yaml, input: {goal: "{{ .output }}"}}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: [left, right]}
  - {from: right, on: end_turn, to: part}
  - {from: [left, part], on: [end_turn, succeeded], join: all, to: tests}
  - {from: tests, on: passed, to: ok}
  - {from: ok, on: approved, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

const part = `
version: 1
name: part
inputs:
  goal: {type: string, required: true}
limits: {turns: 4}
agents:
  x: {prompt: X}
  y: {prompt: Y}
start: x
handoffs:
  - {from: x, on: end_turn, to: y}
  - {from: y, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

func partsTeam(t testing.TB) *workflow.Team {
	t.Helper()
	return parseFiles(t, map[string]string{"team.yaml": parts, "part.yaml": part})
}

// paid answers every turn and says what it has used.
func paid(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
	out := endTurn(req)
	out.Model, out.Usage = "m", workflow.Usage{TotalTokens: 10, Requests: 1}
	return out, nil
}

// approve answers every gate of a task until it ends.
func approve(t testing.TB, e *Engine, s *store.Store, task string) {
	t.Helper()
	react(t, e, s, task, func(state workflow.State) error {
		gate := openGate(state)
		if gate == 0 {
			return nil
		}
		if _, err := e.AnswerGate(context.Background(), task, gate, true, "ann", ""); err != nil {
			return fmt.Errorf("answer the gate: %w", err)
		}
		return nil
	})
}

type prices map[string]int64

func (p prices) Price(model string, u workflow.Usage) (int64, bool) {
	price, ok := p[model]
	return price * u.TotalTokens, ok
}

// accounts compares what a task says it has used with the journals of it and of
// its sub-teams.
func accounts(t *testing.T, s *store.Store, states []workflow.State) {
	t.Helper()
	starts, tokens, cost := 0, int64(0), int64(0)
	for _, state := range states {
		records, err := s.Events(t.Context(), state.Task, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			for _, effect := range r.Effects {
				if start, ok := effect.(workflow.StartTurn); ok && start.Kind == workflow.KindAgent {
					starts++
				}
			}
			if end, ok := r.Event.Body.(workflow.TurnFinished); ok {
				tokens += end.Usage.TotalTokens
				cost += end.Cost
			}
		}
	}
	if top := states[0]; top.Attempts != starts || top.Usage.TotalTokens != tokens || top.Cost != cost {
		t.Errorf("the task counts %d attempts, %d tokens, %d; the journals %d, %d, %d", top.Attempts, top.Usage.TotalTokens, top.Cost, starts, tokens, cost)
	}
}

func TestSubTeamRunsAsATaskOfItsOwn(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	e := newEngine(s, f, withChecks(&commands{}), func(o *Options) { o.Prices = prices{"m": 3} })
	run(t, e)
	id := e.mustSubmit(t, partsTeam(t))
	approve(t, e, s, id)
	state := e.wait(t, id)
	states := tree(t, s, id)
	if state.Status != workflow.TaskSucceeded || len(states) != 2 {
		t.Fatalf("task: %+v, %d tasks", state.Result, len(states))
	}
	child := states[1]
	if child.Task != id+".4.1" || child.Parent.Task != id || child.Workspace != "/w" || child.Input["goal"] != "by right" || child.Limits != (workflow.Limits{}) {
		t.Errorf("child: %+v", child)
	}
	if node := state.Nodes["part"]; node.Reason != workflow.ReasonSucceeded || node.Output != "by y" {
		t.Errorf("node: %+v", node)
	}
	if state.Attempts != 5 || state.Cost != 150 || len(state.Unpriced) != 0 {
		t.Errorf("%d attempts, cost %d, unpriced %v", state.Attempts, state.Cost, state.Unpriced)
	}
	accounts(t, s, states)
	children, err := e.Children(t.Context(), id)
	if err != nil || len(children) != 1 || children[0].Task != child.Task {
		t.Errorf("children: %+v, %v", children, err)
	}
}

// treeStory is what must not depend on where the orchestrator was killed.
func treeStory(states []workflow.State) map[string]string {
	out := map[string]string{}
	for _, state := range states {
		name := strings.TrimPrefix(state.Task, states[0].Task)
		for key, value := range story(state) {
			out[name+"/"+key] = value
		}
	}
	return out
}

// TestTreeKilledAtEveryWrite is TestKilledAtEveryWrite for a task with
// branches, a check, a gate and a sub-team.
func TestTreeKilledAtEveryWrite(t *testing.T) {
	team := partsTeam(t)
	whole, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	e := newEngine(whole, f, withChecks(&commands{}))
	run(t, e)
	id := e.mustSubmit(t, team)
	approve(t, e, whole, id)
	e.wait(t, id)
	want := treeStory(tree(t, whole, id))

	for _, before := range []bool{true, false} {
		crashed := true
		for at := 1; crashed; at++ {
			name := fmt.Sprintf("killed at write %d, before %v", at, before)
			var s *store.Store
			s, id, f, crashed = treeKilledAt(t, team, at, before)
			states := tree(t, s, id)
			if diff := cmp.Diff(want, treeStory(states)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
			accounts(t, s, states)
			for id, n := range f.server.sent {
				if n != 1 {
					t.Errorf("%s: %s was sent %d times", name, id, n)
				}
			}
			if got := strings.Join(slices.Sorted(slices.Values(f.server.order)), " "); got != "left plan right x y" {
				t.Errorf("%s: inputs of %q, want each agent's once", name, got)
			}
			if rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
				t.Errorf("%s: conversations still held: %+v, %v", name, rows, err)
			}
			if at == 1 && !crashed || at > 200 {
				t.Fatal("nothing was killed, or there is no end")
			}
			if t.Failed() {
				return
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func treeKilledAt(t *testing.T, team *workflow.Team, at int, before bool) (*store.Store, string, *fake, bool) {
	t.Helper()
	dir, f := t.TempDir(), &fake{server: newServer(), answer: paid}
	s := openStore(t, dir)
	id := newEngine(s, f).mustSubmit(t, team)
	killed := &crashStore{Store: s, left: at, before: before}
	first := newEngine(killed, f, withChecks(&commands{}))
	approve(t, first, s, id)
	d := run(t, first)
	_, err := first.Wait(t.Context(), id)
	if err != nil && !errors.Is(err, errCrash) {
		t.Errorf("wait: %v", err)
	}
	killed.mu.Lock()
	crashed := killed.dead
	killed.mu.Unlock()
	d.end()
	<-first.done
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	second := newEngine(s, f, withChecks(&commands{}))
	approve(t, second, s, id)
	run(t, second)
	second.wait(t, id)
	return s, id, f, crashed
}

// waitTree waits until a task and all that it started have ended.
func waitTree(t *testing.T, e *Engine, s *store.Store, task string) []workflow.State {
	t.Helper()
	for _, state := range tree(t, s, task) {
		e.wait(t, state.Task)
	}
	return tree(t, s, task)
}

func TestCancelledTaskCancelsItsSubTeam(t *testing.T) {
	s, f, begun := openStore(t, t.TempDir()), &fake{server: newServer()}, make(chan string, 1)
	stopped := make(chan error, 1)
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name != "x" {
			return paid(ctx, req, rec)
		}
		begun <- req.Task
		<-ctx.Done()
		stopped <- context.Cause(ctx)
		return workflow.TurnFinished{}, context.Cause(ctx)
	}
	e := newEngine(s, f, withChecks(&commands{}))
	run(t, e)
	id := e.mustSubmit(t, partsTeam(t))
	child := <-begun
	if _, err := e.Cancel(t.Context(), id, "ann"); err != nil {
		t.Fatal(err)
	}
	state := e.wait(t, child)
	if state.Status != workflow.TaskCancelled || !strings.Contains(state.Result.Explanation, "task "+id) {
		t.Errorf("child: %+v", state.Result)
	}
	if err := <-stopped; !errors.Is(err, ErrTurnAborted) {
		t.Errorf("cause %v", err)
	}
}

// A task that is cancelled where no engine runs takes its sub-teams with it.
func TestCancelledWithoutAnEngine(t *testing.T) {
	for _, last := range []string{"x", "part"} { // the sub-team's task runs; it was only made
		dir, f, begun := t.TempDir(), &fake{server: newServer()}, make(chan string, 1)
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			if req.Agent.Name != "x" {
				return paid(ctx, req, rec)
			}
			begun <- req.Task
			<-ctx.Done()
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
		s := openStore(t, dir)
		var guarded Store = s
		if last == "part" {
			guarded = &commitStore{Store: s, commit: func(_ context.Context, body workflow.EventBody) error {
				if claimed, ok := body.(workflow.TaskClaimed); ok && f.server.inputs() > 0 {
					begun <- ""
					return &store.StorageError{Op: "commit", Err: fmt.Errorf("%v: %w", claimed, errCrash)}
				}
				return nil
			}}
		}
		first := run(t, newEngine(guarded, f, withChecks(&commands{})))
		id := first.mustSubmit(t, partsTeam(t))
		<-begun
		_ = first.stop()
		if _, err := newEngine(s, f).Cancel(t.Context(), id, "ann"); err != nil {
			t.Fatal(err)
		}
		if states := tree(t, s, id); len(states) == 2 && states[1].Status != workflow.TaskCancelled {
			t.Errorf("until %s: the sub-team is %s", last, states[1].Status)
		}
		sent := f.server.inputs()
		second := newEngine(s, f, withChecks(&commands{}))
		run(t, second)
		states := waitTree(t, second, s, id)
		if last == "part" && states[1].Attempts != 0 {
			t.Error("a task that nobody waits for was begun")
		}
		if len(states) != 2 || states[1].Status != workflow.TaskCancelled || f.server.inputs() != sent {
			t.Errorf("until %s: %d tasks, %+v, %d inputs after %d", last, len(states), states[len(states)-1].Result, f.server.inputs(), sent)
		}
	}
}

// The deadline of a task ends its sub-team, and the node ends with budget_exceeded.
func TestDeadlineStopsASubTeam(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f, begun := openStore(t, dir), &fake{server: newServer()}, make(chan string, 1)
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			if req.Agent.Name != "x" {
				return paid(ctx, req, rec)
			}
			begun <- req.Task
			<-ctx.Done()
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
		e := newEngine(s, f, withChecks(&commands{}))
		d := run(t, e)
		id := e.mustSubmit(t, partsTeam(t))
		child := <-begun
		start := time.Now()
		state := e.wait(t, id)
		if got := time.Since(start); got < 9*time.Hour || got > 10*time.Hour+time.Minute {
			t.Errorf("it took %s", got)
		}
		if state.Status != workflow.TaskFailed || state.Result.Reason != workflow.ReasonBudgetExceeded || !strings.Contains(state.Result.Explanation, "limits.duration") {
			t.Errorf("task: %+v", state.Result)
		}
		if got := e.wait(t, child); got.Status != workflow.TaskCancelled && got.Result.Reason != workflow.ReasonBudgetExceeded {
			t.Errorf("child: %+v", got.Result)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestSubTeamThatCannotBeMade(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	e := newEngine(s, f, withChecks(&commands{}), func(o *Options) {
		o.Workspaces = PlaceFunc(func(_ context.Context, req PlaceRequest) (Place, error) {
			if req.Given != "" {
				return Place{Directory: req.Given}, nil
			}
			return Place{}, fmt.Errorf("no room for %s", req.Task)
		})
	})
	run(t, e)
	team := parseFiles(t, map[string]string{"team.yaml": parts, "part.yaml": part + "workspace: {directory: own}\n"})
	state := e.wait(t, e.mustSubmit(t, team))
	if node := state.Nodes["part"]; state.Status != workflow.TaskFailed || state.Result.Node != "part" {
		t.Errorf("task: %+v, %+v", state.Result, node)
	} else if !strings.Contains(state.Result.Explanation, "no room for "+state.Task+".4.1") {
		t.Errorf("explanation %q", state.Result.Explanation)
	}
}

// A parent is not left waiting for a sub-team that cannot be driven.
func TestSubTeamThatCannotBeDriven(t *testing.T) {
	dir, f, begun := t.TempDir(), &fake{server: newServer()}, make(chan string, 1)
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name != "x" {
			return paid(ctx, req, rec)
		}
		return blockUntilStopped(begun)(ctx, req, rec)
	}
	s := openStore(t, dir)
	first := run(t, newEngine(s, f))
	id := first.mustSubmit(t, partsTeam(t))
	child := <-begun
	if err := first.stop(); err != nil {
		t.Fatal(err)
	}
	second := newEngine(&forgetful{Store: s, hash: partsTeam(t).Teams["part"].Team.Revision}, f)
	run(t, second)
	if _, err := second.Wait(t.Context(), id); err == nil || !strings.Contains(err.Error(), child) || !errors.Is(err, store.ErrNotFound) {
		t.Errorf("wait for the parent: %v", err)
	}
}

// forgetful has lost a revision.
type forgetful struct {
	*store.Store
	hash string
}

func (f *forgetful) Revision(ctx context.Context, hash string) (store.Revision, error) {
	if hash == f.hash {
		return store.Revision{}, fmt.Errorf("revision %s: %w", hash, store.ErrNotFound)
	}
	return f.Store.Revision(ctx, hash)
}

// An engine that drives one task drives its sub-teams, and no other task.
func TestOnlyIncludesSubTeams(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), answer: paid}
	submitter := newEngine(s, f)
	id, other := submitter.mustSubmit(t, partsTeam(t)), submitter.mustSubmit(t, partsTeam(t))
	e := newEngine(s, f, withChecks(&commands{}))
	approve(t, e, s, id)
	run(t, e, id)
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("task: %+v", state.Result)
	}
	if state, err := s.Task(t.Context(), other); err != nil || state.Status != workflow.TaskQueued {
		t.Errorf("the other task: %+v, %v", state, err)
	}
}

const spawning = `
version: 1
name: spawning
limits: {turns: 9}
agents:
  a: {prompt: A, controller_tools: [spawn_task]}
teams:
  part: {team: part.yaml}
start: a
message: begin
handoffs:
  - {from: a, on: end_turn, max: 1, to: part}
  - {from: "*", on: "*", to: succeeded}
`

func TestSpawnedTasksGoTheirOwnWay(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	var ids []string
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name != "a" {
			return paid(ctx, req, rec)
		}
		if !slices.Equal(req.SpawnTeams, []string{"part"}) {
			t.Errorf("teams to spawn: %v", req.SpawnTeams)
		}
		for _, call := range []string{"call-1", "call-1", "call-2"} {
			id, err := rec.Spawn(ctx, call, "part", map[string]any{"goal": call})
			if err != nil {
				t.Errorf("spawn: %v", err)
			}
			ids = append(ids, id)
		}
		for _, bad := range []struct {
			team  string
			input map[string]any
		}{{"other", nil}, {"part", nil}, {"part", map[string]any{"goal": 1, "x": 2}}} {
			if _, err := rec.Spawn(ctx, "bad", bad.team, bad.input); !isSpawnError(err) {
				t.Errorf("spawn %+v: %v", bad, err)
			}
		}
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	team := parseFiles(t, map[string]string{
		"team.yaml": strings.ReplaceAll(spawning, "part.yaml}", `part.yaml, input: {goal: x}}`), "part.yaml": part,
	})
	id := e.mustSubmit(t, team)
	state := e.wait(t, id)
	states := waitTree(t, e, s, id)
	if state.Status != workflow.TaskSucceeded || state.Spawned != 2 || len(states) != 4 {
		t.Fatalf("task: %+v, %d spawned, %d tasks", state.Result, state.Spawned, len(states))
	}
	if len(ids) != 3 || ids[0] != ids[1] || ids[0] == ids[2] {
		t.Errorf("ids %v", ids)
	}
	// What they use is their own; what the sub-team uses is the task's.
	goals := map[string]int{}
	for _, child := range states[1:] {
		goals[fmt.Sprint(child.Input["goal"], child.Parent.Spawned)]++
	}
	if want := map[string]int{"call-1true": 1, "call-2true": 1, "xfalse": 1}; !maps.Equal(goals, want) || state.Attempts != 3 {
		t.Errorf("tasks %v, %d attempts", goals, state.Attempts)
	}
}

func isSpawnError(err error) bool {
	_, ok := errors.AsType[*SpawnError](err)
	return ok
}

// A task that cannot be spawned is for the agent to deal with.
func TestSpawnThatFailsLeavesTheTurn(t *testing.T) {
	f := &fake{server: newServer()}
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if _, err := rec.Spawn(ctx, "call", "part", map[string]any{"goal": "g"}); !isSpawnError(err) || !strings.Contains(err.Error(), "no room") {
			t.Errorf("spawn: %v", err)
		}
		return endTurn(req), nil
	}
	e := newEngine(openStore(t, t.TempDir()), f, func(o *Options) {
		o.Workspaces = refusingPlaces{}
	})
	run(t, e)
	team := parseFiles(t, map[string]string{
		"team.yaml": strings.ReplaceAll(spawning, "part.yaml}", `part.yaml, input: {goal: x}}`), "part.yaml": part + "workspace: {directory: own}\n",
	})
	if state := e.wait(t, e.mustSubmit(t, team)); state.Nodes["a"].Output != "by a" {
		t.Errorf("task: %+v", state.Result)
	}
}

// refusingPlaces refuses what a submission does not name.
type refusingPlaces struct{ PlaceFunc }

func (refusingPlaces) Check(req PlaceRequest) error {
	if req.Given == "" {
		return errors.New("no room")
	}
	return nil
}

func (refusingPlaces) Make(_ context.Context, req PlaceRequest) (Place, error) {
	return Place{Directory: req.Given}, nil
}

func TestNamesOfTasks(t *testing.T) {
	for task, want := range map[string]string{"A": "", "A.3.1": "A", "A.3.1.2.1": "A.3.1", "A.3.sab12": "", "A.3.sab12.4.1": "A.3.sab12"} {
		if got, ok := waitingParent(task); got != want || ok != (want != "") {
			t.Errorf("parent of %s: %q, %v", task, got, ok)
		}
		if topTask(task) != "A" {
			t.Errorf("top of %s: %s", task, topTask(task))
		}
	}
}
