package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// tendChild brings a sub-team's task and the task that waits for it in line: it
// tells the parent what the child has used and how it stands or ended, and the
// child what the parent wants of it. It compares the two as they are, so that it
// may be called at any time, and after a crash.
func (e *Engine) tendChild(ctx context.Context, child string) {
	e.tend(context.WithoutCancel(ctx), child, false)
}

// admit has every task above a sub-team's task count the turn that is about to
// begin there. Where one of them does not allow it the turn is taken back: the
// caller looks whether it is still wanted. It is false when that is not known.
func (e *Engine) admit(ctx context.Context, w *work, state workflow.State) bool {
	var up []string
	for state.Parent.Waits() {
		up = append(up, state.Task)
		e.tend(ctx, state.Task, true)
		parent, err := e.stateOf(ctx, state.Parent.Task)
		if err != nil {
			e.handle(ctx, w.key.task, "ask the task above whether the turn may begin", err)
			return false
		}
		state = parent
	}
	// Downwards: where one of them stops, so does all that is below it.
	for i := len(up) - 2; i >= 0; i-- {
		e.tend(ctx, up[i], false)
	}
	return true
}

// stateOf is the state of a task as it is now.
func (e *Engine) stateOf(ctx context.Context, task string) (workflow.State, error) {
	ent := e.acquire(task)
	defer e.release(ent)
	state, _, err := e.current(ctx, ent)
	return state, err
}

// ancestor is a task that another one runs for, with the turn that waits for it.
type ancestor struct {
	team  *workflow.Team
	state workflow.State
	turn  workflow.Turn
}

// above lists the tasks that a task runs for as a sub-team, the nearest first, as
// far as they wait for it. look is Engine.current or Engine.peek.
func (e *Engine) above(ctx context.Context, state workflow.State, look func(context.Context, *entry) (workflow.State, *workflow.Team, error)) ([]ancestor, error) {
	var out []ancestor
	for state.Parent.Waits() {
		ent := e.acquire(state.Parent.Task)
		parent, team, err := look(ctx, ent)
		e.release(ent)
		if err != nil {
			return nil, fmt.Errorf("look at task %s: %w", state.Parent.Task, err)
		}
		turn, live := turnOfChild(parent, state.Task)
		if !live {
			return out, nil
		}
		out = append(out, ancestor{team: team, state: parent, turn: turn})
		state = parent
	}
	return out, nil
}

// tend is tendChild; starting says that a turn of the child is about to begin.
func (e *Engine) tend(ctx context.Context, child string, starting bool) {
	ent := e.acquire(child)
	defer e.release(ent)
	ent.reporting.Lock()
	defer ent.reporting.Unlock()
	state, err := e.stateOf(ctx, child)
	if errors.Is(err, store.ErrNotFound) {
		return // not made yet, or not made any more
	}
	if err != nil || !state.Parent.Waits() {
		e.handle(ctx, child, "look at the task of the sub-team", err)
		return
	}
	parent, err := e.stateOf(ctx, state.Parent.Task)
	if err != nil {
		e.handle(ctx, child, "look at the task above", err)
		return
	}
	turn, live := turnOfChild(parent, child)
	if live {
		parent, err = e.reportChild(ctx, parent, turn, state, starting)
		e.handleChange(ctx, parent.Task, "record what the sub-team has used", err)
		turn, live = turnOfChild(parent, child)
	}
	if !state.Status.Terminal() {
		e.handleChange(ctx, child, "go on with the task of the sub-team", e.direct(ctx, parent, turn, state))
	}
	switch {
	case !live:
	case state.PlaceOpen() && e.finishesPlaces():
		// What it has left is committed and published before anybody goes on with it.
	case state.Status.Terminal():
		e.finish(ctx, turnKey{parent.Task, turn.ID, turn.Attempt}, endOfChild(state))
	case turn.Stopping != "" && atRest(state):
		e.finish(ctx, turnKey{parent.Task, turn.ID, turn.Attempt}, workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: turn.Stopping})
	}
}

// handleChange is handle where the task may have changed since it was looked at,
// which is looked at in turn.
func (e *Engine) handleChange(ctx context.Context, task, action string, err error) {
	if _, changed := errors.AsType[*workflow.TransitionError](err); changed {
		e.o.Log.Debug().Err(err).Str("task", task).Msg("the task has changed meanwhile")
		return
	}
	e.handle(ctx, task, action, err)
}

