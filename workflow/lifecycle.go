package workflow

import (
	"context"
	"errors"
	"fmt"

	"github.com/looplab/fsm"
)

// What can happen to a task or to a turn. The tables below are the one
// statement of what may follow what; docs/states.md is drawn from them.
const (
	taskSubmit  = "submit"
	taskClaim   = "claim"
	taskWait    = "wait"
	taskWake    = "wake"
	taskPause   = "pause"
	taskResume  = "resume"
	taskSucceed = "succeed"
	taskFail    = "fail"
	taskCancel  = "cancel"

	turnSend     = "send"
	turnAccept   = "accept"
	turnAsk      = "ask"
	turnAnswer   = "answer"
	turnFinish   = "finish"
	turnNotSent  = "find not consumed"
	turnCut      = "find interrupted"
	turnLose     = "find nothing certain"
	turnContinue = "continue"
	turnRetry    = "retry"
)

// taskTable is the lifecycle of a task. The empty state is "not submitted".
func taskTable() fsm.Events {
	return fsm.Events{
		{Name: taskSubmit, Src: []string{""}, Dst: string(TaskQueued)},
		{Name: taskClaim, Src: []string{string(TaskQueued)}, Dst: string(TaskRunning)},
		{Name: taskWait, Src: []string{string(TaskRunning)}, Dst: string(TaskWaiting)},
		{Name: taskWake, Src: []string{string(TaskWaiting)}, Dst: string(TaskRunning)},
		{Name: taskPause, Src: []string{string(TaskRunning), string(TaskWaiting)}, Dst: string(TaskPaused)},
		{Name: taskResume, Src: []string{string(TaskPaused)}, Dst: string(TaskRunning)},
		{Name: taskSucceed, Src: []string{string(TaskRunning)}, Dst: string(TaskSucceeded)},
		{Name: taskFail, Src: []string{string(TaskQueued), string(TaskRunning)}, Dst: string(TaskFailed)},
		{Name: taskCancel, Src: []string{string(TaskQueued), string(TaskRunning), string(TaskWaiting), string(TaskPaused)}, Dst: string(TaskCancelled)},
	}
}

// turnTable is the lifecycle of a turn. A new attempt begins at pending.
func turnTable() fsm.Events {
	return fsm.Events{
		{Name: turnSend, Src: []string{string(TurnPending)}, Dst: string(TurnSent)},
		{Name: turnAccept, Src: []string{string(TurnSent)}, Dst: string(TurnRunning)},
		{Name: turnAsk, Src: []string{string(TurnSent), string(TurnRunning), string(TurnAwaitingApproval)}, Dst: string(TurnAwaitingApproval)},
		{Name: turnAnswer, Src: []string{string(TurnAwaitingApproval)}, Dst: string(TurnRunning)},
		// A turn can end before it is sent (no connection), and before the
		// acknowledgement is recorded.
		{Name: turnFinish, Src: []string{string(TurnPending), string(TurnSent), string(TurnRunning), string(TurnAwaitingApproval), string(TurnUncertain)}, Dst: string(TurnEnded)},
		{Name: turnNotSent, Src: []string{string(TurnSent), string(TurnRunning), string(TurnAwaitingApproval)}, Dst: string(TurnPending)},
		{Name: turnCut, Src: []string{string(TurnSent), string(TurnRunning), string(TurnAwaitingApproval)}, Dst: string(TurnInterrupted)},
		{Name: turnLose, Src: []string{string(TurnSent), string(TurnRunning), string(TurnAwaitingApproval)}, Dst: string(TurnUncertain)},
		{Name: turnContinue, Src: []string{string(TurnInterrupted), string(TurnUncertain)}, Dst: string(TurnPending)},
		{Name: turnRetry, Src: []string{string(TurnEnded)}, Dst: string(TurnPending)},
	}
}

// taskMoves and turnMoves are what the tables allow.
//
//nolint:gochecknoglobals // they are constant
var taskMoves, turnMoves = movesOf(taskTable()), movesOf(turnTable())

// move is a step from a state.
type move struct{ state, step string }

// movesOf asks a machine about every step from every state, once: machines are made
// for one object that changes, and here every decision has a new one. Without
// callbacks a machine does no I/O, and every error it has means that the step is not
// allowed, but for the one that says that the state stays the same.
func movesOf(table fsm.Events) map[move]string {
	moves := map[move]string{}
	for _, row := range table {
		for _, state := range row.Src {
			machine := fsm.NewFSM(state, table, nil)
			err := machine.Event(context.Background(), row.Name)
			if _, same := errors.AsType[fsm.NoTransitionError](err); err == nil || same {
				moves[move{state, row.Name}] = machine.Current()
			}
		}
	}
	return moves
}

// moveTask applies one lifecycle step to the task. cause is the type of the
// event that asked for it and is named in the error.
func moveTask(s TaskState, step, cause string) (TaskState, error) {
	next, ok := taskMoves[move{string(s), step}]
	if !ok {
		return s, &TransitionError{Event: cause, Subject: "task", State: string(s)}
	}
	return TaskState(next), nil
}

// moveTurn applies one lifecycle step to a turn.
func moveTurn(t *Turn, step, cause string) error {
	next, ok := turnMoves[move{string(t.State), step}]
	if !ok {
		return &TransitionError{Event: cause, Subject: fmt.Sprintf("turn %d", t.ID), State: string(t.State)}
	}
	t.State = TurnState(next)
	return nil
}
