package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	// startLimit is how long a child may take until it is ready.
	startLimit = 2 * time.Minute
	// stopLimit is how long it may take to end.
	stopLimit = 30 * time.Second
)

// process is a child of this program.
type process struct {
	cmd    *exec.Cmd
	errors string // the file of its standard error
	lines  chan string
	done   chan struct{} // closed when it has ended
}

// start starts a program. Its lines on the standard output can be read from lines.
func (b *bench) start(ctx context.Context, name string, args ...string) (*process, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopLimit
	log, err := os.CreateTemp(b.dir, "stderr-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the child has its own descriptor
	cmd.Stderr = log
	cmd.Env = append(os.Environ(), "HOME="+b.dir)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, errors: log.Name(), lines: make(chan string, 64), done: make(chan struct{})}
	go func() { // ends with the child
		defer close(p.done)
		defer close(p.lines)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			select {
			case p.lines <- lines.Text():
			default: // nobody reads so many
			}
		}
		_ = cmd.Wait() // stop looks at the status
	}()
	return p, nil
}

// line returns the rest of the first line that begins with prefix.
func (p *process) line(ctx context.Context, prefix string) (string, error) {
	limit := time.NewTimer(startLimit)
	defer limit.Stop()
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				return "", fmt.Errorf("%s has ended early: %s\n%s", filepath.Base(p.cmd.Path), p.cmd.ProcessState, p.said())
			}
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				return rest, nil
			}
		case <-limit.C:
			return "", fmt.Errorf("%s is not ready after %s\n%s", filepath.Base(p.cmd.Path), startLimit, p.said())
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}
}

// said is what it has written to its standard error.
func (p *process) said() string {
	text, err := os.ReadFile(p.errors)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// stop ends the child. An end that is no success is an error.
func (p *process) stop() error {
	err := p.cmd.Process.Signal(syscall.SIGTERM)
	if err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	select {
	case <-p.done:
	case <-limit.C:
		p.kill()
		return fmt.Errorf("%s does not end", filepath.Base(p.cmd.Path))
	}
	if code := p.cmd.ProcessState.ExitCode(); code != 0 {
		return fmt.Errorf("%s: %s\n%s", filepath.Base(p.cmd.Path), p.cmd.ProcessState, p.said())
	}
	return nil
}

// kill ends it at once. It may be called when it has ended.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// memory is the resident set of a process, in bytes, and the most that it was.
func (p *process) memory() (now, most int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, fmt.Errorf("the memory of a process is known on Linux only: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(line, ":")
		kilobytes, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch {
		case err != nil:
		case name == "VmRSS":
			now = kilobytes << 10
		case name == "VmHWM":
			most = kilobytes << 10
		}
	}
	return now, most, nil
}

// clockTick is the unit of processor times in /proc on Linux.
const clockTick = 10 * time.Millisecond

// used is the processor time that a process has used so far.
func (p *process) used() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("the processor time of a process is known on Linux only: %w", err)
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("what is %q?", text)
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, errors.Join(err, err2)
}

// build builds the orchestrator.
func (b *bench) build(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.program, "./cmd/orchestrator")
	cmd.Dir = b.root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the orchestrator: %w\n%s", err, out)
	}
	return nil
}
