package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// preparing says whether a task has to get its place before it can be claimed.
func preparing(state workflow.State) bool {
	switch state.Place.Status {
	case workflow.PlaceWanted, workflow.PlaceWaiting, workflow.PlacePreparing:
		return state.Status == workflow.TaskQueued
	case workflow.PlaceReady, workflow.PlaceSaved, workflow.PlaceFinished:
	}
	return false
}

// waiting are the tasks that wait for a directory. It is guarded by Engine.mu.
type waiting struct {
	// byDirectory has those that wait for the same one, the first first.
	byDirectory map[string][]string
	// holders is the task that each of them waits for.
	holders map[string]string
	// preparing ends the making of a place whose task has ended.
	preparing map[string]context.CancelCauseFunc
}

func newWaiting() waiting {
	return waiting{byDirectory: map[string][]string{}, holders: map[string]string{}, preparing: map[string]context.CancelCauseFunc{}}
}

// wakeDirectories lets the first that waits for each directory try again. e.mu is held.
func (e *Engine) wakeDirectories() {
	for directory, tasks := range e.waiting.byDirectory {
		task := tasks[0]
		if e.waiting.byDirectory[directory] = tasks[1:]; len(tasks) == 1 {
			delete(e.waiting.byDirectory, directory)
		}
		delete(e.waiting.holders, task)
		e.requeueTask(task)
	}
}

// forgetWaiting takes a task out of those that wait. e.mu is held.
func (e *Engine) forgetWaiting(task string) {
	if e.waiting.holders[task] == "" {
		return
	}
	delete(e.waiting.holders, task)
	for directory, tasks := range e.waiting.byDirectory {
		i := slices.Index(tasks, task)
		switch {
		case i < 0:
		case len(tasks) == 1:
			delete(e.waiting.byDirectory, directory)
		default:
			e.waiting.byDirectory[directory] = slices.Delete(tasks, i, i+1)
		}
	}
}

// awaitDirectory notes that a task waits for another one; first says that it comes
// before all that wait for the same directory, since it has waited before. Its
// error says that the other waits for this one.
func (e *Engine) awaitDirectory(task string, busy *store.DirectoryError, first bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	seen := map[string]bool{}
	for next := []string{topTask(busy.Task)}; len(next) > 0; next = next[1:] {
		if next[0] == topTask(task) {
			return fmt.Errorf("%s, and task %s waits for a directory that this one works in", busy.Error(), topTask(busy.Task))
		}
		if seen[next[0]] {
			continue
		}
		seen[next[0]] = true
		for other, holder := range e.waiting.holders {
			if topTask(other) == next[0] {
				next = append(next, topTask(holder))
			}
		}
	}
	e.waiting.holders[task] = busy.Task
	place := len(e.waiting.byDirectory[busy.Directory])
	if first {
		place = 0
	}
	e.waiting.byDirectory[busy.Directory] = slices.Insert(e.waiting.byDirectory[busy.Directory], place, task)
	return nil
}

// prepare gives a task its place and claims it. It holds no slot.
func (e *Engine) prepare(ctx context.Context, task string) {
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.mu.Lock()
	e.waiting.preparing[task] = cancel
	e.mu.Unlock()
	again, busy := e.preparePlace(own, task)
	e.mu.Lock()
	delete(e.waiting.preparing, task)
	e.unclaimed[task].state = ticketIdle
	e.ready.end(task)
	switch {
	case own.Err() != nil:
		delete(e.unclaimed, task)
		e.startFinishing(task) // it has ended meanwhile, and waited for us
	case busy == nil:
		e.forgetWaiting(task)
		if !again {
			delete(e.unclaimed, task)
		}
	case e.waiting.holders[task] == "":
		e.requeueTask(task) // it was woken meanwhile
	}
	e.pump()
	e.mu.Unlock()
	if again && e.awaitAgain(ctx, task) {
		e.mu.Lock()
		e.requeueTask(task)
		e.pump()
		e.mu.Unlock()
	}
}

