package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// observeTimeout bounds how long a turn waits for the second connection. It is
// a safeguard, and no turn waits long for it.
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

// observe begins to follow the turn that is about to be sent in the session; nil
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
	if o == nil {
		return
	}
	o.leave(errNotNeeded)
	<-o.turn.Done()
	o.session.Close()
}

// takeOver goes on with the turn on the second connection, after the first one
// has been lost with the given result and error. It returns what RunTurn would.
func (a *attempt) takeOver(ctx context.Context, o *observed, turn appclient.Turn, known *appclient.TurnResult, lost error) (*appclient.TurnResult, error) {
	a.log.Warn().AnErr("cause", lost).Msg("the connection was lost in a turn; it goes on, followed on the second one")
	a.rec.Progress(engine.Progress{Kind: engine.ProgressReconcile, Text: fmt.Sprintf("%v; the turn goes on, followed on the second connection", lost)})
	lostBefore := a.asking.connectionLost(func(request string) bool {
		return known != nil && slices.ContainsFunc(known.Approvals, func(answer appclient.Approval) bool { return answer.RequestID == request && answer.Accepted })
	})
	turn.Approve = a.approveOn(lostBefore)
	turn.OnAccepted = nil // it has been
	o.turn.TakeOver(turn)
	result, err := o.turn.Wait(context.WithoutCancel(ctx))
	if errors.Is(err, appclient.ErrNotFollowed) {
		return known, lost // ctx ended before it was taken over
	}
	return result, err
}
