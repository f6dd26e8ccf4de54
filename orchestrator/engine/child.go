package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// maxSpawned bounds the tasks that the agents of one task may spawn.
const maxSpawned = 20

// runTeam starts the task of a sub-team, or looks for it after a crash. It does
// not wait for its end: what the task commits is reported by reportChild.
func (e *Engine) runTeam(ctx context.Context, w *work, state workflow.State, team *workflow.Team, turn workflow.Turn) {
	if e.standIn(ctx, w, turn) {
		return
	}
	child := turn.Child
	if turn.State == workflow.TurnPending {
		child = fmt.Sprintf("%s.%d.%d", w.key.task, turn.ID, turn.Attempt)
		if _, err := e.apply(ctx, w.key.task, workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, Child: child}); err != nil {
			e.handle(ctx, w.key.task, "record the start of the sub-team", err)
			return
		}
	}
	err := e.makeChild(ctx, child, state, team.Teams[turn.Node], turn.Input, workflow.TaskSubmitted{
		Parent: &workflow.Parent{Task: w.key.task, Turn: turn.ID, Attempt: turn.Attempt}, Limits: workflow.ChildLimits(team, state, turn),
	})
	budget, stopped := errors.AsType[*BudgetError](context.Cause(ctx))
	switch {
	case err == nil:
		e.reportChild(ctx, child)
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
	if err := e.teams.save(ctx, e, node.Team); err != nil {
		return err
	}
	sub := Submission{Team: node.Team, Input: input}
	if own := node.Team.Workspace; own.Directory.IsZero() && own.Worktree == nil {
		sub.Workspace = parent.Workspace
	}
	place, err := e.place(ctx, id, sub)
	if err != nil {
		return err
	}
	if sub.Workspace != "" {
		place.GitBranch = parent.GitBranch
	}
	event.Task, event.Team, event.Revision, event.Input = id, node.Team.Name, node.Team.Revision, input
	event.Workspace, event.GitBranch = place.Directory, place.GitBranch
	_, _, err = e.create(ctx, node.Team, event, "")
	return err
}

// reportChild tells the parent of a task what it has used, and how it ended. It
// cancels the task where the parent does not want it any more.
func (e *Engine) reportChild(ctx context.Context, child string) {
	ctx = context.WithoutCancel(ctx)
	ent := e.acquire(child)
	defer e.release(ent)
	ent.reporting.Lock()
	defer ent.reporting.Unlock()
	state, err := e.o.Store.Task(ctx, child)
	if err != nil {
		e.handle(ctx, child, "look at the task of the sub-team", err)
		return
	}
	p := state.Parent
	if p == nil || p.Spawned {
		return
	}
	parent, err := e.o.Store.Task(ctx, p.Task)
	if err != nil {
		e.handle(ctx, p.Task, "look at the task that the sub-team belongs to", err)
		return
	}
	turn, live := liveTurn(parent, p.Turn)
	live = live && turn.Attempt == p.Attempt
	if !state.Status.Terminal() && (!live || turn.Stopping != "") {
		// Nobody waits for it any more, or it was told to end before it was there.
		// Its end is another commit, which is reported in turn.
		_, err = e.Cancel(ctx, child, "task "+p.Task)
		e.handle(ctx, child, "cancel the task of the sub-team", err)
		return
	}
	if !live {
		return
	}
	report := workflow.ChildReported{
		Turn: p.Turn, Attempt: p.Attempt, Attempts: state.Attempts, Usage: state.Usage, Cost: state.Cost, Unpriced: state.Unpriced,
	}
	if turn.ChildAttempts != report.Attempts || turn.ChildUsage != report.Usage || turn.ChildCost != report.Cost {
		_, err := e.apply(ctx, p.Task, report)
		e.handle(ctx, p.Task, "record what the sub-team has used", err)
	}
	if !state.Status.Terminal() {
		return
	}
	e.finish(ctx, turnKey{p.Task, p.Turn, p.Attempt}, endOfChild(turn, state))
}

