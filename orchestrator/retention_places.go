package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// removeOwnDirectories removes the directories that were made for a task whose
// time is over, and for those that it has started, where their teams say so. It
// comes before the removal of the task: what is left by a crash in between is
// found here again. Directories that others named, and worktrees, are never touched.
func (d *Daemon) removeOwnDirectories(ctx context.Context, task string, before time.Time) error {
	family, err := d.over(ctx, task, before)
	for _, state := range family {
		err = errors.Join(err, d.removeOwnDirectory(ctx, state))
	}
	return err
}

// over is a task with all that it has started; none where one of them has not
// ended before a time.
func (d *Daemon) over(ctx context.Context, task string, before time.Time) ([]workflow.State, error) {
	state, err := d.store.Task(ctx, task)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil || !state.Status.Terminal() || !state.Updated.Before(before) {
		return nil, err
	}
	children, err := d.store.Children(ctx, task)
	if err != nil {
		return nil, err
	}
	family := []workflow.State{state}
	for _, child := range children {
		below, err := d.over(ctx, child.Task, before)
		if err != nil || len(below) == 0 {
			return nil, err
		}
		family = append(family, below...)
	}
	return family, nil
}

func (d *Daemon) removeOwnDirectory(ctx context.Context, state workflow.State) error {
	task := state.Task
	if state.Place.Kind != workflow.PlaceOwn || state.Workspace == "" {
		return nil
	}
	own, err := d.places.own(task)
	if err != nil || own != state.Workspace {
		return err // of another data directory
	}
	row, err := d.store.Revision(ctx, state.Revision)
	if err != nil {
		return err
	}
	team, err := workflow.Parse(row.File, row.Source, workflow.ParseOptions{Load: workflow.LoadSources(row.File, row.Sources)})
	if err != nil || !removes(team, state) {
		return nil //nolint:nilerr // a team that is not valid any more says nothing, so that it is kept
	}
	if used, err := d.directoryInUse(ctx, task, own); used || err != nil {
		return err
	}
	if info, err := os.Lstat(own); err != nil || !info.IsDir() {
		return nil //nolint:nilerr // it is gone, or somebody has put something else there
	}
	if err := os.RemoveAll(own); err != nil {
		return fmt.Errorf("remove the directory of a task whose time is over: %w", err)
	}
	return nil
}

// directoryInUse reports whether another task that is there works, or has worked,
// in the directory of a task: a retry of it, or one that has it now.
func (d *Daemon) directoryInUse(ctx context.Context, task, directory string) (bool, error) {
	for n := 1; ; n++ {
		_, err := d.store.ByKey(ctx, fmt.Sprintf("retry/%s/%d", task, n))
		switch {
		case errors.Is(err, store.ErrNotFound):
			return d.store.DirectoryTaken(ctx, directory, task)
		case errors.Is(err, store.ErrRemoved):
		default:
			return err == nil, err
		}
	}
}

// removeEmptyDirectories removes what is left of directories of tasks that are
// gone, where nothing is in them. What holds anything is kept: nobody can say any
// more whether it is wanted.
func (d *Daemon) removeEmptyDirectories(ctx context.Context) error {
	all := filepath.Join(d.store.Dir(), workspacesName)
	entries, err := os.ReadDir(all)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for directories of removed tasks: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		known, err := d.store.Has(ctx, entry.Name())
		if err != nil {
			return err
		}
		directory := filepath.Join(all, entry.Name())
		if !known {
			if known, err = d.directoryInUse(ctx, entry.Name(), directory); err != nil {
				return err
			}
		}
		if !known {
			_ = os.Remove(directory) // which fails where anything is in it
		}
	}
	return nil
}
