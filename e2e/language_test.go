//go:build e2e

package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// opened counts the requests that open a turn whose message holds word.
func opened(model *scriptedmodel.Server, word string) int { return turnsAsked(model, word)[0] }

// meeting lets n model requests go on when all of them have arrived.
type meeting struct {
	mu      sync.Mutex
	missing int
	all     chan struct{}
}

func newMeeting(n int) *meeting { return &meeting{missing: n, all: make(chan struct{})} }

// arrive waits for the others, and is false when they do not come.
func (m *meeting) arrive() bool {
	m.mu.Lock()
	if m.missing--; m.missing == 0 {
		close(m.all)
	}
	m.mu.Unlock()
	select {
	case <-m.all:
		return true
	case <-time.After(2 * time.Minute):
		return false
	}
}

func report(outcome, summary string, data any) scriptedmodel.Reply {
	arguments := map[string]any{"outcome": outcome, "summary": summary}
	if data != nil {
		arguments["data"] = data
	}
	return scriptedmodel.Reply{ToolCalls: call("report_outcome", arguments)}
}

// TestReleaseTeam: a check that fails twice and then passes, three reviewers
// who work at the same time and are joined, one of whom has to be reminded of
// its outcome, and a gate that a person answers between two runs.
func TestReleaseTeam(t *testing.T) {
	t.Parallel()
	together := newMeeting(3)
	var reviews sync.Map // the system prompts that were met
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, step, _ := req.LastUser()
		switch {
		case strings.Contains(text, "ended without a valid outcome"):
			if step == 0 {
				return report("approve", "docs are fine", nil)
			}
			return scriptedmodel.Reply{Text: "reported"}
		case strings.Contains(text, "Review as"):
			who := strings.Fields(text[strings.Index(text, "Review as"):])[2]
			if step == 0 {
				if _, again := reviews.LoadOrStore(who, true); !again && !together.arrive() {
					return scriptedmodel.Reply{Text: "the others did not come"}
				}
				if who == "docs" {
					return scriptedmodel.Reply{Text: "The docs look fine to me."}
				}
				return report("approve", who+" is fine", nil)
			}
			return scriptedmodel.Reply{Text: who + " approves"}
		default:
			return scriptedmodel.Reply{Text: "done: " + strings.TrimSpace(text)}
		}
	})
	env, dir, data := environment(t, model), t.TempDir(), t.TempDir()
	team := teamFile(t, `version: 1
name: release
inputs: {dir: {required: true}}
limits: {turns: 20}
workspace: {directory: "{{ .input.dir }}"}
agents:
  coder: {prompt: Code., permission_mode: acceptEdits}
  security: {prompt: Review security., permission_mode: strict, tools: [Read], approvals: {allow: [Read]}, outcomes: [approve, request_changes]}
  style: {prompt: Review style., permission_mode: strict, tools: [Read], approvals: {allow: [Read]}, outcomes: [approve, request_changes]}
  docs: {prompt: Review docs., permission_mode: strict, tools: [Read], approvals: {allow: [Read]}, outcomes: [approve, request_changes]}
checks:
  tests:
    run: |
      echo x >> runs
      n=$(wc -l < runs)
      echo "run $n"
      test "$n" -ge 3
    timeout: 30s
  publish: {run: echo published > published}
gates:
  merge: {question: "Merge what {{ range .branches }}{{ .label }} {{ end }}approved?", expires: 1h}
start: coder
message: write it
handoffs:
  - {from: coder, on: end_turn, to: tests}
  - {from: tests, on: failed, to: coder, max: 3, message: "The tests fail:\n{{ .output }}"}
  - {from: tests, on: passed, to: [security, style, docs], message: "Review as {{ .target }} of the team."}
  - {from: [security, style, docs], on: approve, join: all, to: merge}
  - {from: [security, style, docs], on: [approve, request_changes], join: all, to: failed}
  - {from: merge, on: approved, to: publish}
  - {from: publish, on: passed, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	server := startAppServer(t, env)
	run := func(args ...string) result {
		return orchestrator(t, env, append([]string{"run", "--app-server", server.url, "--data-dir", data, "--json"}, args...)...)
	}
	first := run(team, "--input", "dir="+dir)
	if first.status != 5 {
		t.Fatalf("status %d, want 5: waiting for a person\n%s\n%s", first.status, first.stdout, first.stderr)
	}
	task := lastLine(t, first).Task
	gates := orchestrator(t, env, "gates", "--data-dir", data)
	if !strings.Contains(gates.stdout, "merge") || !strings.Contains(gates.stdout, "Merge what security style docs approved?") {
		t.Errorf("gates: status %d\n%s\n%s", gates.status, gates.stdout, gates.stderr)
	}
	for i, want := range []int{0, 1} { // the second answer is refused, politely
		answer := orchestrator(t, env, "approve", task, "merge", "--comment", "ship it", "--data-dir", data)
		if (answer.status == 0) != (want == 0) {
			t.Errorf("answer %d: status %d\n%s\n%s", i+1, answer.status, answer.stdout, answer.stderr)
		}
	}
	last := run("--resume", task)
	got := lastLine(t, last)
	if last.status != 0 || got.State != "succeeded" {
		t.Fatalf("status %d\n%s\n%s", last.status, last.stdout, last.stderr)
	}
	if runs := strings.Count(read(t, filepath.Join(dir, "runs")), "x"); runs != 3 {
		t.Errorf("the check ran %d times, want 3", runs)
	}
	for word, want := range map[string]int{
		"write it": 1, "The tests fail:\nrun 1": 1, "The tests fail:\nrun 2": 1,
		"Review as security": 1, "Review as style": 1, "Review as docs": 1, "ended without a valid outcome": 1,
	} {
		if n := opened(model, word); n != want {
			t.Errorf("%q was asked %d times, want %d", word, n, want)
		}
	}
	story := orchestrator(t, env, "show", task, "--data-dir", data)
	for _, word := range []string{"security", "ship it", "failed (exit 1)", "passed"} {
		if !strings.Contains(story.stdout, word) {
			t.Errorf("show lacks %q:\n%s", word, story.stdout)
		}
	}
}

// TestForEachAndSubTeam: the planner reports a list, its data is refused once by
// the schema and then mended, every element gets a conversation of its own, two
// at once, and a sub-team finishes.
func TestForEachAndSubTeam(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	running, most := 0, 0
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, step, results := req.LastUser()
		switch {
		case strings.Contains(text, "plan it"):
			switch step {
			case 0:
				return report("planned", "three", map[string]any{"items": "a, b, c"})
			case 1:
				if !strings.Contains(results[0], "items") {
					return scriptedmodel.Reply{Text: "no reason was given: " + results[0]}
				}
				return report("planned", "three", map[string]any{"items": []string{"a", "b", "c"}})
			}
			return scriptedmodel.Reply{Text: "planned"}
		case strings.Contains(text, "work on"):
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			time.AfterFunc(150*time.Millisecond, func() { mu.Lock(); running--; mu.Unlock() })
			return scriptedmodel.Reply{Text: "made " + text[strings.Index(text, "work on"):], Delay: 200 * time.Millisecond}
		}
		return scriptedmodel.Reply{Text: "summary of " + fmt.Sprint(strings.Count(text, "made work on"))}
	})
	env, data := environment(t, model), t.TempDir()
	team := teamFile(t, `version: 1
name: each
limits: {turns: 20}
agents:
  planner:
    prompt: Plan.
    outcomes: [planned]
    data: {type: object, required: [items], properties: {items: {type: array, items: {type: string}}}}
  worker: {prompt: Work., permission_mode: strict, tools: []}
teams:
  finish: {team: finish.yaml, input: {goal: "{{ .output }}"}}
start: planner
message: plan it
handoffs:
  - {from: planner, on: planned, for_each: data.items, max_parallel: 2, to: worker, message: "work on {{ .item }} ({{ .index }})"}
  - {from: worker, on: end_turn, join: all, to: finish}
  - {from: finish, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	write(t, filepath.Join(filepath.Dir(team), "finish.yaml"), `version: 1
name: finish
inputs: {goal: {required: true}}
agents:
  writer: {prompt: Summarise., tools: []}
start: writer
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: writer, on: "*", to: failed}
`)
	r := orchestrator(t, env, "run", team, "--app-server", startAppServer(t, env).url, "--data-dir", data, "--json")
	got := lastLine(t, r)
	if r.status != 0 || got.State != "succeeded" {
		t.Fatalf("status %d\n%s\n%s", r.status, r.stdout, r.stderr)
	}
	for _, item := range []string{"work on a (0)", "work on b (1)", "work on c (2)"} {
		if n := opened(model, item); n < 1 {
			t.Errorf("%q was asked %d times", item, n)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if most > 2 {
		t.Errorf("%d workers at once, max_parallel is 2", most)
	}
	for _, req := range model.Requests() {
		seen := 0
		for _, m := range req.Messages {
			if m.Role == "user" && strings.Contains(m.Text, "work on") && !strings.Contains(m.Text, "made") {
				seen++
			}
		}
		if seen > 1 {
			t.Error("two elements share a conversation")
		}
	}
	tokens := got.Tokens
	if tokens == 0 || got.Turns < 5 {
		t.Errorf("%d turns and %d tokens, the sub-team's included", got.Turns, tokens)
	}
}

// TestBudgetStopsATurn: a turn that passes the limit of tokens is aborted while
// the model streams, the task pauses, and goes on when it is given more.
func TestBudgetStopsATurn(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, step, _ := req.LastUser()
		switch {
		case strings.Contains(text, "limit"):
			return scriptedmodel.Reply{Text: "finished after all"}
		case step == 0:
			return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": "echo working", "description": "work"})}
		}
		return scriptedmodel.Reply{Text: strings.Repeat("word ", 18000), ChunkDelay: 20 * time.Millisecond} // six minutes
	})
	env, data := environment(t, model), t.TempDir()
	team := teamFile(t, `version: 1
name: budget
limits: {tokens: 1, at_limit: pause}
agents:
  worker: {prompt: Work., permission_mode: unrestricted}
start: worker
message: begin
handoffs:
  - {from: worker, on: end_turn, to: succeeded}
  - {from: worker, on: [error, cancelled, llm_api_error], to: failed}
  - {from: worker, on: "*", to: failed}
`)
	url := startAppServer(t, env).url
	task := pausedAtLimit(t, env, team, url, data)
	raisedToTheEnd(t, env, task, url, data)
	if n := opened(model, "begin"); n != 2 { // the message, and the one that says that it goes on
		t.Errorf("the turn was opened %d times, want 2", n)
	}
}

// pausedAtLimit runs a team until a limit of tokens has stopped a turn that would
// take minutes, and returns its task.
func pausedAtLimit(t *testing.T, env []string, team, url, data string) string {
	t.Helper()
	started := time.Now()
	r := orchestrator(t, env, "run", team, "--app-server", url, "--data-dir", data, "--json")
	if r.status != 6 {
		t.Fatalf("status %d, want 6: paused\n%s\n%s", r.status, r.stdout, r.stderr)
	}
	if took := time.Since(started); took > 4*time.Minute {
		t.Errorf("it took %s: the turn was not aborted while it streamed", took)
	}
	return lastLine(t, r).Task
}

// raisedToTheEnd raises the limit of tokens and runs the task to its end.
func raisedToTheEnd(t *testing.T, env []string, task, url, data string) {
	t.Helper()
	if again := orchestrator(t, env, "resume", task, "--tokens", "1000000", "--data-dir", data); again.status != 0 {
		t.Fatalf("resume: status %d\n%s\n%s", again.status, again.stdout, again.stderr)
	}
	r := orchestrator(t, env, "run", "--resume", task, "--app-server", url, "--data-dir", data, "--json")
	if got := lastLine(t, r); r.status != 0 || got.State != "succeeded" {
		t.Fatalf("status %d\n%s\n%s", r.status, r.stdout, r.stderr)
	}
}

// TestBudgetStopsASubTeam: a limit of the task stops the turn of a sub-team
// while the model answers. Resumed, the sub-team's task goes on where it was:
// what it had done before is not asked again.
func TestBudgetStopsASubTeam(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, step, _ := req.LastUser()
		switch {
		case strings.Contains(text, "limit"):
			return scriptedmodel.Reply{Text: "finished after all"}
		case !strings.Contains(text, "second"):
			return scriptedmodel.Reply{Text: "done"}
		case step == 0:
			return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": "echo working", "description": "work"})}
		}
		return scriptedmodel.Reply{Text: strings.Repeat("word ", 18000), ChunkDelay: 20 * time.Millisecond} // six minutes
	})
	env, data := environment(t, model), t.TempDir()
	// A turn of one model request uses 106 tokens here.
	team := teamFile(t, `version: 1
name: outer
limits: {tokens: 200, at_limit: pause}
teams:
  inner: {team: inner.yaml}
start: inner
handoffs:
  - {from: inner, on: succeeded, to: succeeded}
  - {from: inner, on: "*", to: failed}
`)
	write(t, filepath.Join(filepath.Dir(team), "inner.yaml"), `version: 1
name: inner
limits: {turns: 5}
agents:
  one: {prompt: Work., permission_mode: unrestricted}
  two: {prompt: Work., permission_mode: unrestricted}
start: one
message: the first step
handoffs:
  - {from: one, on: end_turn, to: two, message: the second step}
  - {from: two, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	url := startAppServer(t, env).url
	task := pausedAtLimit(t, env, team, url, data)
	if alone := orchestrator(t, env, "resume", task+".1.1", "--data-dir", data); alone.status != 2 || !strings.Contains(alone.stderr, "orchestrator resume "+task) {
		t.Errorf("resume of the sub-team alone: status %d\n%s", alone.status, alone.stderr)
	}
	raisedToTheEnd(t, env, task, url, data)
	if first, second := opened(model, "the first step"), opened(model, "the second step"); first != 1 || second != 2 {
		t.Errorf("the first step was opened %d times, the second %d times; want 1, and 2: the message, and the one that says that it goes on", first, second)
	}
	if shown := orchestrator(t, env, "show", task, "--data-dir", data); !strings.Contains(shown.stdout, task+".1.1") || strings.Contains(shown.stdout, task+".1.2") {
		t.Errorf("another task of the sub-team was made:\n%s", shown.stdout)
	}
}
