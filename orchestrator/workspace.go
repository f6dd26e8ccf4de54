package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// workspaces gives a task the directory that its team names, else one of its own.
func workspaces(dataDir string) func(context.Context, string, *workflow.Team, map[string]any) (string, error) {
	return func(_ context.Context, task string, team *workflow.Team, input map[string]any) (string, error) {
		dir, err := team.WorkspaceDirectory(task, input)
		if err != nil {
			return "", err
		}
		if dir != "" {
			return ResolveWorkspace(dir)
		}
		own := filepath.Join(dataDir, "workspaces", task)
		if err := os.MkdirAll(own, 0o700); err != nil {
			return "", fmt.Errorf("make the workspace: %w", err)
		}
		return ResolveWorkspace(own)
	}
}
