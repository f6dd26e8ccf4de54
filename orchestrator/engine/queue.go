package engine

import (
	"context"
	"fmt"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// turnKey names one attempt at a turn.
type turnKey struct {
	task          string
	turn, attempt int
}

// String is for logs and errors.
func (k turnKey) String() string {
	return fmt.Sprintf("turn %d (attempt %d) of task %s", k.turn, k.attempt, k.task)
}

// work is one thing that takes a slot: to run a turn or to reconcile one.
type work struct {
	key turnKey
	// ent is held from the time that the work is queued.
	ent       *entry
	reconcile bool
	consumed  bool                        // see TurnRequest.Consumed
	retries   *backoff.ExponentialBackOff // while the App Server cannot be reached
	// cancel ends the ctx of the work; nil unless it runs. Guarded by Engine.mu.
	cancel context.CancelCauseFunc
}

// queue holds what is to be done and does not wait for a time. It is guarded
// by Engine.mu.
type queue struct {
	ready turns
	// queued are tasks to claim. What has begun is finished first: they are
	// claimed when a slot is free, and not while as many tasks as there are slots
	// have something to do.
	queued fifo[string]
	// unclaimed are the tasks in queued and those being claimed, so that a task
	// which is submitted while the unfinished ones are read is claimed once.
	unclaimed map[string]bool
	// known are the attempts that are ready, running, blocked or backing off.
	known map[turnKey]*work
	// blocked are turns that found their conversation busy.
	blocked map[workflow.Runtime][]*work
	// talking are the conversations of the runs that have sent something and have
	// not returned: one whose turn is over may still be ending it on the App Server.
	talking map[workflow.Runtime]*work
	slots   int // in use
}

func newQueue() queue {
	return queue{
		ready:     newTurns(),
		unclaimed: map[string]bool{},
		known:     map[turnKey]*work{},
		blocked:   map[workflow.Runtime][]*work{},
		talking:   map[workflow.Runtime]*work{},
	}
}

// enqueueTask queues a task to be claimed. e.mu is held.
func (e *Engine) enqueueTask(task string) {
	if e.drives(task) && !e.unclaimed[task] {
		e.unclaimed[task] = true
		e.queued.push(task)
	}
}

// enqueueTurn queues an attempt unless it is known already. e.mu is held.
func (e *Engine) enqueueTurn(task string, turn workflow.Turn, reconcile bool) {
	key := turnKey{task, turn.ID, turn.Attempt}
	if !e.drives(task) || e.known[key] != nil {
		return
	}
	w := &work{key: key, ent: e.acquireLocked(task), reconcile: reconcile}
	e.known[key] = w
	e.ready.push(w)
}

// pump starts work while there is any and a slot is free. e.mu is held.
func (e *Engine) pump() {
	for e.starts() && e.slots < e.o.MaxTurns {
		if e.ready.tasks() < e.o.MaxTurns {
			if task, ok := e.queued.pop(); ok {
				e.slots++
				e.ready.begin(task)
				e.spawn(func(ctx context.Context) { e.doClaim(ctx, task) })
				continue
			}
		}
		w, ok := e.ready.pop()
		if !ok {
			return
		}
		e.slots++
		e.spawn(func(ctx context.Context) { e.doWork(ctx, w) })
	}
}

func (e *Engine) doClaim(ctx context.Context, task string) {
	unprepared := e.claim(ctx, task)
	e.mu.Lock()
	defer e.mu.Unlock()
	if unprepared {
		// It counts as a task that has something to do, and holds no slot.
		e.slots--
		e.spawn(func(ctx context.Context) { e.prepare(ctx, task) })
		e.pump()
		e.noteIdle()
		return
	}
	delete(e.unclaimed, task)
	e.freeSlot(task)
}

// freeSlot gives back the slot in which something was done for a task. e.mu is held.
func (e *Engine) freeSlot(task string) {
	e.slots--
	e.ready.end(task)
	e.pump()
	e.noteIdle()
}

// doWork runs one piece of work to its end, or to where it has to wait.
func (e *Engine) doWork(ctx context.Context, w *work) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.mu.Lock()
	w.cancel = cancel
	e.mu.Unlock()
	run := e.runTurn
	if w.reconcile {
		run = e.reconcileTurn
	}
	next := run(ctx, w)
	e.mu.Lock()
	e.fallSilent(w)
	if next.lost != nil {
		w.reconcile, w.consumed = true, next.lost.Consumed
	}
	e.freeSlot(w.key.task)
	if next.again {
		e.mu.Unlock()
		next.again = e.backOff(ctx, w)
		e.mu.Lock()
	}
	aborted := ctx.Err() != nil
	w.cancel = nil
	switch {
	case (next.again || next.lost != nil) && !aborted:
		e.ready.push(w)
		e.pump()
	case next.busy != nil && !aborted:
		e.blocked[next.busy.Runtime] = append(e.blocked[next.busy.Runtime], w)
	default:
		delete(e.known, w.key)
		if seen := w.ent.seen.Load(); seen != nil && seen.Status.Terminal() {
			e.lookAtPlaces(*seen)
		}
		e.releaseLocked(w.ent)
	}
	e.mu.Unlock()
	if next.busy != nil {
		e.publishProgress(w.key, next.node, Progress{Kind: ProgressBlocked, Text: next.busy.Error()})
		e.unblockFree(context.WithoutCancel(ctx), next.busy.Runtime)
	}
}

// next says what becomes of a piece of work that has been run.
type next struct {
	// busy is set when the turn, of node, has to wait for its conversation.
	busy *store.BusyError
	node string
	// again: the work is to be done again after a while.
	again bool
	// lost is set when the turn, which was sent, has to be reconciled.
	lost *UnknownOutcomeError
}
