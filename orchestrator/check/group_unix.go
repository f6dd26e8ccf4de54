//go:build unix

package check

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// pollGroup is how often it is looked whether a group is empty, which no signal tells.
const pollGroup = 10 * time.Millisecond

// ownSession puts the command into a session, and so a process group, of its
// own. A session has no terminal: what asks for a password fails instead of waiting.
func ownSession(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

func terminate(cmd *exec.Cmd) { _ = signalGroup(cmd, syscall.SIGTERM) }

func kill(cmd *exec.Cmd) { _ = signalGroup(cmd, syscall.SIGKILL) }

// signalGroup fails when the group is empty (ESRCH), and with EPERM where all
// that is left has ended or belongs to somebody else: nothing can be done then.
func signalGroup(cmd *exec.Cmd, signal syscall.Signal) error {
	return syscall.Kill(-cmd.Process.Pid, signal)
}

// endGroup ends what the command, which has ended, left running. The number of
// a group is not given out again while the group has members.
func endGroup(cmd *exec.Cmd, grace time.Duration) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if signalGroup(cmd, signal) != nil || emptyWithin(cmd, grace) {
			return
		}
	}
}

// emptyWithin waits until the group has no members that still run.
func emptyWithin(cmd *exec.Cmd, patience time.Duration) bool {
	tick := time.NewTicker(pollGroup)
	defer tick.Stop()
	for i := range max(1, int(patience/pollGroup)) {
		// The second question reads much, so that it is asked now and then.
		if signalGroup(cmd, 0) != nil || i%10 == 0 && allEnded(cmd.Process.Pid) {
			return true
		}
		<-tick.C
	}
	return false
}

// signalled tells the signal that ended the command.
func signalled(state *os.ProcessState) (number int, name string, ok bool) {
	status, ok := state.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() {
		return 0, "", false
	}
	signal := status.Signal()
	return int(signal), fmt.Sprintf("%s (%d)", signal, int(signal)), true
}

func isNoProgram(err error) bool { return errors.Is(err, syscall.ENOEXEC) }
