//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// dayTeams are the teams of TestADayInTheLife, by their files.
var dayTeams = map[string]string{
	// maintain works on one repository of a batch, in a worktree, with a check.
	"maintain.yaml": `version: 1
name: maintain
inputs: {repo: {type: string, required: true}}
limits: {turns: 8}
workspace:
  worktree: {repo: "{{ .input.repo }}", branch: "maintenance/{{ .task.id }}"}
  commit: {message: "Maintain", author: "Maintainer <maintainer@example.invalid>"}
  cleanup: always
agents:
  fixer: {prompt: You write a file., permission_mode: unrestricted}
checks:
  verify: {run: grep -q maintained NOTES}
start: fixer
message: "<fixer> {{ .input.repo }} end"
handoffs:
  - {from: fixer, on: end_turn, to: verify}
  - {from: verify, on: passed, to: succeeded}
  - {from: "*", on: "*", to: failed}
`,
	// report is submitted by its schedule.
	"report.yaml": `version: 1
name: report
limits: {turns: 4}
agents:
  reporter: {prompt: You report.}
start: reporter
message: "<reporter> {{ .task.id }} end"
handoffs:
  - {from: reporter, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
schedules:
  often: {cron: "*/2 * * * * *", overlap: skip, missed: skip}
`,
	// careful asks before it writes.
	"careful.yaml": `version: 1
name: careful
inputs: {file: {type: string, required: true}}
limits: {turns: 6}
agents:
  writer:
    prompt: You write a file.
    permission_mode: standard
    approvals: {ask: ["Write"], otherwise: deny, expires: 1h}
start: writer
message: "<writer> {{ .input.file }} end"
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`,
}

// dayModel answers by the marker of the message. The third fixer that asks is held
// until release is closed, and so are all that come after it.
type dayModel struct {
	mu      sync.Mutex
	fixers  map[string]bool
	held    *gate
	release chan struct{}
}

func (m *dayModel) respond(req scriptedmodel.Request) scriptedmodel.Reply {
	text, step, _ := req.LastUser()
	var marker, what string
	for _, agent := range []string{"<fixer", "<writer", "<reporter"} {
		if _, after, ok := strings.Cut(text, agent+"> "); ok {
			marker = agent
			what, _, _ = strings.Cut(after, " end")
		}
	}
	switch {
	case marker == "<fixer" && step == 0 && !isContinuation(text):
		m.mu.Lock()
		m.fixers[what] = true
		wait := len(m.fixers) > 2
		m.mu.Unlock()
		if wait {
			m.held.arrive()
			<-m.release
		}
		return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": "echo maintained > NOTES", "description": "Write the notes"})}
	case marker == "<fixer" && step == 0:
		return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": "echo maintained > NOTES", "description": "Write the notes"})}
	case marker == "<writer" && step == 0:
		return scriptedmodel.Reply{ToolCalls: call("Write", map[string]any{"file_path": what, "content": "written\n"})}
	}
	return scriptedmodel.Reply{Text: "done"}
}

