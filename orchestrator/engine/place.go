package engine

import (
	"context"
	"fmt"
	"path/filepath"
)

// Place is where a task works.
type Place struct {
	// Directory is absolute; empty leaves the task without one.
	Directory string
	// GitBranch is the branch of Directory, where it is a worktree of the task's own.
	GitBranch string
}

// place is the directory that a submission names, else the one that Options.Workspace makes.
func (e *Engine) place(ctx context.Context, task string, sub Submission) (Place, error) {
	place := Place{Directory: sub.Workspace}
	if place.Directory == "" && e.o.Workspace != nil {
		var err error
		if place, err = e.o.Workspace(ctx, task, sub.Team, sub.Input); err != nil {
			return Place{}, fmt.Errorf("make the workspace of the task: %w", err)
		}
	}
	if place.Directory != "" && !filepath.IsAbs(place.Directory) {
		return Place{}, fmt.Errorf("submit: the workspace %q is not an absolute path", place.Directory)
	}
	return place, nil
}
