package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/check"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// killGrace is the time between asking a command to end and ending it.
	killGrace = 3 * time.Second
	// maxComplaint bounds what is kept of the standard error of a command, in bytes.
	maxComplaint = 300
)

// run delivers a notification to a command. There is no shell, and its environment
// has none of our settings and tokens.
func run(ctx context.Context, t Target, n store.Notification, trace *workflow.TraceContext) result {
	ctx, cancel := context.WithTimeout(ctx, t.timeout())
	defer cancel()
	cmd := exec.CommandContext(ctx, t.Command[0], t.Command[1:]...)
	cmd.Env = append(check.Inherited(os.Environ()), "NOTIFICATION_ID="+n.ID, "NOTIFICATION_TYPE="+n.Type)
	if trace != nil {
		cmd.Env = append(cmd.Env, "TRACEPARENT="+trace.Parent, "TRACESTATE="+trace.State)
	}
	cmd.Stdin = bytes.NewReader(n.Body)
	complaint := &limited{most: maxComplaint}
	cmd.Stderr = complaint
	ownGroup(cmd)
	cmd.Cancel = func() error { return terminate(cmd) }
	cmd.WaitDelay = killGrace
	err := cmd.Run()
	endGroup(cmd)
	switch {
	case err == nil:
		return result{ok: true, status: "exit status 0"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return result{status: fmt.Sprintf("it did not end within %s and was stopped", t.timeout())}
	}
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		status := failed.String()
		if said := strings.TrimSpace(complaint.String()); said != "" {
			status += ": " + said
		}
		return result{status: status}
	}
	return result{status: "it cannot be run: " + err.Error()}
}

// limited keeps the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	most int
}

// Write implements io.Writer.
func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(l.most-l.Len(), 0))])
	return len(p), nil
}

// String is what was kept, as valid text in one line.
func (l *limited) String() string {
	return strings.Join(strings.Fields(strings.ToValidUTF8(l.Buffer.String(), "?")), " ")
}
