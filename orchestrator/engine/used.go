package engine

import (
	"context"
	"errors"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// takeSeen returns what the attempt was seen to use, once.
func (r *recorder) takeSeen() workflow.Usage {
	if seen := r.seen.Swap(nil); seen != nil {
		return *seen
	}
	return workflow.Usage{}
}

// recordUsed records what an attempt has used without an end that says so: it is
// paid for, whatever became of it. What the App Server has not said before the
// attempt was aborted nobody knows.
func (e *Engine) recordUsed(ctx context.Context, rec *recorder, turn workflow.Turn) {
	usage := rec.takeSeen()
	if usage == (workflow.Usage{}) {
		return
	}
	used := workflow.TurnUsed{Turn: rec.key.turn, Attempt: rec.key.attempt, Node: turn.Node, Branch: turn.Branch, Usage: usage, Model: rec.modelName()}
	used.Cost, used.Unpriced = e.price(used.Model, used.Usage)
	// The goroutine of a turn that was aborted must not wait for a store that is away.
	_, err := e.applyNow(context.WithoutCancel(ctx), rec.key.task, used)
	if errors.Is(err, store.ErrUnavailable) {
		e.o.Log.Warn().Err(err).Str("task", rec.key.task).Int("turn", rec.key.turn).Int64("tokens", usage.TotalTokens).
			Msg("what the turn has used is not counted: the store is unavailable")
		return
	}
	e.handle(ctx, rec.key.task, "record what the turn has used", err)
}
