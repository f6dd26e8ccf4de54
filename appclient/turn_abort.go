package appclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// beginAbort starts to cancel the turn. cause is nil when Abort was called.
func (l *turnLoop) beginAbort(cause error) {
	if l.aborting.Load() || l.fold.over {
		return
	}
	if l.watching.Load() {
		l.failure = ErrNotFollowed
		if cause != nil {
			l.failure = fmt.Errorf("%w: %w", ErrNotFollowed, cause)
		}
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
		l.withdraw() // an abort would hit the turn that runs now
		return
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

// abortAnswer is what became of an abort.
type abortAnswer struct {
	kind   abortKind
	active bool // something was cancelled
	err    error
}

// abortKind says what was asked of the server.
type abortKind int

const (
	abortTurn    abortKind = iota // abort_message
	abortRemoval                  // remove_queue_item
	abortSync                     // sync, to learn the id of the queued input
)

// withdraw takes the input out of the server's queue. Its item id is asked for when it is not known.
func (l *turnLoop) withdraw() {
	l.abortWhenTaken = true
	if l.followQueue(); l.removing {
		return
	}
	session := l.session
	l.askServer(abortSync, session.Sync)
}

// followQueue goes on with the withdrawal of a queued input when something is known about it.
func (l *turnLoop) followQueue() {
	switch {
	case !l.abortWhenTaken:
	case !l.fold.waiting():
		l.abortWhenTaken = false
		l.sendAbort()
	case l.fold.queueItem != "" && !l.removing:
		l.removing = true
		session, item := l.session, l.fold.queueItem
		l.askServer(abortRemoval, func(ctx context.Context) error {
			_, err := session.client.command(ctx, "remove_queue_item", map[string]any{"runtime": session.rt.raw, "item_id": item})
			return err
		})
	}
}

// askServer has something asked on a goroutine of its own. The answer comes as an abortAnswer, after the frames before it.
func (l *turnLoop) askServer(kind abortKind, ask func(context.Context) error) {
	mailbox, c := l.mailbox, l.client
	c.wg.Go(func() {
		ctx, cancel := context.WithTimeout(c.ctx, l.turn.AbortGrace)
		defer cancel()
		err := ask(ctx)
		mailbox.push(incoming{abort: &abortAnswer{kind: kind, err: err}}, 0)
	})
}

// abortAnswered takes in what became of the abort. The turn itself ends by its own end.
func (l *turnLoop) abortAnswered(answer abortAnswer) {
	queued := l.fold.waiting()
	switch answer.kind {
	case abortTurn:
		if answer.err == nil && !answer.active && !l.fold.alive && !queued {
			l.ended = true // nothing runs, and nothing has: the acknowledgement was an empty one
		}
	case abortRemoval:
		switch {
		case answer.err == nil && queued:
			l.failure = l.discardedError()
		case queued:
			l.sendAbort() // it has left the queue, or is stuck in it: which will show
		}
	case abortSync:
		if queued && !l.removing {
			l.sendAbort() // it is not in the queue, and has not left it
		}
	}
}

// discardedError says that the input was not consumed, and why it was taken back.
func (l *turnLoop) discardedError() error {
	switch {
	case l.cause == nil:
		return ErrInputDiscarded
	case errors.Is(l.cause, ErrNoSignOfLife): // that would say that it may have been consumed
		return fmt.Errorf("%w: it was still queued after %v", ErrInputDiscarded, l.startTimeout())
	}
	return fmt.Errorf("%w: %w", ErrInputDiscarded, l.cause)
}

func (l *turnLoop) abortTimeout() error {
	if l.cause == nil {
		return fmt.Errorf("%w (waited %v)", ErrAbortTimeout, l.turn.AbortGrace)
	}
	return fmt.Errorf("%w (waited %v): aborted because of: %w", ErrAbortTimeout, l.turn.AbortGrace, l.cause)
}
