package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// claim takes up one queued task. Its first turn becomes ready through follow.
// It is true when the task has to get its workspace first.
func (e *Engine) claim(ctx context.Context, task string) (unprepared bool) {
	ent := e.acquire(task)
	defer e.release(ent)
	began := e.clock()
	state, _, err := e.current(ctx, ent)
	if err == nil && state.Status != workflow.TaskQueued {
		return false // cancelled, or claimed before
	}
	if err == nil && preparing(state) && e.o.Workspaces != nil {
		return true
	}
	if err == nil {
		if state.Parent.Waits() {
			e.tendChild(ctx, task) // cancels it where nobody waits for it any more
		}
		if _, err = e.apply(ctx, task, workflow.TaskClaimed{}); err == nil {
			e.tellClaim(state, began)
		}
	}
	e.handle(ctx, task, "claim the task", err)
	return false
}

// handle deals with an error of a decision for which nobody waits.
func (e *Engine) handle(ctx context.Context, task, action string, err error) {
	switch {
	case err == nil:
	case errors.Is(err, workflow.ErrStale), errors.Is(err, workflow.ErrTerminal):
		e.o.Log.Debug().Err(err).Str("task", task).Msg("dropped what came too late")
	case errors.Is(err, store.ErrUnavailable): // and the engine stops, or it would have been done again
		e.o.Log.Warn().Err(err).Str("task", task).Msg(action + ": not recorded; the next start finds out what became of it")
	case errors.Is(err, store.ErrStorage):
		e.fail(err)
	case errors.Is(err, ErrStopped), errors.Is(err, ErrStopping), ctx.Err() != nil && errors.Is(err, context.Cause(ctx)):
		// The engine stops; the next one goes on from what is stored.
	default:
		e.giveUp(task, fmt.Errorf("%s: %w", action, err))
	}
}

// storeFailed deals with an error that belongs to no one task: a store that
// fails for good ends the engine, and one that is unavailable is tried again.
func (e *Engine) storeFailed(err error) {
	switch {
	case errors.Is(err, store.ErrUnavailable):
		e.beginOutage(err)
	case errors.Is(err, store.ErrStorage):
		e.fail(err)
	}
}

