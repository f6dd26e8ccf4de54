package apptest

import (
	"context"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// sleepBlocked is the real server's refusal of a command that waits in the foreground.
const sleepBlocked = "Foreground `sleep` is blocked — it stalls the session while nothing happens. Run the wait in the background and keep working: " +
	"use Bash with `run_in_background` and a command that exits when the condition is true, e.g. `until grep -q \"Ready in\" dev.log; do sleep 0.5; done`. " +
	"You get a single completion notification when it exits."

// partialInterval is the least time between two partial outputs of a command.
const partialInterval = 100 * time.Millisecond

// commandOutput collects both streams of a command in the order in which they came.
type commandOutput struct {
	mu             sync.Mutex
	stdout, stderr strings.Builder
	last           time.Time
	notify         func(stdout, stderr string)
}

type outputStream struct {
	output *commandOutput
	into   *strings.Builder
}

func (w outputStream) Write(p []byte) (int, error) {
	o := w.output
	o.mu.Lock()
	defer o.mu.Unlock()
	if w.into.Len() < 1<<20 { // far above what is shown
		w.into.Write(p)
	}
	if now := time.Now(); now.Sub(o.last) >= partialInterval {
		o.last = now
		o.notify(o.stdout.String(), o.stderr.String())
	}
	return len(p), nil
}

// runCommand runs a shell command in its own process group, which is killed when ctx ends.
func runCommand(ctx context.Context, cwd, command string, output func(stdout, stderr string)) toolResult {
	for _, word := range strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(";&|\n(", r) }) {
		if fields := strings.Fields(word); len(fields) > 0 && fields[0] == "sleep" {
			return failed(sleepBlocked)
		}
	}
	out := &commandOutput{notify: output}
	cmd := exec.CommandContext(ctx, "bash", "-c", command) //nolint:gosec // running the script's command is the purpose
	cmd.Dir = cwd
	cmd.Stdout, cmd.Stderr = outputStream{out, &out.stdout}, outputStream{out, &out.stderr}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // a child that left the group must not keep the pipes
	err := cmd.Run()
	if ctx.Err() != nil {
		return toolResult{text: "Interrupted by user", failed: true, interrupted: true}
	}
	out.mu.Lock()
	defer out.mu.Unlock()
	text := out.stdout.String()
	if e := out.stderr.String(); e != "" {
		if text != "" {
			text += "\n"
		}
		text += e
	}
	switch {
	case cmd.ProcessState == nil:
		return failed(err.Error())
	case cmd.ProcessState.ExitCode() != 0:
		return failed("Exit code: " + strconv.Itoa(cmd.ProcessState.ExitCode()) + "\n" + text)
	case text == "":
		text = "(Command completed with no output)"
	}
	return toolResult{text: text}
}
