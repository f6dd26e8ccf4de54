package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxConflicts bounds how often a decision is made again because the task
// changed; the engine is the only writer, so once is already unexpected.
const maxConflicts = 5

// entry serialises the decisions on one task. It exists while somebody uses
// it, so that a task which waits costs no memory.
type entry struct {
	task string
	refs int // guarded by Engine.mu

	// mu is held while a decision is committed, and so as long as the store is unavailable.
	mu     taskLock
	loaded bool // guarded by mu, as is state
	state  *workflow.State
	// seen is the state that was committed last, for those who must not wait; nil before it is loaded.
	seen atomic.Pointer[workflow.State]

	// reporting is held while the parent is told of this task, so that what it is
	// told is never older than what it knows. It is taken before the mu of the
	// parent, and never together with mu.
	reporting taskLock
}

// set notes the state that is stored, which is not changed from then on. mu is held.
func (ent *entry) set(state *workflow.State) {
	ent.state, ent.loaded = state, true
	ent.seen.Store(state)
}

// taskLock is a mutex for which one need not wait.
type taskLock chan struct{}

func newTaskLock() taskLock { return make(taskLock, 1) }

// Lock implements sync.Locker.
func (l taskLock) Lock() { l <- struct{}{} }

// Unlock implements sync.Locker.
func (l taskLock) Unlock() { <-l }

// lockUnless locks, unless one of the channels is closed first.
func (l taskLock) lockUnless(ended, began <-chan struct{}) bool {
	select {
	case l <- struct{}{}:
		return true
	case <-ended:
	case <-began:
	}
	return false
}

func (e *Engine) acquire(task string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.acquireLocked(task)
}

func (e *Engine) acquireLocked(task string) *entry {
	ent := e.entries[task]
	if ent == nil {
		ent = &entry{task: task, mu: newTaskLock(), reporting: newTaskLock()}
		e.entries[task] = ent
	}
	ent.refs++
	return ent
}

func (e *Engine) release(ent *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.releaseLocked(ent)
}

func (e *Engine) releaseLocked(ent *entry) {
	if ent.refs--; ent.refs == 0 {
		delete(e.entries, ent.task)
	}
}

// apply takes one event through Decide and Commit, and then publishes the
// decision and starts what follows from it. It waits while the store is
// unavailable. Errors: those of workflow.Decide and of the store.
func (e *Engine) apply(ctx context.Context, task string, body workflow.EventBody) (workflow.State, error) {
	return e.applyThen(ctx, task, body, nil)
}

// applyNow is apply for those who must not wait for the store: while it is
// unavailable they are refused. Errors: as of apply, and store.ErrUnavailable.
func (e *Engine) applyNow(ctx context.Context, task string, body workflow.EventBody) (workflow.State, error) {
	if err := e.unusable(); err != nil {
		return workflow.State{}, err
	}
	ent := e.acquire(task)
	defer e.release(ent)
	switch began := e.troubleBegan(); {
	case ent.mu.lockUnless(ctx.Done(), began):
		defer ent.mu.Unlock()
	case ctx.Err() != nil:
		return workflow.State{}, fmt.Errorf("decide %s for task %s: %w", body.EventType(), task, context.Cause(ctx))
	default:
		if err := e.unusable(); err != nil {
			return workflow.State{}, err
		}
		return e.applyNow(ctx, task, body) // it is over already
	}
	state, err := e.decideAgain(ctx, ent, e.raw, proposal{body: body})
	if errors.Is(err, store.ErrUnavailable) {
		ent.loaded = false // it may be stored all the same
	}
	return state, err
}

// followUp is called with an event, as it was decided, and what came of it before
// another decision on the task can be made.
type followUp func(body workflow.EventBody, next workflow.State, effects []workflow.Effect)

// applyThen is apply with a followUp, which may be nil.
func (e *Engine) applyThen(ctx context.Context, task string, body workflow.EventBody, then followUp) (workflow.State, error) {
	ent := e.acquire(task)
	defer e.release(ent)
	ent.mu.Lock()
	defer ent.mu.Unlock()
	return e.decideAgain(ctx, ent, e.o.Store, proposal{body: body, then: then})
}

