package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// observeTimeout bounds how long a turn that is over waits for the second
// connection. It is a safeguard, and no turn waits long for it.
const observeTimeout = 3 * time.Second

// observed is a turn as the second connection sees it. The App Server cancels a
// turn when the last connection that is subscribed to it is lost; with two of
// them a turn whose own connection dies goes on, and is taken over.
type observed struct {
	session *appclient.Session
	turn    *appclient.RunningTurn
	// leave ends the following.
	leave context.CancelCauseFunc
}

// errNotNeeded ends the following of a turn that needs it no more.
var errNotNeeded = errors.New("the second connection is not needed any more")

// observe begins to stand by the turn that was sent in the session; nil
// where there is no second connection now. That is no error: the turn has one
// safeguard less.
func (a *attempt) observe(ctx context.Context, worker *appclient.Session) *observed {
	if !worker.Client().CanFollow() {
		return nil
	}
	client := a.r.observer.now(ctx, observeTimeout)
	if client == nil || !client.CanFollow() {
		return nil
	}
	starting, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	session, err := client.StartRuntime(starting, appclient.RuntimeStart{
		AgentID: worker.Runtime().AgentID, ConversationID: worker.Runtime().ConversationID,
		CWD: a.cwd, Mode: a.mode(), KeepApprovals: true,
	})
	if err != nil {
		a.log.Debug().Err(err).Msg("the turn runs without a second connection")
		return nil
	}
	following, leave := context.WithCancelCause(ctx)
	turn, err := session.StandBy(following, appclient.Turn{ClientMessageID: clientMessageID(a.req)})
	if err != nil {
		a.log.Debug().Err(err).Msg("the turn runs without a second connection")
		leave(errNotNeeded)
		session.Close()
		return nil
	}
	return &observed{session: session, turn: turn, leave: leave}
}

// close ends the following and returns when it has ended. A turn that was taken
// over has ended by itself.
func (o *observed) close() {
	o.leave(errNotNeeded)
	<-o.turn.Done()
	o.session.Close()
}

// standBy is the second connection of a turn that is under way.
type standBy struct {
	timer *time.Timer
	done  chan struct{}
	// observed is nil where there is no second connection; it is there once done is closed.
	observed *observed
}

// standByLater subscribes the second connection when the turn has run for a while:
// what is over by then did not need it.
func (a *attempt) standByLater(ctx context.Context, worker *appclient.Session) *standBy {
	s := &standBy{done: make(chan struct{})}
	s.timer = time.AfterFunc(a.r.opts.StandByAfter, func() {
		defer close(s.done)
		if a.r.opts.beforeStandBy != nil {
			a.r.opts.beforeStandBy()
		}
		if s.observed = a.observe(ctx, worker); s.observed != nil && a.r.opts.onStandBy != nil {
			a.r.opts.onStandBy()
		}
	})
	return s
}

// take returns the second connection if there is one; there will be none later.
func (s *standBy) take() *observed {
	if s.timer.Stop() {
		return nil
	}
	<-s.done
	return s.observed
}

// follow sends the input and follows the turn to its end, on the second connection
// where the first one is lost and mayTakeOver allows it.
func (a *attempt) follow(ctx context.Context, session *appclient.Session, turn appclient.Turn, mayTakeOver func() bool) (*appclient.TurnResult, error) {
	running, err := session.SendTurn(ctx, turn)
	if err != nil {
		return nil, err
	}
	later := a.standByLater(ctx, session)
	known, err := running.Wait(context.WithoutCancel(ctx)) // it ends with ctx by itself
	second := later.take()
	if second == nil {
		return known, err
	}
	defer second.close()
	if errors.Is(err, appclient.ErrConnectionLost) && mayTakeOver() {
		return a.takeOver(ctx, second, running, turn, known, err)
	}
	return known, err
}

// takeOver goes on with a turn on the second connection. What is known of it until the
// first one was lost, and the loss, are what is returned where that does not succeed.
func (a *attempt) takeOver(ctx context.Context, o *observed, running *appclient.RunningTurn, turn appclient.Turn, known *appclient.TurnResult, lost error) (*appclient.TurnResult, error) {
	if err := o.session.Sync(ctx); err != nil {
		return known, lost
	}
	a.log.Warn().AnErr("cause", lost).Msg("the connection was lost in a turn; it goes on, followed on the second one")
	a.rec.Progress(engine.Progress{Kind: engine.ProgressReconcile, Text: fmt.Sprintf("%v; the turn goes on, followed on the second connection", lost)})
	lostBefore := a.asking.connectionLost(func(request string) bool {
		return known != nil && slices.ContainsFunc(known.Approvals, func(answer appclient.Approval) bool { return answer.RequestID == request && answer.Accepted })
	})
	turn.Approve = a.approveOn(lostBefore)
	turn.OnAccepted = nil // it has been
	idle := o.session.LoopStatus().Idle()
	o.turn.TakeOverFrom(turn, running)
	if idle {
		select {
		case <-o.turn.Done():
		case <-time.After(a.r.opts.SettleTime):
			o.turn.Leave() // it was over before the second connection was subscribed
		}
	}
	result, err := o.turn.Wait(context.WithoutCancel(ctx))
	switch {
	case errors.Is(err, appclient.ErrNotFollowed):
		return known, lost // or ctx ended before it was taken over
	case err == nil && result.StopReason == appclient.StopCancelled:
		return known, lost // by the App Server: it had no connection for a moment
	}
	if err == nil && result.OK() && result.Gap {
		return a.filled(ctx, o.session.Client(), result)
	}
	return result, err
}

// filled returns the result with the whole answer, which is among the messages of the
// conversation: a part of the turn was seen on neither connection.
func (a *attempt) filled(ctx context.Context, client *appclient.Client, result *appclient.TurnResult) (*appclient.TurnResult, error) {
	after, verdict, err := messagesAfter(ctx, client, workflow.Runtime{AgentID: result.Runtime.AgentID, ConversationID: result.Runtime.ConversationID}, result.ClientMessageID)
	if err != nil {
		return nil, fmt.Errorf("%w: a part of the turn was not seen, and its answer cannot be looked up: %w", appclient.ErrConnectionLost, err)
	}
	finding, output, detail := a.r.classify(a.req, after, verdict, seenEnd{result: result})
	if finding != workflow.FindingFinished {
		return nil, fmt.Errorf("%w: a part of the turn was not seen: %s", appclient.ErrConnectionLost, detail)
	}
	a.log.Info().Msg("a part of the turn was seen on neither connection; its answer was looked up")
	result.Text = output
	return result, nil
}
