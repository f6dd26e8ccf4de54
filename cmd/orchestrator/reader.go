package main

import (
	"context"
	"errors"
	"io"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func dataDirFlag(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "data-dir", "", "where tasks are kept (default $"+orchestrator.DataDirVariable+", else ~/.local/state/orchestrator)")
}

func chooseDataDir(dir string) (string, error) {
	if dir != "" {
		return filepath.Abs(dir)
	}
	return orchestrator.DefaultDataDir()
}

// openReader opens the data directory for reading, also while a run writes it.
func openReader(ctx context.Context, dir string) (*store.Store, error) {
	dir, err := chooseDataDir(dir)
	if err != nil {
		return nil, err
	}
	return store.OpenReader(ctx, dir)
}

// closing closes what was read and keeps the first error.
func closing(s io.Closer, err error) error { return errors.Join(err, s.Close()) }

// taskStory is everything that is stored about one task.
type taskStory struct {
	state   workflow.State
	records []store.Record
	team    *workflow.Team
	file    string
	// children are the tasks that it has started, and theirs, as sub-teams or by its agents.
	children []workflow.State
}

// toldStory completes what is stored about a task.
func toldStory(ctx context.Context, r reader, state workflow.State, records []store.Record, revision store.Revision) (taskStory, error) {
	// Roles were checked when the task was submitted.
	team, err := workflow.Parse(revision.File, revision.Source, workflow.ParseOptions{Load: workflow.LoadSources(revision.File, revision.Sources)})
	if err != nil {
		return taskStory{}, err
	}
	children, err := descendants(ctx, r, state.Task)
	if err != nil {
		return taskStory{}, err
	}
	return taskStory{state: state, records: records, team: team, file: revision.File, children: children}, nil
}

// descendants are the tasks that a task has started, and theirs.
func descendants(ctx context.Context, r reader, task string) ([]workflow.State, error) {
	children, err := r.Children(ctx, task)
	if err != nil {
		return nil, err
	}
	var out []workflow.State
	for _, child := range children {
		more, err := descendants(ctx, r, child.Task)
		if err != nil {
			return nil, err
		}
		out = append(append(out, child), more...)
	}
	return out, nil
}
