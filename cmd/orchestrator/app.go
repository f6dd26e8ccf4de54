package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// is reports whether an error, or one that it wraps, is of a type.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// app is what all commands share: the streams and the flags of the root.
type app struct {
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer

	logLevel  string
	logFormat string
	debugLog  string

	log       zerolog.Logger
	logStream redirect // the part of the log that people see

	// interrupt does what Ctrl-C does, for a terminal whose keys are read; nil in tests.
	interrupt func()
	// drain is how SIGTERM asks a run to end in good order; nil in tests.
	drain *drainRequests
	// reload is how SIGHUP asks a daemon to read its configuration again; nil in tests.
	reload *reloadRequests

	// patience is how long a daemon that does not answer any more is tried again; 0 is the usual.
	patience time.Duration

	started bool // a command has begun: flags and arguments were accepted
	closers []func() error
}

// close gives back what the flags of the root opened.
func (a *app) close() {
	for _, c := range a.closers {
		if err := c(); err != nil {
			fmt.Fprintln(a.stderr, "close the debug log:", err)
		}
	}
}

// closing closes something at the end of a command. Its failure is told even
// when the command has told its own end already.
func (a *app) closing(err *error, closer func() error) {
	failure := closer()
	if failure == nil {
		return
	}
	fmt.Fprintln(a.stderr, explain(failure))
	if *err == nil {
		*err = quietExit(exitEnvironment)
	}
}

// exit prints an error for people and returns the exit status.
func (a *app) exit(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	status := a.status(ctx, err)
	if se, ok := errors.AsType[*statusError](err); ok && se.cause == nil {
		return status
	}
	if errors.Is(context.Cause(ctx), errOutput) {
		return status // outputStatus tells it
	}
	fmt.Fprintln(a.stderr, explain(err))
	return status
}

func (a *app) status(ctx context.Context, err error) int {
	if se, ok := errors.AsType[*statusError](err); ok {
		return se.status
	}
	if _, ok := errors.AsType[workflow.Problems](err); ok || !a.started {
		return exitUsage
	}
	switch {
	case errors.Is(context.Cause(ctx), errInterrupted):
		return exitInterrupted
	case errors.Is(err, engine.ErrKeyTaken), errors.Is(err, store.ErrAmbiguous), errors.Is(err, store.ErrNotFound), errors.Is(err, orchestrator.ErrAppServer), errors.Is(err, orchestrator.ErrTokenFile),
		errors.Is(err, orchestrator.ErrPrices), errors.Is(err, api.ErrUnauthorized), errors.Is(err, api.ErrForbidden):
		return exitUsage
	case is[*api.InvalidError](err), is[*api.UnknownTeamError](err), is[*api.UnknownServerError](err), is[*workflow.OriginError](err):
		return exitUsage
	}
	return exitEnvironment
}
