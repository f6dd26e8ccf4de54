package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
)

const (
	batchRepositories = 200
	batchFailing      = 20 // every tenth
	batchParallel     = 12
)

// batchTeam3 has three agents and a check, and works in a git worktree. The coder
// adds a line to a file, so that a turn that ran twice is there for all to see.
const batchTeam3 = `
version: 1
name: maintain
inputs:
  repo: {type: string, required: true}
limits: {turns: 6}
workspace:
  worktree: {repo: "{{ .input.repo }}", branch: "maintenance/{{ .task.id }}"}
  commit: {message: "Maintain", author: "Batch <batch@example.invalid>"}
  cleanup: always
agents:
  analyst: {prompt: Say what is to be done., permission_mode: unrestricted}
  coder: {prompt: Do it., permission_mode: unrestricted}
  reviewer: {prompt: Look at it., permission_mode: unrestricted}
checks:
  verify: {run: test ! -e broken}
start: analyst
message: "Maintain {{ .input.repo }}"
handoffs:
  - {from: analyst, on: end_turn, to: coder}
  - {from: coder, on: end_turn, to: verify}
  - {from: verify, on: passed, to: reviewer}
  - {from: reviewer, on: end_turn, to: succeeded}
  - {from: "*", on: [llm_api_error, connection_lost], retry: {max: 3, backoff: 1s}}
  - {from: "*", on: "*", to: failed}
`

// goneOn is what an agent is told that has to go on with a turn which was cut off.
const goneOn = "do not repeat steps that are done"

// batchScript3 answers each agent's message once. Only who is asked to go on may
// be asked a second time, and looks first.
const batchScript3 = `
version: 1
agents:
  analyst:
    per: conversation
    repeat: last
    turns: [[{say: Add a line.}], [{expect: {message_contains: [` + goneOn + `]}}, {say: Add a line.}]]
  coder:
    per: conversation
    repeat: last
    turns:
      - [{tool: {name: Bash, input: {command: echo maintained >> CHANGES, description: Add a line}}}, {say: Done.}]
      - - expect: {message_contains: [` + goneOn + `]}
        - tool: {name: Bash, input: {command: grep -qs maintained CHANGES || echo maintained >> CHANGES, description: Add a line}}
        - say: Done.
  reviewer:
    per: conversation
    repeat: last
    turns: [[{say: Good.}], [{expect: {message_contains: [` + goneOn + `]}}, {say: Good.}]]
`

// repositoryWorld is what outlives every process of a batch.
type repositoryWorld struct {
	t      *testing.T
	dir    string
	server *apptest.Server
}

