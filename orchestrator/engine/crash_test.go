package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// story is what must not depend on where the orchestrator was killed.
func story(state workflow.State) map[string]string {
	out := map[string]string{"status": string(state.Status), "why": state.Result.Explanation}
	for name, node := range state.Nodes {
		out[name] = fmt.Sprint(node.Visits, node.Reason, node.Output)
	}
	return out
}

// TestKilledAtEveryWrite kills the orchestrator at each write of a task in
// turn, before and after it, and lets another one go on.
func TestKilledAtEveryWrite(t *testing.T) {
	team := parse(t, chain)
	whole := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()})
	run(t, whole)
	want := story(whole.wait(t, whole.mustSubmit(t, team)))

	for _, before := range []bool{true, false} {
		crashed := true
		for at := 1; crashed; at++ {
			name := fmt.Sprintf("after write %d", at)
			if before {
				name = fmt.Sprintf("before write %d", at)
			}
			var got workflow.State
			var f *fake
			got, f, crashed = runKilledAt(t, team, at, before)
			if diff := cmp.Diff(want, story(got)); diff != "" {
				t.Errorf("killed %s (-want +got):\n%s", name, diff)
			}
			for id, n := range f.server.sent {
				if n != 1 {
					t.Errorf("killed %s: %s was sent %d times", name, id, n)
				}
			}
			if got := strings.Join(f.server.order, " "); got != "a b c" {
				t.Errorf("killed %s: inputs of %q, want each agent's once", name, got)
			}
			if at == 1 && !crashed {
				t.Fatal("nothing was killed")
			}
			if at > 100 {
				t.Fatal("no end")
			}
		}
	}
}

