package engine

import (
	"context"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// What a turn had used that was aborted, or cut off by the end of the
// orchestrator, is counted: once, and with what was found out later.
func TestUsageOfTurnsWithoutAnEndIsCounted(t *testing.T) {
	for _, how := range []string{"cancelled", "stopped"} {
		dir, begun, f := t.TempDir(), make(chan string, 1), &fake{server: newServer(), model: "m"}
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			rec.Progress(Progress{Kind: ProgressUsage, Usage: workflow.Usage{TotalTokens: 3, Requests: 1}})
			rec.Progress(Progress{Kind: ProgressUsage, Usage: workflow.Usage{TotalTokens: 5, Requests: 2}})
			return blockUntilStopped(begun)(ctx, req, rec)
		}
		f.reconcile = func(context.Context, TurnRequest) (workflow.TurnReconciled, error) {
			return workflow.TurnReconciled{Finding: workflow.FindingFinished, Model: "m", Usage: workflow.Usage{TotalTokens: 7, Requests: 1}}, nil
		}
		priced := func(o *Options) { o.Prices = prices{"m": 3} }
		s := openStore(t, dir)
		e := newEngine(s, f, priced)
		first := run(t, e)
		id := first.mustSubmit(t, parse(t, single))
		<-begun
		want := int64(5)
		if how == "cancelled" {
			if _, err := e.Cancel(t.Context(), id, "me"); err != nil {
				t.Fatal(err)
			}
		}
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		if how == "stopped" {
			want = 12
			e = newEngine(s, f, priced)
			run(t, e)
			e.wait(t, id)
		}
		state, err := s.Task(t.Context(), id)
		if err != nil || state.Usage.TotalTokens != want || state.Cost != 3*want {
			t.Errorf("%s: %+v, cost %d, %v", how, state.Usage, state.Cost, err)
		}
		sums, err := s.Usage(t.Context(), store.UsageFilter{By: store.UsageByTask})
		if err != nil || len(sums) != 1 || sums[0].Turns != 1 || sums[0].Usage != state.Usage || sums[0].Cost != state.Cost {
			t.Errorf("%s: %+v, %v", how, sums, err)
		}
	}
}
