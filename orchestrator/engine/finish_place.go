package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ErrPlaceChanged says that something was written in a worktree after it was
// saved; it is saved again.
var ErrPlaceChanged = errors.New("the worktree has changed since it was saved")

const (
	// maxResaves bounds how often a worktree in which something still writes is saved.
	maxResaves = 5
	// maxFinishing is how many workspaces are finished at once.
	maxFinishing = 4
)

// finishing are the workspaces of tasks that have ended and are being finished.
// It is guarded by Engine.mu.
type finishing struct {
	// tasks has those with a goroutine; again says that they are to be looked at once more.
	tasks map[string]bool
	slots chan struct{}
}

func newFinishing() finishing {
	return finishing{tasks: map[string]bool{}, slots: make(chan struct{}, maxFinishing)}
}

// startFinishing looks at the workspace of a task that has ended. It may be called
// at any time; what there is to do follows from the state. e.mu is held.
func (e *Engine) startFinishing(task string) {
	if e.o.Workspaces == nil || e.phase != phaseRunning || e.fatal != nil || !e.drives(task) {
		return
	}
	if _, known := e.finishing.tasks[task]; known {
		e.finishing.tasks[task] = true
		return
	}
	e.finishing.tasks[task] = false
	e.spawn(func(ctx context.Context) { e.keepFinishing(ctx, task) })
}

// followPlace starts what a decision means for workspaces. e.mu is held.
func (e *Engine) followPlace(prev, next workflow.State) {
	ended := next.Status.Terminal() && !prev.Status.Terminal()
	if next.PlaceOpen() && (ended || !prev.PlaceOpen()) {
		e.startFinishing(next.Task)
	}
	if ended && next.WorkspaceOf != "" {
		e.startFinishing(next.WorkspaceOf)
	}
	if ended {
		delete(e.placeRetries, next.Task)
		e.forgetWaiting(next.Task)
		if cancel := e.waiting.preparing[next.Task]; cancel != nil {
			cancel(ErrTurnAborted)
		}
		if next.Place.Lock != workflow.LockNone || next.WorkspaceOf != "" || prev.Place.Status == workflow.PlaceWaiting {
			e.wakeDirectories()
		}
	}
}

