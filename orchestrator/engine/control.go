package engine

import (
	"context"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Pause stops a task after the turns that run now. Errors: workflow.ErrTerminal,
// *workflow.TransitionError when it is paused already, those of the store.
func (e *Engine) Pause(ctx context.Context, task, by string) (workflow.State, error) {
	return e.apply(ctx, task, workflow.PauseRequested{By: by})
}

// Resume goes on with a paused task, whose limits raise is added to. Errors:
// as of Pause.
func (e *Engine) Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error) {
	return e.apply(ctx, task, workflow.ResumeRequested{By: by, Raise: raise})
}

// Children returns the tasks that a task has started, the oldest first, whether
// as sub-teams or by its agents. Errors: store.ErrStorage.
func (e *Engine) Children(ctx context.Context, task string) ([]workflow.State, error) {
	children, err := e.o.Store.Children(ctx, task)
	if err != nil {
		return nil, fmt.Errorf("look for the tasks that task %s has started: %w", task, err)
	}
	return children, nil
}

// AnswerGate decides on an open gate. Errors: workflow.ErrStale when it is not
// open any more, workflow.ErrTerminal, those of the store.
func (e *Engine) AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error) {
	return e.apply(ctx, task, workflow.GateAnswered{Turn: turn, Approved: approved, By: by, Comment: comment})
}

// AnswerQuestion answers what a running turn has asked. Errors: workflow.ErrStale
// when it is not open any more, *workflow.AnswerError, those of the store.
func (e *Engine) AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error) {
	return e.apply(ctx, task, workflow.QuestionAnswered{Question: question, Answer: answer, By: by})
}
