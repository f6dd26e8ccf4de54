//go:build unix

package check

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// runs reports whether a process is there and has not ended.
func runs(t *testing.T, pid int) bool {
	t.Helper()
	if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
		return false
	}
	state, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && len(state) > 0 && !strings.HasPrefix(strings.TrimSpace(string(state)), "Z")
}

func pidIn(t *testing.T, output string) int {
	t.Helper()
	fields := strings.Fields(output)
	if len(fields) == 0 {
		t.Fatalf("no pid in %q", output)
	}
	pid, err := strconv.Atoi(fields[len(fields)-1])
	if err != nil {
		t.Fatalf("no pid in %q", output)
	}
	return pid
}

func TestRunCheckEndsWhatTheCommandLeftRunning(t *testing.T) {
	for _, test := range []struct{ name, run string }{
		{"holds the output open", "sleep 1000 & echo $!"},
		{"has closed the output", "sleep 1000 >/dev/null 2>&1 & echo $!"},
		{"is a grandchild", "(sleep 1000 & echo $!)"},
		{"ignores SIGTERM", "(trap '' TERM; : >ready; exec sleep 1000) & p=$!; until [ -e ready ]; do sleep 0.01; done; echo $p"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := runCheck(t, request(t, test.run))
			if got.Reason != workflow.ReasonPassed || got.ExitCode != 0 {
				t.Fatalf("got %+v", got)
			}
			if pid := pidIn(t, got.Output); runs(t, pid) {
				t.Errorf("process %d still runs", pid)
			}
		})
	}
}

func TestRunCheckEndsTheGroupAtTheTimeLimit(t *testing.T) {
	req := request(t, "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & wait; while :; do sleep 1; done")
	req.Check.Timeout = 2 * time.Second
	got := runCheck(t, req)
	if got.Reason != workflow.ReasonTimeout || got.ExitCode != 128+int(syscall.SIGKILL) {
		t.Fatalf("got %+v", got)
	}
	if pid := pidIn(t, got.Output); runs(t, pid) {
		t.Errorf("process %d still runs", pid)
	}
}

// TestRunCheckDoesNotWaitForWhatHasLeftTheSession: it is out of reach, but the
// output that it holds open does not hold the check.
func TestRunCheckDoesNotWaitForWhatHasLeftTheSession(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	file := t.TempDir() + "/out"
	// The command's output is its descriptor 3; what it prints goes to a file.
	req := request(t, "exec 3>&1; "+escapeVariable+"=1 '"+self+"' > '"+file+"' & until [ -s '"+file+"' ]; do sleep 0.02; done; cat '"+file+"'")
	begun := time.Now()
	got := runCheck(t, req)
	pid := pidIn(t, got.Output)
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
			t.Errorf("end the process that left: %v", err)
		}
	}()
	if got.Reason != workflow.ReasonPassed || !runs(t, pid) {
		t.Errorf("got %+v; it runs: %t", got, runs(t, pid))
	}
	if took := time.Since(begun); took < drainWait || took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
}
