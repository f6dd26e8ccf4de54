package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestTaskRunsToItsEnd(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	var mu sync.Mutex
	var requests []TurnRequest
	f.answer = func(_ context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, req)
		rec.Progress(Progress{Kind: ProgressTool, Tool: "Edit"})
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, chain))
	state := e.wait(t, id)
	if state.Status != workflow.TaskSucceeded {
		t.Fatalf("task: %+v", state.Result)
	}
	if got := strings.Join(f.server.order, " "); got != "a b c" {
		t.Errorf("inputs of %q, want a b c", got)
	}
	if got := requests[1].Turn.Message; got != "12345678 by a" {
		t.Errorf("message to b: %q", got)
	}
	if requests[1].Workspace != "/w" || requests[1].Agent.Prompt != "B" || requests[1].Team.Name != "chain" {
		t.Errorf("request: %+v", requests[1])
	}
	records, err := s.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	var stored, published, progress []string
	for _, r := range records {
		stored = append(stored, fmt.Sprint(r.Seq, r.Event.Body.EventType()))
	}
	for len(published) < len(stored) {
		u := <-sub.Updates()
		switch {
		case u.Task != id:
			t.Errorf("update of task %q", u.Task)
		case u.Record != nil:
			published = append(published, fmt.Sprint(u.Record.Seq, u.Record.Event.Body.EventType()))
			if u.Record.State.Version != u.Record.Seq {
				t.Errorf("record %d has a state of version %d", u.Record.Seq, u.Record.State.Version)
			}
		default:
			progress = append(progress, fmt.Sprint(u.Progress.Node, u.Progress.Turn, u.Progress.Tool))
		}
	}
	if diff := cmp.Diff(stored, published); diff != "" {
		t.Errorf("published records (-stored +published):\n%s", diff)
	}
	if want := []string{"a1Edit", "b2Edit", "c3Edit"}; !slices.Equal(progress, want) {
		t.Errorf("progress %v, want %v", progress, want)
	}
	rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Task: id})
	if err != nil || len(rows) != 3 || rows[0].Active != (store.ActiveTurn{}) || string(rows[0].Raw) != "{}" {
		t.Errorf("runtimes: %+v, %v", rows, err)
	}
}

func TestSecondTurnOfAnAgentGetsItsConversation(t *testing.T) {
	const loop = `
version: 1
name: loop
limits: {turns: 4}
agents: {a: {prompt: A}}
start: a
message: begin
handoffs:
  - {from: a, on: end_turn, max: 1, to: a}
  - {from: a, on: "*", to: succeeded}
`
	f := &fake{server: newServer()}
	var seen []workflow.Runtime
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		seen = append(seen, req.Conversation)
		return endTurn(req), nil
	}
	e := newEngine(openStore(t, t.TempDir()), f)
	run(t, e)
	id := e.mustSubmit(t, parse(t, loop))
	e.wait(t, id)
	want := []workflow.Runtime{{}, {Server: "s", AgentID: "agent-a", ConversationID: "conv-" + id}}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("conversations (-want +got):\n%s", diff)
	}
}

func TestThousandTasks(t *testing.T) {
	const tasks, turns = 1000, 8
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	e := newEngine(s, f, func(o *Options) { o.MaxTurns = turns })
	team := parse(t, single)
	var ids []string
	for range tasks / 2 { // half of them before the engine runs
		ids = append(ids, e.mustSubmit(t, team))
	}
	run(t, e)
	for range tasks / 2 {
		ids = append(ids, e.mustSubmit(t, team))
	}
	for _, id := range ids {
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Fatalf("task: %+v", state.Result)
		}
	}
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if len(f.server.sent) != tasks || f.server.most > turns {
		t.Errorf("%d inputs, %d turns at once; want %d and at most %d", len(f.server.sent), f.server.most, tasks, turns)
	}
	for id, n := range f.server.sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", id, n)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.entries)+len(e.known)+len(e.unclaimed) > turns { // the last ones may be on their way out
		t.Errorf("%d entries, %d known turns, %d queued tasks are left in memory", len(e.entries), len(e.known), len(e.unclaimed))
	}
}

func TestClaimedTasksAreFinishedFirst(t *testing.T) {
	f := &fake{server: newServer()}
	e := newEngine(openStore(t, t.TempDir()), f, func(o *Options) { o.MaxTurns = 1 })
	first, second := e.mustSubmit(t, parse(t, chain)), e.mustSubmit(t, parse(t, chain))
	run(t, e)
	e.wait(t, first)
	e.wait(t, second)
	if got := strings.Join(f.server.order, " "); got != "a b c a b c" {
		t.Errorf("inputs of %q, want the first task's before the second's", got)
	}
}

