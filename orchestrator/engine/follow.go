package engine

import (
	"context"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// follow publishes a committed decision and starts what it calls for. It is
// called in the order of the decisions on a task: ent.mu is held.
func (e *Engine) follow(ent *entry, prev, next *workflow.State, event workflow.Event, effects []workflow.Effect) {
	e.hub.publish(Update{Task: ent.task, Record: &Record{Seq: next.Version, Event: event, Effects: effects, State: next}})
	if next.Status.Terminal() { // and when its workspace is finished
		e.hub.ended(ent.task)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, effect := range effects {
		switch effect := effect.(type) {
		case workflow.AbortTurn:
			e.abort(turnKey{ent.task, effect.Turn, effect.Attempt})
		case workflow.StopTurn:
			e.stopTurn(turnKey{ent.task, effect.Turn, effect.Attempt}, effect.Note)
		case workflow.AnswerQuestion:
			e.deliver(ent.task, effect)
		}
	}
	e.dropUnwanted(*prev, *next)
	e.followChildren(*prev, *next)
	e.followPlace(*prev, *next)
	for _, rt := range givenBack(*prev, *next) {
		e.unblock(rt)
	}
	e.enqueuePending(*next)
	if e.drives(ent.task) && !next.WakeAt.IsZero() && !next.WakeAt.Equal(prev.WakeAt) {
		e.lookAtTimers()
	}
	e.pump()
}

// enqueuePending queues the turns of a state that may start. e.mu is held.
func (e *Engine) enqueuePending(state workflow.State) {
	if state.Status.Terminal() || state.Status == workflow.TaskPaused {
		return
	}
	for _, turn := range state.Turns {
		if startable(state, turn) {
			e.enqueueTurn(state, turn, false)
		}
	}
}

// startable reports whether a pending turn may start. It compares with the
// time of the last event and not with the clock: a turn that has to wait is
// released by a TimerFired, which is an event, so that the answer depends on
// the state alone.
func startable(state workflow.State, turn workflow.Turn) bool {
	return turn.Kind != workflow.KindGate && turn.State == workflow.TurnPending && !turn.NotBefore.After(state.Updated)
}

// sent reports whether a turn may have reached the App Server and has not ended.
func sent(turn workflow.Turn) bool {
	return turn.State == workflow.TurnSent || turn.State == workflow.TurnRunning || turn.State == workflow.TurnAwaitingApproval
}

// holds reports whether a turn holds its conversation: also one of which nobody
// knows whether it ran, until somebody has decided.
func holds(turn workflow.Turn) bool { return sent(turn) || turn.State == workflow.TurnUncertain }

// abort ends the ctx of an attempt if it runs, and forgets it if it waits for
// its conversation. One that is ready finds out for itself. e.mu is held.
func (e *Engine) abort(key turnKey) {
	w := e.known[key]
	if w == nil {
		return
	}
	if w.cancel != nil {
		w.cancel(ErrTurnAborted)
		return
	}
	for rt, waiting := range e.blocked {
		if i := slices.Index(waiting, w); i >= 0 {
			e.blocked[rt] = slices.Delete(waiting, i, i+1)
			delete(e.known, key)
			e.releaseLocked(w.ent)
		}
	}
}

// givenBack lists the conversations that a turn held before a decision and none holds after it.
func givenBack(prev, next workflow.State) []workflow.Runtime {
	var list []workflow.Runtime
	for _, before := range prev.Turns {
		if !holds(before) {
			continue
		}
		after, ok := liveTurn(next, before.ID)
		if !ok || !holds(after) {
			list = append(list, before.Runtime)
		}
	}
	return list
}

func liveTurn(state workflow.State, id int) (workflow.Turn, bool) {
	for _, turn := range state.Turns {
		if turn.ID == id {
			return turn, true
		}
	}
	return workflow.Turn{}, false
}

// talk takes a conversation for a run. Its error, *store.BusyError, says that the
// run before has not returned, although its turn is over.
func (e *Engine) talk(w *work, rt workflow.Runtime) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.talking[rt]; other != nil && other != w {
		return &store.BusyError{Runtime: rt, Holder: store.ActiveTurn{Task: other.key.task, Turn: other.key.turn, Attempt: other.key.attempt}}
	}
	if e.talking[rt] == nil {
		e.talking[rt], w.talks = w, append(w.talks, rt)
	}
	return nil
}

// fallSilent gives back the conversation of a run that has returned. e.mu is held.
func (e *Engine) fallSilent(w *work) {
	for _, rt := range w.talks {
		delete(e.talking, rt)
		e.unblock(rt)
	}
	w.talks = nil
}

// unblock makes the turns ready that wait for a conversation. e.mu is held.
func (e *Engine) unblock(rt workflow.Runtime) {
	for _, w := range e.blocked[rt] {
		e.ready.push(w, e.elapsed())
	}
	delete(e.blocked, rt)
}

// unblockFree is called after a turn was blocked: its conversation may have
// been given back between the refusal and the blocking.
func (e *Engine) unblockFree(ctx context.Context, rt workflow.Runtime) {
	rows, err := e.o.Store.Runtimes(ctx, store.RuntimeFilter{Server: rt.Server, AgentID: rt.AgentID, ConversationID: rt.ConversationID})
	if err != nil {
		e.storeFailed(err)
		return
	}
	for _, row := range rows {
		if row.Active != (store.ActiveTurn{}) {
			return
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.talking[rt] != nil {
		return // whose return unblocks it
	}
	e.unblock(rt)
	e.pump()
}
