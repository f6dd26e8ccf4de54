package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

type (
	// statesMsg has tasks that have changed.
	statesMsg []workflow.State
	// batchesMsg has the batches that are open.
	batchesMsg []batch.View
	// lostMsg says that the daemon does not answer; with nil it does again.
	lostMsg struct{ err error }
	// storyMsg is the story of a task, or why it cannot be read.
	storyMsg struct {
		task string
		told taskStory
		err  error
	}
	// endedMsg says that nothing more comes, and why.
	endedMsg struct{}
)

// watchLive shows a table of all tasks on a terminal until somebody ends it.
func (a *app) watchLive(ctx context.Context, r reader, where place, filter store.Filter) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	model := newWatchModel(paletteFor(a.stdout), where, func(task string) storyMsg {
		told, err := r.Story(ctx, task)
		return storyMsg{task: task, told: told, err: err}
	})
	model.interrupt, model.driven = a.interrupt, r.URL() != ""
	program := tea.NewProgram(model, tea.WithInput(terminalInput(a.stdin)), tea.WithOutput(fileOf(a.stdout)), tea.WithoutSignalHandler())
	f := &feed{
		reader: r, filter: filter,
		states:  func(states []workflow.State) { program.Send(statesMsg(states)) },
		batches: func(views []batch.View) { program.Send(batchesMsg(views)) },
		lost:    func(err error) { program.Send(lostMsg{err}) },
	}
	var following sync.WaitGroup
	ended := make(chan error, 1)
	following.Go(func() {
		err := f.run(ctx)
		program.Send(endedMsg{})
		ended <- err
	})
	_, failure := program.Run()
	interrupted := errors.Is(context.Cause(ctx), errInterrupted)
	cancel()
	following.Wait()
	switch err := ignoreCancelled(<-ended); {
	case err != nil:
		return err
	case interrupted:
		return quietExit(exitInterrupted)
	case failure != nil:
		return fmt.Errorf("show the tasks: %w", failure)
	}
	return nil
}
