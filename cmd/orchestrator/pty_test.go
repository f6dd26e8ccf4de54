package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

const gateTeam = `version: 1
name: gate
gates:
  merge: {question: "Merge it?"}
start: merge
handoffs:
  - {from: merge, on: approved, to: succeeded}
  - {from: merge, on: "*", to: failed}
`

// terminal is the program on a pseudo-terminal of its own.
type terminal struct {
	t       *testing.T
	cmd     *exec.Cmd
	master  *os.File
	slave   *os.File
	before  *term.State
	dir     string
	reading sync.WaitGroup

	mu      sync.Mutex
	text    strings.Builder
	changed chan struct{} // holds a token when there is more text
}

// startOnTerminal runs the program with these arguments where somebody can type.
func startOnTerminal(t *testing.T, dir string, args ...string) *terminal {
	t.Helper()
	program, err := exec.LookPath("orchestrator") // TestMain puts it there
	if err != nil {
		t.Fatal(err)
	}
	x := &terminal{t: t, dir: dir, changed: make(chan struct{}, 1)}
	if x.master, x.slave, err = pty.Open(); err != nil {
		t.Fatal(err)
	}
	if err := pty.Setsize(x.slave, &pty.Winsize{Rows: 30, Cols: 120}); err != nil {
		t.Fatal(err)
	}
	if x.before, err = term.GetState(int(x.slave.Fd())); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	x.cmd = exec.CommandContext(ctx, program, args...)
	x.cmd.Dir = dir
	x.cmd.Env = append(os.Environ(), "TERM=xterm-256color", "HOME="+dir, "ORCHESTRATOR_DATA_DIR="+filepath.Join(dir, "data"))
	x.cmd.Stdin, x.cmd.Stdout, x.cmd.Stderr = x.slave, x.slave, x.slave
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := x.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	x.reading.Go(x.read)
	t.Cleanup(func() {
		cancel() // ends the program where the test gave up
		_ = x.cmd.Wait()
		_ = x.slave.Close()
		_ = x.master.Close() // ends read
		x.reading.Wait()
	})
	return x
}

func (x *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := x.master.Read(buffer)
		x.mu.Lock()
		x.text.Write(buffer[:n])
		x.mu.Unlock()
		select {
		case x.changed <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

func (x *terminal) shown() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.text.String()
}

// await waits until the terminal was sent a text.
func (x *terminal) await(text string) {
	x.t.Helper()
	timeout := time.After(30 * time.Second)
	for !strings.Contains(x.shown(), text) {
		select {
		case <-x.changed:
		case <-timeout:
			x.t.Fatalf("the terminal never shows %q:\n%q", text, x.shown())
		}
	}
}

// press sends keys, as a person types them.
func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := x.master.WriteString(keys); err != nil {
		x.t.Fatal(err)
	}
}

// exits waits for the end of the program, which has to leave the terminal as it was.
func (x *terminal) exits(status int) {
	x.t.Helper()
	_ = x.cmd.Wait() // the status is compared
	if got := x.cmd.ProcessState.ExitCode(); got != status {
		x.t.Errorf("exit status %d, want %d:\n%q", got, status, x.shown())
	}
	after, err := term.GetState(int(x.slave.Fd()))
	if err != nil {
		x.t.Fatal(err)
	}
	if *after != *x.before {
		x.t.Errorf("the terminal is not as it was: %+v, before %+v", after, x.before)
	}
}

func gateOnTerminal(t *testing.T) *terminal {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gate.yaml"), []byte(gateTeam), 0o600); err != nil {
		t.Fatal(err)
	}
	x := startOnTerminal(t, dir, "run", "gate.yaml")
	x.await("Merge it?")
	x.await("y approves, n rejects")
	return x
}

const (
	ctrlC = "\x03"
	ctrlD = "\x04"
	ctrlU = "\x15"
)

func TestAnswerOnATerminal(t *testing.T) {
	t.Parallel()
	x := gateOnTerminal(t)
	x.press("perhaps\r")
	x.await("answer y to approve")
	x.press(ctrlD) // on a line with text it means nothing
	x.press(ctrlU + "yes: looks good\r")
	x.await("looks good")
	x.await("why: merge ended with approved")
	x.exits(0)
}

func TestLeaveTheAnswerForLater(t *testing.T) {
	t.Parallel()
	x := gateOnTerminal(t)
	x.press(ctrlD)
	x.await("waiting for a person")
	x.await("orchestrator approve ")
	x.exits(exitWaiting)

	// Another run asks again.
	id := regexp.MustCompile(`[0-9A-Z]{26}`).FindString(x.shown())
	again := startOnTerminal(t, x.dir, "run", "--resume", id)
	again.await("y approves, n rejects")
	again.press("n\r")
	again.exits(exitTaskFailed)
}

func TestInterruptAtAQuestion(t *testing.T) {
	t.Parallel()
	x := gateOnTerminal(t)
	x.press("y" + ctrlC)
	x.await("interrupted; task ")
	x.exits(exitInterrupted)
	if strings.Contains(x.shown(), "approved") {
		t.Error("what was typed and not entered counts as an answer")
	}
}