// awaitAgain waits, without a slot, until the place is to be tried again.
func (e *Engine) awaitAgain(ctx context.Context, task string) bool {
	e.mu.Lock()
	retries := e.placeRetries[task]
	if retries == nil {
		retries = backoff.NewExponentialBackOff()
		retries.InitialInterval, retries.MaxInterval = reconcileFirstWait, reconcileLastWait
		retries.Reset()
		e.placeRetries[task] = retries
	}
	wait := e.o.Clock.NewTimer(retries.NextBackOff())
	e.mu.Unlock()
	defer wait.Stop()
	select {
	case <-wait.C():
		return true
	case <-ctx.Done():
		return false
	}
}

// preparePlace makes the place of a task, or notes why it has none. again says
// that it is to be tried again after a while, busy what it waits for.
func (e *Engine) preparePlace(ctx context.Context, task string) (again bool, busy *store.DirectoryError) {
	ent := e.acquire(task)
	defer e.release(ent)
	state, team, err := e.current(ctx, ent)
	if err != nil || !preparing(state) {
		e.handle(ctx, task, "load the task", err)
		return false, nil
	}
	began := e.clock()
	ready, err := e.makePlace(ctx, state, team)
	for err == nil {
		claims := state.Parent == nil // it is claimed at once; others are looked after before
		proposals := []proposal{{body: ready, must: true}}
		if claims {
			proposals = append(proposals, proposal{body: workflow.TaskClaimed{}})
		}
		err = e.applyAll(ctx, task, proposals...)
		if err == nil {
			e.mu.Lock()
			delete(e.placeRetries, task)
			if ready.Lock == workflow.LockShared {
				e.wakeDirectories()
			}
			e.mu.Unlock()
			if claims {
				e.tellClaim(state, began)
			} else {
				e.claim(ctx, task)
			}
			return false, nil
		}
		if !errors.As(err, &busy) || e.waitsFor(task) != "" {
			break
		}
		if err = e.awaitDirectory(task, busy, state.Place.Status == workflow.PlaceWaiting); err != nil {
			err = &PlaceError{Detail: err.Error(), Fix: "cancel one of the two, or let them work in directories of their own"}
		}
		// Once more: it may have been given back before it was known that we wait.
	}
	place, isPlace := errors.AsType[*PlaceError](err)
	switch {
	case busy != nil && !isPlace && errors.Is(err, store.ErrDirectoryBusy):
		detail := "it waits for the directory " + busy.Directory + ", in which task " + busy.Task + " works"
		if state.Place.Status != workflow.PlaceWaiting || state.Place.WaitsFor != busy.Task {
			_, err := e.apply(ctx, task, workflow.WorkspaceWaits{Task: busy.Task, Directory: busy.Directory, Detail: detail})
			e.handle(ctx, task, "record what the task waits for", err)
		}
		return false, busy
	case ctx.Err() != nil: // the engine stops, or the task has ended
	case errors.Is(err, store.ErrStorage), errors.Is(err, workflow.ErrTerminal), errors.Is(err, ErrStopped):
		e.handle(ctx, task, "make the workspace", err)
	case isPlace && place.Again:
		if state.Place.Detail != place.Error() {
			_, err := e.apply(ctx, task, workflow.WorkspaceWaits{Detail: place.Error()})
			e.handle(ctx, task, "record what the task waits for", err)
		}
		return true, nil
	default:
		var failed *setupError
		body := workflow.WorkspaceFailed{Detail: err.Error()}
		if errors.As(err, &failed) {
			body = failed.body
		} else if isPlace {
			body.Detail, body.Fix = place.Detail, place.Fix
		}
		_, err := e.apply(ctx, task, body)
		e.handle(ctx, task, "record that the workspace could not be made", err)
	}
	return false, nil
}

func (e *Engine) waitsFor(task string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.waiting.holders[task]
}

