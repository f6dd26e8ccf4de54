//go:build unix

package check

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// escapeVariable makes the test binary a program that leaves the session of its check.
const escapeVariable = "CHECK_TEST_ESCAPE"

func TestMain(m *testing.M) {
	if os.Getenv(escapeVariable) != "" {
		os.Exit(escape())
	}
	goleak.VerifyTestMain(m)
}

func escape() int {
	if _, err := syscall.Setsid(); err != nil {
		fmt.Fprintln(os.Stderr, "setsid:", err)
		return 1
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	fmt.Fprintf(os.Stdout, "escaped %d\n", os.Getpid())
	<-ended
	return 0
}
