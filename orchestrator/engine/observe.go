package engine

import (
	"context"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// observing is what has to be known for an Observer between a turn and the next.
// Without an Observer it is never used.
type observing struct {
	mu sync.Mutex
	// ended has the ends of turns whose decision is being made, and handed the
	// handoffs to turns that have not begun, both by task and turn.
	ended  map[observedTurn]turnEnd
	handed map[observedTurn]HandedOff
}

type observedTurn struct {
	task string
	turn int
}

type turnEnd struct {
	at    time.Time
	frame bool
}

func newObserving() observing {
	return observing{ended: map[observedTurn]turnEnd{}, handed: map[observedTurn]HandedOff{}}
}

// clock is the time that durations of an Observation are measured by; it costs
// nothing where nobody observes.
func (e *Engine) clock() time.Time {
	if e.o.Observer == nil {
		return time.Time{}
	}
	return time.Now()
}

// decided tells of a committed decision, which e.clock was asked about before.
func (e *Engine) decided(prev, next *workflow.State, event workflow.Event, effects []workflow.Effect, began time.Time) {
	if e.o.Observer != nil {
		e.tellDecision(prev, next, event, effects, began)
	}
}

// tellDecision is a function of its own so that what escapes in it costs nothing where nobody observes.
func (e *Engine) tellDecision(prev, next *workflow.State, event workflow.Event, effects []workflow.Effect, began time.Time) {
	e.o.Observer.Decided(Decision{Prev: prev, Next: next, Event: event, Effects: effects, Began: began, Took: time.Since(began)})
	e.observing.follow(prev, next, event, effects)
}

// follow notes what hands over to which turns at once.
func (o *observing) follow(prev, next *workflow.State, event workflow.Event, effects []workflow.Effect) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, turn := range prev.Turns {
		if after, live := liveTurn(*next, turn.ID); !live || after.Attempt != turn.Attempt || next.Status.Terminal() || next.Status == workflow.TaskPaused {
			delete(o.handed, observedTurn{next.Task, turn.ID})
		}
	}
	finished, ok := event.Body.(workflow.TurnFinished)
	if !ok {
		return
	}
	from := observedTurn{next.Task, finished.Turn}
	end, ok := o.ended[from]
	if !ok {
		return
	}
	delete(o.ended, from)
	for _, effect := range effects {
		h, ok := effect.(workflow.Handoff)
		if !ok || h.Retry || h.FromTurn != finished.Turn || h.ToTurn == 0 {
			continue
		}
		if to, live := liveTurn(*next, h.ToTurn); !live || !startable(*next, to) {
			continue
		}
		o.handed[observedTurn{next.Task, h.ToTurn}] = HandedOff{State: next, Handoff: h, Ended: end.at, Frames: end.frame}
	}
}

// over notes when a turn was over; it is followed by the decision, or by forget.
func (o *observing) over(key turnKey, at time.Time, frame bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ended[observedTurn{key.task, key.turn}] = turnEnd{at, frame}
}

// forget drops the end of a turn that no decision was made of.
func (o *observing) forget(key turnKey) {
	if o.ended == nil {
		return // nobody observes
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.ended, observedTurn{key.task, key.turn})
}

// begun tells that the work of a turn has begun.
func (e *Engine) begun(key turnKey, at time.Time, frame bool) {
	o := &e.observing
	o.mu.Lock()
	turn := observedTurn{key.task, key.turn}
	h, ok := o.handed[turn]
	delete(o.handed, turn)
	o.mu.Unlock()
	if !ok {
		return
	}
	h.Attempt, h.Began, h.Frames = key.attempt, at, h.Frames && frame
	e.o.Observer.HandedOff(h)
}

// FrameTimes takes the times of the first and the last frame of a turn from its
// TurnRunner. Its methods may be called from any goroutine, and on nil.
type FrameTimes struct {
	engine *Engine
	key    turnKey

	mu      sync.Mutex
	written bool
	read    time.Time
}

// frameTimes is nil where nobody observes.
func (e *Engine) frameTimes(key turnKey) *FrameTimes {
	if e.o.Observer == nil {
		return nil
	}
	return &FrameTimes{engine: e, key: key}
}

// Writing is called when a frame of the turn is written. Calls after the first do nothing.
func (f *FrameTimes) Writing() {
	if f == nil {
		return
	}
	f.mu.Lock()
	first := !f.written
	f.written = true
	f.mu.Unlock()
	if first {
		f.engine.begun(f.key, time.Now(), true)
	}
}

// starting is Writing for what has no frames.
func (f *FrameTimes) starting() {
	if f != nil {
		f.engine.begun(f.key, time.Now(), false)
	}
}

// Read is called with the time at which a frame of the turn was read; the last one counts.
func (f *FrameTimes) Read(at time.Time) {
	if f == nil || at.IsZero() {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.read = at
}

// over notes the end of the turn.
func (f *FrameTimes) over() {
	if f == nil {
		return
	}
	f.mu.Lock()
	at, frame := f.read, true
	f.mu.Unlock()
	if at.IsZero() {
		at, frame = time.Now(), false
	}
	f.engine.observing.over(f.key, at, frame)
}

// tellClaim tells that a task was taken up, which began at a time by e.clock.
func (e *Engine) tellClaim(state workflow.State, began time.Time) {
	if e.o.Observer != nil {
		took := time.Since(began)
		e.o.Observer.Claimed(Claim{Task: state.Task, Team: state.Team, Waited: max(e.now().Sub(state.Created)-took, 0), Took: took})
	}
}

// tellStart tells that a piece of work has its slot. e.mu is held.
func (e *Engine) tellStart(w *work) {
	if e.o.Observer == nil {
		return
	}
	e.o.Observer.Started(Start{
		Task: w.key.task, Team: w.of.team, Turn: w.key.turn, Attempt: w.key.attempt,
		Server: w.room, Reconcile: w.reconcile, Waited: max(e.elapsed()-w.since, 0),
	})
}

// tellRecovery tells that a turn has to be tried again or found out about.
func (e *Engine) tellRecovery(w *work, reason RecoveryReason) {
	if e.o.Observer != nil {
		e.o.Observer.Recovering(Recovery{Task: w.key.task, Team: w.of.team, Turn: w.key.turn, Attempt: w.key.attempt, Reason: reason})
	}
}

// tellTrouble tells that the store does not work, or works again.
func (e *Engine) tellTrouble(t StorageTrouble) {
	if e.o.Observer != nil {
		e.o.Observer.Trouble(t)
	}
}

// observedStore tells how long decisions take to be written.
type observedStore struct {
	Store
	observer Observer
}

// Create implements Store.
func (s observedStore) Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (string, bool, error) {
	began := time.Now()
	id, created, err := s.Store.Create(ctx, state, event, effects, key)
	s.observer.Stored(Stored{Event: event.Body.EventType(), Took: time.Since(began), Err: err})
	return id, created, err
}

// CommitAll implements Store.
func (s observedStore) CommitAll(ctx context.Context, all []store.Decision) error {
	began := time.Now()
	err := s.Store.CommitAll(ctx, all)
	for _, d := range all {
		s.observer.Stored(Stored{Event: d.Event.Body.EventType(), Took: time.Since(began), Err: err})
	}
	return err
}
