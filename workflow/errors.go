package workflow

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrStale is returned by Decide for an event that names a turn which is no
	// longer live, or an older attempt at it. The caller drops the event.
	ErrStale = errors.New("the event belongs to a turn or an attempt that is over")
	// ErrTerminal is returned by Decide for any event on a task that has ended.
	ErrTerminal = errors.New("the task has ended")
)

// TransitionError is returned by Decide when an event cannot happen in the
// state that the task or the turn is in. It is a defect of the caller.
type TransitionError struct {
	// Event is the type of the event, e.g. "turn_accepted".
	Event string
	// Subject is what refused it: "task" or "turn 3".
	Subject string
	// State is the state that the subject is in; empty for a task that does not exist yet.
	State string
}

// Error implements error.
func (e *TransitionError) Error() string {
	state := e.State
	if state == "" {
		state = "not submitted"
	}
	return fmt.Sprintf("event %s cannot happen while the %s is %s", e.Event, e.Subject, state)
}

// PausedByParentError says that a task is paused because the task is that it
// runs for as a sub-team, and goes on when that one does.
type PausedByParentError struct {
	Task, Parent string
}

// Error implements error.
func (e *PausedByParentError) Error() string {
	return fmt.Sprintf("task %s is paused with task %s, which it runs for: resume that one", e.Task, e.Parent)
}

// RaiseError says that limits cannot be raised because there are none.
type RaiseError struct {
	Task string
	// Limits are the names of what was to be raised, as in a team file.
	Limits []string
}

// Error implements error.
func (e *RaiseError) Error() string {
	return fmt.Sprintf("task %s has no limit of %s that could be raised, and no branch of it is held by one", e.Task, strings.Join(e.Limits, " or of "))
}

// AnswerError says that an answer is not among those that a question has.
type AnswerError struct {
	Question int
	Answer   string
	Choices  []string
}

// Error implements error.
func (e *AnswerError) Error() string {
	return fmt.Sprintf("question %d is not answered by %q: choose one of %q", e.Question, e.Answer, e.Choices)
}
