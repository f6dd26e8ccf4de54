package main

import (
	"context"
	"math"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// localReader reads a data directory.
type localReader struct{ *store.Store }

// URL implements reader.
func (localReader) URL() string { return "" }

// Look implements reader.
func (r localReader) Look(ctx context.Context, task string, after int64) (workflow.State, []store.Record, []workflow.State, error) {
	state, err := r.Task(ctx, task)
	if err != nil {
		return workflow.State{}, nil, nil, err
	}
	records, err := r.Events(ctx, state.Task, after)
	if err != nil {
		return workflow.State{}, nil, nil, err
	}
	children, err := r.Children(ctx, state.Task)
	return state, records, children, err
}

// Story implements reader.
func (r localReader) Story(ctx context.Context, task string) (taskStory, error) {
	state, records, _, err := r.Look(ctx, task, 0)
	if err != nil {
		return taskStory{}, err
	}
	revision, err := r.Revision(ctx, state.Revision)
	if err != nil {
		return taskStory{}, err
	}
	return toldStory(ctx, r, state, records, revision)
}

// Waiting implements reader.
func (r localReader) Waiting(ctx context.Context) ([]workflow.State, error) {
	return r.List(ctx, store.Filter{
		Status: []workflow.TaskState{workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused}, Children: true, Limit: math.MaxInt32,
	})
}

// localBackend changes a data directory that is open for this process alone.
type localBackend struct {
	localReader
	o *orchestrator.Orchestrator
}

func newLocalBackend(o *orchestrator.Orchestrator) *localBackend {
	return &localBackend{localReader{o.Store()}, o}
}

// Close implements reader.
func (b *localBackend) Close() error { return b.o.Close(context.Background()) }

// Submit implements backend.
func (b *localBackend) Submit(ctx context.Context, s submission) (workflow.State, bool, error) {
	return b.o.Submit(ctx, orchestrator.Submission{Team: s.team, Input: s.input, Workspace: s.workspace, Key: s.key, Priority: s.priority, Trace: s.trace})
}

// Cancel implements backend.
func (b *localBackend) Cancel(ctx context.Context, task, by string) (workflow.State, error) {
	return b.o.Engine().Cancel(ctx, task, by)
}

// Publish implements backend.
func (b *localBackend) Publish(ctx context.Context, task, by string) (workflow.State, error) {
	return b.o.Engine().RetryPublish(ctx, task, by)
}

// Pause implements backend.
func (b *localBackend) Pause(ctx context.Context, task, by string) (workflow.State, error) {
	return b.o.Engine().Pause(ctx, task, by)
}

// Resume implements backend.
func (b *localBackend) Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error) {
	return b.o.Engine().Resume(ctx, task, by, raise)
}

// Retry implements backend.
func (b *localBackend) Retry(ctx context.Context, task string, turn int) (workflow.State, error) {
	return b.o.Retry(ctx, task, turn)
}

// Fork implements backend.
func (b *localBackend) Fork(ctx context.Context, f engine.Fork) (workflow.State, bool, error) {
	return b.o.Engine().Fork(ctx, f)
}

// AnswerGate implements backend.
func (b *localBackend) AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error) {
	return b.o.Engine().AnswerGate(ctx, task, turn, approved, by, comment)
}

// AnswerQuestion implements backend.
func (b *localBackend) AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error) {
	return b.o.Engine().AnswerQuestion(ctx, task, question, answer, by)
}