// applyAll is apply for several events, which are decided one after the other and
// committed together. One that Decide refuses is left out, unless it is the last or
// says that it must not; its error is returned then.
func (e *Engine) applyAll(ctx context.Context, task string, proposals ...proposal) error {
	ent := e.acquire(task)
	defer e.release(ent)
	ent.mu.Lock()
	defer ent.mu.Unlock()
	_, err := e.decideAgain(ctx, ent, e.o.Store, proposals...)
	return err
}

// proposal is an event that is to be decided.
type proposal struct {
	body workflow.EventBody
	// at is when it happened; zero is now.
	at   time.Time
	then followUp
	// runtime is stored with it; nil for none.
	runtime *store.Runtime
	// must says that nothing is committed where it is refused.
	must bool
}

// decided is a proposal that was accepted.
type decided struct {
	store.Decision
	then followUp
}

// decideAgain decides, and again where the task has changed in the store. ent.mu is held.
func (e *Engine) decideAgain(ctx context.Context, ent *entry, in Store, proposals ...proposal) (workflow.State, error) {
	var err error
	for range maxConflicts {
		var next workflow.State
		if next, err = e.decide(ctx, ent, in, proposals); !errors.Is(err, store.ErrConflict) {
			return next, err
		}
		ent.loaded = false
	}
	return workflow.State{}, err
}

// decide is one attempt of apply. ent.mu is held.
func (e *Engine) decide(ctx context.Context, ent *entry, in Store, proposals []proposal) (workflow.State, error) {
	if err := e.refuse(); err != nil {
		return workflow.State{}, err
	}
	prev, team, err := e.load(ctx, ent, in)
	if err != nil {
		return workflow.State{}, err
	}
	all := make([]decided, 0, len(proposals))
	state := prev
	for i, p := range proposals {
		d, err := e.decideOne(team, state, p)
		if err != nil && i < len(proposals)-1 && !p.must {
			e.o.Log.Debug().Err(err).Str("task", ent.task).Msg("dropped what came too late")
			continue
		}
		if err != nil {
			return *prev, fmt.Errorf("decide %s for task %s: %w", p.body.EventType(), ent.task, err)
		}
		all, state = append(all, d), d.State
	}
	// From here on ctx does not count: what has happened has happened, and a commit
	// that was given up could still be the one that is on the disk.
	began := e.clock()
	if err := commit(context.WithoutCancel(ctx), in, all); err != nil {
		e.storeFailed(err)
		return *prev, err
	}
	for _, d := range all {
		ent.set(d.State)
		e.decided(d.Was, d.State, d.Event, d.Effects, began)
		e.follow(ent, d.Was, d.State, d.Event, d.Effects)
		if d.then != nil {
			d.then(d.Event.Body, *d.State, d.Effects)
		}
	}
	return *state, nil
}

// decideOne decides about one event.
func (e *Engine) decideOne(team *workflow.Team, prev *workflow.State, p proposal) (decided, error) {
	body := e.redacted(p.body)
	switch b := body.(type) {
	case workflow.QuestionAsked:
		body = workflow.AskedBefore(*prev, b)
	case workflow.TurnReconciled:
		b.KeepAsked = true
		body = b
	}
	event := workflow.Event{At: p.at, Body: body}
	if event.At.IsZero() {
		event.At = e.now()
	}
	if event.At.Before(prev.Updated) {
		event.At = prev.Updated // the clock was set back; a journal's times never go back
	}
	next, effects, err := workflow.Decide(team, *prev, event)
	return decided{
		Decision: store.Decision{Prev: prev.Version, Was: prev, State: &next, Event: event, Effects: effects, Runtime: p.runtime}, then: p.then,
	}, err
}

