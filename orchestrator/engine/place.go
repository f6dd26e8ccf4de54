package engine

import (
	"context"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Workspaces makes the places in which tasks work, and finishes them. All that
// it does can be done again after a crash, whatever became of the first time. An
// error is a *PlaceError where a person can mend something; any other one, and one
// whose Again is set, is tried again where nothing was lost by it.
type Workspaces interface {
	// Check refuses, quickly and without making anything, what cannot be made.
	Check(req PlaceRequest) error
	// Plan says what Make will make, so that it is known before. Only of a worktree
	// there may be something to clean up.
	Plan(ctx context.Context, req PlaceRequest) (workflow.WorkspacePreparing, error)
	// Make makes the place, without its setup.
	Make(ctx context.Context, req PlaceRequest) (Place, error)
	// Verify finds out, before every turn, whether the task still has its place.
	Verify(ctx context.Context, state workflow.State) error
	// Restore brings back a worktree that is gone.
	Restore(ctx context.Context, team *workflow.Team, state workflow.State) (workflow.WorkspaceRestored, error)
	// Save commits what the team wants committed, counts what has changed, and,
	// where the worktree is going to be removed, saves what no branch holds.
	Save(ctx context.Context, team *workflow.Team, state workflow.State) (workflow.WorkspaceSaved, error)
	// Publish writes the result into a file and says where it is.
	Publish(ctx context.Context, team *workflow.Team, state workflow.State) (detail string, err error)
	// Remove removes the worktree where the team wants that. Errors: ErrPlaceChanged.
	Remove(ctx context.Context, team *workflow.Team, state workflow.State) (workflow.WorkspaceFinished, error)
}

// PlaceRequest says for what a place is wanted.
type PlaceRequest struct {
	Task  string
	Team  *workflow.Team
	Input map[string]any
	// Given is the directory that the submission names; empty leaves it to the team.
	Given string
	// From is the task that this one was forked from, as it is now; nil for others.
	From *workflow.State
}

// Place is where a task works.
type Place struct {
	Kind workflow.PlaceKind
	// Directory is absolute; empty leaves the task without one.
	Directory string
	Lock      workflow.PlaceLock
	// GitBranch, Repo and BaseCommit are of a worktree of the task's own.
	GitBranch, Repo, BaseCommit string
}

// PlaceError says, for people, why a task cannot have its place.
type PlaceError struct {
	// Detail says what is wrong, in a sentence without full stop, and Fix what to do.
	Detail, Fix string
	// Again says that it may pass: there is no room on the disk, or a lock is held.
	Again bool
	// Gone says that the place was there and is not any more: Workspaces.Restore
	// may bring it back.
	Gone bool
	// Err is the cause; may be nil.
	Err error
}

// Error implements error.
func (e *PlaceError) Error() string {
	if e.Fix == "" {
		return e.Detail
	}
	return e.Detail + "; " + e.Fix
}

// Unwrap returns the cause.
func (e *PlaceError) Unwrap() error { return e.Err }

// PlaceFunc makes a Workspaces of a function that gives directories which are
// there and stay, for teams of which nothing else is wanted.
type PlaceFunc func(ctx context.Context, req PlaceRequest) (Place, error)

// Check implements Workspaces.
func (f PlaceFunc) Check(PlaceRequest) error { return nil }

// Plan implements Workspaces.
func (f PlaceFunc) Plan(context.Context, PlaceRequest) (workflow.WorkspacePreparing, error) {
	return workflow.WorkspacePreparing{}, nil
}

// Make implements Workspaces.
func (f PlaceFunc) Make(ctx context.Context, req PlaceRequest) (Place, error) { return f(ctx, req) }

// Verify implements Workspaces.
func (f PlaceFunc) Verify(context.Context, workflow.State) error { return nil }

// Restore implements Workspaces.
func (f PlaceFunc) Restore(context.Context, *workflow.Team, workflow.State) (workflow.WorkspaceRestored, error) {
	return workflow.WorkspaceRestored{}, &PlaceError{Detail: "the workspace is gone"}
}

// Save implements Workspaces.
func (f PlaceFunc) Save(context.Context, *workflow.Team, workflow.State) (workflow.WorkspaceSaved, error) {
	return workflow.WorkspaceSaved{}, nil
}

// Publish implements Workspaces.
func (f PlaceFunc) Publish(context.Context, *workflow.Team, workflow.State) (string, error) {
	return "", nil
}

// Remove implements Workspaces.
func (f PlaceFunc) Remove(context.Context, *workflow.Team, workflow.State) (workflow.WorkspaceFinished, error) {
	return workflow.WorkspaceFinished{}, nil
}

// checkPlace refuses a submission whose place can certainly not be made.
func (e *Engine) checkPlace(req PlaceRequest) (prepare bool, err error) {
	if e.o.Workspaces == nil {
		return false, nil
	}
	if err := e.o.Workspaces.Check(req); err != nil {
		return false, fmt.Errorf("the workspace of the task: %w", err)
	}
	return true, nil
}
