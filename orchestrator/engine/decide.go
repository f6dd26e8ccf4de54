package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

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

	mu     sync.Mutex
	loaded bool // guarded by mu, as is state
	state  workflow.State

	// reporting is held while the parent is told of this task, so that what it is
	// told is never older than what it knows. It is taken before the mu of the
	// parent, and never together with mu.
	reporting sync.Mutex
}

func (e *Engine) acquire(task string) *entry {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.acquireLocked(task)
}

func (e *Engine) acquireLocked(task string) *entry {
	ent := e.entries[task]
	if ent == nil {
		ent = &entry{task: task}
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
// decision and starts what follows from it. Errors: those of workflow.Decide
// and of the store.
func (e *Engine) apply(ctx context.Context, task string, body workflow.EventBody) (workflow.State, error) {
	return e.applyThen(ctx, task, body, func(workflow.State) {})
}

// applyThen is apply, and calls then with the new state before another decision on the task can be made.
func (e *Engine) applyThen(ctx context.Context, task string, body workflow.EventBody, then func(workflow.State)) (workflow.State, error) {
	ent := e.acquire(task)
	defer e.release(ent)
	ent.mu.Lock()
	defer ent.mu.Unlock()
	var err error
	for range maxConflicts {
		var next workflow.State
		if next, err = e.decide(ctx, ent, body); !errors.Is(err, store.ErrConflict) {
			if err == nil {
				then(next)
			}
			return next, err
		}
		ent.loaded = false
	}
	return workflow.State{}, err
}

// decide is one attempt of apply. ent.mu is held.
func (e *Engine) decide(ctx context.Context, ent *entry, body workflow.EventBody) (workflow.State, error) {
	if err := e.refuse(); err != nil {
		return workflow.State{}, err
	}
	prev, team, err := e.load(ctx, ent)
	if err != nil {
		return workflow.State{}, err
	}
	event := workflow.Event{At: e.now(), Body: body}
	if event.At.Before(prev.Updated) {
		event.At = prev.Updated // the clock was set back; a journal's times never go back
	}
	next, effects, err := workflow.Decide(team, prev, event) //nolint:contextcheck // it is pure and takes none
	if err != nil {
		return prev, fmt.Errorf("decide %s for task %s: %w", body.EventType(), ent.task, err)
	}
	// From here on ctx does not count: what happened has happened, and a commit
	// that was given up could still be the one that is on the disk.
	if err := e.o.Store.Commit(context.WithoutCancel(ctx), prev.Version, next, event, effects); err != nil {
		if errors.Is(err, store.ErrStorage) {
			e.fail(err)
		}
		return prev, err
	}
	ent.state = next
	e.follow(ent, prev, next, event, effects)
	return next, nil
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
func (e *Engine) load(ctx context.Context, ent *entry) (workflow.State, *workflow.Team, error) {
	if !ent.loaded {
		state, err := e.o.Store.Task(ctx, ent.task)
		if err != nil {
			return workflow.State{}, nil, err
		}
		if state.Task != ent.task { // the store takes an abbreviation, which must not change another task
			return workflow.State{}, nil, fmt.Errorf("task %q: %w", ent.task, store.ErrNotFound)
		}
		ent.state, ent.loaded = state, true
	}
	team, err := e.teams.get(ctx, e.o.Store, ent.state.Revision)
	if err != nil {
		return workflow.State{}, nil, fmt.Errorf("load the team of task %s: %w", ent.task, err)
	}
	return ent.state, team, nil
}

// current is load for those who do not hold ent.mu.
func (e *Engine) current(ctx context.Context, ent *entry) (workflow.State, *workflow.Team, error) {
	ent.mu.Lock()
	defer ent.mu.Unlock()
	return e.load(ctx, ent)
}

// teamCache keeps parsed revisions by hash. Teams are immutable and few.
type teamCache struct {
	mu     sync.Mutex
	byHash map[string]*workflow.Team
}

func (c *teamCache) get(ctx context.Context, s Store, hash string) (*workflow.Team, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if team := c.byHash[hash]; team != nil {
		return team, nil
	}
	revision, err := s.Revision(ctx, hash)
	if err != nil {
		return nil, err
	}
	team, err := workflow.Parse(revision.File, revision.Source, workflow.ParseOptions{Load: workflow.LoadSources(revision.File, revision.Sources)})
	if err != nil {
		return nil, fmt.Errorf("team %s, revision %s, is no longer valid: %w", revision.Name, hash, err)
	}
	c.putLocked(team)
	return team, nil
}

// save stores a team the first time that it is seen.
func (c *teamCache) save(ctx context.Context, e *Engine, team *workflow.Team) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.byHash[team.Revision] != nil {
		return nil
	}
	if err := e.o.Store.SaveRevision(ctx, team, e.now()); err != nil {
		return err
	}
	c.putLocked(team)
	return nil
}

func (c *teamCache) putLocked(team *workflow.Team) {
	if c.byHash == nil {
		c.byHash = map[string]*workflow.Team{}
	}
	c.byHash[team.Revision] = team
}
