package appclient

import (
	"context"
	"fmt"
	"time"
)

// beginAbort starts to cancel the turn. cause is nil when Abort was called.
func (l *turnLoop) beginAbort(cause error) {
	if l.aborting.Load() || l.fold.over {
		return
	}
	l.cause = cause
	l.fold.aborted = true
	l.aborting.Store(true)
	l.abortBy = time.Now().Add(l.turn.AbortGrace)
	l.ackBy, l.aliveBy = time.Time{}, time.Time{}
	l.cancelApprovals()
	l.emit(Event{Kind: EventAborting})
	if l.fold.acked && l.fold.waiting() {
		if l.fold.queueItem != "" {
			l.removeQueued(l.fold.queueItem)
			return
		}
		l.abortWhileQueued = true
	}
	l.sendAbort()
}

// sendAbort sends abort_message and then answers the open tool calls: an
// aborted call is not released by the server before its answer, and an answer
// before the abort would let the model go on.
func (l *turnLoop) sendAbort() {
	mailbox, rt, c := l.mailbox, l.session.rt, l.client
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, l.turn.AbortGrace)
		defer cancel()
		command := map[string]any{"type": "abort_message", "runtime": rt.raw}
		flight, err := c.begin(ctx, command, nil)
		c.endCalls(rt, "the turn has been aborted")
		var answer abortAnswer
		if err == nil {
			answer.active, err = abortedBy(flight.wait(ctx))
		}
		answer.err = err
		mailbox.push(incoming{abort: &answer}, 0)
	})
}

// removeQueued takes the input out of the server's queue, and aborts when it has just left it.
func (l *turnLoop) removeQueued(item string) {
	mailbox, session := l.mailbox, l.session
	l.client.wg.Go(func() {
		ctx, cancel := context.WithTimeout(l.client.ctx, l.turn.AbortGrace)
		defer cancel()
		_, err := l.client.command(ctx, "remove_queue_item", map[string]any{"runtime": session.rt.raw, "item_id": item})
		mailbox.push(incoming{abort: &abortAnswer{removal: true, err: err}}, 0)
	})
}

// abortAnswered takes in what became of the abort. The turn itself ends by its own end.
func (l *turnLoop) abortAnswered(answer abortAnswer) {
	switch {
	case answer.removal && answer.err == nil:
		l.ended = true // it never ran
	case answer.removal:
		l.abortWhileQueued = l.fold.waiting()
		l.sendAbort()
	case answer.err == nil && !answer.active && !l.fold.alive && !l.fold.waiting():
		l.ended = true // nothing runs, and nothing has: the acknowledgement was an empty one
	}
}

func (l *turnLoop) abortTimeout() error {
	if l.cause == nil {
		return fmt.Errorf("%w (waited %v)", ErrAbortTimeout, l.turn.AbortGrace)
	}
	return fmt.Errorf("%w (waited %v): aborted because of: %w", ErrAbortTimeout, l.turn.AbortGrace, l.cause)
}