// TestADayInTheLife is what a person does with the daemon in a day: serve with a
// managed App Server, a schedule, a batch of six repositories, an approval answered
// from the command line, SIGTERM in the middle of the batch, start again, all done.
func TestADayInTheLife(t *testing.T) {
	t.Parallel()
	m := &dayModel{fixers: map[string]bool{}, held: newGate(), release: make(chan struct{})}
	model := startModel(t, m.respond)
	env := environment(t, model)
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	env = append(env, "ORCHESTRATOR_DATA_DIR="+data)
	if err := os.Mkdir(filepath.Join(dir, "teams"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, source := range dayTeams {
		write(t, filepath.Join(dir, "teams", name), source)
	}
	write(t, filepath.Join(dir, "orchestrator.yaml"), fmt.Sprintf("version: 1\ngrace: 2s\nteams: teams\napp_servers:\n  - {name: main, managed: {command: %q, home: home}, max_turns: 4}\n", letta))
	items := "repo\n"
	var repositories []string
	for range 6 {
		repo := scratchRepo(t)
		repositories = append(repositories, repo)
		items += repo + "\n"
	}
	write(t, filepath.Join(dir, "repos.csv"), items)
	daemon := serve(t, env, data, "--config", filepath.Join(dir, "orchestrator.yaml"))
	said := func(args ...string) string {
		t.Helper()
		got := orchestrator(t, env, args...)
		if got.status != 0 {
			t.Fatalf("orchestrator %s: status %d\n%s%s", strings.Join(args, " "), got.status, got.stdout, got.stderr)
		}
		return got.stdout
	}

	// A person is asked, and answers.
	file := filepath.Join(t.TempDir(), "result.txt")
	var asking struct{ Task string }
	decode(t, said("submit", "careful", "--input", "file="+file, "--workspace", filepath.Dir(file), "--json"), &asking)
	daemon.await(asking.Task, "a question", asks)
	if list := said("approvals"); !strings.Contains(list, asking.Task) || !strings.Contains(list, "Write") {
		t.Errorf("approvals:\n%s", list)
	}
	said("approve", asking.Task, "--by", "ada")
	daemon.await(asking.Task, "the end", ended)
	if got := read(t, file); got != "written\n" {
		t.Errorf("the file holds %q", got)
	}

	// A batch is stopped in its middle, and goes on by itself.
	var made struct{ ID string }
	decode(t, said("batch", "maintain", "--items", filepath.Join(dir, "repos.csv"), "--max-parallel", "3", "--detach", "--json"), &made)
	m.held.wait(t)
	if status := daemon.signal(syscall.SIGTERM); status != 0 {
		t.Errorf("SIGTERM: status %d", status)
	}
	close(m.release)
	daemon.start()
	for view := (batch.View{}); !view.Status.Terminal(); {
		var err error
		if view, err = daemon.Batch(t.Context(), made.ID); err != nil {
			t.Fatal(err)
		}
		pause(t)
	}
	var report batch.Report
	decode(t, said("batch", "report", made.ID, "--format", "json"), &report)
	if len(report.Items) != 6 {
		t.Fatalf("report: %+v", report)
	}
	for i, item := range report.Items {
		if item.State != batch.ItemSucceeded || item.Branch == "" {
			t.Errorf("%+v", item)
		}
		if got := git(t, repositories[i], "show", item.Branch+":NOTES"); got != "maintained\n" {
			t.Errorf("%s: its branch holds %q", item.Label, got)
		}
		if n := strings.Count(git(t, repositories[i], "worktree", "list"), "\n"); n != 1 {
			t.Errorf("%s: %d worktrees are left", item.Label, n-1)
		}
		if original, again := asked(model, "<fixer> "+repositories[i]+" end"); original != 1 || again > 1 {
			t.Errorf("%s: asked %d times, continued %d times", item.Label, original, again)
		}
	}

	// The schedule has fired before and after, each time once.
	var reports []workflow.State
	for len(reports) < 3 {
		var err error
		reports, err = daemon.List(t.Context(), client.ListOptions{Schedule: "report.often"})
		if err != nil {
			t.Fatal(err)
		}
		pause(t)
	}
	said("schedules", "disable", "report.often")
	for _, state := range reports {
		if state = daemon.await(state.Task, "the end", ended); state.Status != workflow.TaskSucceeded {
			t.Errorf("%+v", state.Result)
		}
		if original, again := asked(model, "<reporter> "+state.Task+" end"); original != 1 || again > 1 {
			t.Errorf("%s: asked %d times, continued %d times", state.Task, original, again)
		}
	}
	if status := daemon.signal(syscall.SIGTERM); status != 0 {
		t.Errorf("SIGTERM: status %d", status)
	}
}

// pause is how long to wait before asking again.
func pause(t *testing.T) {
	t.Helper()
	select {
	case <-time.After(200 * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func decode(t *testing.T, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Errorf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}
