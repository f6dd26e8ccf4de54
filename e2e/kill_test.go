//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/realserver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// relay is a team whose agents hand a baton on: every message names the agent
// that gets it, so that the model's log tells which turn was asked for.
const relay = `version: 1
name: relay
inputs: {goal: {type: string, required: true}}
limits: {turns: 12}
agents:
  one: {prompt: You run first., permission_mode: unrestricted}
  two: {prompt: You run second., permission_mode: unrestricted}
  three: {prompt: You run third., permission_mode: unrestricted}
start: one
message: "<one> {{ .input.goal }}"
handoffs:
  - {from: one, on: end_turn, to: two, message: "<two> {{ .input.goal }} {{ .output }}"}
  - {from: two, on: end_turn, to: three, message: "<three> {{ .input.goal }} {{ .output }}"}
  - {from: three, on: end_turn, to: succeeded}
  - {from: "*", on: [connection_lost, stalled], retry: {max: 3, backoff: 1s}}
  - {from: "*", on: "*", to: failed}
`

var runners = []string{"<one>", "<two>", "<three>"}

func teamFile(t *testing.T, source string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "team.yaml")
	write(t, file, source)
	return file
}

// resumed goes on with the one task of a data directory and checks that every
// turn of the relay was asked for once, or was cut off and continued, and that
// `show` tells of that.
func resumed(t *testing.T, env []string, model *scriptedmodel.Server, goal, data string, where ...string) {
	t.Helper()
	task := onlyTask(t, env, data)
	second := orchestrator(t, env, append([]string{"run", "--resume", task, "--json"}, where...)...)
	if second.status != 0 || lastLine(t, second).State != "succeeded" {
		t.Fatalf("resume: status %d\n%s\n%s", second.status, second.stdout, second.stderr)
	}
	checkRelay(t, env, model, goal, task, data)
}

func checkRelay(t *testing.T, env []string, model *scriptedmodel.Server, goal, task, data string) {
	t.Helper()
	story := orchestrator(t, env, "show", task, "--data-dir", data).stdout
	cuts := 0
	for _, name := range runners {
		original, continued := asked(model, name+" "+goal)
		if original > 1 || original+continued == 0 {
			t.Errorf("%s was asked %d times and continued %d times\n%s", name, original, continued, story)
		}
		cuts += continued
	}
	if told := strings.Contains(story, "interrupted"); told != (cuts > 0) && cuts > 0 {
		t.Errorf("%d turns were continued, and show does not tell:\n%s", cuts, story)
	}
	if !strings.Contains(story, "succeeded") {
		t.Errorf("show does not tell the end:\n%s", story)
	}
}

// TestKilledAtEveryEntry kills the orchestrator with SIGKILL when an entry of
// the journal has just been written, for every entry that a run of three agents
// has, and goes on.
func TestKilledAtEveryEntry(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		return scriptedmodel.Reply{Text: "done"}
	})
	env := environment(t, model)
	server := startAppServer(t, env)
	team := teamFile(t, relay)
	for seq := 1; seq <= 10; seq++ {
		t.Run(strconv.Itoa(seq), func(t *testing.T) {
			t.Parallel()
			data, goal := t.TempDir(), fmt.Sprintf("entry %d.", seq)
			where := []string{"--app-server", server.url, "--data-dir", data}
			first := startRun(t, env, append([]string{"run", team, "--input", "goal=" + goal}, where...)...)
			first.await(t, func(e entry) bool { return e.Seq == seq })
			first.signal(t, syscall.SIGKILL)
			resumed(t, env, model, goal, data, where...)
		})
	}
}

// TestKilledWhileAToolRuns: the tool ran once, and the agent is told to look
// before it does anything again.
func TestKilledWhileAToolRuns(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			begun, never, log := filepath.Join(dir, "begun"), filepath.Join(dir, "never"), filepath.Join(dir, "log")
			for _, fifo := range []string{begun, never} {
				if err := syscall.Mkfifo(fifo, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
				text, step, _ := req.LastUser()
				if strings.Contains(text, "<two>") && !isContinuation(text) && step == 0 {
					return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{
						"command": fmt.Sprintf("echo ran >> %s; echo > %s; cat %s", log, begun, never), "description": "run",
					})}
				}
				return scriptedmodel.Reply{Text: "done"}
			})
			env, data := environment(t, model), t.TempDir()
			where := []string{"--app-server", startAppServer(t, env).url, "--data-dir", data}
			first := startRun(t, env, append([]string{"run", teamFile(t, relay), "--input", "goal=tool."}, where...)...)
			read(t, begun) // blocks until the tool runs
			if status := first.signal(t, sig); sig == syscall.SIGINT && status != 130 {
				t.Errorf("status %d after Ctrl-C", status)
			}
			resumed(t, env, model, "tool.", data, where...)
			if _, continued := asked(model, "<two> tool."); continued != 1 {
				t.Errorf("continued %d times", continued)
			}
			if got := read(t, log); got != "ran\n" {
				t.Errorf("the tool ran %q", got)
			}
		})
	}
}

