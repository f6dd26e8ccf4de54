package engine

import (
	"context"
	"errors"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TeamRunner takes the place of the tasks of sub-teams, where it wants to:
// tests of teams say how a sub-team ends without running it.
type TeamRunner interface {
	// Replaces reports whether RunTeam is to be called instead of making a task.
	// An error means that nothing may be recorded: ctx ended.
	Replaces(ctx context.Context, task string, turn workflow.Turn) (bool, error)
	// RunTeam says how the sub-team ended. Its Usage counts as that of the
	// sub-team's task. An error is as in CheckRunner.
	RunTeam(ctx context.Context, task string, turn workflow.Turn) (workflow.TurnFinished, error)
}

// standIn lets Options.Teams take the place of a sub-team's task; false means
// that it does not.
func (e *Engine) standIn(ctx context.Context, w *work, turn workflow.Turn) bool {
	if e.o.Teams == nil || turn.Child != "" {
		return false
	}
	replaced, err := e.o.Teams.Replaces(ctx, w.key.task, turn)
	if err != nil {
		e.o.Log.Debug().Err(err).Str("task", w.key.task).Int("turn", turn.ID).Msg("sub-team not started; nothing is recorded for it")
		return true
	}
	if !replaced {
		return false
	}
	if turn.State == workflow.TurnPending {
		if _, err := e.apply(ctx, w.key.task, workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt}); err != nil {
			e.handle(ctx, w.key.task, "record the start of the sub-team", err)
			return true
		}
	}
	finished, err := e.o.Teams.RunTeam(ctx, w.key.task, turn)
	budget := (*BudgetError)(nil)
	switch {
	case err == nil:
	case errors.As(context.Cause(ctx), &budget):
		finished = workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: budget.Note}
	case ctx.Err() != nil:
		e.o.Log.Debug().Err(err).Str("task", w.key.task).Int("turn", turn.ID).Msg("sub-team stopped; nothing is recorded for it")
		return true
	default:
		finished = workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: err.Error()}
	}
	if finished.Usage != (workflow.Usage{}) {
		e.record(ctx, w.key, workflow.ChildReported{Turn: turn.ID, Attempt: turn.Attempt, Usage: finished.Usage, Cost: finished.Cost})
	}
	e.finish(ctx, w.key, finished)
	return true
}
