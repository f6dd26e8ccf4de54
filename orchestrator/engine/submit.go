package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Submission is a task to be made.
type Submission struct {
	Team *workflow.Team
	// Input has passed Team.BindInput.
	Input map[string]any
	// Workspace is the absolute directory for the agents' tools; empty leaves
	// the choice to the team.
	Workspace string
	// Key is the idempotency key; empty is none. It is kept for ever: the same
	// key gives the same task, also when that has ended.
	Key string
	// Priority, Batch and Schedule are as in workflow.State.
	Priority        int
	Batch, Schedule string
	// Trace is the trace that it belongs to; nil begins its own.
	Trace *workflow.TraceContext
}

// Submit stores a new task. It is driven from then on if Run is running, and
// otherwise by the next Run. Where a task was submitted with the same key
// before, that task is returned with created false; where its team, its input,
// or a workspace that is given, is another one, with a *KeyError. Errors:
// ErrKeyTaken, store.ErrStorage, ErrStopped, those of Workspaces.Check. The workspace
// is made when the task is claimed.
func (e *Engine) Submit(ctx context.Context, sub Submission) (state workflow.State, created bool, err error) {
	if err := e.refuse(); err != nil {
		return workflow.State{}, false, fmt.Errorf("submit: %w", err)
	}
	if err := e.unusable(); err != nil {
		return workflow.State{}, false, fmt.Errorf("submit: %w", err)
	}
	if input, ok := e.o.Redact.Value(sub.Input).(map[string]any); ok {
		sub.Input = input
	}
	if sub.Key != "" {
		state, err := e.raw.ByKey(ctx, sub.Key)
		if err == nil {
			err = sameSubmission(sub, state)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return state, false, err
		}
	}
	if err := e.teams.save(ctx, e, e.raw, sub.Team); err != nil {
		return workflow.State{}, false, err
	}
	id := e.o.IDs()
	if sub.Workspace != "" && !filepath.IsAbs(sub.Workspace) {
		return workflow.State{}, false, fmt.Errorf("submit: the workspace %q is not an absolute path", sub.Workspace)
	}
	prepare, err := e.checkPlace(PlaceRequest{Task: id, Team: sub.Team, Input: sub.Input, Given: sub.Workspace})
	if err != nil {
		return workflow.State{}, false, err
	}
	state, created, err = e.create(ctx, e.raw, sub.Team, workflow.TaskSubmitted{
		Task: id, Team: sub.Team.Name, Revision: sub.Team.Revision, Input: sub.Input,
		Workspace: sub.Workspace, Prepare: prepare,
		Priority: sub.Priority, Batch: sub.Batch, Schedule: sub.Schedule, Trace: sub.Trace,
	}, sub.Key)
	if err == nil && !created { // somebody else was faster
		err = sameSubmission(sub, state)
	}
	return state, created, err
}

func (e *Engine) create(ctx context.Context, in Store, team *workflow.Team, body workflow.TaskSubmitted, key string) (workflow.State, bool, error) {
	id := body.Task
	ent := e.acquire(id)
	defer e.release(ent)
	ent.mu.Lock()
	defer ent.mu.Unlock()
	event := workflow.Event{At: e.now(), Body: e.redacted(body)}
	state, effects, err := workflow.Decide(team, workflow.State{}, event)
	if err != nil {
		return workflow.State{}, false, fmt.Errorf("submit: %w", err)
	}
	began := e.clock()
	got, created, err := in.Create(context.WithoutCancel(ctx), state, event, effects, key)
	if err != nil {
		e.storeFailed(err)
		return workflow.State{}, false, err
	}
	if !created {
		state, err = in.Task(ctx, got)
		return state, false, err
	}
	ent.set(&state)
	e.joinsRun(id, body.Batch)
	before := &workflow.State{}
	e.decided(before, &state, event, effects, began)
	e.follow(ent, before, &state, event, effects)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.enqueueTask(id, originOf(state))
	e.pump()
	return state, true, nil
}

// Cancel ends a task as cancelled at once and aborts its running turns. by
// says who asked for it. task is a whole ID. Errors: workflow.ErrTerminal when
// the task has ended already, store.ErrNotFound, store.ErrStorage, ErrStopped.
func (e *Engine) Cancel(ctx context.Context, task, by string) (workflow.State, error) {
	return e.changeAll(ctx, task, workflow.CancelRequested{By: by})
}

// Wait returns the state of a task when it has ended and, where Run is running or
// has not begun yet, its workspace is finished. Before that it returns
// the error for which the engine cannot drive the task, ErrStopped (with the
// reason) when Run ends, or the cause of the end of ctx.
func (e *Engine) Wait(ctx context.Context, task string) (workflow.State, error) {
	ended, forget := e.hub.watch(task)
	defer forget()
	for {
		state, err := e.o.Store.Task(ctx, task)
		e.mu.Lock()
		broken, fatal, stopped := e.broken[task], e.fatal, e.phase == phaseStopped
		finishing := e.o.Workspaces != nil && (e.phase == phaseIdle || e.phase == phaseRunning) && broken == nil && fatal == nil && state.PlaceOpen()
		e.mu.Unlock()
		if err != nil || state.Status.Terminal() && !finishing {
			return state, err
		}
		switch {
		case broken != nil:
			return state, broken
		case stopped && fatal != nil:
			return state, fmt.Errorf("wait for task %s: %w: %w", task, ErrStopped, fatal)
		case stopped:
			return state, fmt.Errorf("wait for task %s: %w", task, ErrStopped)
		}
		select {
		case <-ended:
		case <-e.done:
		case <-ctx.Done():
			return state, fmt.Errorf("wait for task %s: %w", task, context.Cause(ctx))
		}
	}
}
