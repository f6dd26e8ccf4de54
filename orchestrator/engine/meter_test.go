package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const beside = `
version: 1
name: beside
limits: {turns: 12, tokens: 100, at_limit: pause}
workspace: {parallel_writers: true}
agents:
  plan: {prompt: P}
  left: {prompt: L}
  right: {prompt: R}
teams:
  part: {team: part.yaml, input: {goal: it}}
start: plan
handoffs:
  - {from: plan, on: end_turn, to: [left, right]}
  - {from: right, on: end_turn, to: part}
  - {from: [left, part], on: [end_turn, succeeded], join: all, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// What a sub-team uses counts for the turns beside it, whichever of them says last
// what it has used.
func TestSubTeamAndTurnBesideItShareALimit(t *testing.T) {
	for _, last := range []string{"left", "x"} {
		s, f := openStore(t, t.TempDir()), &fake{server: newServer(), model: "m"}
		first, second := make(chan struct{}), make(chan struct{})
		var stopped atomic.Int32
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			name := req.Agent.Name
			if name != "left" && name != "x" || req.Turn.Attempt > 1 {
				return endTurn(req), nil
			}
			used := workflow.Usage{TotalTokens: 60}
			if name == last {
				<-first // and the other one is known to run
			}
			rec.Progress(Progress{Kind: ProgressUsage, Usage: used})
			if name == last {
				close(second)
			} else {
				close(first)
				<-second
			}
			<-ctx.Done()
			if _, limit := errors.AsType[*BudgetError](context.Cause(ctx)); !limit {
				return workflow.TurnFinished{}, context.Cause(ctx)
			}
			stopped.Add(1)
			return workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Model: "m", Usage: used}, nil
		}
		e := newEngine(s, f, func(o *Options) { o.Prices = prices{"m": 1} })
		sub := e.Subscribe("")
		d := run(t, e)
		id := e.mustSubmit(t, parseFiles(t, map[string]string{"team.yaml": beside, "part.yaml": part}))
		state := record(t, s, sub, id, func(s workflow.State) bool { return s.Status == workflow.TaskPaused && len(s.Turns) == 0 })
		sub.Close()
		if stopped.Load() != 2 || state.Usage.TotalTokens != 120 {
			t.Errorf("%s last: %d turns were stopped: %+v", last, stopped.Load(), state)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}

// What a turn is seen to use while it is looked up is paid for like any other.
func TestUsageFoundByReconcilingIsPriced(t *testing.T) {
	for _, model := range []string{"m", "unknown"} {
		dir, begun, f := t.TempDir(), make(chan string, 1), &fake{server: newServer(), model: "m"}
		f.answer = blockUntilStopped(begun)
		s := openStore(t, dir)
		first := run(t, newEngine(s, f))
		id := first.mustSubmit(t, parse(t, single))
		<-begun
		_ = first.stop()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		f.answer = nil
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{Finding: workflow.FindingInterrupted, Model: model, Usage: workflow.Usage{TotalTokens: 7}}, nil
		}
		s = openStore(t, dir)
		second := newEngine(s, f, func(o *Options) { o.Prices = prices{"m": 3} })
		run(t, second)
		state := second.wait(t, id)
		known := model == "m"
		if state.Usage.TotalTokens != 7 || known != (state.Cost == 21) || known == (len(state.Unpriced) == 1) {
			t.Errorf("%s: %+v, cost %d, unpriced %v", model, state.Usage, state.Cost, state.Unpriced)
		}
	}
}
