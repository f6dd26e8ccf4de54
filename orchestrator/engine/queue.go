package engine

import (
	"context"
	"fmt"
	"math"
	"time"

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

// work is one thing that takes a slot: to run a turn, to reconcile one, or to
// claim the task of a sub-team.
type work struct {
	key turnKey
	// ent is held from the time that the work is queued.
	ent       *entry
	of        origin
	place     place
	claim     bool // of the task of a sub-team, which is work of one that has begun
	reconcile bool
	consumed  bool                        // see TurnRequest.Consumed
	retries   *backoff.ExponentialBackOff // while the App Server cannot be reached

	// All that follows is guarded by Engine.mu.

	// cancel ends the ctx of the work; nil unless it runs.
	cancel context.CancelCauseFunc
	// waits is set while it is in line, since the given time on the engine's clock.
	waits bool
	since time.Duration
	// room is the App Server on which it has room, while it runs.
	room string
	// questions are those that the turn waits for, without a slot.
	questions int
	// talks are the conversations that it has in talking.
	talks []workflow.Runtime
}

// counts reports whether the work counts among the turns of its team.
func (w *work) counts() bool { return !w.claim }

func (w *work) shareKey() shareKey { return shareKey{w.place, w.of.team, topTask(w.key.task)} }

// queue holds what is to be done and does not wait for a time. It is guarded
// by Engine.mu.
type queue struct {
	// ready has what is to be done in its order. What has begun is finished first:
	// tasks are claimed when a slot is free, and not while as many tasks as there
	// are slots have something to do, unless none of it can start.
	ready fair
	// unclaimed are the tasks that are in line to be claimed, that are being claimed,
	// or that have to wait for their place first, so that each is claimed once.
	unclaimed map[string]*ticket
	// known are the attempts that are ready, running, blocked or backing off.
	known map[turnKey]*work
	// blocked are turns that found their conversation busy.
	blocked map[workflow.Runtime][]*work
	// talking are the conversations of the runs that have sent something and have
	// not returned: one whose turn is over may still be ending it on the App Server.
	talking map[workflow.Runtime]*work
	slots   int // in use
	asking  int // turns that run without a slot, while they wait for a person
	limits  Limits
}

func newQueue(turns int) queue {
	return queue{
		ready:     newFair(),
		unclaimed: map[string]*ticket{},
		known:     map[turnKey]*work{},
		blocked:   map[workflow.Runtime][]*work{},
		talking:   map[workflow.Runtime]*work{},
		limits:    Limits{Turns: turns},
	}
}

// elapsed is the time of the lines: it does not go back where the clock is set back.
func (e *Engine) elapsed() time.Duration { return e.o.Clock.Now().Sub(e.began) }

// enqueueTask queues a task to be claimed. e.mu is held.
func (e *Engine) enqueueTask(task string, of origin) {
	if !e.drives(task) || e.unclaimed[task] != nil {
		return
	}
	if topTask(task) != task { // of a task that has begun
		e.unclaimed[task] = &ticket{task: task, of: of, state: ticketQueued}
		e.ready.push(&work{key: turnKey{task: task}, of: of, claim: true}, e.elapsed())
		return
	}
	t := &ticket{task: task, of: of}
	e.unclaimed[task] = t
	e.ready.queue(t)
}

// requeueTask queues a task again that could not be claimed before. e.mu is held.
func (e *Engine) requeueTask(task string) {
	t := e.unclaimed[task]
	if t == nil || t.state != ticketIdle {
		return
	}
	delete(e.unclaimed, task)
	e.enqueueTask(task, t.of)
}

// enqueueTurn queues an attempt of a turn of a task unless it is known already. e.mu is held.
func (e *Engine) enqueueTurn(state workflow.State, turn workflow.Turn, reconcile bool) {
	key := turnKey{state.Task, turn.ID, turn.Attempt}
	if !e.drives(state.Task) || e.known[key] != nil {
		return
	}
	w := &work{key: key, ent: e.acquireLocked(state.Task), of: originOf(state), reconcile: reconcile}
	if e.o.Servers != nil && turn.Kind == workflow.KindAgent {
		w.place = place{agent: true, server: state.RuntimeOf(turn).Server}
		if reconcile {
			w.place.server = turn.Runtime.Server
		}
	}
	e.known[key] = w
	e.ready.push(w, e.elapsed())
}

func originOf(state workflow.State) origin {
	return origin{team: state.Team, priority: state.Priority, created: state.Created}
}

// dropUnwanted takes out of the lines what a decision has made unwanted. e.mu is held.
func (e *Engine) dropUnwanted(prev, next workflow.State) {
	for _, turn := range prev.Turns {
		w := e.known[turnKey{next.Task, turn.ID, turn.Attempt}]
		if w == nil || !w.waits {
			continue
		}
		after, live := liveTurn(next, turn.ID)
		if live && after.Attempt == turn.Attempt && !next.Status.Terminal() && (next.Status != workflow.TaskPaused || w.reconcile) {
			continue
		}
		e.ready.drop(w)
		delete(e.known, w.key)
		e.releaseLocked(w.ent)
	}
	if t := e.unclaimed[next.Task]; t != nil && t.state == ticketIdle && next.Status != workflow.TaskQueued {
		delete(e.unclaimed, next.Task)
	}
}

// pump starts work while there is any and a slot is free. e.mu is held.
func (e *Engine) pump() {
	for e.starts() && e.slots < e.limits.Turns {
		t := e.ready.claim(e.limits.Turns)
		if t == nil {
			if w := e.ready.pop(e.elapsed(), e.take); w != nil {
				e.slots++
				e.spawn(func(ctx context.Context) { e.doWork(ctx, w) })
				continue
			}
			if e.ready.queued == 0 || len(e.ready.waiting) == 0 || !e.roomElsewhere() {
				return // or what has begun gets its place first
			}
			if t = e.ready.claim(math.MaxInt); t == nil {
				return
			}
		}
		e.slots++
		e.spawn(func(ctx context.Context) {
			e.doClaim(ctx, t.task, func() {
				e.slots--
				e.ready.end(t.task)
			})
		})
	}
}

// doClaim claims a task. give, which is called with e.mu held, gives back the slot.
func (e *Engine) doClaim(ctx context.Context, task string, give func()) {
	ent := e.acquire(task)
	defer e.release(ent)
	unprepared := e.claim(ctx, task)
	e.mu.Lock()
	defer e.mu.Unlock()
	if unprepared {
		// It counts as a task that has something to do, and holds no slot. The entry is
		// held until then, so that the task is read once.
		e.ready.force(task, e.unclaimed[task].of)
		ent := e.acquireLocked(task)
		e.spawn(func(ctx context.Context) {
			defer e.release(ent)
			e.prepare(ctx, task)
		})
	} else {
		delete(e.unclaimed, task)
	}
	give()
	e.pump()
	e.noteIdle()
}

// freeSlot gives back the slot in which work was done. e.mu is held.
func (e *Engine) freeSlot(w *work) {
	e.giveSlot(w)
	e.pump()
	e.noteIdle()
}

// doWork runs one piece of work to its end, or to where it has to wait.
func (e *Engine) doWork(ctx context.Context, w *work) {
	if w.claim {
		e.doClaim(ctx, w.key.task, func() { e.giveSlot(w) })
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	e.mu.Lock()
	w.cancel = cancel
	e.tellStart(w)
	e.mu.Unlock()
	run := e.runTurn
	if w.reconcile {
		run = e.reconcileTurn
	}
	next := run(ctx, w)
	e.mu.Lock()
	e.fallSilent(w)
	if (next.lost != nil || next.line) && ctx.Err() == nil {
		if next.lost != nil {
			w.reconcile, w.consumed, w.place.server = true, next.lost.Consumed, w.room
		}
		if next.server != "" {
			w.place.server = next.server
		}
		// It is in line again before its slot is free: its task goes on counting.
		again := *w
		again.room, again.cancel = "", nil
		e.known[w.key] = &again
		e.ready.push(&again, e.elapsed())
		e.freeSlot(w)
		e.mu.Unlock()
		return
	}
	e.freeSlot(w)
	if next.again {
		e.mu.Unlock()
		next.again = e.backOff(ctx, w)
		e.mu.Lock()
	}
	aborted := ctx.Err() != nil
	w.cancel = nil
	switch {
	case next.again && !aborted:
		e.ready.push(w, e.elapsed())
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
	// line: it is to be done again when there is room on an App Server: on server
	// where that is not empty.
	line   bool
	server string
	// lost is set when the turn, which was sent, has to be reconciled.
	lost *UnknownOutcomeError
}
