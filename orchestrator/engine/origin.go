package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Fork says which task is to be made from which other one.
type Fork struct {
	// Task is a whole ID; Turn is the first turn that is asked for again, 0 what
	// was alive just before the task ended.
	Task string
	Turn int
	// Input replaces some of the inputs; what was told before keeps the old ones.
	Input map[string]any
	// Workspace and Key are as in Submission.
	Workspace, Key string
}

// Retry makes a task that goes on where another one has ended, or from a turn of
// it, in the same conversations and the same workspace. While such a task has not
// ended there is no second one. Errors: *workflow.OriginError, store.ErrNotFound,
// store.ErrStorage, ErrStopped.
func (e *Engine) Retry(ctx context.Context, task string, turn int) (workflow.State, error) {
	if err := e.refuse(); err != nil {
		return workflow.State{}, fmt.Errorf("retry: %w", err)
	}
	from, team, err := e.origin(ctx, task)
	if err != nil {
		return workflow.State{}, fmt.Errorf("retry: %w", err)
	}
	if !from.Status.Terminal() {
		return workflow.State{}, &workflow.OriginError{Task: task, Detail: fmt.Sprintf("has not ended: it is %s. Cancel it first, or fork it", from.Status)}
	}
	if turn == 0 && from.Status == workflow.TaskSucceeded {
		return workflow.State{}, &workflow.OriginError{Task: task, Detail: "has succeeded: name the turn to go on from"}
	}
	key := ""
	for n := 1; key == ""; n++ {
		next := fmt.Sprintf("retry/%s/%d", task, n)
		switch earlier, err := e.raw.ByKey(ctx, next); {
		case errors.Is(err, store.ErrNotFound):
			key = next
		case errors.Is(err, store.ErrRemoved): // an earlier one, which has ended
		case err != nil:
			return workflow.State{}, fmt.Errorf("retry: %w", err)
		case !earlier.Status.Terminal():
			return workflow.State{}, &workflow.OriginError{Task: task, Detail: fmt.Sprintf("is being retried already, as task %s, which is %s", earlier.Task, earlier.Status)}
		}
	}
	body := workflow.TaskSubmitted{Input: from.Input, Workspace: from.Workspace, GitBranch: from.GitBranch, Priority: from.Priority, Batch: from.Batch}
	switch {
	case from.PlaceOpen():
		return workflow.State{}, &workflow.OriginError{Task: task, Detail: "has ended, and its workspace is still being finished: try again in a moment"}
	case from.Place.Kind == workflow.PlaceWorktree:
		body.Place = takenOver(from)
	case from.Place.Status != "" && from.Workspace != "":
		body.Prepare, body.GitBranch = true, "" // it waits for the directory where another one works in it
	}
	state, _, err := e.goOnFrom(ctx, team, workflow.Origin{Task: task, Turn: turn}, body, key)
	return state, err
}

// takenOver is the worktree of a task as the one begins with it that goes on. What
// was removed is restored before its first turn.
func takenOver(from workflow.State) *workflow.Place {
	p := from.Place
	return &workflow.Place{
		Status: workflow.PlaceReady, Kind: p.Kind, Lock: p.Lock, Repo: p.Repo, BaseCommit: p.BaseCommit, Of: cmp.Or(p.Of, from.Task),
		Commit: p.Commit, SavedRef: p.SavedRef, Removed: p.Removed,
	}
}

// Fork makes a task that goes its own way from a moment of another one, which
// stays as it is: in conversations of its own and a workspace of its own. Errors:
// as of Retry, those of Team.BindInput, ErrKeyTaken.
func (e *Engine) Fork(ctx context.Context, f Fork) (state workflow.State, created bool, err error) {
	if err := e.refuse(); err != nil {
		return workflow.State{}, false, fmt.Errorf("fork: %w", err)
	}
	from, team, err := e.origin(ctx, f.Task)
	if err != nil {
		return workflow.State{}, false, fmt.Errorf("fork: %w", err)
	}
	input := maps.Clone(from.Input)
	if input == nil {
		input = map[string]any{}
	}
	maps.Copy(input, f.Input)
	if input, err = team.BindInput(input); err != nil {
		return workflow.State{}, false, err
	}
	sub := Submission{Team: team, Input: input, Workspace: f.Workspace, Key: f.Key}
	if f.Key != "" {
		existing, err := e.raw.ByKey(ctx, f.Key)
		if err == nil {
			return existing, false, sameFork(sub, f, existing)
		}
		if !errors.Is(err, store.ErrNotFound) {
			return workflow.State{}, false, fmt.Errorf("fork: %w", err)
		}
	}
	id := e.o.IDs()
	prepare, err := e.checkPlace(PlaceRequest{Task: id, Team: team, Input: input, Given: f.Workspace})
	if err != nil {
		return workflow.State{}, false, err
	}
	state, created, err = e.goOnFrom(ctx, team, workflow.Origin{Task: f.Task, Turn: f.Turn, Fork: true}, workflow.TaskSubmitted{
		Task: id, Input: input, Workspace: f.Workspace, Prepare: prepare, Priority: from.Priority,
	}, f.Key)
	if err == nil && !created {
		err = sameFork(sub, f, state)
	}
	return state, created, err
}

// sameFork compares a fork with the task that has its key.
func sameFork(sub Submission, f Fork, state workflow.State) error {
	if o := state.Origin; o == nil || *o != (workflow.Origin{Task: f.Task, Turn: f.Turn, Fork: true}) {
		return &KeyError{Key: f.Key, Task: state.Task, State: state.Status, Differs: []string{"origin"}}
	}
	return sameSubmission(sub, state)
}

// origin is the task that another one is to go on from.
func (e *Engine) origin(ctx context.Context, task string) (workflow.State, *workflow.Team, error) {
	state, err := e.raw.Task(ctx, task)
	if err != nil {
		return workflow.State{}, nil, err
	}
	if state.Task != task {
		return workflow.State{}, nil, fmt.Errorf("task %q: %w", task, store.ErrNotFound)
	}
	team, err := e.teams.get(ctx, e.raw, state.Revision)
	return state, team, err
}

// goOnFrom makes the task. body has what it does not take over.
func (e *Engine) goOnFrom(ctx context.Context, team *workflow.Team, origin workflow.Origin, body workflow.TaskSubmitted, key string) (workflow.State, bool, error) {
	records, err := e.raw.Events(ctx, origin.Task, 0)
	if err != nil {
		return workflow.State{}, false, fmt.Errorf("read the journal of task %s: %w", origin.Task, err)
	}
	journal := make([]workflow.Recorded, len(records))
	for i, r := range records {
		journal[i] = workflow.Recorded{Seq: r.Seq, Event: r.Event, Effects: r.Effects}
	}
	begin, err := workflow.BeginningAt(team, journal, origin)
	if err != nil {
		return workflow.State{}, false, err
	}
	if body.Task == "" {
		body.Task = e.o.IDs()
	}
	if first := journal[0].Event.Body.(workflow.TaskSubmitted).Begin == nil && origin.Turn == 1; first && origin.Fork {
		begin = nil // it begins anew, with a message that has the input of the fork
	}
	body.Team, body.Revision, body.Origin, body.Begin = team.Name, team.Revision, &origin, begin
	return e.create(ctx, e.raw, team, body, key)
}
