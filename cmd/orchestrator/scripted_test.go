package main

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// start runs the program as a process of its own and returns it with its first line.
func start(t *testing.T, args ...string) (*exec.Cmd, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, "orchestrator", args...) // testscript.Main has put it into PATH
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func TestScriptedServesUntilStopped(t *testing.T) {
	script := filepath.Join(t.TempDir(), "script.yaml")
	if err := os.WriteFile(script, []byte("version: 1\nagents:\n  a:\n    turns:\n      - - say: hi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for transport, want := range map[string]appclient.Transport{"single": appclient.TransportSingle, "split": appclient.TransportSplit} {
		cmd, line := start(t, "appserver", "scripted", "--script", script, "--transport", transport)
		address, ok := strings.CutPrefix(line, "Listening on ")
		if !ok {
			t.Fatalf("the first line is %q", line)
		}
		client, err := appclient.Dial(t.Context(), appclient.Config{URL: address})
		if err != nil {
			t.Fatal(err)
		}
		if client.Transport() != want {
			t.Errorf("transport %s, want %s", client.Transport(), want)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v", transport, err)
		}
	}
}
