package teamtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// simulation is one run of a scenario. Everything that happens in virtual time,
// such as the end of a turn, waits until nothing else moves; then the earliest
// of it happens, alone. So a scenario runs the same way every time.
type simulation struct {
	scenario *Scenario
	options  Options
	dir      string
	clock    *clock
	player   *player
	store    *store.Store
	server   *apptest.Server
	root     string // the task
	ids      int    // how many tasks there are; guarded by mu

	changed chan struct{} // holds a token when what mu guards has changed

	mu sync.Mutex
	// states are those of the tasks as far as they are known.
	states map[string]workflow.State
	// asleep are turns that wait for their virtual time.
	asleep map[turnKey]*sleeper
	// blocked are turns whose conversation another one holds.
	blocked map[turnKey]bool
	// lost are turns of which nobody will know how they ended.
	lost map[turnKey]bool
	// answers are what the App Server is to answer, by client_message_id.
	answers map[string]apptest.Turn
	// people is what the people of the scenario have been asked.
	people people
	// failed says why the scenario cannot go on.
	failed error

	engine *running
	pauses int // how many entries of OnPause are used
}

// sleeper is a turn that waits for its time.
type sleeper struct {
	until time.Time
	// crash: the orchestrator dies then.
	crash bool
	wake  chan struct{}
}

// signal says that something has changed. s.mu may be held.
func (s *simulation) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// fail ends the scenario because it cannot go on.
func (s *simulation) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed == nil {
		s.failed = err
	}
	s.signal()
}

// ending is how a turn ends. When the scenario does not say, the scenario is
// over, and this returns when ctx ends.
func (s *simulation) ending(ctx context.Context, task string, turn workflow.Turn) (*Ending, error) {
	state, err := s.store.Task(ctx, task)
	if err != nil {
		return nil, err
	}
	e, err := s.player.next(state, turn)
	if err != nil {
		s.fail(err)
		<-ctx.Done()
		return nil, context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(e.Calls) > 0 {
		s.people.played = append(s.people.played, e)
	}
	s.lost[turnKey{task, turn.ID}] = workflow.Reason(e.Reason) == workflow.ReasonUncertain
	s.people.endings[turnKey{task, turn.ID}] = e
	return e, nil
}

func (s *simulation) uncertain(task string, turn workflow.Turn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost[turnKey{task, turn.ID}]
}

// sleep waits until it is the turn's time, or returns the cause of the end of ctx.
func (s *simulation) sleep(ctx context.Context, key turnKey, until time.Time) error {
	sl := &sleeper{until: until, wake: make(chan struct{})}
	s.mu.Lock()
	s.asleep[key] = sl
	s.signal()
	s.mu.Unlock()
	select {
	case <-sl.wake:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asleep[key] == sl {
		delete(s.asleep, key)
	}
	return context.Cause(ctx)
}

// crashAt makes the orchestrator die when it is that time.
func (s *simulation) crashAt(key turnKey, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asleep[key] = &sleeper{until: at, crash: true}
	s.signal()
}

// expectInput says what the App Server is to answer to an input.
func (s *simulation) expectInput(id string, answer apptest.Turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[id] = answer
}

// answer is apptest.Options.Answer.
func (s *simulation) answer(turn apptest.AskedTurn) (apptest.Turn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range turn.ClientMessageIDs {
		if answer, ok := s.answers[id]; ok {
			return answer, true
		}
	}
	return nil, false
}

// observe takes in what the engine tells.
func (s *simulation) observe(u engine.Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.signal()
	if u.Progress != nil {
		if u.Progress.Kind == engine.ProgressBlocked {
			s.blocked[turnKey{u.Task, u.Progress.Turn}] = true
		}
		return
	}
	if sending, ok := u.Record.Event.Body.(workflow.TurnSending); ok {
		delete(s.blocked, turnKey{u.Task, sending.Turn})
	}
	s.know(*u.Record.State)
}

// know keeps the newest state of a task. s.mu is held.
func (s *simulation) know(state workflow.State) {
	if old, ok := s.states[state.Task]; !ok || old.Version < state.Version {
		s.states[state.Task] = state
	}
}

// errBusy says that the engine, or a turn, is at work.
var errBusy = errors.New("at work")

// quiet returns nil when nothing moves but what waits for virtual time or for a
// person; otherwise the error says what moves. s.mu is held.
func (s *simulation) quiet() error {
	root, ok := s.states[s.root]
	if !ok {
		return errBusy
	}
	if root.Status.Terminal() {
		return nil
	}
	for _, state := range s.states {
		if err := s.quietTask(state); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) quietTask(state workflow.State) error {
	switch {
	case state.Status.Terminal():
		return nil
	case state.Status == workflow.TaskQueued:
		return fmt.Errorf("task %s is queued: %w", state.Task, errBusy)
	}
	paused := state.Status == workflow.TaskPaused
	if !paused && !state.WakeAt.IsZero() && !storable(state.WakeAt).After(s.clock.Now()) {
		return fmt.Errorf("the timer of task %s is due: %w", state.Task, errBusy)
	}
	for _, turn := range state.Turns {
		if err := s.quietTurn(state, turn, paused); err != nil {
			return err
		}
	}
	return nil
}

func (s *simulation) quietTurn(state workflow.State, turn workflow.Turn, paused bool) error {
	key := turnKey{state.Task, turn.ID}
	busy := fmt.Errorf("turn %d of task %s, %s, is %s: %w", turn.ID, state.Task, turn.Node, turn.State, errBusy)
	switch {
	case turn.Kind == workflow.KindGate, turn.State == workflow.TurnUncertain:
		return nil
	case s.asleep[key] != nil && turn.Stopping == "":
		return nil
	case turn.State == workflow.TurnPending:
		if paused || turn.NotBefore.After(state.Updated) || s.blocked[key] {
			return nil
		}
		return busy
	case turn.Stopping != "":
		return busy
	case turn.Kind == workflow.KindTeam && turn.Child != "":
		if child, ok := s.states[turn.Child]; ok && !child.Status.Terminal() {
			return nil // whether the child is quiet is asked of the child
		}
		return busy
	case turn.State == workflow.TurnAwaitingApproval:
		return nil
	}
	return busy
}

// act is something that can happen next.
type act struct {
	at    time.Time
	order int // of what happens at the same time
	key   turnKey
	do    func(ctx context.Context) error
}

// The order of what happens at the same time: what ends before what expires.
const (
	orderEnd = iota
	orderAnswer
	orderWake
)

// next returns what happens next; ok is false when nothing can. s.mu is held.
func (s *simulation) next() (act, bool) {
	var acts []act
	for _, state := range s.states {
		if state.Status.Terminal() {
			continue
		}
		acts = append(acts, s.gates(state)...) // before wakeOf, which asks for what they are
		acts = append(acts, s.questions(state)...)
		if state.Status == workflow.TaskPaused {
			if s.pauses < len(s.scenario.OnPause) {
				acts = append(acts, act{at: s.clock.Now(), order: orderAnswer, key: turnKey{task: state.Task}, do: s.resume(state.Task)})
			}
		} else if wake := s.wakeOf(state); !wake.IsZero() {
			acts = append(acts, act{at: storable(wake), order: orderWake, key: turnKey{task: state.Task}})
		}
		for _, turn := range state.Turns {
			key := turnKey{state.Task, turn.ID}
			if sl := s.asleep[key]; sl != nil {
				acts = append(acts, act{at: sl.until, order: orderEnd, key: key, do: s.wakeUp(key, sl)})
			}
		}
	}
	if len(acts) == 0 {
		return act{}, false
	}
	return slices.MinFunc(acts, func(a, b act) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order), cmp.Compare(a.key.task, b.key.task), cmp.Compare(a.key.turn, b.key.turn))
	}), true
}

