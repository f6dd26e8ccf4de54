package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// runTeam starts the task of a sub-team, goes on with the one that the turn has
// already, or looks for it after a crash. It does not wait for its end: what the
// task commits is reported by followChild.
func (e *Engine) runTeam(ctx context.Context, w *work, state workflow.State, team *workflow.Team, turn workflow.Turn) {
	if e.standIn(ctx, w, turn) {
		return
	}
	child := cmp.Or(turn.Child, fmt.Sprintf("%s.%d.%d", w.key.task, turn.ID, turn.Attempt))
	if turn.State == workflow.TurnPending {
		if _, err := e.apply(ctx, w.key.task, workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, Child: child}); err != nil {
			e.handle(ctx, w.key.task, "record the start of the sub-team", err)
			return
		}
	}
	node := team.Teams[turn.Node]
	err := e.makeChild(ctx, child, state, node, turn.Input, workflow.TaskSubmitted{
		Parent: &workflow.Parent{Task: w.key.task, Turn: turn.ID, Attempt: turn.Attempt}, Limits: node.Limits,
	})
	budget, stopped := errors.AsType[*BudgetError](context.Cause(ctx))
	switch {
	case err == nil:
		e.tendChild(ctx, child)
	case errors.Is(err, store.ErrStorage), errors.Is(err, ErrStopped):
		e.handle(ctx, w.key.task, "make the task of the sub-team", err)
	case stopped:
		e.finish(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: budget.Note})
	case ctx.Err() != nil:
		// The engine stops, and the next one goes on from what is stored; or the
		// turn was aborted, and nobody wants the task any more.
	default:
		e.finish(ctx, w.key, workflow.TurnFinished{Reason: workflow.ReasonFailed, Error: err.Error()})
	}
}

// makeChild makes a task under an ID that follows from its origin, unless it is there.
func (e *Engine) makeChild(ctx context.Context, id string, parent workflow.State, node *workflow.SubTeam, input map[string]any, event workflow.TaskSubmitted) error {
	state, err := e.o.Store.Task(ctx, id)
	if err == nil && state.Task == id {
		return nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrAmbiguous) {
		return err
	}
	if err := e.teams.save(ctx, e, e.o.Store, node.Team); err != nil {
		return err
	}
	own := node.Team.Workspace
	switch {
	case !own.Directory.IsZero() || own.Worktree != nil || parent.Workspace == "":
		if event.Prepare, err = e.checkPlace(PlaceRequest{Task: id, Team: node.Team, Input: input}); err != nil {
			return err
		}
	default:
		event.Workspace, event.GitBranch = parent.Workspace, parent.GitBranch
		if event.WorkspaceOf = parent.WorkspaceOf; parent.Place.Status != "" {
			event.WorkspaceOf = parent.Task
		}
	}
	event.Priority, event.Trace = parent.Priority, parent.Trace
	event.Task, event.Team, event.Revision, event.Input = id, node.Team.Name, node.Team.Revision, input
	_, _, err = e.create(ctx, e.o.Store, node.Team, event, "")
	return err
}

// waitingParent is the task that waits for this one as its sub-team; false for
// one that a person submitted or an agent spawned. The names of tasks say it, so
// that nothing has to be read.
func waitingParent(task string) (string, bool) {
	parts := strings.Split(task, ".")
	n := len(parts)
	if n < 3 || strings.HasPrefix(parts[n-1], "s") {
		return "", false
	}
	return strings.Join(parts[:n-2], "."), true
}

// runsFor reports whether a task is another one, or runs for it as a sub-team,
// however many are between them.
func runsFor(task, above string) bool {
	for ok := true; ok; task, ok = waitingParent(task) {
		if task == above {
			return true
		}
	}
	return false
}

// descends reports whether a task is, or belongs to, one of others.
func descends(task string, of []string) bool {
	for _, other := range of {
		if task == other || strings.HasPrefix(task, other+".") {
			return true
		}
	}
	return false
}