func TestIdempotentSubmission(t *testing.T) {
	e := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()})
	sub := Submission{Team: parse(t, single), Key: "k"}
	first, created, err := e.Submit(t.Context(), sub)
	if err != nil || !created {
		t.Fatalf("first: %v, %v", created, err)
	}
	again, created, err := e.Submit(t.Context(), sub)
	if err != nil || created || again.Task != first.Task {
		t.Errorf("second: task %s, created %v, %v; want %s", again.Task, created, err, first.Task)
	}
	// Many at once make one task.
	sub.Key = "other"
	var mu sync.Mutex
	ids, made := map[string]bool{}, 0
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			state, created, err := e.Submit(t.Context(), sub)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			ids[state.Task] = true
			if created {
				made++
			}
		})
	}
	all.Wait()
	if len(ids) != 1 || made != 1 {
		t.Errorf("%d tasks, created %d times", len(ids), made)
	}
}

// The workspace is made when the task is claimed, and not when it is submitted.
func TestSubmissionWorkspace(t *testing.T) {
	asked := 0
	f := &fake{server: newServer(), answer: func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		if req.Workspace != "/data/IDsingle" {
			t.Errorf("a turn in %q", req.Workspace)
		}
		return endTurn(req), nil
	}}
	e := newEngine(openStore(t, t.TempDir()), f, func(o *Options) {
		o.IDs = func() string { return "ID" }
		o.Workspaces = PlaceFunc(func(_ context.Context, req PlaceRequest) (Place, error) {
			asked++
			return Place{Kind: workflow.PlaceOwn, Directory: "/data/" + req.Task + req.Team.Name, GitBranch: "team/" + req.Task}, nil
		})
	})
	team := parse(t, single)
	if _, _, err := e.Submit(t.Context(), Submission{Team: team, Workspace: "relative"}); err == nil || !strings.Contains(err.Error(), "absolute") {
		t.Errorf("relative workspace: %v", err)
	}
	if state, _, err := e.Submit(t.Context(), Submission{Team: team}); err != nil || state.Workspace != "" || asked != 0 || state.Place.Status != workflow.PlaceWanted {
		t.Errorf("submitted: %q, asked %d times, %v", state.Workspace, asked, err)
	}
	run(t, e)
	if state := e.wait(t, "ID"); state.Workspace != "/data/IDsingle" || state.GitBranch != "team/ID" || state.Place.Status != workflow.PlaceReady || asked != 1 {
		t.Errorf("ended: %+v, asked %d times", state, asked)
	}
}

func TestCancelWhileATurnRuns(t *testing.T) {
	s, begun, cause := openStore(t, t.TempDir()), make(chan string), make(chan error, 1)
	f := &fake{server: newServer()}
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		finished, err := blockUntilStopped(begun)(ctx, req, rec)
		cause <- context.Cause(ctx)
		return finished, err
	}
	e := newEngine(s, f)
	d := run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	<-begun
	state, err := e.Cancel(t.Context(), id, "me")
	if err != nil || state.Status != workflow.TaskCancelled || !strings.Contains(state.Result.Explanation, "me") {
		t.Fatalf("cancel: %+v, %v", state.Result, err)
	}
	if got := <-cause; !errors.Is(got, ErrTurnAborted) {
		t.Errorf("the turn saw %v, want ErrTurnAborted", got)
	}
	if state := e.wait(t, id); state.Status != workflow.TaskCancelled {
		t.Errorf("task is %s", state.Status)
	}
	if rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
		t.Errorf("conversations still held: %+v, %v", rows, err)
	}
	if _, err := e.Cancel(t.Context(), id, "me"); !errors.Is(err, workflow.ErrTerminal) {
		t.Errorf("cancel again: %v", err)
	}
	if _, err := e.Cancel(t.Context(), "none", "me"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("cancel what is not: %v", err)
	}
	if err := d.stop(); err != nil {
		t.Errorf("run: %v", err)
	}
}

func TestResultThatComesAfterCancelIsDropped(t *testing.T) {
	s, begun, release := openStore(t, t.TempDir()), make(chan bool), make(chan bool)
	f := &fake{server: newServer()}
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		begun <- true
		<-release
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	d := run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	<-begun
	if _, err := e.Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := d.stop(); err != nil { // waits for the turn
		t.Fatal(err)
	}
	records, err := s.Events(t.Context(), id, 0)
	if err != nil || records[len(records)-1].Event.Body.EventType() != "cancel_requested" {
		t.Errorf("last event %s, %v", records[len(records)-1].Event.Body.EventType(), err)
	}
}

