//go:build unix

package workspace

import (
	"os/exec"
	"syscall"
)

// ownGroup puts git and the filters that it starts into a process group of
// their own, which Ctrl-C in the terminal does not reach.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// terminate asks the whole group to exit.
func terminate(cmd *exec.Cmd) error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
