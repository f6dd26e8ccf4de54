//go:build faults

package chaos

import (
	"flag"
	"fmt"
	"os"
	"testing"
	"time"
)

var (
	long  = flag.Bool("long", false, "the long form: 1000 kills of the daemon, 100 of the App Server")
	seed  = flag.Uint64("seed", uint64(time.Now().UnixNano())%1_000_000, "of everything that is random")
	letta = os.Getenv("ORCHESTRATOR_E2E_LETTA") // empty leaves the real App Server out
)

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "chaos")
	if err == nil {
		err = build(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	status := m.Run()
	_ = os.RemoveAll(dir)
	results.print(os.Stdout, status != 0)
	os.Exit(status)
}

// times is how often something is done in the short and in the long form.
func times(inShort, inLong int) int {
	if *long {
		return inLong
	}
	return inShort
}
