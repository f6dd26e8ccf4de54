package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// errInterrupted is the cause of a context that the user ended with Ctrl-C.
var errInterrupted = errors.New("interrupted")

// withInterrupt returns a context that the first SIGINT or SIGTERM ends. The
// second one ends the process at once.
func withInterrupt(stdout, stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for first := true; ; first = false {
			select {
			case <-stopped:
				return
			case <-signals:
			}
			if !first {
				if isTerminal(stdout) {
					fmt.Fprint(stdout, "\x1b[?25h") // the live view hides the cursor
				}
				fmt.Fprintln(stderr, "stopped at once; what was committed is kept")
				os.Exit(exitInterrupted)
			}
			cancel(errInterrupted)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(stopped)
		<-ended
		cancel(nil)
	}
}