// commit stores what was decided about one task.
func commit(ctx context.Context, in Store, all []decided) error {
	decisions := make([]store.Decision, len(all))
	for i, d := range all {
		decisions[i] = d.Decision
	}
	return in.CommitAll(ctx, decisions)
}

// refuse says why nothing can be recorded any more, if so.
func (e *Engine) refuse() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.fatal != nil {
		return e.fatal
	}
	if e.phase == phaseStopped {
		return ErrStopped
	}
	return nil
}

// load returns the state and the team of a task. ent.mu is held.
func (e *Engine) load(ctx context.Context, ent *entry, in Store) (*workflow.State, *workflow.Team, error) {
	if !ent.loaded {
		state, err := in.Task(ctx, ent.task)
		if err != nil {
			return nil, nil, err
		}
		if state.Task != ent.task { // the store takes an abbreviation, which must not change another task
			return nil, nil, fmt.Errorf("task %q: %w", ent.task, store.ErrNotFound)
		}
		ent.set(&state)
	}
	team, err := e.teams.get(ctx, in, ent.state.Revision)
	if err != nil {
		return nil, nil, fmt.Errorf("load the team of task %s: %w", ent.task, err)
	}
	return ent.state, team, nil
}

// current is load for those who do not hold ent.mu.
func (e *Engine) current(ctx context.Context, ent *entry) (workflow.State, *workflow.Team, error) {
	ent.mu.Lock()
	defer ent.mu.Unlock()
	return loaded(e.load(ctx, ent, e.o.Store))
}

func loaded(state *workflow.State, team *workflow.Team, err error) (workflow.State, *workflow.Team, error) {
	if err != nil {
		return workflow.State{}, nil, err
	}
	return *state, team, nil
}

// peek is current for those who must not wait for the store: it returns the
// state that was committed last. Its errors are no reason to do anything.
func (e *Engine) peek(ctx context.Context, ent *entry) (workflow.State, *workflow.Team, error) {
	if seen := ent.seen.Load(); seen != nil {
		team, err := e.teams.get(ctx, e.raw, seen.Revision)
		return *seen, team, err
	}
	if !ent.mu.lockUnless(ctx.Done(), e.troubleBegan()) {
		return workflow.State{}, nil, store.ErrUnavailable
	}
	defer ent.mu.Unlock()
	return loaded(e.load(ctx, ent, e.raw))
}

// teamCache keeps parsed revisions by hash. Teams are immutable and few.
type teamCache struct {
	mu     sync.Mutex
	byHash map[string]*workflow.Team
}

func (c *teamCache) get(ctx context.Context, in Store, hash string) (*workflow.Team, error) {
	if team := c.loaded(hash); team != nil {
		return team, nil
	}
	// Not under the lock: the store may have to be waited for.
	revision, err := in.Revision(ctx, hash)
	if err != nil {
		return nil, err
	}
	team, err := workflow.Parse(revision.File, revision.Source, workflow.ParseOptions{Load: workflow.LoadSources(revision.File, revision.Sources)})
	if err != nil {
		return nil, fmt.Errorf("team %s, revision %s, is no longer valid: %w", revision.Name, hash, err)
	}
	return c.put(team), nil
}

// save stores a team the first time that it is seen.
func (c *teamCache) save(ctx context.Context, e *Engine, in Store, team *workflow.Team) error {
	if c.loaded(team.Revision) != nil {
		return nil
	}
	if err := in.SaveRevision(ctx, team, e.now()); err != nil {
		return err
	}
	c.put(team)
	return nil
}

// put keeps a team, and returns the one that is kept under its revision.
func (c *teamCache) put(team *workflow.Team) *workflow.Team {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHash == nil {
		c.byHash = map[string]*workflow.Team{}
	}
	if known := c.byHash[team.Revision]; known != nil {
		return known
	}
	c.byHash[team.Revision] = team
	return team
}

// loaded returns a team that is in memory; nil when it is not.
func (c *teamCache) loaded(hash string) *workflow.Team {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.byHash[hash]
}