// TestInterruptedAndResumed is Ctrl-C while the model answers.
func TestInterruptedAndResumed(t *testing.T) {
	t.Parallel()
	answering := newGate()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, _, _ := req.LastUser()
		if strings.Contains(text, "<two>") && !isContinuation(text) {
			answering.arrive()
			return slow
		}
		return scriptedmodel.Reply{Text: "done"}
	})
	env, data := environment(t, model), t.TempDir()
	where := []string{"--app-server", startAppServer(t, env).url, "--data-dir", data}
	first := startRun(t, env, append([]string{"run", teamFile(t, relay), "--input", "goal=ctrl-c."}, where...)...)
	answering.wait(t)
	if status := first.signal(t, syscall.SIGINT); status != 130 {
		t.Errorf("status %d after Ctrl-C", status)
	}
	resumed(t, env, model, "ctrl-c.", data, where...)
}

// TestAppServerDiesInATurn: the orchestrator lives, and the App Server is killed
// and comes back, because it is managed or because somebody starts it again.
func TestAppServerDiesInATurn(t *testing.T) {
	t.Parallel()
	for _, managed := range []bool{true, false} {
		t.Run(fmt.Sprintf("managed=%v", managed), func(t *testing.T) {
			t.Parallel()
			answering := newGate()
			var kills atomic.Int32
			model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
				text, _, _ := req.LastUser()
				if strings.Contains(text, "<two>") && kills.Add(1) == 1 {
					answering.arrive()
					return slow
				}
				return scriptedmodel.Reply{Text: "done"}
			})
			env, data := environment(t, model), t.TempDir()
			where := []string{"--app-server", "managed", "--letta", letta, "--data-dir", data}
			var server *appServer
			if !managed {
				server = startAppServer(t, env)
				where = []string{"--app-server", server.url, "--data-dir", data}
			}
			run := startRun(t, env, append([]string{"run", teamFile(t, relay), "--input", "goal=server."}, where...)...)
			answering.wait(t)
			if managed {
				// The file begins with the process id.
				pid, err := strconv.Atoi(strings.Fields(read(t, filepath.Join(data, "appserver", "pid")))[0])
				if err != nil {
					t.Fatal(err)
				}
				if err := realserver.KillWhole(pid, realserver.HomeOf(env)); err != nil {
					t.Fatal(err)
				}
			} else if err := errors.Join(server.KillWhole(), server.Restart()); err != nil {
				t.Fatal(err)
			}
			var found []string
			for e := range run.entries {
				if e.Event.Body.Finding != "" {
					found = append(found, e.Event.Body.Finding)
				}
			}
			_ = run.cmd.Wait() // the status says it
			if status := run.cmd.ProcessState.ExitCode(); status != 0 || len(found) != 1 || found[0] != "interrupted" {
				t.Errorf("status %d, found %q", status, found)
			}
			checkRelay(t, env, model, "server.", onlyTask(t, env, data), data)
			if original, continued := asked(model, "<two> server."); original != 1 || continued != 1 {
				t.Errorf("asked %d times, continued %d times", original, continued)
			}
		})
	}
}

// TestConversationLost: the App Server is killed while it writes, and has lost
// the conversation of the running turn when it comes back. Nobody can say whether
// that turn did its work, so that it is not asked again before a person has answered.
func TestConversationLost(t *testing.T) {
	t.Parallel()
	answering := newGate()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		if text, _, _ := req.LastUser(); strings.Contains(text, "<two>") && !strings.Contains(text, "it is not known") {
			answering.arrive()
			return slow
		}
		return scriptedmodel.Reply{Text: "done"}
	})
	env, data := environment(t, model), t.TempDir()
	server := startAppServer(t, env)
	run := startRun(t, env, "run", teamFile(t, relay), "--input", "goal=lost.", "--app-server", server.url, "--data-dir", data)
	answering.wait(t)
	if err := server.KillWhole(); err != nil {
		t.Fatal(err)
	}
	tear(t, realserver.HomeOf(env), "<two> lost.")
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	for range run.entries { // to its end
	}
	_ = run.cmd.Wait() // the status says it
	task := onlyTask(t, env, data)
	shown := orchestrator(t, env, "show", task, "--data-dir", data)
	if status := run.cmd.ProcessState.ExitCode(); status == 0 || !strings.Contains(shown.stdout, "question 1 of two") ||
		!strings.Contains(shown.stdout, "is no longer on the App Server") {
		t.Errorf("status %d\n%s", status, shown.stdout)
	}
	if requests := len(model.Requests()); requests != 2 {
		t.Errorf("%d requests before a person has answered, want 2", requests)
	}
	if answered := orchestrator(t, env, "answer", task, "1", "continue", "--data-dir", data); answered.status != 0 {
		t.Fatalf("answer: status %d\n%s", answered.status, answered.stderr)
	}
	if again := orchestrator(t, env, "answer", task, "1", "retry", "--data-dir", data); again.status != 2 || !strings.Contains(again.stderr, "not open any more") {
		t.Errorf("answered twice: status %d\n%s", again.status, again.stderr)
	}
	resumed := orchestrator(t, env, "run", "--resume", task, "--json", "--app-server", server.url, "--data-dir", data)
	if resumed.status != 0 || lastLine(t, resumed).State != "succeeded" {
		t.Errorf("resume: status %d\n%s\n%s", resumed.status, resumed.stdout, resumed.stderr)
	}
}

// slow is an answer that takes a minute and can be cancelled at every word.
var slow = scriptedmodel.Reply{Text: strings.Repeat("word ", 600), ChunkDelay: 100 * time.Millisecond}
