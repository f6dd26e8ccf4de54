//go:build e2e

package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// binary is the orchestrator under test, and letta the real App Server's command.
var binary, letta string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	// The tests wait for most of their time.
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	letta = os.Getenv("ORCHESTRATOR_E2E_LETTA")
	if letta == "" {
		fmt.Fprintln(os.Stderr, "e2e: ORCHESTRATOR_E2E_LETTA does not name the App Server's command; run `make e2e`, which installs it.")
		return 1
	}
	dir, err := os.MkdirTemp("", "orchestrator-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "orchestrator")
	build := exec.Command("go", "build", "-race", "-o", binary, "../cmd/orchestrator")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}
