//go:build unix

package appserver

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// leaveRunning starts a fake server as an orchestrator that was then killed
// would have left it in dir.
func leaveRunning(t *testing.T, opts Options, dir string) *exec.Cmd {
	t.Helper()
	token := filepath.Join(dir, "token")
	cmd := exec.Command(opts.Command, "server", "--listen", "ws://127.0.0.1:0", "--ws-token-file", token)
	cmd.Env = append(os.Environ(), opts.Env...)
	cmd.Dir = t.TempDir()
	ownGroup(cmd)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kill(cmd) })
	if _, err := out.Read(make([]byte, 1)); err != nil { // it prints when it runs
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pid"), []byte(strconv.Itoa(cmd.Process.Pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// A server that a killed orchestrator left running is ended before the next one starts.
func TestLeftoverIsEnded(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "ok")
	opts.Dir = t.TempDir()
	old := leaveRunning(t, opts, opts.Dir)
	ended := make(chan error, 1)
	go func() { ended <- old.Wait() }() // as pid 1 would
	s := start(t, opts)
	<-ended
	if address(t, s) == "" {
		t.Error("no address")
	}
	if err := s.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A process that only has the pid of a former server is left alone.
func TestStrangerWithTheOldPidIsLeftAlone(t *testing.T) {
	_, opts := newFake(t, "0.30.28", "ok")
	opts.Dir = t.TempDir()
	stranger := leaveRunning(t, opts, t.TempDir())
	for _, content := range []string{strconv.Itoa(stranger.Process.Pid), "", "1", "x"} {
		if err := os.WriteFile(filepath.Join(opts.Dir, "pid"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		s := start(t, opts)
		if err := s.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
			t.Fatalf("%q: the stranger was ended: %v", content, err)
		}
		if err := os.MkdirAll(opts.Dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	_ = kill(stranger)
	_ = stranger.Wait()
}
