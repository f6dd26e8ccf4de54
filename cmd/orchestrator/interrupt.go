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
)

// errInterrupted is the cause of a context that the user ended with Ctrl-C.
var errInterrupted = errors.New("interrupted")

// sameRequest is how long after the first a further signal is the same request:
// timeout(1), terminals and package runners signal the process and its group.
const sameRequest = 200 * time.Millisecond

// withInterrupt returns a context that the first SIGINT, SIGTERM or SIGHUP (the
// terminal was closed) ends. The second one ends the process at once. cancel
// ends it for another reason.
func withInterrupt(stdout, stderr io.Writer) (ctx context.Context, cancel context.CancelCauseFunc, stop func()) {
	ctx, cancel = context.WithCancelCause(context.Background())
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
	return ctx, cancel, func() {
		signal.Stop(signals)
		signal.Stop(pipes)
		close(stopped)
		<-ended
		cancel(nil)
	}
}