// runTurn carries out one attempt at a turn.
func (e *Engine) runTurn(ctx context.Context, w *work) next {
	state, team, turn, ok := e.wanted(ctx, w, func(turn workflow.Turn) bool { return turn.State == workflow.TurnPending })
	if ok && turn.Kind == workflow.KindAgent && state.Parent != nil {
		if !e.admit(context.WithoutCancel(ctx), w, state) {
			return next{}
		}
		state, team, turn, ok = e.wanted(ctx, w, func(turn workflow.Turn) bool { return turn.State == workflow.TurnPending })
	}
	if !ok {
		return next{}
	}
	if turn.Kind == workflow.KindAgent || turn.Kind == workflow.KindCheck {
		stand, changed := e.standsIn(ctx, w, state)
		if !stand.ok {
			return stand.next
		}
		if changed {
			if state, team, turn, ok = e.wanted(ctx, w, func(turn workflow.Turn) bool { return turn.State == workflow.TurnPending }); !ok {
				return next{}
			}
		}
	}
	switch turn.Kind {
	case workflow.KindCheck:
		e.runCheck(ctx, w, state, team, turn)
		return next{}
	case workflow.KindTeam:
		e.runTeam(ctx, w, state, team, turn)
		return next{}
	case workflow.KindAgent, workflow.KindGate:
	}
	req, ok := e.request(ctx, w, state, team, turn)
	if !ok {
		return next{}
	}
	log := e.o.Log.With().Str("task", w.key.task).Int("turn", w.key.turn).Int("attempt", w.key.attempt).Str("agent", req.Turn.Node).Logger()
	log.Debug().Msg("turn starts")
	req.Frames = e.frameTimes(w.key)
	rec := &recorder{engine: e, key: w.key, work: w, node: req.Turn.Node, turn: req.Turn, needPrice: req.NeedPrice}
	finished, err := e.callRun(ctx, req, rec, log)
	sent, refused := rec.close()
	req.Frames.over()
	defer e.observing.forget(w.key)
	if err != nil || refused != nil {
		rec.acceptance.flush()
	}
	defer func() { e.closeTranscript(rec.takeKept(), nil) }()
	e.mu.Lock()
	e.forget(w.key)
	e.mu.Unlock()
	if err == nil && refused == nil {
		rec.seen.Store(nil) // its end says it
	}
	defer e.recordUsed(ctx, rec, turn)
	var price *PriceError
	var budget *BudgetError
	var busy *store.BusyError
	var notConsumed *NotConsumedError
	var lost *UnknownOutcomeError
	var unreachable *UnreachableError
	var other *OtherServerError
	switch {
	case errors.As(refused, &busy):
		log.Info().Err(refused).Msg("turn waits for the conversation")
		return next{busy: busy, node: req.Turn.Node}
	case errors.As(refused, &price):
		// Not Unpriced: nothing was used, and the turn may start when the price is known.
		e.finishKept(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: price.Error(), Model: price.Model}, rec.takeKept(), nil)
	case refused != nil: // whatever the runner made of it, nothing was sent or nobody wants it
		e.handle(ctx, w.key.task, "record the turn", refused)
	case err == nil:
		if finished.Model == "" {
			finished.Model = rec.modelName()
		}
		e.finishKept(ctx, w.key, finished, rec.takeKept(), rec.acceptance)
	case errors.As(err, &notConsumed):
		log.Warn().Err(err).Msg("the input was not consumed; it is sent again")
		e.tellRecovery(w, RecoveryNotConsumed)
		found := workflow.TurnReconciled{
			Turn: w.key.turn, Attempt: w.key.attempt, Finding: workflow.FindingNotConsumed,
			Detail: notConsumed.Detail, ConversationLost: notConsumed.ConversationLost,
		}
		e.closeTranscript(rec.takeKept(), found)
		e.record(ctx, w.key, found)
	case errors.As(context.Cause(ctx), &budget):
		e.finishKept(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: budget.Note, Model: rec.modelName(), Usage: rec.takeSeen()}, rec.takeKept(), nil)
	case ctx.Err() != nil:
		log.Debug().AnErr("cause", context.Cause(ctx)).Msg("turn stopped; nothing is recorded for it")
	case sent:
		// Also when the runner panicked or broke its contract: the turn may still
		// run, and a rule that retries it would have it run twice.
		if !errors.As(err, &lost) {
			log.Error().Err(err).Msg("the runner returned an error instead of an end of the turn")
			lost = &UnknownOutcomeError{Err: err}
		}
		log.Warn().Err(lost.Err).Msg("contact with the turn was lost; asking the App Server what became of it")
		rec.show(Progress{Kind: ProgressReconcile, Text: lost.Err.Error()})
		e.tellRecovery(w, RecoveryLost)
		return next{lost: lost}
	case errors.As(err, &other) && e.o.Servers != nil:
		return next{line: true, server: other.Server}
	case errors.As(err, &unreachable):
		log.Warn().Err(err).Msg("the turn waits for the App Server")
		e.publishProgress(w.key, req.Turn.Node, Progress{Kind: ProgressReconcile, Text: err.Error() + "; trying again"})
		e.tellRecovery(w, RecoveryUnreachable)
		return e.awaitServer(err)
	case errors.As(err, &lost):
		e.finishKept(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonConnectionLost, Error: lost.Err.Error()}, rec.takeKept(), nil)
	default:
		// A runner reports what goes wrong as a TurnFinished. One that returns
		// an error instead must not leave the turn open for ever.
		log.Error().Err(err).Msg("the runner returned an error instead of an end of the turn")
		e.finishKept(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonError, Error: err.Error()}, rec.takeKept(), nil)
	}
	return next{}
}

// finish records the end of an attempt.
func (e *Engine) finish(ctx context.Context, key turnKey, finished workflow.TurnFinished) {
	e.finishKept(ctx, key, finished, nil, nil)
}

