package teamtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// realTimeout is the real time that a turn, or silence in it, may take: what a
// team allows is virtual time.
const realTimeout = 10 * time.Minute

// turns is the engine.TurnRunner, and the engine.CheckRunner, of a simulation.
// Turns run in the real runner; what they end with is taken from the scenario,
// and reported when their virtual time has come.
type turns struct {
	*simulation
	runner engine.TurnRunner
}

// Run implements engine.TurnRunner.
func (t *turns) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	key := turnKey{req.Task, req.Turn.ID}
	e, err := t.ending(ctx, req.Task, req.Turn)
	if err != nil {
		return workflow.TurnFinished{}, err
	}
	until := t.clock.Now().Add(e.takes(virtualTime(e, req.Agent)))
	var finished workflow.TurnFinished
	if workflow.Reason(e.Reason) == workflow.ReasonConnectionLost {
		finished.Reason = workflow.ReasonConnectionLost
		finished.Error = "connect to the App Server: nothing listens there"
	} else if finished, err = t.play(ctx, req, rec, e, until); err != nil {
		return finished, err
	}
	if e.reports(req.Agent) && finished.Reason == workflow.ReasonEndTurn && finished.Outcome == "" {
		t.fail(fmt.Errorf("%s cannot report %s: the data of the ending does not suit the schema of the agent", req.Agent.Name, e.Reason))
	}
	if err := t.sleep(ctx, key, until); err != nil {
		budget, over := errors.AsType[*engine.BudgetError](err)
		if !over {
			return finished, err
		}
		finished.Reason, finished.Error = workflow.ReasonBudgetExceeded, budget.Note
		finished.Outcome, finished.Summary, finished.Data, finished.Handoff = "", "", nil, ""
	}
	t.player.delivered(req.Task, req.Turn.ID)
	finished.Error = cmp.Or(e.Error, finished.Error)
	if e.Reason == EndingQuota && finished.Reason == workflow.ReasonLLMAPIError {
		finished.QuotaReset = t.clock.Now().Add(e.Reset)
	}
	if workflow.Reason(e.Reason) == workflow.ReasonUncertain {
		return finished, &engine.UnknownOutcomeError{Err: errors.New("the connection to the App Server broke"), Consumed: true}
	}
	return finished, nil
}

// virtualTime is how long a turn takes that says nothing of it.
func virtualTime(e *Ending, agent *workflow.Agent) time.Duration {
	switch e.Reason {
	case string(workflow.ReasonTurnTimeout):
		return cmp.Or(agent.TurnTimeout, workflow.DefaultTurnTimeout)
	case string(workflow.ReasonStalled):
		return cmp.Or(agent.StallTimeout, workflow.DefaultStallTimeout)
	}
	return 0
}

// play runs the turn on the App Server.
func (t *turns) play(ctx context.Context, req engine.TurnRequest, rec engine.Recorder, e *Ending, until time.Time) (workflow.TurnFinished, error) {
	agent := *req.Agent
	agent.TurnTimeout, agent.StallTimeout = realTimeout, realTimeout
	req.Agent = &agent
	watch := &watcher{Recorder: rec, sim: t.simulation, key: turnKey{req.Task, req.Turn.ID}, ending: e, answer: e.answer(&agent)}
	turnCtx, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	switch {
	case e.Reason == EndingCrash:
		watch.said = sync.OnceFunc(func() { t.crashAt(watch.key, until) })
	case e.cutOff():
		watch.said = sync.OnceFunc(func() { cut(&engine.BudgetError{Note: "the turn is cut off"}) })
	}
	finished, err := t.runner.Run(turnCtx, req, watch)
	if err != nil || !e.cutOff() || ctx.Err() != nil {
		return finished, err
	}
	finished.Reason = workflow.Reason(e.Reason)
	finished.Usage.PromptTokens, finished.Usage.CompletionTokens = int64(e.PromptTokens), int64(e.CompletionTokens)
	finished.Usage.TotalTokens = finished.Usage.PromptTokens + finished.Usage.CompletionTokens
	took := until.Sub(t.clock.Now())
	switch e.Reason {
	case string(workflow.ReasonTurnTimeout):
		finished.Error = fmt.Sprintf("the turn was aborted after %v (turn_timeout)", took)
	case string(workflow.ReasonStalled):
		finished.Error = fmt.Sprintf("the turn was aborted: nothing was heard of it for %v (stall_timeout)", took)
	}
	return finished, nil
}

// Reconcile implements engine.TurnRunner.
func (t *turns) Reconcile(ctx context.Context, req engine.TurnRequest) (workflow.TurnReconciled, error) {
	if t.uncertain(req.Task, req.Turn) {
		return workflow.TurnReconciled{Finding: workflow.FindingUnknown, Detail: "the App Server does not know the turn"}, nil
	}
	return t.runner.Reconcile(ctx, req)
}