// endOfChild is the end of a sub-team's task as the end of its node, which ended
// at a limit where the task was stopped for one or did not get along with its
// own. A sub-team whose rules make a success of a limit has succeeded.
func endOfChild(turn workflow.Turn, child workflow.State) workflow.TurnFinished {
	r := child.Result
	out := workflow.TurnFinished{
		Reason: workflow.Reason(r.State), Output: r.Output, Outcome: r.Outcome, Summary: r.Summary, Data: r.Data,
	}
	if r.State != workflow.TaskSucceeded {
		out.Error = r.Explanation
	}
	switch {
	case r.State == workflow.TaskCancelled && turn.Stopping != "":
		out.Reason, out.Error = workflow.ReasonBudgetExceeded, turn.Stopping
	case r.State != workflow.TaskSucceeded && r.Reason == workflow.ReasonBudgetExceeded:
		out.Reason = workflow.ReasonBudgetExceeded
	}
	return out
}

// followChild starts what a commit of a sub-team's task means for its parent. e.mu is held.
func (e *Engine) followChild(prev, next workflow.State) {
	p := next.Parent
	if p == nil || p.Spawned || e.phase != phaseRunning || e.fatal != nil {
		return
	}
	if next.Status.Terminal() || next.Attempts != prev.Attempts || next.Usage != prev.Usage || next.Cost != prev.Cost {
		e.spawn(func(ctx context.Context) { e.reportChild(ctx, next.Task) })
	}
}

// cancelChild ends the task of a sub-team whose node is over. e.mu is held.
func (e *Engine) cancelChild(parent workflow.State, turn int) {
	t, ok := liveTurn(parent, turn)
	if !ok || t.Child == "" || e.phase != phaseRunning {
		return
	}
	e.spawn(func(ctx context.Context) {
		_, err := e.Cancel(context.WithoutCancel(ctx), t.Child, "task "+parent.Task)
		if !errors.Is(err, store.ErrNotFound) { // not made yet, and not made any more
			e.handle(ctx, t.Child, "cancel the task of the sub-team", err)
		}
	})
}

// Spawn implements Recorder.
func (r *recorder) Spawn(ctx context.Context, id, name string, input map[string]any) (string, error) {
	e := r.engine
	ent := e.acquire(r.key.task)
	defer e.release(ent)
	state, team, err := e.current(ctx, ent)
	if err != nil {
		return "", fmt.Errorf("spawn a task: %w", err)
	}
	node := team.Teams[name]
	if node == nil {
		return "", &SpawnError{Detail: fmt.Sprintf("there is no team %q", name)}
	}
	bound, err := node.Team.BindInput(input)
	if err != nil {
		return "", &SpawnError{Detail: err.Error()}
	}
	sum := sha256.Sum256([]byte(id))
	child := fmt.Sprintf("%s.%d.s%x", r.key.task, r.key.turn, sum[:4])
	if existing, err := e.o.Store.Task(ctx, child); err == nil && existing.Task == child {
		return child, nil
	}
	if state.Spawned >= maxSpawned {
		return "", &SpawnError{Detail: fmt.Sprintf("this task has spawned %d tasks, which is the most that one may", maxSpawned)}
	}
	err = r.record(ctx, "spawn a task", func() error {
		_, err := e.apply(ctx, r.key.task, workflow.TaskSpawned{Turn: r.key.turn, Attempt: r.key.attempt, Task: child, Team: node.Team.Name})
		return err
	})
	if err != nil {
		return "", err
	}
	// Outside of record: that a task cannot be made is for the agent to deal with,
	// and no reason to stop its turn.
	err = e.makeChild(ctx, child, state, node, bound, workflow.TaskSubmitted{
		Parent: &workflow.Parent{Task: r.key.task, Turn: r.key.turn, Attempt: r.key.attempt, Spawned: true}, Limits: node.Limits,
	})
	switch {
	case err == nil:
		return child, nil
	case ctx.Err() != nil, errors.Is(err, store.ErrStorage), errors.Is(err, ErrStopped):
		return "", fmt.Errorf("spawn a task: %w", err)
	}
	return "", &SpawnError{Detail: err.Error()}
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

// descends reports whether a task is, or belongs to, one of others.
func descends(task string, of []string) bool {
	for _, other := range of {
		if task == other || strings.HasPrefix(task, other+".") {
			return true
		}
	}
	return false
}
