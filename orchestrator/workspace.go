package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/workspace"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ErrWorkspace says that the directory for the agents' tools does not exist or is not a directory.
var ErrWorkspace = errors.New("not a directory that agents can work in")

// ResolveWorkspace returns the absolute path of an existing directory, without
// symbolic links, since App Servers compare and report such paths as text.
// A relative path is relative to the working directory. Errors: ErrWorkspace.
func ResolveWorkspace(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("workspace %s: %w: %w", dir, ErrWorkspace, err)
	}
	real, err := filepath.EvalSymlinks(abs)
	if errors.Is(err, fs.ErrNotExist) {
		// EvalSymlinks names the first part that is missing; people look for what they wrote.
		err = &fs.PathError{Op: "stat", Path: abs, Err: fs.ErrNotExist}
	}
	if err != nil {
		return "", fmt.Errorf("workspace %s: %w: %w", abs, ErrWorkspace, err)
	}
	info, err := os.Stat(real)
	if err != nil {
		return "", fmt.Errorf("workspace %s: %w: %w", real, ErrWorkspace, err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("workspace %s: %w: it is a file", real, ErrWorkspace)
	}
	return real, nil
}

// WorktreeError says why the git worktree of a task cannot be made: what, and how to mend it.
type WorktreeError = workspace.Error

// workspaces gives a task the git worktree or the directory that its team
// names, else a directory of its own. What the task owns is named after it, in
// the data directory.
func workspaces(dataDir string) func(context.Context, string, *workflow.Team, map[string]any) (engine.Place, error) {
	var worktrees workspace.Worktrees
	return func(ctx context.Context, task string, team *workflow.Team, input map[string]any) (engine.Place, error) {
		own := filepath.Join(dataDir, "workspaces", task)
		wanted, ok, err := team.WorkspaceWorktree(task, input)
		if err != nil {
			return engine.Place{}, err
		}
		if ok {
			return worktree(ctx, &worktrees, wanted, own)
		}
		dir, _, err := team.WorkspaceDirectory(task, input)
		if err != nil {
			return engine.Place{}, err
		}
		if dir != "" {
			return place(dir)
		}
		if err := os.MkdirAll(own, 0o700); err != nil {
			return engine.Place{}, fmt.Errorf("make the workspace: %w", err)
		}
		return place(own)
	}
}

// worktree makes the git worktree of a task. A relative repository is relative
// to the working directory.
func worktree(ctx context.Context, worktrees *workspace.Worktrees, wanted workflow.WorktreePlace, dir string) (engine.Place, error) {
	repo, err := filepath.Abs(wanted.Repo)
	if err != nil {
		return engine.Place{}, fmt.Errorf("find the repository %s: %w", wanted.Repo, err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return engine.Place{}, fmt.Errorf("find the directory %s: %w", dir, err)
	}
	path, err := worktrees.Make(ctx, workspace.Options{Repo: repo, Base: wanted.Base, Branch: wanted.Branch, Dir: dir})
	return engine.Place{Directory: path, GitBranch: wanted.Branch}, err
}

func place(dir string) (engine.Place, error) {
	resolved, err := ResolveWorkspace(dir)
	return engine.Place{Directory: resolved}, err
}
