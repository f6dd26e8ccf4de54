package main

// Exit statuses. They are part of the interface: see exitStatusHelp.
const (
	exitOK          = 0   // the task succeeded, or the command did its work
	exitTaskFailed  = 1   // the task ended failed or cancelled, or what was checked is wrong
	exitUsage       = 2   // bad flags, bad team file, bad input
	exitEnvironment = 3   // App Server, data directory or storage
	exitWaiting     = 5   // everything that is left of the task waits for a person
	exitPaused      = 6   // the task is paused, by a limit or by a person
	exitInterrupted = 130 // the user interrupted; the task can be resumed
	exitBrokenPipe  = 141 // the reader of the standard output went away
)

const exitStatusHelp = `Exit statuses of every command:

    0  the task succeeded, or the command did its work
    1  the task ended as failed or cancelled; for "appserver turn": the turn
       ended with another stop reason than end_turn; for "validate": a team
       file has an error; for "batch": items failed, or it was stopped by that
       or cancelled
    2  bad usage: flags, a team file or an input that is wrong, a file that
       cannot be read, a task or a team that is not there, a token that the
       daemon does not take
    3  the environment: App Server or daemon not reachable, data directory in
       use, storage trouble; for "doctor": something is not as it should be
    5  waiting for a person: all that is left of the task are open gates. What to
       type is printed; then "orchestrator run --resume TASK" goes on, or the
       daemon does so by itself. For "batch": it asks whether to go on after its
       first items, or all that is left are items that wait for a person
    6  paused: a limit was reached and no rule says what happens then, or
       somebody paused the task, or the batch. "orchestrator resume TASK", or
       "orchestrator batch resume BATCH", goes on
  130  interrupted by the user; a task that was running can be resumed with
       "orchestrator run --resume TASK", and goes on by itself in a daemon
  141  the reader of the output went away (| head); a task that was running can
       be resumed

They are the same with a daemon and without one.
`

// statusError ends the command with an exit status. With a nil cause nothing
// more is printed: the command has said it all.
type statusError struct {
	status int
	cause  error
}

func (e *statusError) Error() string {
	if e.cause == nil {
		return "exit"
	}
	return e.cause.Error()
}

func (e *statusError) Unwrap() error { return e.cause }

// usage marks an error as one of the user's input.
func usage(err error) error {
	if err == nil {
		return nil
	}
	return &statusError{status: exitUsage, cause: err}
}

// quietExit ends with a status and prints nothing.
func quietExit(status int) error { return &statusError{status: status} }
