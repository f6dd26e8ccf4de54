package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Each error that people meet says what happened, where, and what to do.
func TestErrorsAreForPeople(t *testing.T) {
	refused := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4500}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	cases := []struct {
		name string
		err  error
		code int
		want []string
	}{
		{"locked", fmt.Errorf("open: %w", &store.LockedError{Dir: "/data", PID: 42, Command: "orchestrator"}), exitEnvironment,
			[]string{"/data is in use by orchestrator (process 42)", "--data-dir"}},
		{"connection refused", fmt.Errorf("connect: %w", refused), exitEnvironment, []string{"nothing listens at 127.0.0.1:4500", "letta server"}},
		{"unauthorized", fmt.Errorf("connect to ws://h: %w: missing websocket bearer token", appclient.ErrUnauthorized), exitEnvironment,
			[]string{"ws://h", "missing websocket bearer token", "token-file"}},
		{"busy", fmt.Errorf("connect to ws://h: %w", appclient.ErrServerBusy), exitEnvironment, []string{"ws://h", "busy", "close the other client"}},
		{"team", workflow.Problems{{File: "t.yaml", Line: 3, Column: 2, Message: "no such agent"}}, exitUsage, []string{"t.yaml:3:2: no such agent", "1 error"}},
		{"no task", fmt.Errorf("task %q: %w", "01X", store.ErrNotFound), exitUsage, []string{`"01X"`, "orchestrator list"}},
		{"ambiguous", &store.AmbiguousError{Name: "01", Matches: []string{"01A", "01B"}}, exitUsage, []string{"01A, 01B"}},
		{"no file", usage(fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "t.yaml", Err: fs.ErrNotExist})), exitUsage, []string{"there is no file t.yaml"}},
		{"workspace", usage(fmt.Errorf("workspace /x: %w", orchestrator.ErrWorkspace)), exitUsage, []string{"/x", "--workspace"}},
		{"disk", &store.StorageError{Op: "commit", Dir: "/data", Err: errors.New("disk I/O error")}, exitEnvironment, []string{"commit in /data", "is kept"}},
		{"host", fmt.Errorf("connect: %w", &net.DNSError{Name: "nowhere.invalid", Err: "no such host"}), exitEnvironment, []string{`no host "nowhere.invalid"`}},
		{"timeout", fmt.Errorf("list_models: %w", appclient.ErrRequestTimeout), exitEnvironment, []string{"no answer", "log of the App Server"}},
		{"refused command", &appclient.CommandError{Command: "agent_delete", Message: "Agent not found"}, exitEnvironment, []string{"refused agent_delete: Agent not found"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var stderr strings.Builder
			a := &app{stderr: &stderr, started: true}
			if code := a.exit(t.Context(), c.err); code != c.code {
				t.Errorf("exit status %d, want %d", code, c.code)
			}
			for _, want := range c.want {
				if !strings.Contains(stderr.String(), want) {
					t.Errorf("%q is not in\n%s", want, stderr.String())
				}
			}
		})
	}
}

func TestStatusOfAnInterrupt(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	a := &app{stderr: &strings.Builder{}, started: true}
	if code := a.exit(ctx, fmt.Errorf("wait: %w", errInterrupted)); code != exitInterrupted {
		t.Errorf("exit status %d", code)
	}
}
