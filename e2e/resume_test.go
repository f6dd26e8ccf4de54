//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// TestResumeAfterKill kills the orchestrator with SIGKILL while the model is
// being asked, and goes on with --resume. The turn was consumed and did not
// finish, so it is continued and not repeated.
func TestResumeAfterKill(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		managed bool // the App Server dies with the orchestrator and comes back with it
	}{
		{"the App Server lives on", false},
		{"the App Server dies too", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			asked := newGate()
			var requests atomic.Int32
			model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply {
				if requests.Add(1) == 1 {
					asked.arrive()
					return scriptedmodel.Reply{Text: "half an ans", HangMid: true}
				}
				return scriptedmodel.Reply{Text: "the whole answer"}
			})
			env := environment(t, model)
			data := t.TempDir()
			where := []string{"--app-server", "managed", "--letta", letta, "--data-dir", data}
			if !tt.managed {
				where = []string{"--app-server", startAppServer(t, env).url, "--data-dir", data}
			}
			first := command(t, env, append([]string{"run", "../examples/teams/single-agent.yaml",
				"--input", "goal=Say something", "--input", "dir=" + t.TempDir()}, where...)...)
			if err := first.Start(); err != nil {
				t.Fatal(err)
			}
			asked.wait(t)
			if err := first.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = first.Wait() // killed

			task := onlyTask(t, env, data)
			second := orchestrator(t, env, append([]string{"run", "--resume", task, "--json"}, where...)...)
			if second.status != 0 {
				t.Fatalf("resume: status %d\n%s\n%s", second.status, second.stdout, second.stderr)
			}
			if got := lastLine(t, second); got.State != "succeeded" || got.Task != task {
				t.Errorf("resumed task: %+v", got)
			}
			story := orchestrator(t, env, "show", task, "--data-dir", data)
			if !strings.Contains(story.stdout, "interrupted") || !strings.Contains(story.stdout, "the whole answer") {
				t.Errorf("show does not tell of the interruption:\n%s", story.stdout)
			}
			original, continued := 0, 0
			for _, req := range model.Requests() {
				text, _, _ := req.LastUser()
				if strings.Contains(strings.ToLower(text), "interrupted") {
					continued++
				} else {
					original++
				}
			}
			if original != 1 || continued != 1 {
				t.Errorf("the model was asked %d times for the turn and %d times to continue, want once each", original, continued)
			}
		})
	}
}

// onlyTask returns the id of the one task in the store.
func onlyTask(t *testing.T, env []string, data string) string {
	t.Helper()
	r := orchestrator(t, env, "list", "--json", "--data-dir", data)
	var tasks []struct {
		Task string `json:"task"`
	}
	dec := json.NewDecoder(strings.NewReader(r.stdout))
	for dec.More() {
		var one struct {
			Task string `json:"task"`
		}
		if err := dec.Decode(&one); err != nil {
			t.Fatalf("list --json: %v\n%s\n%s", err, r.stdout, r.stderr)
		}
		tasks = append(tasks, one)
	}
	if len(tasks) != 1 {
		t.Fatalf("%d tasks, want 1:\n%s\n%s", len(tasks), r.stdout, r.stderr)
	}
	return tasks[0].Task
}

// TestModelFailure lets the model answer 500 until the App Server gives up
// (16 requests, about 36 s); the team's rule then ends the task, and says why.
func TestModelFailure(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply {
		return scriptedmodel.Reply{Status: 500, Text: "the model is down"}
	})
	env := environment(t, model)
	server := startAppServer(t, env)
	team := t.TempDir() + "/team.yaml"
	write(t, team, `version: 1
name: no-retry
inputs: {goal: {type: string, required: true}}
limits: {turns: 3}
agents: {worker: {prompt: Do it.}}
start: worker
handoffs:
  - {from: worker, on: end_turn, to: succeeded}
  - {from: worker, on: "*", to: failed}
`)
	r := orchestrator(t, env, "run", team, "--input", "goal=anything", "--app-server", server.url, "--data-dir", t.TempDir(), "--json")
	got := lastLine(t, r)
	if r.status != 1 || got.State != "failed" || strings.Join(got.route(), " ") != "worker -llm_api_error-> failed" {
		t.Errorf("status %d, %+v\n%s", r.status, got, r.stderr)
	}
	if !strings.Contains(got.Explanation, "llm_api_error") {
		t.Errorf("explanation %q does not name the reason", got.Explanation)
	}
}

// TestRefusals are starts that must not reach the model.
func TestRefusals(t *testing.T) {
	t.Parallel()
	model := startModel(t, nil)
	env := environment(t, model)
	server := startAppServer(t, env)
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"nonexistent workspace", []string{"run", "../examples/teams/single-agent.yaml", "--input", "goal=x", "--input", "dir=/no/such/directory", "--app-server", server.url}, "/no/such/directory"},
		{"unknown agent", []string{"appserver", "turn", "--url", server.url, "--agent", "agent-local-none", "hello"}, "agent-local-none"},
		{"nobody listens", []string{"run", "../examples/teams/single-agent.yaml", "--input", "goal=x", "--input", "dir=.", "--app-server", "ws://127.0.0.1:9"}, "127.0.0.1:9"},
	}
	t.Cleanup(func() { // when all of them have ended
		if n := len(model.Requests()); n != 0 {
			t.Errorf("the model was asked %d times", n)
		}
	})
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			args := tt.args
			if args[0] == "run" {
				args = append(args, "--data-dir", t.TempDir())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			defer cancel()
			cmd := command(t, env, args...)
			stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
			defer stop()
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() == -1 {
				t.Errorf("%v, want a failure:\n%s", cmd.ProcessState, out)
			}
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("the message lacks %q:\n%s", tt.want, out)
			}
		})
	}
}