// direct has a sub-team's task do what the task above wants of it.
func (e *Engine) direct(ctx context.Context, parent workflow.State, turn workflow.Turn, child workflow.State) error {
	by := "task " + parent.Task
	var err error
	switch wish := parent.Children()[child.Task]; {
	case wish == workflow.ChildRuns && child.Pause != nil && child.Pause.Parent:
		_, err = e.apply(ctx, child.Task, workflow.ResumeRequested{By: by, Parent: true})
	case wish == workflow.ChildRuns:
	case wish == workflow.ChildPauses && (child.Status == workflow.TaskRunning || child.Status == workflow.TaskWaiting):
		_, err = e.apply(ctx, child.Task, workflow.PauseRequested{By: by, Note: "paused with " + by, Parent: true})
	case wish == workflow.ChildPauses:
	case wish == workflow.ChildStops && !stopped(child):
		note := "paused with " + by
		if turn.Stopping != "" {
			note += ": " + turn.Stopping
		}
		_, err = e.apply(ctx, child.Task, workflow.PauseRequested{By: by, Note: note, Parent: true, Stop: true})
	case wish == workflow.ChildStops:
	default: // nobody waits for it any more
		_, err = e.apply(ctx, child.Task, workflow.CancelRequested{By: by})
	}
	return err
}

// turnOfChild is the turn of a task that waits for a sub-team's task now.
func turnOfChild(parent workflow.State, child string) (workflow.Turn, bool) {
	for _, turn := range parent.Turns {
		if turn.Child == child && turn.State != workflow.TurnPending {
			return turn, true
		}
	}
	return workflow.Turn{}, false
}

// reportChild tells a task how the task of its sub-team stands, and returns it as it is then.
func (e *Engine) reportChild(ctx context.Context, parent workflow.State, turn workflow.Turn, child workflow.State, starting bool) (workflow.State, error) {
	report := workflow.ChildReported{
		Turn: turn.ID, Attempt: turn.Attempt, Attempts: child.Attempts, Usage: child.Usage, Cost: child.Cost, Unpriced: child.Unpriced,
		Status: child.Status, Starting: starting,
	}
	if !starting && turn.ChildAttempts == report.Attempts && turn.ChildUsage == report.Usage && turn.ChildCost == report.Cost && turn.ChildStatus == report.Status {
		return parent, nil
	}
	next, err := e.apply(ctx, parent.Task, report)
	if err != nil {
		return parent, err
	}
	return next, nil
}

// stopped reports whether a task need not be told to stop. One that is queued
// finds out when it is claimed.
func stopped(child workflow.State) bool {
	for _, t := range child.Turns {
		if t.Kind != workflow.KindGate && t.Stopping == "" {
			return false
		}
	}
	return child.Status == workflow.TaskPaused || child.Status == workflow.TaskQueued
}

// atRest reports whether nothing of a paused task runs any more.
func atRest(state workflow.State) bool {
	for _, turn := range state.Turns {
		if turn.Kind != workflow.KindGate {
			return false
		}
	}
	return state.Status == workflow.TaskPaused
}

// endOfChild is the end of a sub-team's task as the end of its node, which ended
// at a limit where the task was stopped for one or did not get along with its
// own. A sub-team whose rules make a success of a limit has succeeded.
func endOfChild(child workflow.State) workflow.TurnFinished {
	r := child.Result
	out := workflow.TurnFinished{
		Reason: workflow.Reason(r.State), Output: r.Output, OutputFile: r.OutputFile, Outcome: r.Outcome, Summary: r.Summary, Data: r.Data,
	}
	if r.State != workflow.TaskSucceeded {
		out.Error = r.Explanation
	}
	if r.State != workflow.TaskSucceeded && r.Reason == workflow.ReasonBudgetExceeded {
		out.Reason = workflow.ReasonBudgetExceeded
	}
	return out
}

// followChildren starts what a decision means for the tasks above and below. e.mu is held.
func (e *Engine) followChildren(prev, next workflow.State) {
	if e.phase != phaseRunning || e.fatal != nil {
		return
	}
	tend := func(child string) {
		e.spawn(func(ctx context.Context) { e.tendChild(ctx, child) })
	}
	if p := next.Parent; p.Waits() &&
		(next.Status != prev.Status || next.Attempts != prev.Attempts || next.Usage != prev.Usage || next.Cost != prev.Cost || next.Place.Status != prev.Place.Status || atRest(next)) {
		tend(next.Task)
	}
	before, after := prev.Children(), next.Children()
	for child, wish := range after {
		if before[child] != wish {
			tend(child)
		}
	}
	for child := range before {
		if after[child] == "" {
			tend(child)
		}
	}
}
