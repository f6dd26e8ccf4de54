package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/workspace"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// removes reports whether the worktree of a task that has ended is to go.
func removes(team *workflow.Team, state workflow.State) bool {
	return team.Workspace.Cleanup == workflow.CleanupAlways || team.Workspace.Cleanup == workflow.CleanupOnSuccess && state.Status == workflow.TaskSucceeded
}

func saveOptions(team *workflow.Team) workspace.SaveOptions {
	return workspace.SaveOptions{DropIgnored: team.Workspace.DropIgnored}
}

// Save implements engine.Workspaces.
func (p *places) Save(ctx context.Context, team *workflow.Team, state workflow.State) (workflow.WorkspaceSaved, error) {
	tree, place := treeOf(state), state.Place
	body := workflow.WorkspaceSaved{
		Commit: place.Commit, Files: place.Files, Insertions: place.Insertions, Deletions: place.Deletions, Ref: place.SavedRef,
	}
	if place.Removed {
		return body, nil // it ended again without having gone on
	}
	if place.Status == workflow.PlacePreparing { // it ended before it began
		if err := p.worktrees.Discard(ctx, tree); err != nil {
			return body, placeError(err)
		}
	}
	if message, ok, err := team.CommitMessage(state); ok {
		if err == nil {
			body.Uncommitted, err = p.worktrees.Commit(ctx, tree, workspace.CommitOptions{Message: message, Author: team.Workspace.Commit.Author})
			if err != nil {
				return body, placeError(err)
			}
		} else {
			body.Uncommitted = err.Error()
		}
	}
	tips, err := p.worktrees.Tips(ctx, tree)
	if err != nil {
		return body, placeError(err)
	}
	body.Commit = tips.Head
	if base := place.BaseCommit; base != "" || tips.Base != "" {
		if base == "" {
			base = tips.Base
		}
		changes, err := p.worktrees.Diff(ctx, tree, base)
		if ctx.Err() != nil || workspace.IsTransient(err) {
			return body, placeError(err)
		}
		if err == nil { // else it cannot be compared, which loses nothing
			body.Files, body.Insertions, body.Deletions = changes.Files, changes.Insertions, changes.Deletions
		}
	}
	if !removes(team, state) {
		return body, nil
	}
	saved, err := p.worktrees.Save(ctx, tree, saveOptions(team))
	if err != nil {
		return body, placeError(err)
	}
	body.Commit, body.Ref, body.Saved, body.Kept = saved.Head, saved.Ref, saved.What, saved.Kept
	return body, nil
}

// Publish implements engine.Workspaces.
func (p *places) Publish(ctx context.Context, team *workflow.Team, state workflow.State) (string, error) {
	if state.Place.Uncommitted != "" {
		return "", &engine.PlaceError{Detail: "the result could not be committed: " + state.Place.Uncommitted}
	}
	file, err := team.PublishFile(state.Task, state.Input)
	if err != nil {
		return "", placeError(err)
	}
	if !filepath.IsAbs(file) {
		if file, err = filepath.Abs(filepath.Join(p.dataDir, resultsName, state.Task, file)); err != nil {
			return "", fmt.Errorf("find where the result is published: %w", err)
		}
	}
	write := p.worktrees.Patch
	if team.Workspace.Publish.Patch.IsZero() {
		write = p.worktrees.Bundle
	}
	empty, err := write(ctx, treeOf(state), state.Place.BaseCommit, file)
	if empty {
		return "there is no commit, so nothing was published", nil
	}
	return file, placeError(err)
}

// Remove implements engine.Workspaces.
func (p *places) Remove(ctx context.Context, team *workflow.Team, state workflow.State) (workflow.WorkspaceFinished, error) {
	place := state.Place
	switch {
	case place.Kept != "":
		return workflow.WorkspaceFinished{Detail: "the worktree was kept: " + place.Kept}, nil
	case place.Removed:
		return workflow.WorkspaceFinished{Removed: true}, nil
	case !removes(team, state):
		return workflow.WorkspaceFinished{}, nil
	case place.Publish == workflow.PublishFailed:
		return workflow.WorkspaceFinished{Detail: "the worktree was kept, since the result could not be published"}, nil
	}
	err := p.worktrees.Remove(ctx, treeOf(state), saveOptions(team), workspace.Saved{Head: place.Commit, Ref: place.SavedRef})
	if errors.Is(err, workspace.ErrChanged) {
		return workflow.WorkspaceFinished{}, fmt.Errorf("%w: %w", engine.ErrPlaceChanged, err)
	}
	return workflow.WorkspaceFinished{Removed: err == nil}, placeError(err)
}
