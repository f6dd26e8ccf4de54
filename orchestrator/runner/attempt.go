package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// errTurnTimeout is the cause of aborting a turn that took too long.
var errTurnTimeout = errors.New("turn_timeout is over")

// attempt is one attempt at a turn.
type attempt struct {
	r        *Runner
	req      engine.TurnRequest
	rec      engine.Recorder
	log      zerolog.Logger
	cwd      string
	model    string // handle of the model; empty when it is not known
	watch    *progress
	tools    []appclient.Tool
	ownAgent string         // the agent of ours that was started last
	outcome  *outcomeReport // nil when the agent has no outcomes
	handoff  *handoffPick   // nil when the agent may not pick
	calls    calls
	asking   asking
	clock    turnClock
	stop     context.CancelCauseFunc // aborts the turn

	mu     sync.Mutex
	broken error // the first failure of the recorder outside of the turn's own goroutine
}

func newAttempt(r *Runner, req engine.TurnRequest, rec engine.Recorder) *attempt {
	a := &attempt{r: r, req: req, rec: rec}
	a.log = r.opts.Log.With().Str("task", req.Task).Int("turn", req.Turn.ID).Int("attempt", req.Turn.Attempt).
		Str("agent", req.Agent.Name).Logger()
	return a
}

// clientMessageID is unique as long as an attempt is committed before it is sent.
func clientMessageID(req engine.TurnRequest) string {
	return fmt.Sprintf("%s.%d.%d", req.Task, req.Turn.ID, req.Turn.Attempt)
}

// run carries the attempt out. Errors: a *failure, the recorder's, the end of
// ctx, *engine.NotConsumedError, *engine.UnknownOutcomeError.
func (a *attempt) run(ctx context.Context) (workflow.TurnFinished, error) {
	var err error
	if a.cwd, err = a.r.workspace(a.req.Workspace); err != nil {
		return workflow.TurnFinished{}, err
	}
	if err := a.makeTools(); err != nil {
		return workflow.TurnFinished{}, err
	}
	a.watch = &progress{show: a.rec.Progress, cwd: a.cwd}
	session, err := a.start(ctx)
	if err != nil {
		return workflow.TurnFinished{}, err
	}
	defer session.Close()
	rt := a.runtime(session)
	a.model = sessionModel(session)
	if err := a.rec.RuntimeStarted(ctx, engine.RuntimeRecord{
		Runtime: rt, CWD: a.cwd, Mode: string(a.mode()), Role: a.req.Agent.Role, Agent: a.req.Agent.Name,
		Task: a.req.Task, Model: a.model, Raw: slices.Clone(session.RawRuntime()),
	}); err != nil {
		return workflow.TurnFinished{}, err
	}
	if err := a.rec.Sending(ctx, clientMessageID(a.req), rt); err != nil {
		return workflow.TurnFinished{}, err
	}
	return a.turn(ctx, session)
}

// turn sends the input and follows it to its end.
func (a *attempt) turn(ctx context.Context, session *appclient.Session) (workflow.TurnFinished, error) {
	turnCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	limit := cmp.Or(a.req.Agent.TurnTimeout, DefaultTurnTimeout)
	silence := cmp.Or(a.req.Agent.StallTimeout, DefaultStallTimeout)
	a.stop = cancel
	a.clock.start(limit, func() { cancel(errTurnTimeout) })
	defer a.clock.stop()
	a.calls.open(ctx)

	// All are touched by the turn's own goroutine only, which has ended when RunTurn returns.
	var recorded error
	accepted, consumed, started := false, false, false
	accept := func(disposition string) {
		if accepted {
			return
		}
		accepted = true
		if recorded = a.rec.Accepted(ctx, disposition); recorded != nil {
			cancel(recorded)
		}
	}
	turn := appclient.Turn{
		Text: a.req.Turn.Message, ClientMessageID: clientMessageID(a.req), Tools: a.allowlist(),
		ExcludeInteractiveTools: true, Approve: a.approveOn(0),
		OnAccepted: func(d appclient.Disposition) {
			started = d != appclient.DispositionQueued
			accept(string(d))
		},
		OnEvent: func(e appclient.Event) {
			a.req.Frames.Read(e.Frame.ReceivedAt)
			if e.Delta != nil {
				accept("") // servers before 0.30.3 do not acknowledge: their first delta says it
			}
			consumed = consumed || fromModel(e)
			unknownDelta(a.log, e)
			a.watch.event(e)
		},
		StallTimeout: silence, AbortGrace: a.r.opts.AbortGrace,
	}
	result, err := a.follow(turnCtx, session, turn, func() bool {
		// An input that was queued may be followed by the end of the turn before it.
		return started && recorded == nil
	})
	a.calls.close()
	recorded = cmp.Or(recorded, a.brokenBy())
	switch {
	case recorded != nil:
		return workflow.TurnFinished{}, recorded
	case errors.Is(err, appclient.ErrInputDiscarded) && ctx.Err() == nil:
		// The conversation is still held by a turn that does not end, such as an
		// aborted one whose model is silent. Our input was taken out of its queue.
		return workflow.TurnFinished{}, &engine.NotConsumedError{
			Detail:           "the conversation was held by an earlier turn that does not end; the input waited in its queue and was taken back",
			ConversationLost: true,
		}
	case ctx.Err() != nil && (result == nil || !result.OK()):
		budget, ok := errors.AsType[*engine.BudgetError](context.Cause(ctx))
		if !ok {
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
		return a.reported(overBudget(result, err, budget)), nil
	case outOfTouch(result, err):
		return workflow.TurnFinished{}, &engine.UnknownOutcomeError{Err: err, Consumed: consumed}
	}
	finished := conclude(result, err, limit, silence)
	finished.QuotaReset = quotaReset(finished, a.r.opts.Now())
	return a.reported(finished), nil
}

// reported adds to the end of the turn what the agent said through our tools.
func (a *attempt) reported(finished workflow.TurnFinished) workflow.TurnFinished {
	finished.Model = a.model
	a.outcome.report(&finished)
	a.handoff.report(&finished)
	return finished
}

// fromModel says whether an event shows that the model has read the input. An
// event that is only queued behind a turn of somebody else does not come here:
// the client follows its own turn alone.
func fromModel(e appclient.Event) bool {
	if e.Delta == nil || e.Frame.SubagentID != "" {
		return false
	}
	switch e.Delta.MessageType {
	case appclient.DeltaAssistant, appclient.DeltaReasoning, appclient.DeltaApprovalRequest, appclient.DeltaToolCall, appclient.DeltaUsage:
		return true
	}
	return false
}

// mode is the permission mode of the agent.
func (a *attempt) mode() appclient.Mode { return modeOf(a.req.Agent) }

func modeOf(agent *workflow.Agent) appclient.Mode {
	return appclient.Mode(cmp.Or(agent.PermissionMode, string(appclient.ModeStandard)))
}

// runtime names the conversation for records.
func (a *attempt) runtime(session *appclient.Session) workflow.Runtime {
	rt := session.Runtime()
	return workflow.Runtime{Server: a.r.opts.Server.Name(), AgentID: rt.AgentID, ConversationID: rt.ConversationID}
}
