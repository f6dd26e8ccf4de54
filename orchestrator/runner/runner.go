package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Runner runs turns on one App Server. Its methods may be called from any goroutine.
type Runner struct {
	opts Options
	conn *connection
	// observer is a second connection, subscribed to all that runs on the first.
	observer *connection
	agents   agentTable

	defaultModel defaultModel
}

var _ engine.TurnRunner = (*Runner)(nil)

// New makes a Runner. It connects when the first turn needs it.
func New(opts Options) *Runner {
	opts = opts.withDefaults()
	return &Runner{opts: opts, conn: newConnection(opts), observer: newConnection(opts)}
}

// Close ends the connections, and with it the turns that run. It is bounded in
// time and may be called more than once.
func (r *Runner) Close() error {
	if err := errors.Join(r.observer.close(), r.conn.close()); err != nil {
		return fmt.Errorf("close the connections to the App Server: %w", err)
	}
	return nil
}

// Run carries out one attempt at a turn; see engine.TurnRunner. When ctx ends
// the turn is aborted, which takes at most Options.AbortGrace.
func (r *Runner) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	a := newAttempt(r, req, rec)
	finished, err := a.run(ctx)
	if failed := (*failure)(nil); errors.As(err, &failed) && ctx.Err() == nil {
		if failed.reason == workflow.ReasonConnectionLost {
			return workflow.TurnFinished{}, &engine.UnreachableError{Err: failed.err} // it comes before Sending
		}
		a.log.Debug().Err(failed.err).Str("reason", string(failed.reason)).Msg("turn failed")
		finished, err = failed.finished(), nil
	}
	if budget, ok := errors.AsType[*engine.BudgetError](context.Cause(ctx)); ok && endedWith(err, budget) {
		finished, err = workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Error: budget.Note}, nil // nothing was sent
	}
	if err != nil {
		if ctx.Err() != nil {
			err = fmt.Errorf("turn %d of task %s: %w", req.Turn.ID, req.Task, context.Cause(ctx))
		}
		return workflow.TurnFinished{}, err
	}
	finished.Turn, finished.Attempt = req.Turn.ID, req.Turn.Attempt
	return finished, nil
}

// endedWith says whether a turn came to nothing because its ctx ended, and not
// because the recorder failed.
func endedWith(err error, cause error) bool {
	var failed *failure
	return errors.Is(err, cause) || errors.Is(err, context.Canceled) || errors.As(err, &failed)
}

// failure is a turn that came to nothing before its input was sent, or in sending it.
type failure struct {
	reason workflow.Reason
	err    error
	// lost says that the conversation cannot be used again.
	lost bool
}

// Error implements error.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.err }

func (f *failure) finished() workflow.TurnFinished {
	return workflow.TurnFinished{Reason: f.reason, Error: f.err.Error(), ConversationLost: f.lost}
}

// fail makes the failure of something that went wrong with the server.
func fail(err error) error {
	f := &failure{reason: workflow.ReasonError, err: err}
	if errors.Is(err, appclient.ErrConnectionLost) {
		f.reason = workflow.ReasonConnectionLost
	}
	return f
}

// failf makes a failure that is no fault of the connection.
func failf(format string, args ...any) error {
	return &failure{reason: workflow.ReasonError, err: fmt.Errorf(format, args...)}
}

// workspace checks the directory that the tools are to run in, and returns it
// as the server will report it. The server does not check it, and works in
// another one without a word when it does not exist.
func (r *Runner) workspace(dir string) (string, error) {
	switch {
	case dir == "":
		return "", failf("the task has no workspace: the directory in which the tools run must be given")
	case !r.opts.Local:
		return dir, nil // whether it is absolute is checked by the client; the rest only the server's machine knows
	case !filepath.IsAbs(dir):
		return "", failf("workspace %q is no absolute path", dir)
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return "", failf("workspace %s does not exist: make the directory, or mend workspace.directory of the team", dir)
		}
		return "", failf("workspace: %w", err)
	}
	info, err := os.Stat(real)
	switch {
	case err != nil:
		return "", failf("workspace: %w", err)
	case !info.IsDir():
		return "", failf("workspace %s is no directory", dir)
	}
	return real, nil
}
