package orchestrator

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/workspace"
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
