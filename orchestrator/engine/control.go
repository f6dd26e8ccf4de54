package engine

import (
	"context"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Pause stops a task, with its sub-teams, after the turns that run now. Errors: workflow.ErrTerminal,
// *workflow.TransitionError when it is paused already, those of the store.
func (e *Engine) Pause(ctx context.Context, task, by string) (workflow.State, error) {
	return e.changeAll(ctx, task, workflow.PauseRequested{By: by})
}

// Resume goes on with a paused task, whose limits raise is added to. Errors:
// as of Pause, *workflow.PausedByParentError, and *workflow.RaiseError.
func (e *Engine) Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error) {
	ent := e.acquire(task)
	state, team, err := e.current(ctx, ent)
	e.release(ent)
	if err == nil && state.Status == workflow.TaskPaused {
		err = workflow.CheckRaise(team, state, raise, e.now())
	}
	if err != nil {
		return state, err
	}
	return e.changeAll(ctx, task, workflow.ResumeRequested{By: by, Raise: raise})
}

// changeAll applies what concerns the sub-teams of a task, too. A Run brings them
// in line by itself; without one it is done here.
func (e *Engine) changeAll(ctx context.Context, task string, body workflow.EventBody) (workflow.State, error) {
	state, err := e.applyNow(ctx, task, body)
	e.mu.Lock()
	idle := e.phase == phaseIdle
	e.mu.Unlock()
	if err != nil || !idle {
		return state, err
	}
	return state, e.tendBelow(ctx, task)
}

// tendBelow brings the sub-teams of a task in line with it, and theirs with them.
func (e *Engine) tendBelow(ctx context.Context, task string) error {
	children, err := e.Children(ctx, task)
	if err != nil {
		return err
	}
	for _, child := range children {
		if child.Status.Terminal() || child.Parent.Spawned {
			continue
		}
		e.tendChild(ctx, child.Task)
		if err := e.tendBelow(ctx, child.Task); err != nil {
			return err
		}
		e.tendChild(ctx, child.Task) // and how it stands then
	}
	return nil
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
	return e.applyNow(ctx, task, workflow.GateAnswered{Turn: turn, Approved: approved, By: by, Comment: comment})
}

// AnswerQuestion answers what a running turn has asked. Errors: workflow.ErrStale
// when it is not open any more, *workflow.AnswerError, those of the store.
func (e *Engine) AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error) {
	e.mu.Lock()
	heard := e.questions[questionKey{task, question}] != nil
	e.mu.Unlock()
	return e.applyNow(ctx, task, workflow.QuestionAnswered{Question: question, Answer: answer, By: by, Kept: !heard})
}
