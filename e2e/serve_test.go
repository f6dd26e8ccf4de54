//go:build e2e

package e2e

import (
	"bufio"
	"context"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// serving is a daemon in a process of its own, with a client.
type serving struct {
	*client.Daemon
	t     *testing.T
	env   []string
	args  []string
	data  string
	cmd   *exec.Cmd
	ended chan struct{}
}

// serve starts a daemon on a data directory.
func serve(t *testing.T, env []string, data string, args ...string) *serving {
	t.Helper()
	d := &serving{t: t, env: env, data: data, args: append([]string{"serve", "--data-dir", data}, args...)}
	t.Cleanup(func() { verifyHistories(t, env, data) })
	t.Cleanup(d.kill)
	d.start()
	return d
}

func (d *serving) start() {
	d.t.Helper()
	d.cmd = exec.CommandContext(context.WithoutCancel(d.t.Context()), binary, d.args...)
	d.cmd.Env = d.env
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		d.t.Fatal(err)
	}
	var stderr strings.Builder
	d.cmd.Stderr = &stderr
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	d.ended = make(chan struct{})
	listening := make(chan struct{})
	go func() {
		lines, told := bufio.NewScanner(stdout), false
		for lines.Scan() {
			if !told && strings.HasPrefix(lines.Text(), "listening at") {
				close(listening)
				told = true
			}
		}
		_ = d.cmd.Wait() // the status says it
		close(d.ended)
	}()
	select {
	case <-listening:
	case <-d.ended:
		d.t.Fatalf("the daemon has ended: %s", &stderr)
	case <-time.After(3 * time.Minute):
		d.t.Fatal("the daemon does not listen")
	}
	if d.Daemon, err = client.Discover(d.t.Context(), d.data, client.Options{}); err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(d.Close)
}

// signal sends a signal and waits for the end.
func (d *serving) signal(sig syscall.Signal) int {
	_ = d.cmd.Process.Signal(sig)
	select {
	case <-d.ended:
	case <-time.After(3 * time.Minute):
		_ = d.cmd.Process.Kill()
		<-d.ended
		d.t.Errorf("the daemon did not end after %s", sig)
	}
	return d.cmd.ProcessState.ExitCode()
}

func (d *serving) kill() {
	if d.cmd != nil && d.cmd.Process != nil {
		d.signal(syscall.SIGKILL)
	}
}

// await waits until the state of a task fits, by its events.
func (d *serving) await(task string, what string, fits func(workflow.State) bool) workflow.State {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.t.Context(), 4*time.Minute)
	defer cancel()
	for _, err := range d.Follow(ctx, client.FollowOptions{Task: task, Begin: true, Patience: 3 * time.Minute}) {
		if err != nil {
			break
		}
		if state, err := d.Task(ctx, task); err == nil && fits(state) {
			return state
		}
	}
	state, err := d.Task(d.t.Context(), task)
	d.t.Fatalf("waited in vain for %s: %+v, %v", what, state, err)
	return state
}

func ended(s workflow.State) bool { return s.Status.Terminal() }

func asks(s workflow.State) bool { return len(s.Questions) > 0 }

func gateOpen(s workflow.State) bool {
	return len(s.Turns) == 1 && s.Turns[0].Kind == workflow.KindGate
}