func TestCancelBeforeRun(t *testing.T) {
	f := &fake{server: newServer()}
	e := newEngine(openStore(t, t.TempDir()), f)
	id, other := e.mustSubmit(t, parse(t, single)), e.mustSubmit(t, parse(t, single))
	if _, err := e.Cancel(t.Context(), id, ""); err != nil {
		t.Fatal(err)
	}
	run(t, e)
	e.wait(t, other)
	if state := e.wait(t, id); state.Status != workflow.TaskCancelled || len(f.server.sent) != 1 {
		t.Errorf("task is %s, %d inputs", state.Status, len(f.server.sent))
	}
}

// A runner that breaks its contract before anything was sent ends the turn.
// After that its turn may still run, so that it is looked up first.
func TestRunnerThatPanicsOrFails(t *testing.T) {
	for name, fail := range map[string]func() error{
		"panic": func() error { panic("oh") },
		"error": func() error { return errors.New("oh") },
		"lost":  func() error { return &UnknownOutcomeError{Err: errors.New("oh")} },
	} {
		t.Run(name+" before sending", func(t *testing.T) {
			e := newEngine(openStore(t, t.TempDir()), runnerFunc(func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
				return workflow.TurnFinished{}, fail()
			}))
			run(t, e)
			state := e.wait(t, e.mustSubmit(t, parse(t, single)))
			want := workflow.ReasonError
			if name == "lost" {
				want = workflow.ReasonConnectionLost
			}
			if state.Status != workflow.TaskFailed || state.Result.Reason != want || !strings.Contains(state.Nodes["a"].Error, "oh") {
				t.Errorf("task: %+v, %+v", state.Result, state.Nodes)
			}
		})
		t.Run(name+" after sending", func(t *testing.T) {
			f := &fake{server: newServer()}
			f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
				return workflow.TurnFinished{}, fail()
			}
			e := newEngine(openStore(t, t.TempDir()), f)
			run(t, e)
			state := e.wait(t, e.mustSubmit(t, parse(t, single)))
			if state.Status != workflow.TaskSucceeded || state.Nodes["a"].Output != "by a" || state.Attempts != 1 || len(f.server.order) != 1 {
				t.Errorf("task: %+v, %+v; %d inputs", state.Result, state.Nodes, len(f.server.order))
			}
		})
	}
}

// Whatever is found out about a turn with which contact was lost decides how it
// goes on; no rule is asked, and the slot is free while it cannot be found out.
func TestContactLostInATurn(t *testing.T) {
	for _, tt := range []struct {
		finding workflow.Finding
		status  workflow.TaskState
		inputs  []string // the beginnings of the messages
	}{
		{workflow.FindingNotConsumed, workflow.TaskSucceeded, []string{"begin", "begin"}},
		{workflow.FindingInterrupted, workflow.TaskSucceeded, []string{"begin", "You were interrupted"}},
		{workflow.FindingFinished, workflow.TaskSucceeded, []string{"begin"}},
		{workflow.FindingUnknown, workflow.TaskFailed, []string{"begin"}},
	} {
		t.Run(string(tt.finding), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				f := &fake{server: newServer()}
				s := openStore(t, dir)
				e := newEngine(s, f, func(o *Options) { o.MaxTurns = 1 })
				var inputs []string
				f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
					if req.Team.Name != "lost" {
						return endTurn(req), nil
					}
					inputs = append(inputs, req.Turn.Message)
					if req.Turn.Attempt == 1 {
						return workflow.TurnFinished{}, fmt.Errorf("turn: %w", &UnknownOutcomeError{Err: errors.New("reset by peer"), Consumed: true})
					}
					return endTurn(req), nil
				}
				tries := 0
				f.reconcile = func(_ context.Context, req TurnRequest) (workflow.TurnReconciled, error) {
					if !req.Consumed || req.Turn.ClientMessageID == "" {
						t.Errorf("asked about %+v", req)
					}
					if tries++; tries < 3 {
						return workflow.TurnReconciled{}, errors.New("no route to the server")
					}
					rows, err := s.Runtimes(context.Background(), store.RuntimeFilter{Active: true})
					if err != nil || len(rows) != 1 {
						t.Errorf("conversations held meanwhile: %+v, %v", rows, err)
					}
					return workflow.TurnReconciled{Finding: tt.finding, Detail: "it is so"}, nil
				}
				d := run(t, e)
				id := e.mustSubmit(t, parse(t, strings.Replace(single, "name: single", "name: lost", 1)))
				synctest.Wait() // the first try has failed, and the back-off runs
				if other := e.wait(t, e.mustSubmit(t, parse(t, single))); other.Status != workflow.TaskSucceeded || tries > 1 {
					t.Errorf("the other task: %+v after %d tries", other.Result, tries)
				}
				state := e.wait(t, id)
				if state.Status != tt.status || tries != 3 {
					t.Errorf("task after %d tries: %+v", tries, state.Result)
				}
				if !slices.EqualFunc(inputs, tt.inputs, strings.HasPrefix) {
					t.Errorf("inputs %q, want %q", inputs, tt.inputs)
				}
				if err := d.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A turn whose end can never be seen is not tried for ever.
func TestEndlessRecoveryIsLeftToTheRules(t *testing.T) {
	for finding, want := range map[workflow.Finding]workflow.Reason{
		workflow.FindingNotConsumed: workflow.ReasonStalled,
		workflow.FindingInterrupted: workflow.ReasonConnectionLost,
	} {
		f := &fake{server: newServer()}
		f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{}, &UnknownOutcomeError{Err: errors.New("reset by peer")}
		}
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{Finding: finding, Detail: "again"}, nil
		}
		e := newEngine(openStore(t, t.TempDir()), f)
		run(t, e)
		state := e.wait(t, e.mustSubmit(t, parse(t, strings.Replace(single, "turns: 3", "turns: 100", 1))))
		if state.Status != workflow.TaskFailed || state.Result.Reason != want || len(f.server.order) != workflow.MaxRecoveries+1 {
			t.Errorf("%s: %d inputs, %+v", finding, len(f.server.order), state.Result)
		}
	}
}

