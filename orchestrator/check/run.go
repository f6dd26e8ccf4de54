package check

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// run is one command that has been started.
type run struct {
	cmd     *exec.Cmd
	grace   time.Duration
	output  *output
	started time.Time
	// pipe is our end of the command's output.
	pipe *os.File
	// exited takes what Wait returned; drained is closed when nothing more is read.
	exited  chan error
	drained chan struct{}
	running sync.WaitGroup
}

// why a run ended.
type why int

const (
	whyExited why = iota
	whyTimeout
	whyCancelled
)

// ending says how a run ended.
type ending struct {
	why      why
	duration time.Duration
	// code is as a shell shows it: 128 + the number of the signal that ended the command.
	code int
	// detail is empty when the command ended with 0.
	detail string
}

// start starts the command of a check. Its errors are for the person who wrote it.
func (r *Runner) start(req engine.CheckRequest) (*run, error) {
	directory, err := workingDirectory(req.Workspace, req.Check.Directory)
	if err != nil {
		return nil, err
	}
	env := r.environment(req, directory)
	cmd, err := command(req.Check, directory, env)
	if err != nil {
		return nil, err
	}
	// The pipe is ours, and not exec's, so that Wait returns when the command
	// has ended, even if something that it left running keeps the pipe open.
	pipe, theirs, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe for the output of the command: %w", err)
	}
	cmd.Stdout, cmd.Stderr = theirs, theirs
	ownSession(cmd)
	started := time.Now()
	err = errors.Join(startError(cmd, cmd.Start()), theirs.Close())
	if err != nil {
		return nil, errors.Join(err, pipe.Close())
	}
	run := &run{
		cmd: cmd, grace: r.o.Grace, started: started, pipe: pipe,
		output: newOutput(req.OutputLimit, req.OutputFile, r.o.MaxOutputFile),
		exited: make(chan error, 1), drained: make(chan struct{}),
	}
	run.running.Go(func() { run.exited <- cmd.Wait() })
	run.running.Go(func() {
		defer close(run.drained)
		readLines(pipe, req.Redact.Stream(), run.output, newPieces(req.Progress), req.Output)
	})
	return run, nil
}

// wait returns when the command, what it left running and the goroutines of
// the run have ended.
func (r *run) wait(ctx context.Context, limit time.Duration) ending {
	end := ending{}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	var result error
	select {
	case result = <-r.exited:
	case <-timer.C:
		end.why = whyTimeout
		result = r.stop()
	case <-ctx.Done():
		end.why = whyCancelled
		result = r.stop()
	}
	end.duration = time.Since(r.started)
	endGroup(r.cmd, r.grace)
	r.drain()
	r.running.Wait()
	end.code, end.detail = exitStatus(r.cmd, result)
	return end
}

// stop ends the whole group, and returns when the command itself has ended.
func (r *run) stop() error {
	terminate(r.cmd)
	patience := time.NewTimer(r.grace)
	defer patience.Stop()
	select {
	case result := <-r.exited:
		return result
	case <-patience.C:
	}
	kill(r.cmd)
	return <-r.exited
}

// drain waits for the end of the output. What is written by a process that
// could not be ended is read for a moment, and then not any more.
func (r *run) drain() {
	patience := time.NewTimer(drainWait)
	defer patience.Stop()
	select {
	case <-r.drained:
	case <-patience.C:
	}
	_ = r.pipe.Close() // it was only read: there is nothing to lose
	<-r.drained
}

// budgetError tells the end of ctx by a limit from all others.
func budgetError(ctx context.Context) (*engine.BudgetError, bool) {
	return errors.AsType[*engine.BudgetError](context.Cause(ctx))
}