func newRepositoryWorld(t *testing.T) *repositoryWorld {
	t.Helper()
	script, err := apptest.ParseScript("script.yaml", []byte(batchScript3))
	if err != nil {
		t.Fatal(err)
	}
	server, err := apptest.New(apptest.Options{Script: script, Exec: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &repositoryWorld{t: t, dir: t.TempDir(), server: server}
	w.write("team.yaml", batchTeam3)
	var items strings.Builder
	items.WriteString("name,repo\n")
	good, broken := w.template("good"), w.template("broken", "broken")
	for i := range batchRepositories {
		from := good
		if i%10 == 9 {
			from = broken
		}
		if err := os.CopyFS(w.repository(i), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&items, "repository-%d,%s\n", i, w.repository(i))
	}
	w.write("items.csv", items.String())
	return w
}

func (w *repositoryWorld) repository(i int) string {
	return filepath.Join(w.dir, "repositories", fmt.Sprintf("r%03d", i))
}

func (w *repositoryWorld) write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// template makes a repository with a commit of files.
func (w *repositoryWorld) template(name string, files ...string) string {
	w.t.Helper()
	dir := filepath.Join(w.dir, "templates", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		w.t.Fatal(err)
	}
	for _, file := range append(files, "README") {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(file+"\n"), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.git(dir, "init", "-q", "-b", "main", "--template=")
	w.git(dir, "add", ".")
	w.git(dir, "-c", "user.name=test", "-c", "user.email=test@example.invalid", "commit", "-q", "-m", "Begin")
	return dir
}

func (w *repositoryWorld) git(dir string, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("git %v in %s: %v\n%s", args, dir, err, out)
	}
	return strings.TrimSpace(string(out))
}

// command is the program on the data directory of this world.
func (w *repositoryWorld) command(args ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
	w.t.Helper()
	program, err := exec.LookPath("orchestrator")
	if err != nil {
		w.t.Fatal(err)
	}
	output = &bytes.Buffer{}
	cmd = exec.CommandContext(w.t.Context(), program, append(args, "--data-dir", filepath.Join(w.dir, "data"))...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = w.dir, output, output
	return cmd, output
}

// run drives the batch, by the same command each time, until it ends or, with a
// signal, until the App Server was asked for so many turns.
func (w *repositoryWorld) run(signal syscall.Signal, turns, status int) string {
	w.t.Helper()
	cmd, output := w.command("batch", "team.yaml", "--items", "items.csv", "--key-column", "name", "--map", "name=", "--max-parallel", strconv.Itoa(batchParallel),
		"--stop-when-failed", "50%", "--app-server", w.server.URL(), "--grace", "20s")
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	if signal != 0 {
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Minute)
		defer cancel()
		if err := w.server.WaitForTurns(ctx, turns); err != nil {
			w.t.Errorf("waiting for %d turns: %v", turns, err)
		}
		if err := cmd.Process.Signal(signal); err != nil {
			w.t.Error(err)
		}
	}
	_ = cmd.Wait() // the status is compared below
	if got := cmd.ProcessState.ExitCode(); got != status {
		w.t.Fatalf("exit status %d, want %d\n%s", got, status, output)
	}
	return output.String()
}

// TestBatchOfRepositories runs a team of three on two hundred repositories, with
// a tenth of them failing, and kills and stops the program again and again. git and
// the App Server tell whether anything was done twice.
func TestBatchOfRepositories(t *testing.T) {
	w := newRepositoryWorld(t)
	w.run(syscall.SIGKILL, 60, -1)
	w.run(syscall.SIGTERM, 180, exitInterrupted)
	w.run(syscall.SIGKILL, 300, -1)
	w.run(syscall.SIGTERM, 420, exitInterrupted)
	output := w.run(0, 0, exitTaskFailed)
	if !strings.Contains(output, "going on with batch") || !strings.Contains(output, "180 succeeded, 20 failed") {
		t.Errorf("the last run said:\n%s", output)
	}

	report := w.report()
	w.checkReport(report)
	w.checkRepositories(report)
	w.checkServer()
	for _, dir := range []string{"data/workspaces"} {
		left, err := os.ReadDir(filepath.Join(w.dir, dir))
		if err != nil && !os.IsNotExist(err) || len(left) > 0 {
			t.Errorf("%s has %d entries, %v", dir, len(left), err)
		}
	}
}

func (w *repositoryWorld) report() batch.Report {
	w.t.Helper()
	cmd, output := w.command("batch", "list", "--json")
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%v\n%s", err, output)
	}
	var view batch.View
	if err := json.Unmarshal(output.Bytes(), &view); err != nil { // of one batch
		w.t.Fatalf("%v\n%s", err, output)
	}
	cmd, output = w.command("batch", "report", view.ID, "--format", "json")
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%v\n%s", err, output)
	}
	var report batch.Report
	if err := json.Unmarshal(output.Bytes(), &report); err != nil {
		w.t.Fatal(err)
	}
	return report
}