// An input that was sent and certainly reached no model is sent again under a
// new id, in a new conversation where the old one is lost, and no rule is asked.
func TestInputThatWasNotConsumedIsSentAgain(t *testing.T) {
	f := &fake{server: newServer()}
	var seen []workflow.Runtime
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		seen = append(seen, req.Conversation)
		if req.Turn.Attempt == 1 {
			return workflow.TurnFinished{}, fmt.Errorf("turn: %w", &NotConsumedError{Detail: "the queue gave it back", ConversationLost: true})
		}
		return endTurn(req), nil
	}
	e := newEngine(openStore(t, t.TempDir()), f)
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	state := e.wait(t, id)
	if state.Status != workflow.TaskSucceeded || state.Attempts != 2 {
		t.Errorf("task is %s after %d attempts: %+v", state.Status, state.Attempts, state.Result)
	}
	if diff := cmp.Diff([]workflow.Runtime{{}, {}}, seen); diff != "" {
		t.Errorf("conversations (-want +got):\n%s", diff)
	}
	want := map[string]int{id + ".1.1": 1, id + ".1.2": 1}
	if diff := cmp.Diff(want, f.server.sent); diff != "" {
		t.Errorf("inputs (-want +got):\n%s", diff)
	}
}

func TestTurnThatEndsBeforeItIsSent(t *testing.T) {
	f := runnerFunc(func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
		return workflow.TurnFinished{Turn: 77, Attempt: 77, Reason: workflow.ReasonError, Error: "no such directory"}, nil
	})
	e := newEngine(openStore(t, t.TempDir()), f)
	run(t, e)
	state := e.wait(t, e.mustSubmit(t, parse(t, single)))
	if state.Status != workflow.TaskFailed || state.Nodes["a"].Error != "no such directory" {
		t.Errorf("task: %+v", state)
	}
}

// runnerFunc is a TurnRunner that never has anything to reconcile.
type runnerFunc func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error)

func (f runnerFunc) Run(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
	return f(ctx, req, rec)
}

func (runnerFunc) Reconcile(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
	return workflow.TurnReconciled{}, errors.New("not expected")
}

func TestSendingIsRecordedOnce(t *testing.T) {
	errs := make(chan error, 1)
	f := runnerFunc(func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		rt := workflow.Runtime{Server: "s", AgentID: "a", ConversationID: "c"}
		if err := rec.Sending(ctx, "1", rt); err != nil {
			return workflow.TurnFinished{}, err
		}
		err := rec.Sending(ctx, "2", rt)
		errs <- err
		return workflow.TurnFinished{}, err
	})
	e := newEngine(openStore(t, t.TempDir()), f)
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	if err := <-errs; err == nil {
		t.Error("the same attempt was allowed to be sent twice")
	}
	if _, err := e.Wait(t.Context(), id); err == nil {
		t.Error("a broken runner's task ended")
	}
}

