package engine

import (
	"context"
	"sync"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestDriveBatch drives the tasks of one batch, whenever they were submitted,
// and leaves others as they are.
func TestDriveBatch(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := New(Options{Store: s, Runner: &fake{server: newServer()}})
	team := parse(t, single)
	submit := func(batch string) string {
		state, _, err := e.Submit(t.Context(), Submission{Team: team, Batch: batch})
		if err != nil {
			t.Fatal(err)
		}
		return state.Task
	}
	e.DriveBatch("B")
	before, other := submit("B"), submit("C")
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := e.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := e.Wait(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	alone, after := submit(""), submit("B")
	if _, err := e.Wait(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	cancel()
	running.Wait()
	for task, want := range map[string]workflow.TaskState{before: workflow.TaskSucceeded, after: workflow.TaskSucceeded, other: workflow.TaskQueued, alone: workflow.TaskQueued} {
		if state, err := s.Task(t.Context(), task); err != nil || state.Status != want {
			t.Errorf("task %s is %s, %v; want %s", task, state.Status, err, want)
		}
	}
}
