package engine

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The waits between attempts at a turn, or at reconciling one, while the App
// Server cannot be reached.
const (
	reconcileFirstWait = time.Second
	reconcileLastWait  = time.Minute
)

// takeUpFirst is how long the work of tasks waits at the start until all of them are
// taken up. It would take the time for that away, and whoever looks sees them all
// the sooner; where there are too many for it, the first ones go on.
const takeUpFirst = time.Second

// recoverTasks takes up whatever the store says is unfinished. Tasks that wait
// are left to the timers, but for those that another one waits for. An error
// belongs to the store as a whole; one that concerns a single task is kept for
// that task.
func (e *Engine) recoverTasks(ctx context.Context) error {
	refs, err := e.o.Store.Unfinished(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("look for unfinished tasks: %w", err)
	}
	open, err := e.o.Store.OpenPlaces(ctx)
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("look for workspaces to finish: %w", err)
	}
	e.mu.Lock()
	for _, task := range open {
		e.startFinishing(task)
	}
	e.takingUp = true
	e.mu.Unlock()
	defer e.takenUp()
	began := e.elapsed()
	for _, ref := range refs {
		if e.elapsed()-began > takeUpFirst {
			e.takenUp()
		}
		e.mu.Lock()
		drives := e.drives(ref.ID)
		if ref.Status == workflow.TaskQueued {
			e.enqueueTask(ref.ID, origin{team: ref.Team, priority: ref.Priority, created: ref.Created})
			e.pump()
		}
		e.mu.Unlock()
		if _, child := waitingParent(ref.ID); drives && (child && ref.Status == workflow.TaskWaiting || ref.Status == workflow.TaskRunning || ref.Status == workflow.TaskPaused) {
			e.recoverTask(ctx, ref.ID)
		}
	}
	if len(refs) > 0 {
		e.o.Log.Info().Int("tasks", len(refs)).Msg("took up the tasks that had not ended")
	}
	return nil
}

// takenUp has the work begin that waited for the tasks to be taken up.
func (e *Engine) takenUp() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.takingUp {
		e.takingUp = false
		e.pump()
	}
}

// recoverTask goes on with a task: what was certainly not sent is sent, and what
// may have been sent is reconciled.
func (e *Engine) recoverTask(ctx context.Context, task string) {
	ent := e.acquire(task)
	defer e.release(ent)
	state, _, err := e.current(ctx, ent)
	if err == nil && state.Parent.Waits() {
		// Before anything of it goes on: what it has used may not have been
		// reported, and its parent may want it no more.
		e.tendChild(ctx, task)
		state, _, err = e.current(ctx, ent)
	}
	if err != nil {
		e.handle(ctx, task, "go on with the task", err)
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, turn := range state.Turns {
		if sent(turn) {
			e.enqueueTurn(state, turn, true)
			if e.o.Observer != nil && e.drives(task) {
				e.o.Observer.Recovering(Recovery{Task: task, Team: state.Team, Turn: turn.ID, Attempt: turn.Attempt, Reason: RecoveryRestart})
			}
		}
	}
	e.enqueuePending(state)
	e.pump()
}

// reconcileTurn finds out what became of an attempt that was sent.
func (e *Engine) reconcileTurn(ctx context.Context, w *work) next {
	state, team, turn, ok := e.wanted(ctx, w, sent)
	if !ok {
		return next{}
	}
	switch turn.Kind {
	case workflow.KindCheck:
		e.reconcileCheck(ctx, w, team.Checks[turn.Node])
		return next{}
	case workflow.KindTeam:
		e.runTeam(ctx, w, state, team, turn)
		return next{}
	case workflow.KindAgent, workflow.KindGate:
	}
	req, ok := e.request(ctx, w, state, team, turn)
	if !ok {
		return next{}
	}
	found, err := e.callReconcile(ctx, req)
	if other, ok := errors.AsType[*OtherServerError](err); ok && e.o.Servers != nil && ctx.Err() == nil {
		return next{line: true, server: other.Server}
	}
	if err != nil {
		if ctx.Err() != nil {
			return next{}
		}
		e.o.Log.Warn().Err(err).Str("task", w.key.task).Int("turn", w.key.turn).Msg("cannot find out what became of the turn; trying again")
		e.publishProgress(w.key, req.Turn.Node, Progress{Kind: ProgressReconcile, Text: err.Error()})
		e.tellRecovery(w, RecoveryUnreachable)
		return e.awaitServer(err)
	}
	found.Turn, found.Attempt = w.key.turn, w.key.attempt
	found.Cost, found.Unpriced = e.price(found.Model, found.Usage)
	found.Output = e.o.Redact.String(found.Output) // before it is cut
	if found.Output, found.OutputFile, err = e.keepOutput(ctx, w.key, team, found.Output, ""); err != nil {
		e.handle(ctx, w.key.task, "keep the long output", err)
		return next{}
	}
	e.closeTranscript(e.beginTranscript(w.key, turn, turn.Runtime, found.Model, ""), found)
	_, err = e.apply(context.WithoutCancel(ctx), w.key.task, found)
	e.handle(ctx, w.key.task, "record what became of the turn", err)
	return next{}
}

func (e *Engine) callReconcile(ctx context.Context, req TurnRequest) (found workflow.TurnReconciled, err error) {
	defer func() {
		if p := recover(); p != nil {
			e.o.Log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Str("task", req.Task).Msg("the runner panicked")
			found, err = workflow.TurnReconciled{Finding: workflow.FindingUnknown, Detail: fmt.Sprintf("the runner panicked: %v", p)}, nil
		}
	}()
	return e.o.Runner.Reconcile(ctx, req)
}

// awaitServer has a turn done again whose App Server could not be reached: as
// soon as it can be, where somebody knows that, and otherwise after a while.
func (e *Engine) awaitServer(err error) next {
	unreachable, ok := errors.AsType[*UnreachableError](err)
	if ok && unreachable.Server != "" && e.o.Servers != nil {
		return next{line: true}
	}
	return next{again: true}
}

// backOff waits, without a slot, until the work is to be done again. It is
// false when the engine stops or the turn was aborted.
func (e *Engine) backOff(ctx context.Context, w *work) bool {
	if w.retries == nil {
		w.retries = backoff.NewExponentialBackOff()
		w.retries.InitialInterval, w.retries.MaxInterval = reconcileFirstWait, reconcileLastWait
		w.retries.Reset()
	}
	wait := e.o.Clock.NewTimer(w.retries.NextBackOff())
	defer wait.Stop()
	select {
	case <-wait.C():
		return true
	case <-ctx.Done():
		return false
	}
}

// reconcileCheck goes on with a command that may have run when the orchestrator
// ended: it is run again where the team allows that.
func (e *Engine) reconcileCheck(ctx context.Context, w *work, check *workflow.Check) {
	found := workflow.TurnReconciled{
		Turn: w.key.turn, Attempt: w.key.attempt, Finding: workflow.FindingNotConsumed, Detail: "the orchestrator ended while the command ran",
	}
	if !check.Rerun {
		found.Finding = workflow.FindingUnknown
		found.Detail += ", and it must not be run again (rerun: false)"
	}
	_, err := e.apply(context.WithoutCancel(ctx), w.key.task, found)
	e.handle(ctx, w.key.task, "record what became of the check", err)
}
