//go:build e2e

package e2e

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// entry is one line of the journal as `orchestrator run --json` prints it.
type entry struct {
	Task  string `json:"task"`
	Seq   int    `json:"seq"`
	Event struct {
		Type string `json:"type"`
		Body struct {
			Turn    int    `json:"turn"`
			Attempt int    `json:"attempt"`
			Reason  string `json:"reason"`
			Finding string `json:"finding"`
			Runtime struct {
				AgentID        string `json:"agent_id"`
				ConversationID string `json:"conversation_id"`
			} `json:"runtime"`
		} `json:"body"`
	} `json:"event"`
}

// journal reads the entries that a run has printed.
func journal(stderr string) []entry {
	var out []entry
	for line := range strings.Lines(stderr) {
		var e entry
		if json.Unmarshal([]byte(line), &e) == nil && e.Event.Type != "" {
			out = append(out, e)
		}
	}
	return out
}

// killedRun is a run of the orchestrator that is killed at an entry of its journal.
type killedRun struct {
	cmd     *exec.Cmd
	entries chan entry
}

// startRun starts the orchestrator with --json and follows its journal.
func startRun(t *testing.T, env []string, args ...string) *killedRun {
	t.Helper()
	r := &killedRun{cmd: command(t, env, append(args, "--json")...), entries: make(chan entry, 1000)}
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(r.entries)
		lines := bufio.NewScanner(stderr)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			for _, e := range journal(lines.Text()) {
				r.entries <- e
			}
		}
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-read
		_ = r.cmd.Wait() // whatever it says
	})
	return r
}

// await waits for the first entry that fits.
func (r *killedRun) await(t *testing.T, fits func(entry) bool) {
	t.Helper()
	limit := time.After(3 * time.Minute)
	for {
		select {
		case e, ok := <-r.entries:
			switch {
			case !ok:
				t.Fatal("the run ended first")
			case fits(e):
				return
			}
		case <-limit:
			t.Fatal("it did not happen within a minute")
		}
	}
}

// signal ends the run and returns its status, -1 when it was killed.
func (r *killedRun) signal(t *testing.T, sig syscall.Signal) int {
	t.Helper()
	if err := r.cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	for range r.entries {
	}
	_ = r.cmd.Wait() // the status says it
	return r.cmd.ProcessState.ExitCode()
}

// asked counts the requests that open a turn whose message holds marker: with
// the message itself, and with one that says that it was interrupted.
func asked(model *scriptedmodel.Server, marker string) (original, continued int) {
	for _, req := range model.Requests() {
		text, step, _ := req.LastUser()
		switch {
		case step > 0 || req.Messages[len(req.Messages)-1].Role != "user" || !strings.Contains(text, marker):
		case isContinuation(text):
			continued++
		default:
			original++
		}
	}
	return original, continued
}

func isContinuation(text string) bool {
	return strings.Contains(text, "You were interrupted before you could finish")
}
