package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
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
	// request does what Ctrl-C does.
	request func()
	// drain gets the first SIGTERM where a command listens.
	drain *drainRequests
	// reload gets every SIGHUP where a command listens.
	reload *reloadRequests
	// stop gives the signals back and ends the context.
	stop func()
}

// submitPatience is how long a command that is interrupted while it makes a task
// may take to learn of it.
const submitPatience = 10 * time.Second

// outliving returns a context that ends submitPatience after ctx does: for what has
// an effect that people must be told of, also those who do not want to wait for more.
func outliving(ctx context.Context) (_ context.Context, cancel func()) {
	longer, end := context.WithCancelCause(context.WithoutCancel(ctx))
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(submitPatience):
			end(context.Cause(ctx))
		case <-ended:
		}
	})
	return longer, sync.OnceFunc(func() {
		stop()
		close(ended)
		end(nil)
	})
}

// drainRequests hands a request to end in good order to a command that can.
type drainRequests struct {
	c         chan struct{}
	listening atomic.Bool
}

// listen takes the requests; nobody may listen already. ignore ends that.
func (r *drainRequests) listen() (requests <-chan struct{}, ignore func()) {
	if r == nil {
		return nil, func() {}
	}
	r.listening.Store(true)
	return r.c, func() { r.listening.Store(false) }
}

// ask is false when nobody listens.
func (r *drainRequests) ask() bool {
	if !r.listening.Load() {
		return false
	}
	r.c <- struct{}{} // it is asked once, and there is room
	return true
}

// reloadRequests hands requests to read the configuration again to a command that can.
type reloadRequests struct {
	c         chan struct{}
	listening atomic.Bool
}

// listen takes the requests; nobody may listen already. ignore ends that.
func (r *reloadRequests) listen() (requests <-chan struct{}, ignore func()) {
	if r == nil {
		return nil, func() {}
	}
	r.listening.Store(true)
	return r.c, func() { r.listening.Store(false) }
}

// ask is false when nobody listens.
func (r *reloadRequests) ask() bool {
	if !r.listening.Load() {
		return false
	}
	select {
	case r.c <- struct{}{}:
	default: // one that has not begun yet will read what is there now
	}
	return true
}

// withInterrupt returns a context that the first SIGINT, SIGTERM or SIGHUP (the
// terminal was closed) ends; the next one ends the process at once. Where a
// command listens, the first SIGTERM asks it to end in good order instead, and
// the next signal ends the context; and where one listens for it, SIGHUP asks to
// read the configuration again.
func withInterrupt(stdin io.Reader, stdout, stderr io.Writer) interruption {
	ctx, cancel := context.WithCancelCause(context.Background())
	restore := terminalState(stdin)
	drain, reload := &drainRequests{c: make(chan struct{}, 1)}, &reloadRequests{c: make(chan struct{}, 1)}
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
		var last time.Time
		drained, cancelled := false, false
		for {
			var signal os.Signal
			select {
			case <-stopped:
				return
			case signal = <-signals:
			}
			if signal == syscall.SIGHUP && reload.ask() {
				continue
			}
			if !last.IsZero() && time.Since(last) < sameRequest {
				continue
			}
			last = time.Now()
			switch {
			case cancelled:
				restore()
				if isTerminal(stdout) {
					fmt.Fprint(stdout, "\x1b[?25h") // the live view hides the cursor
				}
				fmt.Fprintln(stderr, "stopped at once; what was committed is kept")
				os.Exit(exitInterrupted)
			case signal == syscall.SIGTERM && !drained && drain.ask():
				drained = true
			default:
				cancelled = true
				cancel(errInterrupted)
			}
		}
	}()
	return interruption{
		ctx: ctx, cancel: cancel, drain: drain, reload: reload,
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
