package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
)

// output is the standard output. What cannot be written is lost without a word
// otherwise: a full disk, or a reader such as head that has seen enough.
type output struct {
	io.Writer
	// failed is called once, with the first error.
	failed func(error)

	mu  sync.Mutex
	err error
}

// errOutput is the cause of a context that ended because the standard output
// takes nothing any more.
var errOutput = errors.New("the standard output cannot be written")

func newOutput(w io.Writer, failed func(error)) *output { return &output{Writer: w, failed: failed} }

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	n, err := o.Writer.Write(p)
	if err == nil {
		return n, nil
	}
	o.mu.Lock()
	first := o.err == nil
	if first {
		o.err = err
	}
	o.mu.Unlock()
	if first {
		o.failed(fmt.Errorf("%w: %w", errOutput, err))
	}
	return n, err
}

// failure is the first error, or nil.
func (o *output) failure() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// fileOf is the file behind a stream, or nil.
func fileOf(w io.Writer) *os.File {
	if o, ok := w.(*output); ok {
		w = o.Writer
	}
	f, _ := w.(*os.File)
	return f
}

// outputStatus replaces the exit status of a command whose output was lost.
func (a *app) outputStatus(status int, err error) int {
	switch {
	case err == nil:
		return status
	case errors.Is(err, syscall.EPIPE):
		// As if the signal had ended it, as pipes expect.
		return exitBrokenPipe
	}
	fmt.Fprintln(a.stderr, "error: the standard output cannot be written: "+plainCause(err)+"\n  what to do: check where it goes; nothing that was committed is lost")
	return exitEnvironment
}

// plainCause is the cause of a file's error without its path and operation.
func plainCause(err error) string {
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error()
	}
	return err.Error()
}
