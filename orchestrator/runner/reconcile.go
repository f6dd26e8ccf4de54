package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Reconcile finds out what became of an attempt that may have been sent. It
// waits for a turn that still runs. An error means that the server could not
// be asked, and that it is worth asking again.
//
// A turn counts as finished only where that is certain: a server lists the
// piece of an answer that a cancelled turn left behind like a whole one, for
// as long as its process lives. It is certain where the turn was found running
// and seen to end, and after a restart of the server: such pieces are gone then.
func (r *Runner) Reconcile(ctx context.Context, req engine.TurnRequest) (workflow.TurnReconciled, error) {
	found := workflow.TurnReconciled{Turn: req.Turn.ID, Attempt: req.Turn.Attempt}
	rt := req.Turn.Runtime
	if rt.Server != r.opts.Server.Name() {
		found.Finding = workflow.FindingUnknown
		found.Detail = fmt.Sprintf("the turn was sent to the App Server %s, and this is %s", rt.Server, r.opts.Server.Name())
		return found, nil
	}
	client, err := r.conn.get(ctx)
	if err != nil {
		return found, fmt.Errorf("reconcile turn %d of task %s: %w", req.Turn.ID, req.Task, err)
	}
	end, err := r.awaitIdle(ctx, client, req)
	var mismatch *appclient.MismatchError
	switch {
	case errors.Is(err, appclient.ErrNotFound):
		found.Finding, found.ConversationLost = workflow.FindingUnknown, true
		found.Detail = fmt.Sprintf("conversation %s is no longer on the App Server %s: %v", rt.ConversationID, rt.Server, err)
		return found, nil
	case errors.As(err, &mismatch):
		found.Finding = workflow.FindingUnknown
		found.Detail = fmt.Sprintf("conversation %s could not be looked at: %v", rt.ConversationID, err)
		return found, nil
	case errors.Is(err, errStillRuns):
		// To go on beside it, in the same workspace, is for the rules to decide.
		found.Finding, found.ConversationLost = workflow.FindingUnknown, true
		found.Detail = err.Error()
		return found, nil
	case err != nil:
		return found, fmt.Errorf("reconcile turn %d of task %s: %w", req.Turn.ID, req.Task, err)
	}
	after, verdict, err := r.settled(ctx, client, req, &end)
	if err != nil {
		return found, fmt.Errorf("reconcile turn %d of task %s: %w", req.Turn.ID, req.Task, err)
	}
	found.Finding, found.Output, found.Detail = r.classify(req, after, verdict, end)
	if end.result != nil {
		found.Usage, found.Model = usageOf(end.result.Usage), end.model
		if !end.whole() {
			found.Detail += fmt.Sprintf("; it was seen to end with %s", end.result.StopReason)
		}
	}
	return found, nil
}

// errStillRuns says that a turn runs on although it was aborted.
var errStillRuns = errors.New("the turn still runs on the App Server and cannot be aborted")

// seenEnd is what was seen of a turn that was found running.
type seenEnd struct {
	// aborted says that it was aborted: its time was over.
	aborted bool
	// result is nil where nothing ran, or the end was not seen.
	result *appclient.TurnResult
	// model is what it ran on; empty where that is not known.
	model string
}

// whole says that the turn was seen to come to its end, so that what the list has of it is whole.
func (s seenEnd) whole() bool { return s.result != nil && s.result.OK() }

