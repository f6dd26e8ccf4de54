//go:build !unix

package check

import (
	"os"
	"os/exec"
	"time"
)

// Without process groups only the command itself can be ended. Checks are not
// supported on such systems; the program builds there all the same.

func ownSession(*exec.Cmd) {}

func terminate(cmd *exec.Cmd) { kill(cmd) }

func kill(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func endGroup(*exec.Cmd, time.Duration) {}

func signalled(*os.ProcessState) (number int, name string, ok bool) { return 0, "", false }

func isNoProgram(error) bool { return false }