// finishKept is finish for an attempt with a transcript, and whose acceptance may not
// be recorded yet; both may be nil.
func (e *Engine) finishKept(ctx context.Context, key turnKey, finished workflow.TurnFinished, kept Transcript, accepted *acceptance) {
	finished.Turn, finished.Attempt = key.turn, key.attempt
	finished.Output = e.o.Redact.String(finished.Output) // before it is cut
	finished.Cost, finished.Unpriced = e.price(finished.Model, finished.Usage)
	defer func() { e.closeTranscript(kept, finished) }()
	ent := e.acquire(key.task)
	defer e.release(ent)
	if _, team, err := e.current(context.WithoutCancel(ctx), ent); err == nil {
		if len(finished.Output) > outputLimit(team) {
			accepted.flush() // to keep the output may take long
		}
		if finished.Output, finished.OutputFile, err = e.keepOutput(ctx, key, team, finished.Output, finished.OutputFile); err != nil {
			// What cannot be kept must not be taken for the whole.
			e.handle(ctx, key.task, "keep the long output", err)
			return
		}
	}
	e.closeTranscript(kept, finished)
	kept = nil
	e.record(ctx, key, finished, accepted.take()...)
}

// record commits how an attempt ended, also while the engine stops.
func (e *Engine) record(ctx context.Context, key turnKey, body workflow.EventBody, before ...proposal) {
	err := e.applyAll(context.WithoutCancel(ctx), key.task, append(before, proposal{body: body})...)
	e.handle(ctx, key.task, "record the end of the turn", err)
}

// wanted returns the turn of a piece of work, and is false when the attempt is
// no longer what is wanted.
func (e *Engine) wanted(ctx context.Context, w *work, is func(workflow.Turn) bool) (workflow.State, *workflow.Team, workflow.Turn, bool) {
	state, team, err := e.current(ctx, w.ent)
	if err != nil {
		e.handle(ctx, w.key.task, "load the task", err)
		return state, nil, workflow.Turn{}, false
	}
	turn, ok := liveTurn(state, w.key.turn)
	if !ok || turn.Attempt != w.key.attempt || !is(turn) {
		return state, nil, workflow.Turn{}, false
	}
	if kind, ok := team.Kind(turn.Node); !ok || kind != turn.Kind {
		e.giveUp(w.key.task, fmt.Errorf("run turn %d: team %s has no such node %q", turn.ID, team.Name, turn.Node))
		return state, nil, workflow.Turn{}, false
	}
	return state, team, turn, true
}

// request puts together what the runner of an agent's turn needs.
func (e *Engine) request(ctx context.Context, w *work, state workflow.State, team *workflow.Team, turn workflow.Turn) (TurnRequest, bool) {
	agent := team.Agents[turn.Node]
	req := TurnRequest{
		Task: w.key.task, Server: w.room, Team: team, Agent: agent, Turn: turn,
		Workspace: state.Workspace, Conversation: state.RuntimeOf(turn), Consumed: w.consumed,
		HandoffTargets: team.HandoffTargets(agent.Name),
	}
	var err error
	if req.NeedPrice, err = e.needsPrice(ctx, team, state, turn); err != nil {
		e.handle(ctx, w.key.task, "look for limits of money", err)
		return TurnRequest{}, false
	}
	if slices.Contains(agent.ControllerTools, workflow.ToolSpawnTask) {
		req.SpawnTeams = slices.Sorted(maps.Keys(team.Teams))
	}
	if agent.Conversation == workflow.ConversationShared {
		shared, err := e.o.Store.SharedConversation(ctx, team.Name, agent.Name)
		if err != nil {
			e.handle(ctx, w.key.task, "look for the shared conversation", err)
			return TurnRequest{}, false
		}
		req.Conversation = shared // not the task's own note of it: another task may have lost it
	}
	return req, true
}

// needsPrice says that a limit of money applies to a turn, in its task or in one
// above that its task is a sub-team of.
func (e *Engine) needsPrice(ctx context.Context, team *workflow.Team, state workflow.State, turn workflow.Turn) (bool, error) {
	if workflow.NeedsPrice(team, state, turn) {
		return true, nil
	}
	above, err := e.above(ctx, state, e.current)
	return above != nil && slices.ContainsFunc(above, func(a ancestor) bool { return workflow.NeedsPrice(a.team, a.state, a.turn) }), err
}

// callRun turns a panic of the runner into an error: one turn must not take the
// whole daemon down.
func (e *Engine) callRun(ctx context.Context, req TurnRequest, rec Recorder, log zerolog.Logger) (finished workflow.TurnFinished, err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error().Interface("panic", p).Bytes("stack", debug.Stack()).Msg("the runner panicked")
			err = fmt.Errorf("the runner panicked: %v", p)
		}
	}()
	return e.o.Runner.Run(ctx, req, rec)
}