// RunCheck implements engine.CheckRunner.
func (t *turns) RunCheck(ctx context.Context, req engine.CheckRequest) (workflow.TurnFinished, error) {
	key := turnKey{req.Task, req.Turn.ID}
	e, err := t.ending(ctx, req.Task, req.Turn)
	if err != nil {
		return workflow.TurnFinished{}, err
	}
	began := t.clock.Now()
	var otherwise time.Duration
	if workflow.Reason(e.Reason) == workflow.ReasonTimeout {
		otherwise = cmp.Or(req.Check.Timeout, workflow.DefaultCheckTimeout)
	}
	until := began.Add(e.takes(otherwise))
	if e.Reason == EndingCrash {
		t.crashAt(key, until)
		<-ctx.Done()
		return workflow.TurnFinished{}, context.Cause(ctx)
	}
	finished := workflow.TurnFinished{Reason: workflow.Reason(e.Reason), Output: e.Output, Error: e.Error, ExitCode: e.ExitCode}
	if err := t.sleep(ctx, key, until); err != nil {
		budget, over := errors.AsType[*engine.BudgetError](err)
		if !over {
			return finished, err
		}
		finished.Reason, finished.Error = workflow.ReasonBudgetExceeded, budget.Note
	}
	if finished.Reason == workflow.ReasonFailed && finished.ExitCode == 0 {
		finished.ExitCode = 1
	}
	finished.Duration = t.clock.Now().Sub(began)
	t.player.delivered(req.Task, req.Turn.ID)
	return finished, nil
}

// Replaces implements engine.TeamRunner: a sub-team whose nodes the scenario
// tells of is run.
func (t *turns) Replaces(ctx context.Context, task string, turn workflow.Turn) (bool, error) {
	e, err := t.ending(ctx, task, turn)
	if err != nil {
		return false, err
	}
	if e.Nodes == nil {
		return true, nil
	}
	t.player.script(fmt.Sprintf("%s.%d.%d", task, turn.ID, turn.Attempt), e.Nodes)
	t.player.delivered(task, turn.ID)
	return false, nil
}

// RunTeam implements engine.TeamRunner.
func (t *turns) RunTeam(ctx context.Context, task string, turn workflow.Turn) (workflow.TurnFinished, error) {
	e, err := t.ending(ctx, task, turn)
	if err != nil {
		return workflow.TurnFinished{}, err
	}
	if err := t.sleep(ctx, turnKey{task, turn.ID}, t.clock.Now().Add(e.takes(0))); err != nil {
		return workflow.TurnFinished{}, err
	}
	t.player.delivered(task, turn.ID)
	finished := workflow.TurnFinished{Reason: workflow.Reason(e.Reason), Output: e.Output, Outcome: e.Outcome, Summary: e.Summary}
	if e.Data != nil {
		finished.Data = e.Data
	}
	finished.Usage.PromptTokens, finished.Usage.CompletionTokens = int64(e.PromptTokens), int64(e.CompletionTokens)
	finished.Usage.TotalTokens = finished.Usage.PromptTokens + finished.Usage.CompletionTokens
	return finished, nil
}

// watcher is the recorder of a turn: it learns under which id the input is
// sent, and what becomes of the turn.
type watcher struct {
	engine.Recorder
	sim    *simulation
	key    turnKey
	ending *Ending
	answer apptest.Turn
	// said is called when the agent has said what it says before it is cut off.
	said func()

	mu   sync.Mutex
	text strings.Builder
}

// Sending implements engine.Recorder.
func (w *watcher) Sending(ctx context.Context, id string, rt workflow.Runtime) error {
	w.sim.expectInput(id, w.answer)
	return w.Recorder.Sending(ctx, id, rt)
}

// Accepted implements engine.Recorder.
func (w *watcher) Accepted(ctx context.Context, disposition string) error {
	err := w.Recorder.Accepted(ctx, disposition)
	if err == nil && w.said != nil && w.ending.Output == "" && len(w.ending.Calls) == 0 {
		w.said()
	}
	return err
}

// Progress implements engine.Recorder.
func (w *watcher) Progress(p engine.Progress) {
	w.Recorder.Progress(p)
	if p.Kind == engine.ProgressApproval {
		w.sim.approval(w.key, p)
	}
	if p.Kind == engine.ProgressText {
		w.mu.Lock()
		w.text.WriteString(p.Text)
		whole := w.text.Len() >= len(w.ending.Output)
		w.mu.Unlock()
		if whole && w.said != nil {
			w.said()
		}
	}
}
