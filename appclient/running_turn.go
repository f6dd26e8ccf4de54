package appclient

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// RunningTurn is a turn on its way. It ends by itself, with the context of
// StartTurn, by Abort, or with the connection.
type RunningTurn struct {
	session *Session
	turn    Turn
	id      string // client_message_id
	mailbox *queue[incoming]
	events  *queue[Event] // nil when nobody follows
	// watching says that the turn is only watched, see Session.FollowTurn.
	watching atomic.Bool
	// standingBy says that nobody is to be woken for what comes, see Session.StandBy.
	standingBy atomic.Bool
	// left is what was known of the turn when it was over here; it is there once done is closed.
	left fold
	// aborting tells the reader's goroutine to answer tool calls with an error.
	aborting  atomic.Bool
	abort     chan struct{}
	abortOnce sync.Once
	// approvals ends the contexts of Turn.Approve.
	approvals       context.Context
	cancelApprovals context.CancelFunc

	done   chan struct{}
	result *TurnResult
	err    error
}

// ClientMessageID is the id that the input is sent with.
func (t *RunningTurn) ClientMessageID() string { return t.id }

// Next waits for the next event; io.EOF after the last.
func (t *RunningTurn) Next(ctx context.Context) (Event, error) { return t.events.next(ctx) }

// Events ranges over the events until the turn is over. It ends with an error
// when ctx ends or the consumer was too slow. How the turn ended is told by Wait.
func (t *RunningTurn) Events(ctx context.Context) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		for {
			event, err := t.Next(ctx)
			if errors.Is(err, io.EOF) {
				return
			}
			if !yield(event, err) || err != nil {
				return
			}
		}
	}
}

// Done is closed when the turn is over.
func (t *RunningTurn) Done() <-chan struct{} { return t.done }

// Wait waits for the end of the turn and returns what RunTurn would. ctx bounds the waiting alone: the turn goes on.
func (t *RunningTurn) Wait(ctx context.Context) (*TurnResult, error) {
	select {
	case <-t.done:
		return t.result, t.err
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the turn: %w", context.Cause(ctx))
	}
}

func (t *RunningTurn) wait() (*TurnResult, error) {
	<-t.done
	return t.result, t.err
}

// Abort cancels the turn and waits until it is over. It returns nil when the
// turn ended, however, and ErrAbortTimeout when it did not end within Turn.AbortGrace.
func (t *RunningTurn) Abort(ctx context.Context) error {
	t.abortOnce.Do(func() { close(t.abort) })
	select {
	case <-t.done:
	case <-ctx.Done():
		return fmt.Errorf("abort the turn: %w", context.Cause(ctx))
	}
	if errors.Is(t.err, ErrAbortTimeout) || errors.Is(t.err, ErrConnectionLost) {
		return t.err
	}
	return nil
}

// SendTurn is StartTurn for who follows the turn by Turn.OnEvent alone, and by Wait: there are no events to read.
func (s *Session) SendTurn(ctx context.Context, turn Turn) (*RunningTurn, error) {
	return s.startTurn(ctx, turn, false)
}

// startTurn takes the conversation and starts the turn's goroutine.
func (s *Session) startTurn(ctx context.Context, turn Turn, follow bool) (*RunningTurn, error) {
	turn = turn.withDefaults()
	if err := turn.validate(); err != nil {
		return nil, fmt.Errorf("start turn: %w", err)
	}
	payload, err := turn.payload()
	if err != nil {
		return nil, fmt.Errorf("start turn: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("start turn: %w", context.Cause(ctx))
	}
	t := s.newTurn(turn, follow)
	if err := s.claim(t, func() { t.run(ctx, payload) }); err != nil {
		t.cancelApprovals()
		return nil, fmt.Errorf("start turn: %w", err)
	}
	return t, nil
}

func (s *Session) newTurn(turn Turn, follow bool) *RunningTurn {
	c := s.client
	t := &RunningTurn{
		session: s, turn: turn, id: turn.ClientMessageID, mailbox: newQueue[incoming](max(c.cfg.QueueLimit, 64<<20)),
		abort: make(chan struct{}), done: make(chan struct{}),
	}
	if follow {
		t.events = newQueue[Event](c.cfg.QueueLimit)
	}
	t.approvals, t.cancelApprovals = context.WithCancel(c.ctx)
	return t
}

// claim takes the conversation for a turn, one at a time, and starts run on its goroutine.
func (s *Session) claim(t *RunningTurn, run func()) error {
	c, rt := s.client, s.rt
	c.mu.Lock()
	defer c.mu.Unlock()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	switch {
	case c.Err() != nil:
		return c.Err()
	case c.runtimes[rt.runtime] != rt:
		return errors.New("the session is closed")
	case rt.turn != nil:
		return ErrConversationBusy
	case rt.blocked:
		return fmt.Errorf("%w: an aborted turn has not ended", ErrConversationBusy)
	}
	rt.turn = t
	if t.turn.Approve == nil {
		t.turn.Approve = rt.approve
	}
	c.wg.Go(run) // under the lock, so that Close cannot have stopped waiting
	return nil
}

// giveBack ends the turn's hold on the conversation. What the reader has handed over since the turn's end belongs to
// other turns: it goes where it would have gone without this one.
func (l *turnLoop) giveBack() {
	c, rt := l.client, l.session.rt
	c.mu.Lock()
	defer c.mu.Unlock()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	rt.turn = nil
	rt.blocked = errors.Is(l.err, ErrAbortTimeout) && l.fold.acked
	rt.stale = l.fold.stillRunning()
	for _, request := range l.late {
		rt.answerIdle(c, request)
	}
	left, _ := l.mailbox.takeAll(nil)
	for _, in := range left {
		if in.frame.Type == TypeTurnFinished {
			rt.blocked = false
		}
		if in.approval == nil {
			continue
		}
		if _, taken := l.asked[in.approval.RequestID]; !taken {
			rt.answerIdle(c, *in.approval)
		}
	}
	c.dropIfUnused(rt)
}

func (t Turn) withDefaults() Turn {
	if t.ClientMessageID == "" {
		t.ClientMessageID = "cm-" + rand.Text()
	}
	if t.AbortGrace == 0 {
		t.AbortGrace = 10 * time.Second
	}
	return t
}