// awaitIdle subscribes to the conversation and waits until nothing runs there.
// A turn that runs is followed to its end, and aborted when its time is over.
func (r *Runner) awaitIdle(ctx context.Context, client *appclient.Client, req engine.TurnRequest) (seenEnd, error) {
	frames := client.Frames()
	defer frames.Close()
	a := newAttempt(r, req, nil)
	a.cwd, a.watch = req.Workspace, &progress{cwd: req.Workspace, show: func(engine.Progress) {}}
	if cwd, err := r.workspace(req.Workspace); err == nil {
		a.cwd = cwd // the one that the conversation has; one that is gone is of no concern here
	}
	session, err := client.StartRuntime(ctx, appclient.RuntimeStart{
		AgentID: req.Turn.Runtime.AgentID, ConversationID: req.Turn.Runtime.ConversationID,
		CWD: a.cwd, Mode: a.mode(), Approve: a.approveAlone,
	})
	if err != nil {
		return seenEnd{}, err
	}
	defer session.Close()
	// The state of the loop comes after the answer; that of a sync before it.
	if err := session.Sync(ctx); err != nil || session.LoopStatus().Idle() {
		return seenEnd{}, err
	}
	limit := cmp.Or(req.Agent.TurnTimeout, DefaultTurnTimeout)
	if !req.Turn.Started.IsZero() {
		limit = min(limit, max(0, limit-time.Since(req.Turn.Started)))
	}
	a.log.Info().Msg("the turn still runs on the App Server; it is followed to its end")
	over := time.Now().Add(limit)
	result, err := r.followToEnd(ctx, session, req, limit)
	if err != nil || result != nil {
		return seenEnd{result: result, model: sessionModel(session)}, err
	}
	if idle, err := waitIdle(ctx, frames, session, time.Until(over)); idle || err != nil {
		return seenEnd{}, err
	}
	a.log.Info().Msg("a turn that was left running is aborted: its time is over")
	if _, err := session.Abort(ctx); err != nil {
		return seenEnd{}, err
	}
	idle, err := waitIdle(ctx, frames, session, r.opts.AbortGrace)
	if err == nil && !idle {
		err = errStillRuns
	}
	return seenEnd{aborted: true}, err
}

// followToEnd follows the turn that runs in the session. The result is nil where
// its end was not seen within limit.
func (r *Runner) followToEnd(ctx context.Context, session *appclient.Session, req engine.TurnRequest, limit time.Duration) (*appclient.TurnResult, error) {
	following, leave := context.WithTimeout(ctx, limit)
	defer leave()
	turn, err := session.FollowTurn(following, appclient.Turn{ClientMessageID: req.Turn.ClientMessageID})
	if err != nil {
		return nil, err
	}
	defer func() {
		leave()
		<-turn.Done()
	}()
	// It may have ended between the look at its state and the following.
	if err := session.Sync(ctx); err != nil {
		return nil, err
	}
	if session.LoopStatus().Idle() {
		select {
		case <-turn.Done():
		case <-time.After(r.opts.SettleTime):
			return nil, nil //nolint:nilnil // the end was missed, which is no error
		}
	}
	result, err := turn.Wait(context.WithoutCancel(ctx))
	switch {
	case err == nil:
		return result, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, appclient.ErrNotFollowed):
		return nil, nil //nolint:nilnil // its time is over, which the caller sees
	}
	return nil, err
}

// waitIdle waits at most limit until the loop of the runtime is idle.
func waitIdle(ctx context.Context, frames *appclient.Subscription, session *appclient.Session, limit time.Duration) (bool, error) {
	wait, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !session.LoopStatus().Idle() {
		if _, err := frames.Next(wait); err != nil {
			if wait.Err() != nil && ctx.Err() == nil {
				return session.LoopStatus().Idle(), nil
			}
			return false, err
		}
	}
	return true, nil
}

// settled looks for the input in its conversation, and for one that is not
// there once more after a while: the server may still be about to store what it
// had just received when the connection broke. A server that died may have lost
// what it had stored, but not what the model was seen to answer.
func (r *Runner) settled(ctx context.Context, client *appclient.Client, req engine.TurnRequest, end *seenEnd) ([]appclient.Message, consumption, error) {
	rt, id := req.Turn.Runtime, req.Turn.ClientMessageID
	after, verdict, err := messagesAfter(ctx, client, rt, id)
	if err != nil || verdict != notConsumed {
		return after, verdict, err
	}
	if req.Consumed {
		return nil, consumed, nil
	}
	select {
	case <-time.After(r.opts.SettleTime):
	case <-ctx.Done():
		return nil, cannotTell, context.Cause(ctx)
	}
	later, err := r.awaitIdle(ctx, client, req)
	if err != nil {
		return nil, cannotTell, err
	}
	if later.result != nil || later.aborted {
		*end = later
	}
	return messagesAfter(ctx, client, rt, id)
}

