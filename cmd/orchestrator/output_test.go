package main

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

type brokenWriter struct{ err error }

func (w brokenWriter) Write([]byte) (int, error) { return 0, w.err }

// What cannot be written is told once, and changes the exit status.
func TestOutputThatCannotBeWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
		want string
	}{
		{"a closed pipe", syscall.EPIPE, exitBrokenPipe, ""},
		{"a full disk", syscall.ENOSPC, exitEnvironment, "error: the standard output cannot be written: no space left on device\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var failures []error
			out := newOutput(brokenWriter{c.err}, func(err error) { failures = append(failures, err) })
			for range 2 {
				if _, err := out.Write([]byte("x")); !errors.Is(err, c.err) {
					t.Errorf("got %v", err)
				}
			}
			if len(failures) != 1 || !errors.Is(failures[0], errOutput) {
				t.Errorf("told %v", failures)
			}
			var stderr strings.Builder
			a := &app{stderr: &stderr}
			if code := a.outputStatus(exitOK, out.failure()); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			if c.want == "" && stderr.String() != "" || !strings.HasPrefix(stderr.String(), c.want) {
				t.Errorf("printed %q", stderr.String())
			}
		})
	}
	if code := (&app{}).outputStatus(exitTaskFailed, nil); code != exitTaskFailed {
		t.Errorf("exit status %d without a failure", code)
	}
}