func TestBusyConversationIsWaitedFor(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	f.runtime = func(TurnRequest) workflow.Runtime {
		return workflow.Runtime{Server: "s", AgentID: "shared", ConversationID: "default"}
	}
	begun, release := make(chan string), make(chan bool)
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		begun <- req.Task
		<-release
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	sub := e.Subscribe("")
	defer sub.Close()
	team := parse(t, single)
	first := e.mustSubmit(t, team)
	if got := <-begun; got != first {
		t.Fatalf("%s began", got)
	}
	second := e.mustSubmit(t, team)
	u := await(t, sub, func(u Update) bool { return u.Progress != nil && u.Progress.Kind == ProgressBlocked })
	if u.Task != second || !strings.Contains(u.Progress.Text, first) {
		t.Errorf("blocked: task %s, %q", u.Task, u.Progress.Text)
	}
	third := e.mustSubmit(t, team)
	await(t, sub, func(u Update) bool { return u.Task == third && u.Progress != nil && u.Progress.Kind == ProgressBlocked })
	if _, err := e.Cancel(t.Context(), third, ""); err != nil { // one that waits for the conversation
		t.Fatal(err)
	}
	e.mu.Lock()
	if len(e.known) != 2 {
		t.Errorf("%d turns are known, want those of the tasks that live", len(e.known))
	}
	e.mu.Unlock()
	release <- true
	if got := <-begun; got != second {
		t.Errorf("%s began", got)
	}
	release <- true
	for _, id := range []string{first, second} {
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Errorf("task %s: %+v", id, state.Result)
		}
	}
	if f.server.most != 1 {
		t.Errorf("%d turns at once in one conversation", f.server.most)
	}
}

func TestOnlyTheGivenTasks(t *testing.T) {
	f := &fake{server: newServer()}
	s := openStore(t, t.TempDir())
	e := newEngine(s, f)
	mine, other := e.mustSubmit(t, parse(t, single)), e.mustSubmit(t, parse(t, single))
	d := run(t, e, mine)
	e.wait(t, mine)
	later := e.mustSubmit(t, parse(t, single))
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{other, later} {
		if state, err := s.Task(t.Context(), id); err != nil || state.Version != 1 {
			t.Errorf("task %s is %s, %v", id, state.Status, err)
		}
	}
}

func TestSlowReaderIsEndedAndHarmsNobody(t *testing.T) {
	f := &fake{server: newServer()}
	f.answer = func(_ context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		for range 2 * subscriptionBufferAll {
			rec.Progress(Progress{Kind: ProgressText, Text: "x"})
		}
		return endTurn(req), nil
	}
	e := newEngine(openStore(t, t.TempDir()), f)
	talk := e.Subscribe("")
	defer talk.Close()
	run(t, e)
	e.wait(t, e.mustSubmit(t, parse(t, single)))
	records := 0
	for len(talk.Updates()) > 0 {
		if u := <-talk.Updates(); u.Record != nil {
			records++
		}
	}
	if records != 5 || talk.Err() != nil {
		t.Errorf("%d records, %v; want all 5 although progress was left out", records, talk.Err())
	}

	for range subscriptionBufferAll + 1 {
		e.hub.publish(Update{Task: "x", Record: &Record{}})
	}
	n := 0
	for range talk.Updates() { // ends
		n++
	}
	if n != subscriptionBufferAll || !errors.Is(talk.Err(), ErrSlowReader) {
		t.Errorf("%d updates, then %v", n, talk.Err())
	}
}

func TestSubscriptionToOneTaskEndsWithTheEngine(t *testing.T) {
	e := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()})
	first, second := e.mustSubmit(t, parse(t, single)), e.mustSubmit(t, parse(t, single))
	sub, closed := e.Subscribe(second), e.Subscribe("")
	closed.Close()
	closed.Close()
	d := run(t, e)
	e.wait(t, first)
	e.wait(t, second)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	for u := range sub.Updates() {
		if u.Task != second {
			t.Errorf("update of task %s", u.Task)
		}
	}
	if !errors.Is(sub.Err(), ErrStopped) || closed.Err() != nil {
		t.Errorf("ended with %v; the closed one with %v", sub.Err(), closed.Err())
	}
	late := e.Subscribe("")
	if _, open := <-late.Updates(); open || !errors.Is(late.Err(), ErrStopped) {
		t.Errorf("late: %v", late.Err())
	}
	late.Close()
}

func TestWaitEndsWithItsContext(t *testing.T) {
	e := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()})
	id := e.mustSubmit(t, parse(t, single))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	if _, err := e.Wait(ctx, id); !errors.Is(err, why) {
		t.Errorf("got %v", err)
	}
	if _, err := e.Wait(t.Context(), "none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown task: %v", err)
	}
	if len(e.hub.waiters) != 0 {
		t.Errorf("%d waiters are left", len(e.hub.waiters))
	}
}
