//go:build unix

package appserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// leftoverWait bounds how long a killed server may take to be gone.
const leftoverWait = 10 * time.Second

// endLeftover ends the server that an orchestrator which was killed has left in
// the directory: two servers must not write to one HOME. A server notices by
// itself that its parent is gone, but only after a second. tokenFile is an
// argument of that server, by which it is told from a stranger with its old pid.
func endLeftover(ctx context.Context, pidFile, tokenFile string) error {
	data, err := os.ReadFile(pidFile)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for an App Server that was left running: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || pid <= 1 || !strings.Contains(arguments(ctx, pid), tokenFile) {
		return nil // it was not written to its end, or that server is gone
	}
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end App Server %d, which was left running: %w", pid, err)
	}
	ctx, cancel := context.WithTimeout(ctx, leftoverWait)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for strings.Contains(arguments(ctx, pid), tokenFile) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the App Server %d was left running and does not end: end it with `kill -9 %d`", pid, pid)
		}
	}
	return nil
}

// arguments returns the command line of a process; empty when there is none.
func arguments(ctx context.Context, pid int) string {
	if data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline")); err == nil {
		return string(data)
	}
	// Systems without /proc. Where the process is gone, ps prints nothing.
	out, err := exec.CommandContext(ctx, "ps", "-o", "args=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return ""
	}
	return string(out)
}
