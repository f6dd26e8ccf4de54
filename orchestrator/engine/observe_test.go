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
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// watcher keeps what an Observer is told.
type watcher struct {
	mu         sync.Mutex
	decisions  []Decision
	claims     []Claim
	starts     []Start
	handoffs   []HandedOff
	recoveries []RecoveryReason
	stored     []Stored
	troubles   []StorageTrouble
}

func keep[T any](w *watcher, list *[]T, item T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*list = append(*list, item)
}

func (w *watcher) Decided(d Decision)       { keep(w, &w.decisions, d) }
func (w *watcher) Claimed(c Claim)          { keep(w, &w.claims, c) }
func (w *watcher) Started(s Start)          { keep(w, &w.starts, s) }
func (w *watcher) HandedOff(h HandedOff)    { keep(w, &w.handoffs, h) }
func (w *watcher) Recovering(r Recovery)    { keep(w, &w.recoveries, r.Reason) }
func (w *watcher) Stored(s Stored)          { keep(w, &w.stored, s) }
func (w *watcher) Trouble(t StorageTrouble) { keep(w, &w.troubles, t) }

func TestObserverIsToldOfEverything(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f, w, quiet := openStore(t, dir), &fake{server: newServer()}, &watcher{}, &watcher{}
		f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
			req.Frames.Writing()
			req.Frames.Writing()
			req.Frames.Read(time.Now())
			req.Frames.Read(time.Now().Add(-3 * time.Second)) // the decision takes three seconds from here
			return endTurn(req), nil
		}
		e := newEngine(s, f, func(o *Options) { o.Observer = Observers(nil, w, quiet) })
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, chain))
		e.wait(t, id)
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		records, err := s.Events(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(w.decisions) != len(records) || len(w.stored) != len(records) || len(quiet.decisions) != len(records) {
			t.Fatalf("%d decisions, %d stored, %d seen by the second, want %d", len(w.decisions), len(w.stored), len(quiet.decisions), len(records))
		}
		for i, d := range w.decisions {
			if d.Next.Version != records[i].Seq || d.Event.Body.EventType() != records[i].Event.Body.EventType() || d.Prev.Version != records[i].Seq-1 || d.Began.IsZero() {
				t.Errorf("decision %d: %+v", i, d)
			}
		}
		if len(w.claims) != 1 || w.claims[0].Task != id || w.claims[0].Team != "chain" {
			t.Errorf("claims: %+v", w.claims)
		}
		if len(w.starts) != 3 || w.starts[2].Turn != 3 || w.starts[2].Team != "chain" {
			t.Errorf("starts: %+v", w.starts)
		}
		var handed []string
		for _, h := range w.handoffs {
			handed = append(handed, fmt.Sprint(h.Handoff.From, h.Handoff.FromTurn, " ", h.Handoff.To, h.Handoff.ToTurn, " ", h.Handoff.Rule, h.Frames, h.Began.Sub(h.Ended)))
		}
		if got := strings.Join(handed, "; "); got != "a1 b2 1 true 3s; b2 c3 2 true 3s" {
			t.Errorf("handoffs: %s", got)
		}
		if left := len(e.observing.ended) + len(e.observing.handed); left != 0 {
			t.Errorf("%d things are kept for ever", left)
		}
	})
}

func TestObserverIsToldOfRecoveries(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f, w := openStore(t, dir), &fake{server: newServer()}, &watcher{}
		f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
			switch req.Turn.Attempt {
			case 1:
				return workflow.TurnFinished{}, &UnknownOutcomeError{Err: errors.New("reset by peer")}
			case 2:
				return workflow.TurnFinished{}, &NotConsumedError{Detail: "busy"}
			}
			return endTurn(req), nil
		}
		asked := 0
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			if asked++; asked == 1 {
				return workflow.TurnReconciled{}, errors.New("no route")
			}
			return workflow.TurnReconciled{Finding: workflow.FindingNotConsumed}, nil
		}
		e := newEngine(s, f, func(o *Options) { o.Observer = w })
		d := run(t, e)
		e.wait(t, e.mustSubmit(t, parse(t, single)))

		begun := make(chan string, 1)
		f.answer = blockUntilStopped(begun)
		id := e.mustSubmit(t, parse(t, single))
		<-begun
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		f.answer = nil
		e = newEngine(s, f, func(o *Options) { o.Observer = w })
		d = run(t, e)
		e.wait(t, id)
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		want := []RecoveryReason{RecoveryLost, RecoveryUnreachable, RecoveryNotConsumed, RecoveryRestart}
		if !slices.Equal(w.recoveries, want) {
			t.Errorf("recoveries: %v, want %v", w.recoveries, want)
		}
	})
}

func TestObserverIsToldOfAStoreThatFails(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		full := &refusingStore{Store: openStore(t, dir)}
		w := &watcher{}
		e := newEngine(full, &fake{server: newServer()}, func(o *Options) { o.Observer = w })
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		e.wait(t, id)
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		if len(w.troubles) != 2 || w.troubles[0].Err == nil || w.troubles[1].Over.IsZero() {
			t.Errorf("troubles: %+v", w.troubles)
		}
		failures := 0
		for _, s := range w.stored {
			if s.Err != nil {
				failures++
			}
		}
		if failures != 1 {
			t.Errorf("%d failures of %d", failures, len(w.stored))
		}
	})
}

// refusingStore refuses the first claim.
type refusingStore struct {
	Store
	once sync.Once
}

func (s *refusingStore) CommitAll(ctx context.Context, decisions []store.Decision) (err error) {
	s.once.Do(func() { err = fmt.Errorf("commit: %w", store.ErrUnavailable) })
	if err != nil {
		return err
	}
	return s.Store.CommitAll(ctx, decisions)
}

func TestNoObserverCostsNothing(t *testing.T) {
	e := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()})
	var state workflow.State
	var event workflow.Event
	w := &work{}
	if n := testing.AllocsPerRun(100, func() {
		e.decided(&state, &state, event, nil, e.clock())
		e.tellStart(w)
		e.tellRecovery(w, RecoveryLost)
		frames := e.frameTimes(w.key)
		frames.Writing()
		frames.Read(time.Time{})
		frames.over()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if Observers() != nil || Observers(nil) != nil {
		t.Error("an Observer of nobody")
	}
	NoObserver{}.Decided(Decision{})
}
