//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/appserver"
)

// TestStoppedAppServer stops the process of a managed App Server with SIGSTOP: it
// does not exit and does not answer, and is replaced by one that does.
func TestStoppedAppServer(t *testing.T) {
	t.Parallel()
	model := startModel(t, nil)
	dir := t.TempDir()
	s, err := appserver.Start(t.Context(), appserver.Options{
		Command: letta, Home: t.TempDir(), Dir: filepath.Join(dir, "appserver"), Env: environment(t, model), Log: zerolog.Nop(),
		HangTimeout: 6 * time.Second, RestartDelay: 10 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	pid, err := strconv.Atoi(read(t, filepath.Join(dir, "appserver", "pid")))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(-pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for s.Restarts() == 0 {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			t.Fatal("the App Server was not replaced")
		}
	}
	url, err := s.URL(ctx)
	if err != nil {
		t.Fatal(err)
	}
	client, err := appclient.Dial(ctx, appclient.Config{URL: url, Token: s})
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.FindProcess(pid); err == nil && syscall.Kill(pid, 0) == nil {
		t.Error("the stopped process lives on")
	}
}
