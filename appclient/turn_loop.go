//nolint:contextcheck // the goroutines of a connection outlive the call that started them, and end with the client
package appclient

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// settleTime is how long the error text that follows the end of a failed turn may take.
const settleTime = 200 * time.Millisecond

// turnLoop is the state of a turn's goroutine.
type turnLoop struct {
	*RunningTurn
	client *Client
	fold   fold
	// asked maps the approval requests taken up to their tool call ids.
	asked map[string]string
	// deciding counts the approvals that this client is at; the server is silent meanwhile.
	deciding  int
	requestID string

	ackBy, aliveBy, settleBy, abortBy time.Time
	lastFrame                         time.Time

	// cause says why the turn is being aborted; nil for Abort.
	cause error
	// abortWhenTaken is set when the abort found the input still queued: it must be sent if the input is taken up.
	abortWhenTaken bool
	// removing is set once the removal of the input from the queue was asked for.
	removing bool
	// late holds the approval requests that came after the end, and belong to another turn.
	late []ApprovalRequest
	// unread says that frames are not read but kept, see Session.StandBy.
	unread  bool
	kept    keptFrames
	failure error // ends the loop
	ended   bool  // ends the loop too
	// room is what was taken in last, for queue.takeAll.
	room []incoming
}

// queuedTimeout is Turn.StartTimeout of a queued input when it is zero.
const queuedTimeout = 15 * time.Second

// startedTimeout is Turn.StartTimeout otherwise.
const startedTimeout = 30 * time.Second

// startTimeout is how long the first sign of life may take.
func (l *turnLoop) startTimeout() time.Duration {
	switch {
	case l.turn.StartTimeout != 0:
		return l.turn.StartTimeout
	case l.fold.acked && l.fold.waiting():
		return queuedTimeout
	}
	return startedTimeout
}

// run carries the turn through on its own goroutine.
func (t *RunningTurn) run(ctx context.Context, payload json.RawMessage) {
	l := &turnLoop{RunningTurn: t, client: t.session.client, asked: make(map[string]string)}
	l.fold.acknowledges = l.client.acknowledges()
	l.fold.result.Runtime, l.fold.result.ClientMessageID = t.session.Runtime(), t.id
	l.fold.stale = t.session.rt.staleRuns()
	if err := l.send(ctx, payload); err == nil {
		l.follow(ctx)
	} else if l.takeAll(); !l.fold.over && l.failure == nil {
		// A server that answers and goes away at once can be heard before the write returns.
		l.failure = err
	}
	t.cancelApprovals()
	l.client.forget(l.requestID)
	l.conclude()
	close(t.done)
}

// send writes the input. ctx is looked at before only: a frame once written is followed and aborted.
func (l *turnLoop) send(ctx context.Context, payload json.RawMessage) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	l.requestID = l.client.nextID()
	command := map[string]any{
		"type": "input", "request_id": l.requestID, "runtime": l.session.rt.raw, "payload": payload,
	}
	mailbox := l.mailbox
	if _, err := l.client.expect(l.requestID, func(frame Frame) {
		mailbox.push(incoming{frame: frame, ack: true}, 0)
	}); err != nil {
		return err
	}
	l.fold.result.SentAt = time.Now()
	l.lastFrame = l.fold.result.SentAt
	if err := l.client.sendCommand(l.client.ctx, command); err != nil {
		return err
	}
	if l.fold.acknowledges {
		l.ackBy = time.Now().Add(l.client.cfg.RequestTimeout)
	} else {
		l.aliveBy = time.Now().Add(l.startTimeout())
	}
	return nil
}

// follow takes in frames until the turn is over.
func (l *turnLoop) follow(ctx context.Context) {
	cancelled, abort := ctx.Done(), l.abort
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(l.untilDeadline())
		select {
		case <-l.mailbox.wake:
			l.takeAll()
		case <-timer.C:
			l.deadline()
		case <-cancelled:
			cancelled = nil
			l.takeAll() // what came before counts first
			l.beginAbort(context.Cause(ctx))
		case <-abort:
			abort = nil
			l.takeAll()
			l.beginAbort(nil)
		case <-l.client.ctx.Done():
			// What arrived before the end of the connection counts.
			if l.takeAll(); !l.fold.over && !l.ended && l.failure == nil {
				l.failure = l.client.Err()
			}
			return
		}
		if l.ended || l.failure != nil || (l.fold.over && !l.fold.unsettled) {
			return
		}
	}
}

func (l *turnLoop) takeAll() {
	items, err := l.mailbox.takeAll(l.room)
	l.room = items
	for _, in := range items {
		switch {
		case in.takeOver != nil:
			l.goOn(in.lost)
		case l.unread && !in.leave:
			l.kept.add(in)
			continue
		}
		l.take(in)
	}
	if err != nil && l.failure == nil {
		l.failure = fmt.Errorf("follow turn: %w", err)
		l.sendAbort()
	}
}