// recorder commits what a runner reports about one attempt.
type recorder struct {
	engine    *Engine
	key       turnKey
	work      *work
	node      string
	turn      workflow.Turn
	needPrice bool
	// model and over can be read by Progress, which must not wait for mu.
	model atomic.Pointer[string]
	over  atomic.Bool
	// seen is what the attempt was last seen to have used.
	seen atomic.Pointer[workflow.Usage]
	live liveText
	kept atomic.Pointer[Transcript]

	// mu is held while something is recorded, and so while the store is unavailable.
	mu   sync.Mutex
	err  error // the first refusal
	sent bool  // the input may have been written
	// started is what is stored with the sending; nil before it is known.
	started *store.Runtime
	// acceptance is what was acknowledged and may not be stored yet; nil for none.
	acceptance *acceptance
}

// modelName is the model that the turn runs on; empty before it is known.
func (r *recorder) modelName() string {
	if model := r.model.Load(); model != nil {
		return *model
	}
	return ""
}

// close ends the recording and returns whether the input may have been sent,
// and the first refusal.
func (r *recorder) close() (sent bool, refused error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range r.live.end() {
		r.show(p)
	}
	r.over.Store(true)
	return r.sent, r.err
}

// record runs fn unless the turn is over.
func (r *recorder) record(ctx context.Context, action string, fn func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over.Load() {
		return fmt.Errorf("%s: the run of the turn has returned", action)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", action, context.Cause(ctx))
	}
	err := fn()
	if err != nil {
		err = fmt.Errorf("%s: %w", action, err)
		if r.err == nil {
			r.err = err
		}
	}
	return err
}

// RuntimeStarted implements Recorder.
func (r *recorder) RuntimeStarted(ctx context.Context, rt RuntimeRecord) error {
	return r.record(ctx, "store the runtime", func() error {
		r.model.Store(&rt.Model)
		if r.needPrice {
			known := false
			if prices := r.engine.o.Prices; prices != nil && rt.Model != "" {
				_, known = prices.Price(rt.Model, workflow.Usage{})
			}
			if !known {
				return &PriceError{Model: rt.Model}
			}
		}
		r.started = &store.Runtime{
			Runtime: rt.Runtime, CWD: rt.CWD, Mode: rt.Mode, Role: rt.Role, Agent: rt.Agent, Task: rt.Task, Raw: rt.Raw,
		}
		return nil
	})
}

// Sending implements Recorder.
func (r *recorder) Sending(ctx context.Context, clientMessageID string, rt workflow.Runtime) error {
	return r.record(ctx, "record the sending", func() error {
		if r.engine.stopsStarting() {
			return ErrStopping
		}
		if err := r.engine.talk(r.work, rt); err != nil {
			return err
		}
		err := r.engine.applyAll(ctx, r.key.task, proposal{
			body:    workflow.TurnSending{Turn: r.key.turn, Attempt: r.key.attempt, ClientMessageID: clientMessageID, Runtime: rt},
			runtime: r.started,
		})
		if err == nil && !r.sent {
			r.sent = true
			r.keep(r.engine.beginTranscript(r.key, r.turn, rt, r.modelName(), r.turn.Message))
		}
		return err
	})
}

// Progress implements Recorder.
func (r *recorder) Progress(p Progress) {
	for _, p := range r.live.next(r.engine.o.Redact, p) {
		r.show(p)
	}
	if p.Kind == ProgressUsage {
		if !r.over.Load() {
			r.seen.Store(&p.Usage)
			r.engine.measure(context.Background(), r.work, r.modelName(), p.Usage)
		}
	}
}

// show passes on what has no secrets.
func (r *recorder) show(p Progress) {
	if kept := r.kept.Load(); kept != nil {
		(*kept).Add(p)
	}
	if !p.keptOnly() {
		r.engine.publishProgress(r.key, r.node, p.watched())
	}
}

func (e *Engine) publishProgress(key turnKey, node string, p Progress) {
	e.hub.publish(Update{Task: key.task, Progress: &TurnProgress{Turn: key.turn, Attempt: key.attempt, Node: node, Progress: p, Encoded: &Encoded{}}})
}