func runKilledAt(t *testing.T, team *workflow.Team, at int, before bool) (workflow.State, *fake, bool) {
	t.Helper()
	dir, f := t.TempDir(), &fake{server: newServer()}
	s := openStore(t, dir)
	id := newEngine(s, f).mustSubmit(t, team)
	killed := &crashStore{Store: s, left: at, before: before}
	first := run(t, newEngine(killed, f))
	_, err := first.Wait(t.Context(), id)
	crashed := killed.dead
	if crashed {
		err = <-first.ended // it ends by itself
		if !errors.Is(err, store.ErrStorage) || !errors.Is(err, errCrash) {
			t.Errorf("run ended with %v", err)
		}
		if _, err := first.Wait(t.Context(), id); err != nil && !errors.Is(err, errCrash) {
			t.Errorf("wait: %v", err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	first.end()
	<-first.done
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	second := newEngine(openStore(t, dir), f)
	run(t, second)
	return second.wait(t, id), f, crashed
}

// TestStoppedWhileATurnRuns stops at the one point that no write marks.
func TestStoppedWhileATurnRuns(t *testing.T) {
	for _, tt := range []struct {
		finding  workflow.TurnReconciled
		wantSent int
		wantMsg  string // how the message of the attempt after it begins
	}{
		{workflow.TurnReconciled{Finding: workflow.FindingNotConsumed}, 2, "begin"},
		{workflow.TurnReconciled{Finding: workflow.FindingInterrupted}, 2, "You were interrupted"},
		{workflow.TurnReconciled{Finding: workflow.FindingFinished, Output: "by a"}, 1, ""},
		{workflow.TurnReconciled{Finding: workflow.FindingUnknown, Detail: "who knows"}, 1, ""},
	} {
		t.Run(string(tt.finding.Finding), func(t *testing.T) {
			dir, begun, f := t.TempDir(), make(chan string, 1), &fake{server: newServer()}
			f.answer = blockUntilStopped(begun)
			s := openStore(t, dir)
			first := run(t, newEngine(s, f))
			id := first.mustSubmit(t, parse(t, single))
			<-begun
			if err := first.stop(); err != nil {
				t.Fatalf("run: %v", err)
			}
			if state, err := s.Task(t.Context(), id); err != nil || state.Turns[0].State != workflow.TurnRunning {
				t.Fatalf("after the stop: %+v, %v", state, err)
			}
			if _, err := first.Wait(t.Context(), id); !errors.Is(err, ErrStopped) {
				t.Errorf("wait on a stopped engine: %v", err)
			}
			if _, _, err := first.Submit(t.Context(), Submission{Team: parse(t, single)}); !errors.Is(err, ErrStopped) {
				t.Errorf("submit to a stopped engine: %v", err)
			}
			if err := first.Run(t.Context()); err == nil {
				t.Error("an engine ran twice")
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}

			message := ""
			f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
				message = req.Turn.Message
				return endTurn(req), nil
			}
			var asked TurnRequest
			f.reconcile = func(_ context.Context, req TurnRequest) (workflow.TurnReconciled, error) {
				asked = req
				return tt.finding, nil
			}
			s = openStore(t, dir)
			second := newEngine(s, f)
			run(t, second)
			state := second.wait(t, id)
			want := workflow.TaskSucceeded
			if tt.finding.Finding == workflow.FindingUnknown {
				want = workflow.TaskFailed
			}
			if state.Status != want {
				t.Errorf("task: %+v", state.Result)
			}
			if asked.Turn.ClientMessageID != id+".1.1" || asked.Agent.Name != "a" || asked.Conversation.ConversationID == "" {
				t.Errorf("asked about %+v", asked)
			}
			if len(f.server.sent) != tt.wantSent || !strings.HasPrefix(message, tt.wantMsg) {
				t.Errorf("%d inputs, the last one %q; want %d, %q", len(f.server.sent), message, tt.wantSent, tt.wantMsg)
			}
			if rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
				t.Errorf("conversations still held: %+v, %v", rows, err)
			}
		})
	}
}

func TestTaskWhoseTeamCannotBeLoaded(t *testing.T) {
	s, f := openUnverified(t, t.TempDir()), &fake{server: newServer()}
	broken := parse(t, single)
	future := *broken
	future.Revision, future.Source = "future", []byte("version: 99\n")
	submitter := newEngine(s, f)
	bad := submitter.mustSubmit(t, &future)
	good := submitter.mustSubmit(t, parse(t, single))
	e := newEngine(s, f)
	run(t, e)
	if state := e.wait(t, good); state.Status != workflow.TaskSucceeded {
		t.Errorf("the other task: %+v", state.Result)
	}
	state, err := e.Wait(t.Context(), bad)
	if err == nil || errors.Is(err, ErrStopped) || !strings.Contains(err.Error(), "no longer valid") {
		t.Errorf("wait: %v", err)
	}
	if state.Status != workflow.TaskQueued {
		t.Errorf("task is %s, want it left as it is", state.Status)
	}
}

func TestStopTimeout(t *testing.T) {
	begun, release, returned := make(chan string, 1), make(chan bool), make(chan error, 1)
	f := &fake{server: newServer()}
	f.answer = func(_ context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		begun <- req.Task
		<-release // ignores its ctx
		returned <- rec.Accepted(context.Background(), "late")
		return endTurn(req), nil
	}
	s := openStore(t, t.TempDir())
	e := newEngine(s, f, func(o *Options) { o.StopTimeout = time.Millisecond })
	sub := e.Subscribe("")
	defer sub.Close()
	d := run(t, e)
	id := d.mustSubmit(t, parse(t, single))
	<-begun
	// The acceptance is recorded a little later.
	record(t, s, sub, id, func(state workflow.State) bool {
		return len(state.Turns) == 1 && state.Turns[0].State == workflow.TurnRunning
	})
	err := d.stop()
	if !errors.Is(err, ErrStopTimeout) || !strings.Contains(err.Error(), id) {
		t.Errorf("run: %v", err)
	}
	before, err := s.Task(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	close(release)
	if err := <-returned; !errors.Is(err, ErrStopped) {
		t.Errorf("recording after the stop: %v", err)
	}
	d.running.Wait()
	if after, err := s.Task(t.Context(), id); err != nil || after.Version != before.Version {
		t.Errorf("version %d, then %d, %v", before.Version, after.Version, err)
	}
}

// commitStore looks into every commit.
type commitStore struct {
	*store.Store
	commit func(ctx context.Context, body workflow.EventBody) error
}

func (c *commitStore) CommitAll(ctx context.Context, decisions []store.Decision) error {
	for _, d := range decisions {
		if err := c.commit(ctx, d.Event.Body); err != nil {
			return err
		}
	}
	return c.Store.CommitAll(ctx, decisions)
}

func TestFailingStoreEndsRunWhoeverMeetsIt(t *testing.T) {
	begun, f := make(chan string, 1), &fake{server: newServer()}
	f.answer = blockUntilStopped(begun)
	full := &commitStore{Store: openStore(t, t.TempDir()), commit: func(_ context.Context, body workflow.EventBody) error {
		if _, ok := body.(workflow.CancelRequested); ok {
			return &store.StorageError{Op: "commit", Err: errCrash}
		}
		return nil
	}}
	e := newEngine(full, f)
	d := run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	<-begun
	if _, err := e.Cancel(t.Context(), id, ""); !errors.Is(err, store.ErrStorage) {
		t.Errorf("cancel: %v", err)
	}
	if err := <-d.ended; !errors.Is(err, errCrash) {
		t.Errorf("run: %v", err)
	}
	if _, err := e.Cancel(t.Context(), id, ""); !errors.Is(err, errCrash) {
		t.Errorf("cancel afterwards: %v", err)
	}
}

func TestCommitsAreNotGivenUpHalfway(t *testing.T) {
	s := &commitStore{Store: openStore(t, t.TempDir()), commit: func(ctx context.Context, body workflow.EventBody) error {
		if ctx.Done() != nil {
			t.Errorf("the commit of %s can be cancelled", body.EventType())
		}
		return nil
	}}
	e := newEngine(s, &fake{server: newServer()})
	run(t, e)
	e.wait(t, e.mustSubmit(t, parse(t, chain)))
}

// A conversation that is given back before the refused turn has begun to wait
// for it must not be waited for.
func TestConversationGivenBackMeanwhile(t *testing.T) {
	refused := false
	s := &commitStore{Store: openStore(t, t.TempDir()), commit: func(_ context.Context, body workflow.EventBody) error {
		if sending, ok := body.(workflow.TurnSending); ok && !refused {
			refused = true
			return &store.BusyError{Runtime: sending.Runtime, Holder: store.ActiveTurn{Task: "other", Turn: 1, Attempt: 1}}
		}
		return nil
	}}
	f := &fake{server: newServer()}
	e := newEngine(s, f)
	run(t, e)
	if state := e.wait(t, e.mustSubmit(t, parse(t, single))); state.Status != workflow.TaskSucceeded || len(f.server.sent) != 1 {
		t.Errorf("task: %+v, %d inputs", state.Result, len(f.server.sent))
	}
}

func TestConflictIsDecidedAgain(t *testing.T) {
	for _, tt := range []struct {
		conflicts int
		want      workflow.TaskState
	}{{1, workflow.TaskSucceeded}, {maxConflicts, workflow.TaskQueued}} {
		left := tt.conflicts
		s := &commitStore{Store: openStore(t, t.TempDir()), commit: func(_ context.Context, body workflow.EventBody) error {
			if _, ok := body.(workflow.TaskClaimed); ok && left > 0 {
				left--
				return store.ErrConflict
			}
			return nil
		}}
		e := newEngine(s, &fake{server: newServer()})
		run(t, e)
		state, err := e.Wait(t.Context(), e.mustSubmit(t, parse(t, single)))
		if state.Status != tt.want || errors.Is(err, store.ErrConflict) != (tt.want == workflow.TaskQueued) {
			t.Errorf("after %d conflicts: %s, %v", tt.conflicts, state.Status, err)
		}
	}
}