// take takes in one frame, or one word from this client's own goroutines.
func (l *turnLoop) take(in incoming) {
	now := time.Now()
	switch {
	case in.ack:
		l.acknowledged(in.frame)
		return
	case in.tool != nil:
		l.lastFrame = now
		l.emit(Event{Kind: EventToolResult, ToolCall: &in.tool.call, ToolResult: in.tool.result, ToolError: in.tool.failure})
		return
	case in.decided != nil:
		l.decided(*in.decided, now)
		return
	case in.abort != nil:
		l.abortAnswered(*in.abort)
		return
	case in.takeOver != nil:
		l.takeOver(*in.takeOver)
		return
	case in.leave:
		l.failure = ErrNotFollowed
		return
	}
	l.lastFrame = in.frame.ReceivedAt
	wasAlive, wasOver := l.fold.alive, l.fold.over
	delta := l.fold.take(in)
	l.approvalsIn(in)
	if l.fold.alive && !wasAlive {
		l.fold.result.FirstEventAt = in.frame.ReceivedAt
		l.aliveBy = time.Time{}
	}
	l.followQueue()
	l.emitFrame(in, delta)
	switch {
	case l.fold.over && !wasOver:
		l.fold.result.EndedAt = in.frame.ReceivedAt
		l.settleBy = now.Add(settleTime)
	case l.fold.rejected != "":
		l.failure = fmt.Errorf("%w: %s", ErrInputRejected, l.fold.rejected)
	case l.fold.discarded:
		l.failure = l.discardedError()
	}
	if delta != nil && delta.MessageType == DeltaToolEnd {
		// The model may use the id of an ended call again, and with it the id of its approval.
		for id, toolCall := range l.asked {
			if toolCall == delta.ToolCallID {
				delete(l.asked, id)
			}
		}
	}
}

// acknowledged takes in the input_accepted.
func (l *turnLoop) acknowledged(frame Frame) {
	var answer struct {
		Disposition Disposition `json:"disposition"`
	}
	l.ackBy = time.Time{}
	if err := acceptedError(frame); err != nil {
		l.failure = err
		return
	}
	// A disposition that cannot be read is taken for "started".
	_ = json.Unmarshal(frame.Raw, &answer)
	l.fold.result.AcceptedAt = frame.ReceivedAt
	l.fold.answer(answer.Disposition)
	switch {
	case l.aborting.Load():
		if l.fold.waiting() {
			l.withdraw()
		}
	case !l.fold.alive:
		l.aliveBy = time.Now().Add(l.startTimeout())
	}
	if l.turn.OnAccepted != nil {
		l.turn.OnAccepted(answer.Disposition)
	}
	l.emit(Event{Kind: EventAccepted, Frame: frame})
	if answer.Disposition != DispositionQueued {
		return
	}
	// An approval that a crashed server left open would keep the input waiting for ever.
	for _, request := range l.session.DeviceStatus().Pending {
		l.approval(request)
	}
}

// untilDeadline is the time until the next deadline.
func (l *turnLoop) untilDeadline() time.Duration {
	next := time.Time{}
	for _, at := range []time.Time{l.ackBy, l.aliveBy, l.abortBy, l.stallBy(), l.settle()} {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return time.Hour
	}
	return max(0, time.Until(next))
}

func (l *turnLoop) settle() time.Time {
	if l.fold.over && l.fold.unsettled {
		return l.settleBy
	}
	return time.Time{}
}

func (l *turnLoop) stallBy() time.Time {
	if l.turn.StallTimeout == 0 || l.watching.Load() || l.aborting.Load() || l.fold.over || l.deciding > 0 || l.session.rt.serving() {
		return time.Time{}
	}
	return l.lastFrame.Add(l.turn.StallTimeout)
}

// deadline acts on the deadlines that have passed.
func (l *turnLoop) deadline() {
	// A frame that is waiting to be read may have met the deadline.
	if l.takeAll(); l.ended || l.failure != nil {
		return
	}
	passed := func(at time.Time) bool { return !at.IsZero() && !time.Now().Before(at) }
	switch {
	case passed(l.settle()):
		l.fold.unsettled = false
	case l.fold.over:
	case passed(l.abortBy):
		l.failure = l.abortTimeout()
	case passed(l.ackBy):
		l.failure = fmt.Errorf("input: %w (waited %v)", ErrRequestTimeout, l.client.cfg.RequestTimeout)
	case passed(l.aliveBy):
		l.aliveBy = time.Time{}
		l.beginAbort(fmt.Errorf("%w (waited %v)", ErrNoSignOfLife, l.startTimeout()))
	case passed(l.stallBy()):
		l.beginAbort(fmt.Errorf("%w: nothing was heard of it for %v", ErrStalled, l.turn.StallTimeout))
	}
}

// conclude makes the result and gives the conversation back.
func (l *turnLoop) conclude() {
	result := l.fold.finish()
	switch {
	case l.failure != nil:
		l.err = l.failure
	case l.cause != nil && result.StopReason != StopEndTurn:
		l.err = fmt.Errorf("turn aborted: %w", l.cause)
	}
	if l.failure == nil && l.ended {
		result.StopReason = StopCancelled
	}
	if result.EndedAt.IsZero() {
		result.EndedAt = time.Now()
	}
	l.result, l.left = &result, l.fold
	l.giveBack()
	if l.failure == nil {
		l.emit(Event{Kind: EventFinished})
	}
	if l.events != nil {
		l.events.close(io.EOF)
	}
}

// emit shows an event to whoever follows the turn.
func (l *turnLoop) emit(event Event) {
	if l.turn.OnEvent != nil {
		l.turn.OnEvent(event)
	}
	if l.events != nil {
		l.events.push(event, int64(len(event.Frame.Raw)))
	}
}

// emitFrame shows a frame of the runtime.
func (l *turnLoop) emitFrame(in incoming, delta *Delta) {
	if l.turn.OnEvent == nil && l.events == nil {
		return
	}
	event := Event{Kind: EventOther, Frame: in.frame, Delta: delta, LoopStatus: in.loop.get()}
	switch {
	case delta != nil:
		event.Kind = EventDelta
	case event.LoopStatus != nil:
		event.Kind = EventLoopStatus
	case in.frame.Type == TypeQueue:
		event.Kind = EventQueue
	case in.frame.Type == TypeExternalToolRequest:
		event.Kind, event.ToolCall = EventToolCall, l.toolCalled(in.frame)
	}
	l.emit(event)
}
