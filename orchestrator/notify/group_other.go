//go:build !unix

package notify

import "os/exec"

// ownGroup does nothing where there are no process groups.
func ownGroup(*exec.Cmd) {}

// terminate kills where there is no signal that asks.
func terminate(cmd *exec.Cmd) error { return cmd.Process.Kill() }

// endGroup does nothing where there are no process groups.
func endGroup(*exec.Cmd) {}
