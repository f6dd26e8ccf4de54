//go:build faults

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	lib "github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// program is the orchestrator, built with the hook that kills it.
var program string

// build makes the program in a directory.
func build(dir string) error {
	program = filepath.Join(dir, "orchestrator")
	cmd := exec.Command("go", "build", "-tags", "faults", "-o", program, "../../cmd/orchestrator")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the orchestrator: %w\n%s", err, out)
	}
	return nil
}

// submission is one task, known by its key.
type submission struct {
	Key, TeamFile string
	Input         map[string]any
}

// request is how a client submits it.
func (s submission) request() (api.SubmitRequest, error) {
	team, err := lib.LoadTeam(s.TeamFile, "")
	if err != nil {
		return api.SubmitRequest{}, err
	}
	r := api.SubmitRequest{File: s.TeamFile, Source: string(team.Source), Input: s.Input, Workspace: filepath.Dir(s.TeamFile), Sources: map[string]string{}}
	for name, source := range team.Sources {
		r.Sources[name] = string(source)
	}
	return r, nil
}

// daemon is `orchestrator serve` in a process of its own, with the one client
// that it has: it submits what was not accepted yet, and ends the daemon in good
// order when all tasks have ended. Nothing else is asked of a daemon: it goes on
// with what it finds.
type daemon struct {
	cmd       *exec.Cmd
	listening chan string // the URL, once
	output    io.Writer
	line      bytes.Buffer
	client    sync.WaitGroup
	stop      context.CancelFunc
}

// Write takes what the daemon prints.
func (d *daemon) Write(p []byte) (int, error) {
	d.line.Write(p)
	for {
		line, rest, ok := bytes.Cut(d.line.Bytes(), []byte("\n"))
		if !ok {
			break
		}
		if url, told := bytes.CutPrefix(line, []byte("listening at ")); told {
			d.listening <- string(url)
		}
		next := bytes.Clone(rest)
		d.line.Reset()
		d.line.Write(next)
	}
	return d.output.Write(p)
}

// startDaemon starts a daemon of a world, which dies as the fault says.
func (w *world) startDaemon(fault string, output io.Writer) (*daemon, error) {
	d := &daemon{listening: make(chan string, 1), output: output}
	d.cmd = exec.CommandContext(context.Background(), program, "serve", "--data-dir", w.data(), "--app-server", w.address,
		"--max-turns", fmt.Sprint(maxTurns), "--log-level", "info", "--log-format", "json")
	d.cmd.Dir = w.dir
	d.cmd.Env = append(os.Environ(), store.FaultVariable+"="+fault)
	d.cmd.Stdout, d.cmd.Stderr = d, output
	if _, err := d.cmd.StdinPipe(); err != nil { // ends with this process, and the daemon with it
		return nil, err
	}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	d.stop = stop
	d.client.Go(func() {
		if err := w.use(ctx, d); err != nil {
			fmt.Fprintln(output, "--- client:", err)
		}
	})
	return d, nil
}

// wait waits for the end of the process and of its client.
func (d *daemon) wait() {
	_ = d.cmd.Wait() // the state says it
	d.stop()
	d.client.Wait()
}

// use is what the client does for as long as the daemon lives.
func (w *world) use(ctx context.Context, d *daemon) error {
	var url string
	select {
	case url = <-d.listening:
	case <-ctx.Done():
		return nil
	}
	c, err := client.Open(url, client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	for i, s := range w.tasks {
		made, err := c.Submit(ctx, w.requests[i], s.Key)
		if err != nil {
			return err
		}
		switch accepted := w.accepted[s.Key]; accepted {
		case "":
			w.accepted[s.Key] = made.Task.Task
		case made.Task.Task:
		default:
			return fmt.Errorf("key %s was task %s and is task %s", s.Key, accepted, made.Task.Task)
		}
	}
	left := map[string]bool{}
	follow := client.FollowOptions{Patience: time.Nanosecond, Connected: func() {
		for _, s := range w.tasks {
			left[w.accepted[s.Key]] = true
		}
		ended := []workflow.TaskState{workflow.TaskSucceeded, workflow.TaskFailed, workflow.TaskCancelled}
		states, listErr := c.List(ctx, client.ListOptions{States: ended})
		err = listErr
		for _, state := range states {
			delete(left, state.Task)
		}
		if len(left) == 0 {
			err = errors.Join(err, d.cmd.Process.Signal(syscall.SIGTERM))
		}
	}}
	for e, failed := range c.Follow(ctx, follow) {
		if failed != nil || err != nil {
			return errors.Join(failed, err)
		}
		if e.Record == nil {
			continue
		}
		for _, effect := range e.Record.Effects {
			if _, ended := effect.(workflow.FinishTask); ended && left[e.Record.Task] {
				if delete(left, e.Record.Task); len(left) == 0 {
					return d.cmd.Process.Signal(syscall.SIGTERM)
				}
			}
		}
	}
	return err
}