// consumption says whether an input reached its conversation.
type consumption int

const (
	consumed consumption = iota
	notConsumed
	cannotTell
)

const (
	messagePage = 50
	// maxMessagePages bounds how far back an input is looked for.
	maxMessagePages = 40
)

// messagesAfter looks for the input in the conversation and returns what was
// stored after it, oldest first.
func messagesAfter(ctx context.Context, client *appclient.Client, rt workflow.Runtime, id string) ([]appclient.Message, consumption, error) {
	var newestFirst []appclient.Message
	inputs, named := 0, 0
	before := ""
	for range maxMessagePages {
		page, err := client.ListMessages(ctx, appclient.MessageQuery{
			ConversationID: rt.ConversationID, AgentID: rt.AgentID, Limit: messagePage, Order: appclient.NewestFirst, Before: before,
		})
		if err != nil {
			return nil, cannotTell, fmt.Errorf("list messages: %w", err)
		}
		for _, message := range page.Messages {
			if message.Type == appclient.DeltaUser {
				inputs++
				if message.OTID != "" {
					named++
				}
				if message.OTID == id {
					return reversed(newestFirst), consumed, nil
				}
			}
			newestFirst = append(newestFirst, message)
		}
		if !page.HasMore || page.NextBefore == "" || len(page.Messages) == 0 {
			if inputs > 0 && named == 0 {
				return nil, cannotTell, nil // a server that does not say which input a message was
			}
			return nil, notConsumed, nil
		}
		before = page.NextBefore
	}
	return nil, cannotTell, nil
}

func reversed(messages []appclient.Message) []appclient.Message {
	out := make([]appclient.Message, 0, len(messages))
	for i := len(messages) - 1; i >= 0; i-- {
		out = append(out, messages[i])
	}
	return out
}

// notificationStart begins the input of a turn that nobody has asked for: of a
// background command that has ended, for instance.
const notificationStart = "<task-notification>"

// classify says what the messages after the input mean.
func (r *Runner) classify(req engine.TurnRequest, after []appclient.Message, c consumption, end seenEnd) (finding workflow.Finding, output, detail string) {
	switch c {
	case cannotTell:
		return workflow.FindingUnknown, "", "the App Server's list of messages does not tell whether the input arrived"
	case notConsumed:
		return workflow.FindingNotConsumed, "", "the input is not among the messages of its conversation"
	case consumed:
	}
	calls, open := 0, make(map[string]bool)
	answer, last := "", ""
	for _, message := range after {
		if message.Type == appclient.DeltaUser && strings.HasPrefix(strings.TrimSpace(message.Text), notificationStart) {
			break // what follows is a turn that the server began by itself
		}
		last = message.Type
		switch message.Type {
		case appclient.DeltaApprovalRequest, appclient.DeltaToolCall:
			answer = ""
			for _, call := range message.ToolCalls {
				calls++
				open[call.ID] = true
			}
		case appclient.DeltaToolReturn:
			answer = ""
			delete(open, message.ToolCallID)
		case appclient.DeltaUser:
			answer = "" // the server asked the model again, and stored the input once more
		case appclient.DeltaAssistant:
			answer += message.Text
		}
	}
	detail = fmt.Sprintf("the input arrived; %d tool calls followed, %d of them without a result", calls, len(open))
	if last != appclient.DeltaAssistant || len(open) > 0 {
		return workflow.FindingInterrupted, "", detail
	}
	if end.aborted || !end.whole() && !r.restartedSince(req.Turn.Started) {
		return workflow.FindingInterrupted, "", detail + ", and an answer that may be cut off"
	}
	return workflow.FindingFinished, answer, detail + ", and a whole answer"
}

// restartedSince says whether the server's process is certainly younger than t.
func (r *Runner) restartedSince(t time.Time) bool {
	server, ok := r.opts.Server.(startTimer)
	return ok && !t.IsZero() && server.Started().After(t)
}