func (w *repositoryWorld) checkReport(r batch.Report) {
	w.t.Helper()
	if want := (batch.Counts{Succeeded: batchRepositories - batchFailing, Failed: batchFailing}); r.Batch.Counts != want || r.Batch.Status != batch.Done || len(r.Items) != batchRepositories {
		w.t.Errorf("%s, %+v, %d items", r.Batch.Status, r.Batch.Counts, len(r.Items))
	}
	tasks := map[string]bool{}
	for i, item := range r.Items {
		failing := i%10 == 9
		if tasks[item.Task] || item.Task == "" || item.Attempt != 1 || len(item.Earlier) != 0 {
			w.t.Errorf("task of %s: %+v", item.Key, item.ItemView)
		}
		tasks[item.Task] = true
		if item.Key != fmt.Sprintf("repository-%d", i) || (item.State == batch.ItemFailed) != failing || (item.Explanation != "") != failing {
			w.t.Errorf("%s is %s: %q", item.Key, item.State, item.Explanation)
		}
		if item.Branch != "maintenance/"+item.Task || !item.HasDiff || item.Files != 1 || item.Insertions != 1 || item.Deletions != 0 {
			w.t.Errorf("%s: branch %q, %d files, +%d -%d", item.Key, item.Branch, item.Files, item.Insertions, item.Deletions)
		}
		if item.Duration <= 0 || item.Tokens <= 0 || item.Story != "orchestrator show "+item.Task {
			w.t.Errorf("%s: %s, %d tokens, %q", item.Key, item.Duration, item.Tokens, item.Story)
		}
	}
}

func (w *repositoryWorld) checkRepositories(r batch.Report) {
	w.t.Helper()
	for i, item := range r.Items {
		repo := w.repository(i)
		branches := strings.Fields(w.git(repo, "for-each-ref", "--format=%(refname:short)", "refs/heads"))
		if want := []string{"main", item.Branch}; !slices.Equal(branches, want) {
			w.t.Errorf("%s has the branches %v, want %v", item.Key, branches, want)
			continue
		}
		if log := w.git(repo, "log", "--format=%s", "main.."+item.Branch); log != "Maintain" {
			w.t.Errorf("%s has the commits %q", item.Key, log)
		}
		if text := w.git(repo, "show", item.Branch+":CHANGES"); text != "maintained" {
			w.t.Errorf("%s: CHANGES has %q", item.Key, text)
		}
		if left, err := os.ReadDir(filepath.Join(repo, ".git", "worktrees")); err == nil && len(left) > 0 {
			w.t.Errorf("%s has %d worktrees left", item.Key, len(left))
		}
		if status := w.git(repo, "status", "--porcelain"); status != "" {
			w.t.Errorf("%s itself was changed: %s", item.Key, status)
		}
	}
}

// checkServer asserts from the App Server's own log that nothing was asked twice.
func (w *repositoryWorld) checkServer() {
	w.t.Helper()
	if err := w.server.Err(); err != nil {
		w.t.Error(err)
	}
	asked, inputs, gone := map[string]int{}, map[string]int{}, 0
	conversations := map[string]int{}
	for _, turn := range w.server.Turns() {
		for _, id := range turn.ClientMessageIDs {
			inputs[id]++
		}
		if strings.Contains(turn.Text, goneOn) {
			gone++
			continue
		}
		asked[turn.Agent[strings.LastIndexByte(turn.Agent, '/')+1:]]++
		conversations[turn.AgentID+" "+turn.ConversationID]++
	}
	if asked["analyst"] != batchRepositories || asked["coder"] != batchRepositories || asked["reviewer"] != batchRepositories-batchFailing {
		w.t.Errorf("the App Server was asked for %v", asked)
	}
	// What a kill cut off, at most all that ran then, is gone on with and not begun again.
	if gone > 2*batchParallel {
		w.t.Errorf("%d turns were gone on with", gone)
	}
	for conversation, n := range conversations {
		if n != 1 {
			w.t.Errorf("conversation %s was asked %d times for its answer", conversation, n)
		}
	}
	for id, n := range inputs {
		if n != 1 {
			w.t.Errorf("input %s was consumed %d times", id, n)
		}
	}
}
