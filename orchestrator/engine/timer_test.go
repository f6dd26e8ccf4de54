package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// failFirst answers connection_lost to the first n turns of each engine.
func failFirst(n int, times *[]time.Time) func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
	return func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		*times = append(*times, time.Now())
		if len(*times) <= n {
			return workflow.TurnFinished{Reason: workflow.ReasonConnectionLost}, nil
		}
		return endTurn(req), nil
	}
}

func TestWaitingTaskIsWokenAtItsTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		var times []time.Time
		f.answer = failFirst(2, &times)
		e := newEngine(s, f, func(o *Options) { o.MaxTurns = 1 })
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, chain))
		synctest.Wait()
		state, err := s.Task(t.Context(), id)
		if err != nil || state.Status != workflow.TaskWaiting || state.WakeAt.IsZero() {
			t.Fatalf("task: %+v, %v", state, err)
		}
		// It holds no slot: another task runs meanwhile.
		if other := e.wait(t, e.mustSubmit(t, parse(t, single))); other.Status != workflow.TaskFailed {
			t.Errorf("other task: %+v", other.Result) // the second connection_lost is its
		}
		final := e.wait(t, id)
		if final.Status != workflow.TaskSucceeded {
			t.Fatalf("task: %+v", final.Result)
		}
		if late := times[2].Sub(state.WakeAt); late < 0 || late > time.Millisecond {
			t.Errorf("woken %s after its time", late)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// lateDue is a store that answers, when asked what is due, with what was due
// a moment ago.
type lateDue struct {
	*store.Store
	tasks []string
}

func (l *lateDue) Due(context.Context, time.Time, []string) ([]string, error) { return l.tasks, nil }

// TestWakeTimeMovesAfterTheLook: between the look at what is due and the wake-up
// a task may have gone on by itself, or have begun to wait for something else.
func TestWakeTimeMovesAfterTheLook(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		var times []time.Time
		fails := failFirst(1, &times)
		release := make(chan struct{})
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			if req.Turn.Attempt == 1 && len(times) == 0 {
				return fails(ctx, req, rec) // waits for its back-off from here on
			}
			<-release
			return endTurn(req), nil
		}
		late := &lateDue{Store: s}
		e := newEngine(late, f)
		d := run(t, e)
		waits := e.mustSubmit(t, parse(t, chain))
		synctest.Wait()
		runs := e.mustSubmit(t, parse(t, chain))
		synctest.Wait()
		late.tasks = []string{runs, waits}
		before, err := s.Task(t.Context(), waits)
		if err != nil || before.WakeAt.IsZero() {
			t.Fatalf("%+v, %v", before, err)
		}
		if _, err := e.fireTimers(t.Context()); err != nil {
			t.Fatal(err)
		}
		if state, err := s.Task(t.Context(), waits); err != nil || !state.WakeAt.Equal(before.WakeAt) || state.Version != before.Version {
			t.Errorf("woken before its time: %+v, %v", state, err)
		}
		close(release)
		for _, task := range []string{runs, waits} {
			if state := e.wait(t, task); state.Status != workflow.TaskSucceeded {
				t.Errorf("task: %s, %+v", state.Status, state.Result)
			}
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWakeTimePassesWhileNobodyRuns(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		var times []time.Time
		f.answer = failFirst(1, &times)
		first := run(t, newEngine(s, f))
		id := first.mustSubmit(t, parse(t, chain))
		synctest.Wait()
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		<-time.After(48 * time.Hour)
		before := time.Now()
		second := newEngine(s, f)
		d := run(t, second)
		if state := second.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Fatalf("task: %+v", state.Result)
		}
		if waited := time.Since(before); waited != 0 {
			t.Errorf("an overdue task waited for another %s", waited)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestWaitingTaskCostsNoGoroutineAndNoMemory(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{Reason: workflow.ReasonConnectionLost}, nil
		}
		e := newEngine(s, f)
		d := run(t, e)
		for range 50 {
			e.mustSubmit(t, parse(t, chain))
		}
		synctest.Wait()
		waiting, err := s.List(t.Context(), store.Filter{Status: []workflow.TaskState{workflow.TaskWaiting}})
		if err != nil || len(waiting) != 50 {
			t.Fatalf("%d tasks wait, %v", len(waiting), err)
		}
		e.mu.Lock()
		if len(e.entries)+len(e.known)+len(e.unclaimed)+e.slots != 0 {
			t.Errorf("%d entries, %d turns, %d queued, %d slots", len(e.entries), len(e.known), len(e.unclaimed), e.slots)
		}
		e.mu.Unlock()
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A clock that is set forward is noticed, although the timers of Go do not see it.
func TestClockSetForward(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		var times []time.Time
		f.answer = failFirst(1, &times)
		ahead := make(chan time.Duration, 1)
		ahead <- 0
		e := newEngine(s, f, func(o *Options) {
			o.Now = func() time.Time {
				d := <-ahead
				ahead <- d
				return time.Now().Add(d)
			}
		})
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, chain))
		synctest.Wait()
		<-ahead
		ahead <- 10 * time.Hour
		start := time.Now()
		e.wait(t, id)
		if waited := time.Since(start); waited > longestSleep {
			t.Errorf("it took %s to notice", waited)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// A clock that is set back does not make the journal's times go back.
func TestClockSetBack(t *testing.T) {
	s := openStore(t, t.TempDir())
	now := time.Date(2026, 1, 1, 0, 0, 0, 123456789, time.UTC)
	e := newEngine(s, &fake{server: newServer()}, func(o *Options) {
		o.MaxTurns = 1
		o.Now = func() time.Time { return now }
	})
	id := e.mustSubmit(t, parse(t, single))
	now = now.Add(-time.Hour)
	run(t, e)
	e.wait(t, id)
	records, err := s.Events(t.Context(), id, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := time.Date(2026, 1, 1, 0, 0, 0, 123456000, time.UTC)
	for _, r := range records {
		if !r.Event.At.Equal(want) {
			t.Errorf("event %d at %s, want %s", r.Seq, r.Event.At, want)
		}
	}
}

func TestReconciliationIsTriedUntilTheServerAnswers(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, begun, f := openStore(t, dir), make(chan string, 1), &fake{server: newServer()}
		f.answer = blockUntilStopped(begun)
		first := run(t, newEngine(s, f))
		stuck := first.mustSubmit(t, parse(t, single))
		<-begun
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}

		f.answer = nil
		var tries []time.Time
		f.reconcile = func(_ context.Context, req TurnRequest) (workflow.TurnReconciled, error) {
			tries = append(tries, time.Now())
			switch len(tries) {
			case 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12:
				return workflow.TurnReconciled{}, errors.New("no route to the server")
			default:
				return workflow.TurnReconciled{Finding: workflow.FindingFinished, Output: "late"}, nil
			}
		}
		e := newEngine(s, f, func(o *Options) { o.MaxTurns = 1 })
		sub := e.Subscribe(stuck)
		d := run(t, e)
		u := await(t, sub, func(u Update) bool { return u.Progress != nil })
		if u.Progress.Kind != ProgressReconcile || u.Progress.Text != "no route to the server" {
			t.Errorf("progress %+v", u.Progress)
		}
		sub.Close()
		// Between the attempts it holds no slot.
		if other := e.wait(t, e.mustSubmit(t, parse(t, single))); other.Status != workflow.TaskSucceeded {
			t.Errorf("other task: %+v", other.Result)
		}
		if state := e.wait(t, stuck); state.Status != workflow.TaskSucceeded || state.Nodes["a"].Output != "late" {
			t.Errorf("task: %+v", state.Result)
		}
		for i := range tries[1:] {
			if gap := tries[i+1].Sub(tries[i]); gap < 500*time.Millisecond || gap > 90*time.Second {
				t.Errorf("%s between attempts %d and %d", gap, i+1, i+2)
			}
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestCancelWhileReconciliationBacksOff(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, begun, f := openStore(t, dir), make(chan string, 1), &fake{server: newServer()}
		f.answer = blockUntilStopped(begun)
		first := run(t, newEngine(s, f))
		id := first.mustSubmit(t, parse(t, single))
		<-begun
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{}, errors.New("no route to the server")
		}
		e := newEngine(s, f)
		d := run(t, e)
		synctest.Wait()
		if _, err := e.Cancel(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		e.mu.Lock()
		if len(e.entries)+len(e.known)+e.slots != 0 {
			t.Errorf("%d entries, %d turns, %d slots are left", len(e.entries), len(e.known), e.slots)
		}
		e.mu.Unlock()
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}
