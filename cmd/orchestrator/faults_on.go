//go:build faults

package main

import (
	"io"
	"os"
)

// init ends the program with the one that started it, which holds the other end
// of its standard input. It is compiled with the hook for tests alone, which kill
// this program and may be killed themselves.
func init() { //nolint:gochecknoinits // see above; nothing calls it where the hook is not compiled
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
}
