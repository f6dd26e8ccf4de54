package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// errInterrupted is the cause of a context that the user ended with Ctrl-C.
var errInterrupted = errors.New("interrupted")

// sameRequest is how long after the first a further signal is the same request:
// timeout(1), terminals and package runners signal the process and its group.
const sameRequest = 200 * time.Millisecond

// interruption ends a context when the user wants the end.
type interruption struct {
	ctx context.Context
	// cancel ends it for another reason.
	cancel context.CancelCauseFunc
	// request does what a signal does.
	request func()
	// stop gives the signals back and ends the context.
	stop func()
}

// withInterrupt returns a context that the first SIGINT, SIGTERM or SIGHUP (the
// terminal was closed) ends. The second one ends the process at once.
func withInterrupt(stdin io.Reader, stdout, stderr io.Writer) interruption {
	ctx, cancel := context.WithCancelCause(context.Background())
	restore := terminalState(stdin)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // nohup means it
		signal.Notify(signals, syscall.SIGHUP)
	}
	// A signal that nobody takes from this channel: a closed pipe is then an
	// error of the write, and does not end the process in the middle of a turn.
	pipes := make(chan os.Signal, 1)
	signal.Notify(pipes, syscall.SIGPIPE)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		var first time.Time
		for {
			select {
			case <-stopped:
				return
			case <-signals:
			}
			if !first.IsZero() {
				if time.Since(first) < sameRequest {
					continue
				}
				restore()
				if isTerminal(stdout) {
					fmt.Fprint(stdout, "\x1b[?25h") // the live view hides the cursor
				}
				fmt.Fprintln(stderr, "stopped at once; what was committed is kept")
				os.Exit(exitInterrupted)
			}
			first = time.Now()
			cancel(errInterrupted)
		}
	}()
	return interruption{
		ctx: ctx, cancel: cancel,
		request: func() {
			select {
			case signals <- os.Interrupt:
			default: // there are requests enough
			}
		},
		stop: func() {
			signal.Stop(signals)
			signal.Stop(pipes)
			close(stopped)
			<-ended
			cancel(nil)
		},
	}
}

// terminalState returns what puts a terminal back into the state that it is in now.
func terminalState(in io.Reader) (restore func()) {
	f, ok := in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return func() {}
	}
	state, err := term.GetState(int(f.Fd()))
	if err != nil {
		return func() {}
	}
	return func() { _ = term.Restore(int(f.Fd()), state) } // the process ends in any case
}