// keepFinishing finishes the workspace of a task, and tries again where it could not.
func (e *Engine) keepFinishing(ctx context.Context, task string) {
	retries := backoff.NewExponentialBackOff()
	retries.InitialInterval, retries.MaxInterval = reconcileFirstWait, reconcileLastWait
	retries.Reset()
	for {
		wait, err := time.Duration(0), error(nil)
		select {
		case e.finishing.slots <- struct{}{}:
			err = e.finishPlace(ctx, task)
			<-e.finishing.slots
		case <-ctx.Done():
		}
		if err != nil && ctx.Err() == nil {
			wait = retries.NextBackOff()
			e.o.Log.Warn().Err(err).Str("task", task).Dur("again", wait).Msg("the workspace of the task cannot be finished now")
		}
		e.mu.Lock()
		if ctx.Err() != nil || err == nil && !e.finishing.tasks[task] {
			delete(e.finishing.tasks, task)
			e.mu.Unlock()
			return
		}
		e.finishing.tasks[task] = false
		e.mu.Unlock()
		timer := e.o.Clock.NewTimer(wait)
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// finishPlace does what the state of a task that has ended says is to be done
// with its workspace. An error is a reason to try again.
func (e *Engine) finishPlace(ctx context.Context, task string) error {
	ent := e.acquire(task)
	defer e.release(ent)
	resaves := 0
	for ctx.Err() == nil {
		state, team, err := e.current(ctx, ent)
		if err != nil {
			e.handle(ctx, task, "load the task", err)
			return nil
		}
		if !state.PlaceOpen() {
			return nil
		}
		if busy, err := e.placeInUse(ctx, state); busy || err != nil {
			return err // and it is looked at again when that has ended
		}
		body, err := e.finishStep(ctx, state, team)
		if errors.Is(err, ErrPlaceChanged) && ctx.Err() == nil {
			if resaves++; resaves > maxResaves {
				body, err = workflow.WorkspaceFinished{Detail: "something still writes in the worktree, so that it was not removed"}, nil
			} else {
				body, err = e.savePlace(ctx, state, team)
			}
		}
		if ctx.Err() != nil || body == nil {
			return err
		}
		if _, err := e.apply(ctx, task, body); err != nil {
			e.handle(ctx, task, "record what became of the workspace", err)
			return nil
		}
	}
	return nil
}

// placeInUse reports whether somebody still works in the workspace of a task
// that has ended: a turn that is being stopped, or a task that shares it.
func (e *Engine) placeInUse(ctx context.Context, state workflow.State) (bool, error) {
	e.mu.Lock()
	if e.waiting.preparing[state.Task] != nil {
		e.mu.Unlock()
		return true, nil
	}
	for key, w := range e.known {
		if w.cancel != nil && (key.task == state.Task || descends(key.task, []string{state.Task})) {
			e.mu.Unlock()
			return true, nil
		}
	}
	e.mu.Unlock()
	return e.shared(ctx, state.Task, state.Task)
}

// shared reports whether a task below another one works in its workspace.
func (e *Engine) shared(ctx context.Context, owner, task string) (bool, error) {
	children, err := e.o.Store.Children(ctx, task)
	if err != nil {
		return false, fmt.Errorf("look for the tasks that task %s has started: %w", task, err)
	}
	for _, child := range children {
		if child.WorkspaceOf != owner {
			continue
		}
		if !child.Status.Terminal() {
			return true, nil
		}
		if busy, err := e.shared(ctx, owner, child.Task); busy || err != nil {
			return busy, err
		}
	}
	return false, nil
}

// finishStep does the next thing, and returns what is to be recorded of it.
func (e *Engine) finishStep(ctx context.Context, state workflow.State, team *workflow.Team) (body workflow.EventBody, err error) {
	defer e.recoverPlace(state.Task, &err)
	p := state.Place
	switch {
	case p.Status != workflow.PlaceSaved:
		return e.savePlace(ctx, state, team)
	case p.Publish == workflow.PublishRunning:
		return e.publishAgain(ctx, state, team)
	case p.Publish == "" && publishes(state, team):
		return e.publish(ctx, state, team)
	}
	finished, err := e.o.Workspaces.Remove(ctx, team, state)
	if err := transient(err); err != nil {
		return nil, err
	}
	if err != nil {
		finished = workflow.WorkspaceFinished{Detail: "the worktree could not be removed: " + err.Error()}
	}
	return finished, nil
}

// transient returns an error that may pass, and nil for one that will not.
func transient(err error) error {
	place, ok := errors.AsType[*PlaceError](err)
	if errors.Is(err, ErrPlaceChanged) || ok && place.Again {
		return err
	}
	return nil
}

func (e *Engine) savePlace(ctx context.Context, state workflow.State, team *workflow.Team) (body workflow.EventBody, err error) {
	defer e.recoverPlace(state.Task, &err)
	saved, err := e.o.Workspaces.Save(ctx, team, state)
	if err := transient(err); err != nil {
		return nil, err
	}
	if err != nil {
		saved = workflow.WorkspaceSaved{Kept: err.Error()}
	}
	return saved, nil
}

// publishes reports whether the result of a task is wanted somewhere.
func publishes(state workflow.State, team *workflow.Team) bool {
	return team.Workspace.Publish != nil && state.Status == workflow.TaskSucceeded
}

// publish records that the result is being published, and does it.
func (e *Engine) publish(ctx context.Context, state workflow.State, team *workflow.Team) (workflow.EventBody, error) {
	how := team.Workspace.Publish.Push
	if how == "" {
		how = "a file"
	}
	next, err := e.apply(ctx, state.Task, workflow.WorkspacePublishing{Attempt: state.Place.PublishAttempts + 1, How: how})
	if err != nil {
		e.handle(ctx, state.Task, "record that the result is published", err)
		return nil, nil //nolint:nilnil // the error is handled, and nothing is to be recorded
	}
	return e.publishNow(ctx, next, team)
}

func (e *Engine) publishNow(ctx context.Context, state workflow.State, team *workflow.Team) (workflow.EventBody, error) {
	body := workflow.WorkspacePublished{Attempt: state.Place.PublishAttempts}
	push := team.Workspace.Publish
	if push.Push == "" {
		detail, err := e.o.Workspaces.Publish(ctx, team, state)
		if err := transient(err); err != nil {
			return nil, err
		}
		body.Done, body.Detail = err == nil, detail
		if err != nil {
			body.Detail = err.Error()
		}
		return body, nil
	}
	ended, err := e.runFor(ctx, state, &workflow.Check{Name: "publish", Run: push.Push, Timeout: push.Timeout}, setupOutput)
	if err != nil {
		return nil, err // stopped: the next start finds that it may have run
	}
	body.Done, body.Output, body.Detail = ended.Reason == workflow.ReasonPassed, ended.Output, push.Push
	if !body.Done {
		body.Detail = fmt.Sprintf("%q has ended with %s", push.Push, ended.Reason)
		if ended.Error != "" {
			body.Detail += " (" + ended.Error + ")"
		}
	}
	return body, nil
}

// publishAgain goes on with publishing that was cut off. A file is written again; of
// a command it is not known whether it did its work, which is for a person to see.
func (e *Engine) publishAgain(ctx context.Context, state workflow.State, team *workflow.Team) (workflow.EventBody, error) {
	if push := team.Workspace.Publish; push == nil || push.Push != "" {
		return workflow.WorkspacePublished{
			Attempt: state.Place.PublishAttempts,
			Detail:  "the orchestrator ended while the command ran, so that it may have done its work or not",
		}, nil
	}
	return e.publishNow(ctx, state, team)
}

// RetryPublish publishes the result of a task again after that failed. Errors:
// *workflow.TransitionError when it did not fail, those of the store.
func (e *Engine) RetryPublish(ctx context.Context, task, by string) (workflow.State, error) {
	return e.applyNow(ctx, task, workflow.PublishRequested{By: by})
}

// verifyPlace finds out whether a turn may work where its task says, and brings
// back a worktree that is gone. An error is the reason for which it must not.
func (e *Engine) verifyPlace(ctx context.Context, state workflow.State) (changed bool, err error) {
	if e.o.Workspaces == nil {
		return false, nil
	}
	defer e.recoverPlace(state.Task, &err)
	owner := state.Task
	if state.WorkspaceOf != "" {
		owner = state.WorkspaceOf
	}
	ent := e.acquire(owner)
	defer e.release(ent)
	place, team, err := e.current(ctx, ent)
	if err != nil || place.Place.Status == "" {
		return false, err // of an older version, or none
	}
	err = e.o.Workspaces.Verify(ctx, place)
	if gone, ok := errors.AsType[*PlaceError](err); !ok || !gone.Gone || place.Status.Terminal() {
		return false, err
	}
	// One turn restores it for all that run at the same time.
	e.restoring.Lock()
	defer e.restoring.Unlock()
	if e.o.Workspaces.Verify(ctx, place) == nil {
		return true, nil
	}
	body, err := e.o.Workspaces.Restore(ctx, team, place)
	if err != nil {
		return false, err
	}
	_, err = e.apply(context.WithoutCancel(ctx), owner, body)
	return true, err
}

// standing says whether a turn may work where its task says.
type standing struct {
	ok   bool
	next next // what becomes of the turn otherwise
}

// standsIn verifies the place of a turn, and ends the turn where it must not be
// sent. changed says that the task has changed by it.
func (e *Engine) standsIn(ctx context.Context, w *work, state workflow.State) (stand standing, changed bool) {
	changed, err := e.verifyPlace(ctx, state)
	place, isPlace := errors.AsType[*PlaceError](err)
	switch {
	case err == nil:
		return standing{ok: true}, changed
	case ctx.Err() != nil:
		return standing{}, false
	case isPlace && place.Again:
		e.o.Log.Warn().Err(err).Str("task", w.key.task).Int("turn", w.key.turn).Msg("the turn waits for its workspace")
		return standing{next: next{again: true}}, false
	}
	e.o.Log.Error().Err(err).Str("task", w.key.task).Int("turn", w.key.turn).Msg("the turn is not sent: its workspace is not what it was")
	e.finish(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonError, Error: "the turn was not sent: " + err.Error()})
	return standing{}, false
}

// lookAtPlaces looks at the workspace that a run of a turn has left. e.mu is held.
func (e *Engine) lookAtPlaces(state workflow.State) {
	if state.PlaceOpen() {
		e.startFinishing(state.Task)
	}
	if state.WorkspaceOf != "" {
		e.startFinishing(state.WorkspaceOf)
	}
}

// finishesPlaces reports whether workspaces of tasks that have ended are finished now.
func (e *Engine) finishesPlaces() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.o.Workspaces != nil && e.phase == phaseRunning
}