// makePlace makes the place and runs its setup. Whatever panics there must not
// take the whole daemon down.
func (e *Engine) makePlace(ctx context.Context, state workflow.State, team *workflow.Team) (ready workflow.WorkspaceReady, err error) {
	defer e.recoverPlace(state.Task, &err)
	req := PlaceRequest{Task: state.Task, Team: team, Input: state.Input}
	if state.Place.Status != workflow.PlacePreparing {
		req.Given = state.Workspace
	}
	if o := state.Origin; o != nil && o.Fork && state.Begin != nil {
		from, err := e.o.Store.Task(ctx, o.Task)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return ready, err
		}
		if err == nil && from.Task == o.Task {
			req.From = &from
		}
	}
	plan, err := e.o.Workspaces.Plan(ctx, req)
	if err != nil {
		return ready, err
	}
	if plan.Directory != "" && state.Place.Status != workflow.PlacePreparing {
		if _, err := e.apply(ctx, state.Task, plan); err != nil {
			return ready, err
		}
	}
	place, err := e.o.Workspaces.Make(ctx, req)
	if err != nil {
		return ready, err
	}
	ready = workflow.WorkspaceReady{
		Kind: place.Kind, Directory: place.Directory, Lock: place.Lock, GitBranch: place.GitBranch, Repo: place.Repo, BaseCommit: place.BaseCommit,
	}
	if place.Kind == workflow.PlaceDirectory {
		return ready, nil
	}
	ready.Setup, err = e.setUp(ctx, state, team, place)
	return ready, err
}

// setupError is a setup command that failed.
type setupError struct{ body workflow.WorkspaceFailed }

func (e *setupError) Error() string { return e.body.Detail }

// setupOutput bounds what is kept of the output of setup commands, in bytes.
const setupOutput = 4 << 10

// setUp runs the setup commands, and returns what they printed.
func (e *Engine) setUp(ctx context.Context, state workflow.State, team *workflow.Team, place Place) (string, error) {
	state.Workspace, state.GitBranch = place.Directory, place.GitBranch
	var printed strings.Builder
	for i, line := range team.Workspace.Setup {
		check := &workflow.Check{Name: fmt.Sprintf("setup %d", i+1), Run: line, Timeout: team.Workspace.SetupTimeout}
		ended, err := e.runFor(ctx, state, check, setupOutput/len(team.Workspace.Setup))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&printed, "$ %s\n%s", line, ended.Output)
		if ended.Output != "" && !strings.HasSuffix(ended.Output, "\n") {
			printed.WriteByte('\n')
		}
		if ended.Reason != workflow.ReasonPassed {
			body := workflow.WorkspaceFailed{
				Detail: fmt.Sprintf("the setup command %q has ended with %s", line, ended.Reason), Output: printed.String(),
				Fix: "mend workspace.setup, or what it needs",
			}
			if ended.Error != "" {
				body.Detail += " (" + ended.Error + ")"
			}
			if place.Kind == workflow.PlaceWorktree {
				body.Directory, body.GitBranch, body.Repo, body.BaseCommit = place.Directory, place.GitBranch, place.Repo, place.BaseCommit
			}
			return "", &setupError{body}
		}
	}
	return printed.String(), nil
}

// runFor runs a command for a task that is no node of its team. An error means that ctx ended.
func (e *Engine) runFor(ctx context.Context, state workflow.State, check *workflow.Check, limit int) (workflow.TurnFinished, error) {
	turn := workflow.Turn{Node: check.Name, Attempt: 1}
	ended, err := e.callCheck(ctx, CheckRequest{
		Task: state.Task, Check: check, Turn: turn, Workspace: state.Workspace,
		Environment: e.commandEnvironment(state, turn), OutputLimit: max(limit, 512), Progress: func(Progress) {},
	})
	if err != nil && ctx.Err() == nil {
		return workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: err.Error()}, nil
	}
	return ended, err
}

// recoverPlace turns a panic into an error.
func (e *Engine) recoverPlace(task string, err *error) {
	if p := recover(); p != nil {
		e.o.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("task", task).Msg("the workspace panicked")
		*err = fmt.Errorf("the workspace panicked: %v", p)
	}
}