// wakeOf is when a task wants to be woken, without the end of a gate that is
// to stay open. s.mu is held.
func (s *simulation) wakeOf(state workflow.State) time.Time {
	for _, turn := range state.Turns {
		if turn.Kind == workflow.KindGate && turn.Expires.Equal(state.WakeAt) && s.people.open(turnKey{state.Task, turn.ID}) {
			return time.Time{}
		}
	}
	return state.WakeAt
}

// storable is the first time from t on in the precision that the store keeps.
func storable(t time.Time) time.Time {
	if whole := t.Truncate(time.Microsecond); whole.Before(t) {
		return whole.Add(time.Microsecond)
	}
	return t
}

// wakeUp lets a turn end, or the orchestrator die.
func (s *simulation) wakeUp(key turnKey, sl *sleeper) func(context.Context) error {
	return func(ctx context.Context) error {
		s.mu.Lock()
		delete(s.asleep, key)
		s.mu.Unlock()
		if !sl.crash {
			close(sl.wake)
			return nil
		}
		s.player.delivered(key.task, key.turn)
		return s.restart(ctx)
	}
}

func (s *simulation) resume(task string) func(context.Context) error {
	return func(ctx context.Context) error {
		r := s.scenario.OnPause[s.pauses]
		s.pauses++
		return s.applied(s.engine.engine.Resume(ctx, task, cmp.Or(r.By, person), r.Raise))
	}
}

// applied takes in the state that a call of the engine has returned.
func (s *simulation) applied(state workflow.State, err error) error {
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.know(state)
	return nil
}

// drive lets happen what is to happen until the task has ended, or waits for
// what never comes in this scenario.
func (s *simulation) drive(ctx context.Context) error {
	for {
		if err := s.awaitQuiet(ctx); err != nil {
			return err
		}
		s.mu.Lock()
		over := s.states[s.root].Status.Terminal()
		next, ok := act{}, false
		if !over {
			next, ok = s.next()
		}
		failed := s.failed
		s.mu.Unlock()
		if failed != nil || over || !ok {
			return failed
		}
		s.clock.advance(next.at)
		if next.do == nil {
			continue
		}
		if err := next.do(ctx); err != nil {
			return err
		}
	}
}

// realLimit is the real time in which something has to happen.
const realLimit = 20 * time.Second

// awaitQuiet returns when nothing moves, or the scenario cannot go on.
func (s *simulation) awaitQuiet(ctx context.Context) error {
	limit := time.NewTimer(realLimit)
	defer limit.Stop()
	for {
		s.mu.Lock()
		busy, failed := s.quiet(), s.failed
		s.mu.Unlock()
		if busy == nil || failed != nil {
			return failed
		}
		select {
		case <-s.changed:
		case <-s.engine.done:
			return s.engine.err()
		case <-limit.C:
			return fmt.Errorf("nothing has happened for %s of real time although something should: %w", realLimit, busy)
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
