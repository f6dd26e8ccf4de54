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
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// sqliteError is what SQLite's errors look like.
type sqliteError int

func (e sqliteError) Error() string { return fmt.Sprintf("sqlite error %d", int(e)) }
func (e sqliteError) Code() int     { return int(e) }

func storage(code int) error {
	return &store.StorageError{Op: "commit", Dir: "/data", Err: fmt.Errorf("partial migration error (type:sql,version:1): %w; sql: rolled back", sqliteError(code))}
}

func connect(format string, err error) *orchestrator.ConnectError {
	return &orchestrator.ConnectError{Address: "ws://h", Err: fmt.Errorf(format, err)}
}

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
		{"no token", connect("%w: missing websocket bearer token", appclient.ErrUnauthorized), exitEnvironment,
			[]string{"error: the App Server at ws://h wants a token, and none was given\n", "--app-server-token-file FILE"}},
		{"wrong token", &directError{*connect("%w: invalid websocket bearer token", appclient.ErrUnauthorized)}, exitEnvironment,
			[]string{"error: the App Server at ws://h refused the token\n", " --token-file holds"}},
		{"no App Server", connect("connect to the App Server: open ws://h/ws?channel=control: %w", errors.New("the App Server at h answered HTTP 404 File not found")), exitEnvironment,
			[]string{"error: cannot connect to ws://h: the App Server at h answered HTTP 404 File not found\n", "check the address"}},
		{"busy", fmt.Errorf("connect to ws://h: %w", appclient.ErrServerBusy), exitEnvironment, []string{"ws://h", "busy", "close the other client"}},
		{"directory for a file", usage(fmt.Errorf("read the team file: %w", &fs.PathError{Op: "read", Path: "dir", Err: syscall.EISDIR})), exitUsage,
			[]string{"error: dir is a directory, and a file is wanted\n"}},
		{"file for a directory", fmt.Errorf("open the data directory: %w", &fs.PathError{Op: "stat", Path: "/etc/passwd/x", Err: syscall.ENOTDIR}), exitEnvironment,
			[]string{"error: /etc/passwd/x is a file, or lies below one"}},
		{"data directory that cannot be made", fmt.Errorf("make: %w", &fs.PathError{Op: "mkdir", Path: "/proc/x", Err: fs.ErrNotExist}), exitEnvironment,
			[]string{"error: the directory /proc/x cannot be made\n", "--data-dir"}},
		{"permission", &fs.PathError{Op: "open", Path: "/data/lock", Err: fs.ErrPermission}, exitEnvironment, []string{"no permission for /data/lock (open)"}},
		{"no store", fmt.Errorf("open /data: %w: run a task first, or name another data directory", store.ErrNoStore), exitEnvironment, []string{"error: there is no store in /data\n", "run a task first"}},
		{"full disk", storage(13), exitEnvironment, []string{"error: the disk of /data is full\n", "free disk space"}},
		{"read-only directory", storage(8 | 6<<8), exitEnvironment, []string{"error: no permission to write in /data\n"}},
		{"failing disk", storage(10), exitEnvironment, []string{"error: commit in /data: sqlite error 10\n", "is kept"}},
		{"damaged", storage(11), exitEnvironment, []string{"error: the store in /data is damaged (commit: ", "put a backup in its place"}},
		{"no space for a file", &store.StorageError{Op: "keep the output", Dir: "/data", Err: &fs.PathError{Op: "write", Path: "/data/x", Err: syscall.ENOSPC}}, exitEnvironment,
			[]string{"error: the disk of /data is full\n", "free disk space"}},
		{"another task's key", fmt.Errorf("submit: %w", &engine.KeyError{Key: "k", Task: "01X", State: workflow.TaskRunning, Differs: []string{"team"}}), exitUsage,
			[]string{`error: the key "k" belongs to task 01X (running), which was submitted with another team`, "orchestrator show 01X"}},
		{"no token file", fmt.Errorf("%w: %w", orchestrator.ErrTokenFile, &fs.PathError{Op: "open", Path: "tok", Err: fs.ErrNotExist}), exitUsage, []string{"there is no file tok"}},
		{"escape sequences", &appclient.CommandError{Command: "x", Message: "a\x1b[2Jb\x1b]0;title\x07c\u202ed"}, exitEnvironment, []string{"refused x: abcd\n"}},
		{"team", workflow.Problems{{File: "t.yaml", Line: 3, Column: 2, Message: "no such agent"}}, exitUsage, []string{"t.yaml:3:2: no such agent", "1 error"}},
		{"no task", fmt.Errorf("task %q: %w", "01X", store.ErrNotFound), exitUsage, []string{`"01X"`, "orchestrator list"}},
		{"ambiguous", &store.AmbiguousError{Name: "01", Matches: []string{"01A", "01B"}}, exitUsage, []string{"01A, 01B"}},
		{"no file", usage(fmt.Errorf("read: %w", &fs.PathError{Op: "open", Path: "t.yaml", Err: fs.ErrNotExist})), exitUsage, []string{"there is no file t.yaml"}},
		{"workspace", usage(fmt.Errorf("workspace /x: %w", orchestrator.ErrWorkspace)), exitUsage, []string{"/x", "--workspace"}},
		{"no workspace", usage(fmt.Errorf("workspace /x: %w: %w", orchestrator.ErrWorkspace, &fs.PathError{Op: "lstat", Path: "/x", Err: fs.ErrNotExist})), exitUsage,
			[]string{"error: there is no directory /x for the agents to work in\n"}},
		{"worktree", usage(fmt.Errorf("make the workspace of the task: %w", &orchestrator.WorktreeError{Detail: "/x is no git repository", Fix: "name another"})), exitUsage,
			[]string{"error: /x is no git repository\n  what to do: name another"}},
		{"no price file", fmt.Errorf("%w: %w", orchestrator.ErrPrices, &fs.PathError{Op: "open", Path: "p.yaml", Err: fs.ErrNotExist}), exitUsage, []string{"there is no file p.yaml"}},
		{"disk", &store.StorageError{Op: "commit", Dir: "/data", Err: errors.New("disk I/O error")}, exitEnvironment, []string{"commit in /data", "is kept"}},
		{"host", fmt.Errorf("connect: %w", &net.DNSError{Name: "nowhere.invalid", Err: "no such host"}), exitEnvironment, []string{`no host "nowhere.invalid"`}},
		{"timeout", fmt.Errorf("list_models: %w", appclient.ErrRequestTimeout), exitEnvironment, []string{"no answer", "log of the App Server"}},
		{"no start", fmt.Errorf("%w: find out its version: run /bin/false: exit status 1\nand what it\x1b[1m said", orchestrator.ErrNotStarted), exitEnvironment,
			[]string{"error: the App Server does not start: find out its version: run /bin/false: exit status 1 and what it said\n", "--letta"}},
		{"refused start", fmt.Errorf("start runtime: %w", &appclient.RuntimeStartError{CommandError: appclient.CommandError{Command: "runtime_start", Message: "Agent x not found"}}), exitEnvironment,
			[]string{"error: the App Server refused to start the conversation: Agent x not found\n"}},
		{"invalid", usage(fmt.Errorf("start runtime: %w", &appclient.ValidationError{Field: "mode", Problem: "is none"})), exitUsage, []string{"error: mode: is none\n"}},
		{"address in use", fmt.Errorf("listen: %w", &net.OpError{Op: "listen", Addr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4500}, Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}), exitEnvironment,
			[]string{"error: another process listens at 127.0.0.1:4500\n"}},
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
