package appclient

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrNotFollowed says that a turn was not followed to its end because the
// context of FollowTurn ended. The turn itself goes on.
var ErrNotFollowed = errors.New("the turn is not followed any more")

// CanFollow reports whether the server lets a second connection follow a turn:
// it takes several, and says when a turn is over (0.30.3 and later).
func (c *Client) CanFollow() bool { return c.transport == TransportSingle && c.acknowledges() }

// FollowTurn follows a turn that another connection has sent, or is about to
// send, under Turn.ClientMessageID. While a second connection is subscribed the
// server does not cancel the turn when the first one is lost.
//
// The caller must know that the next end of a turn on this runtime is the end of
// that turn: it holds the conversation, and the server has not queued the input
// or has taken it up. On servers from 0.30.28 on this is checked as far as they tell.
//
// Until RunningTurn.TakeOver the turn is only watched: approvals are decided by
// RuntimeStart.Approve alone and left open without it, nothing is aborted, and
// when ctx ends the following alone ends, with ErrNotFollowed. Of turn nothing
// but ClientMessageID counts. What was sent before the runtime was started on
// this connection is not in the result: its text is whole only where that was
// before the input was sent.
func (s *Session) FollowTurn(ctx context.Context, turn Turn) (*RunningTurn, error) {
	if err := needID("client_message_id", turn.ClientMessageID); err != nil {
		return nil, fmt.Errorf("follow turn: %w", err)
	}
	return s.followTurn(ctx, turn, false)
}

// StandBy is FollowTurn for who only wants to take the turn over if need be, by
// RunningTurn.TakeOverFrom: the last frames are kept and not read before, which costs
// next to nothing. So the turn is not over before that, or before ctx ends. It may
// begin in the middle of the turn.
func (s *Session) StandBy(ctx context.Context, turn Turn) (*RunningTurn, error) {
	if err := needID("client_message_id", turn.ClientMessageID); err != nil {
		return nil, fmt.Errorf("stand by a turn: %w", err)
	}
	return s.followTurn(ctx, turn, true)
}

func (s *Session) followTurn(ctx context.Context, turn Turn, standBy bool) (*RunningTurn, error) {
	t := s.newTurn(turn.withDefaults(), false)
	t.watching.Store(true)
	t.standingBy.Store(standBy)
	if err := s.claim(t, func() { t.runFollowing(ctx) }); err != nil {
		t.cancelApprovals()
		return nil, fmt.Errorf("follow turn: %w", err)
	}
	return t, nil
}

// TakeOver makes a turn that is followed one of this connection's own: from now
// on its approvals are decided, open ones first, its end of ctx aborts it, and
// the callbacks and timeouts of turn count. Tools stay with the connection that
// served them when the turn began: the server fails their calls when that is
// lost, and asks another one only from the next turn on. TakeOver does nothing to a turn that is over.
func (t *RunningTurn) TakeOver(turn Turn) { t.takeOverAs(turn, nil) }

// TakeOverFrom is TakeOver from another connection, on which the turn is over because
// that was lost: the result goes on with what was seen there. What neither
// connection has seen is said by TurnResult.Gap.
func (t *RunningTurn) TakeOverFrom(turn Turn, lost *RunningTurn) {
	<-lost.done
	t.takeOverAs(turn, lost)
}

func (t *RunningTurn) takeOverAs(turn Turn, lost *RunningTurn) {
	turn.ClientMessageID = t.id
	turn = turn.withDefaults()
	t.standingBy.Store(false)
	t.mailbox.push(incoming{takeOver: &turn, lost: lost}, 0)
}

// Leave ends the following with ErrNotFollowed, also after TakeOver: nothing is
// aborted. The caller must know that the turn is over.
func (t *RunningTurn) Leave() {
	t.standingBy.Store(false)
	t.mailbox.push(incoming{leave: true}, 0)
}

// runFollowing follows the turn on its own goroutine.
func (t *RunningTurn) runFollowing(ctx context.Context) {
	l := &turnLoop{RunningTurn: t, unread: t.standingBy.Load(), client: t.session.client, asked: make(map[string]string)}
	l.fold.acknowledges = l.client.acknowledges()
	l.fold.result.Runtime, l.fold.result.ClientMessageID = t.session.Runtime(), t.id
	if l.fold.acknowledges {
		l.fold.answer(DispositionStarted)
	}
	if status := t.session.rt.loop.Load().get(); status != nil {
		l.fold.loop(status)
	}
	l.lastFrame = time.Now()
	l.follow(ctx)
	t.cancelApprovals()
	l.conclude()
	close(t.done)
}

// takeOver makes the turn this connection's own.
func (l *turnLoop) takeOver(turn Turn) {
	if turn.Approve == nil {
		turn.Approve = l.session.rt.startApprove()
	}
	l.turn = turn
	l.watching.Store(false)
	l.lastFrame = time.Now()
	for _, request := range l.session.DeviceStatus().Pending {
		l.approval(request)
	}
}

func (rt *runtimeState) startApprove() ApproveFunc {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	return rt.approve
}
