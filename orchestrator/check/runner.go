package check

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	defaultGrace         = 5 * time.Second
	defaultMaxOutputFile = 64 << 20
	// drainWait is how long the output of a process that is out of reach is read on.
	drainWait = 500 * time.Millisecond
)

// Options configure a Runner. The zero value is ready to use.
type Options struct {
	// Grace is the time between SIGTERM and SIGKILL; default 5 s.
	Grace time.Duration
	// MaxOutputFile is how many bytes of an output are kept in its file; default 64 MiB.
	MaxOutputFile int64
	// Environ is what commands inherit, as NAME=value, less what Inherited takes
	// out of it; default os.Environ.
	Environ func() []string
}

// Runner runs checks. It implements engine.CheckRunner, and may be used concurrently.
type Runner struct{ o Options }

var _ engine.CheckRunner = (*Runner)(nil)

// New returns a Runner.
func New(o Options) *Runner {
	o.Grace = cmp.Or(o.Grace, defaultGrace)
	o.MaxOutputFile = cmp.Or(o.MaxOutputFile, defaultMaxOutputFile)
	if o.Environ == nil {
		o.Environ = os.Environ
	}
	return &Runner{o: o}
}

// RunCheck implements engine.CheckRunner. It returns when the command and what
// it left running have ended, so at the latest twice Options.Grace after the
// time limit or the end of ctx, unless the kernel itself cannot end a process.
func (r *Runner) RunCheck(ctx context.Context, req engine.CheckRequest) (workflow.TurnFinished, error) {
	finished := workflow.TurnFinished{Turn: req.Turn.ID, Attempt: req.Turn.Attempt}
	if ctx.Err() != nil {
		return cancelled(ctx, finished)
	}
	run, err := r.start(req)
	if err != nil {
		finished.Reason, finished.Error = workflow.ReasonFailed, err.Error()
		return finished, nil //nolint:nilerr // that it cannot be started is the result of the check
	}
	end := run.wait(ctx, timeout(req.Check))
	finished.Output, finished.OutputFile = run.output.finish()
	finished.Duration = end.duration
	finished.ExitCode = end.code
	switch end.why {
	case whyCancelled:
		return cancelled(ctx, finished)
	case whyTimeout:
		finished.Reason = workflow.ReasonTimeout
		finished.Error = fmt.Sprintf("the command did not end within %s and was stopped", timeout(req.Check))
	case whyExited:
		finished.Reason, finished.Error = workflow.ReasonPassed, end.detail
		if end.detail != "" {
			finished.Reason = workflow.ReasonFailed
		}
	}
	return finished, nil
}

func timeout(c *workflow.Check) time.Duration {
	return cmp.Or(c.Timeout, workflow.DefaultCheckTimeout)
}

// cancelled is the end of a check whose ctx ended: a limit that was reached is
// a result, everything else means that nothing may be recorded.
func cancelled(ctx context.Context, finished workflow.TurnFinished) (workflow.TurnFinished, error) {
	if budget, ok := budgetError(ctx); ok {
		finished.Reason, finished.Error = workflow.ReasonBudgetExceeded, budget.Error()
		return finished, nil
	}
	return workflow.TurnFinished{}, fmt.Errorf("run the check: %w", context.Cause(ctx))
}
