//go:build e2e

package e2e

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

const (
	firstGreet  = "package scratch\n\n// Greet greets.\nfunc Greet(string) string { return \"hello\" }\n"
	secondGreet = "package scratch\n\n// Greet greets in the language that code names.\nfunc Greet(code string) string {\n\tif code == \"de\" {\n\t\treturn \"hallo\"\n\t}\n\treturn \"hello\"\n}\n"
)

func call(name string, input any) []scriptedmodel.ToolCall {
	arguments, err := json.Marshal(input)
	if err != nil {
		panic(err)
	}
	return []scriptedmodel.ToolCall{{Name: name, Arguments: string(arguments)}}
}

// teamModel plays planner, coder and reviewer in the directory repo.
func teamModel(repo string) scriptedmodel.Responder {
	file := filepath.Join(repo, "greet.go")
	return func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, step, results := req.LastUser()
		bash := func(command string) scriptedmodel.Reply {
			return scriptedmodel.Reply{ToolCalls: call("Bash", map[string]any{"command": command, "description": "run"})}
		}
		edit := func(content string) scriptedmodel.Reply {
			return scriptedmodel.Reply{ToolCalls: call("Write", map[string]any{"file_path": file, "content": content})}
		}
		coder := func(content, done string) scriptedmodel.Reply {
			switch step {
			case 0:
				return edit(content)
			case 1:
				return bash("go test ./...")
			default:
				if !strings.Contains(results[len(results)-1], "ok") {
					done = "go test does not pass: " + results[len(results)-1]
				}
				return scriptedmodel.Reply{Text: done}
			}
		}
		report := func(outcome, say string) scriptedmodel.Reply {
			switch step {
			case 0:
				return bash("git diff")
			case 1:
				return scriptedmodel.Reply{ToolCalls: call("report_outcome", map[string]any{"outcome": outcome, "summary": say})}
			default:
				return scriptedmodel.Reply{Text: say}
			}
		}
		switch {
		case strings.Contains(text, "The reviewer asks for changes"):
			return coder(secondGreet, "Greet knows German now; go test passes.")
		case strings.Contains(text, "Carry out this plan"):
			return coder(firstGreet, "Greet says hello; go test passes.")
		case strings.Contains(text, "Review the uncommitted change"):
			if strings.Contains(text, "German") {
				return report("approve", "Both languages are there and tested.")
			}
			return report("request_changes", "greet.go:4: German is missing.")
		default:
			if step == 0 {
				return bash("cat greet.go")
			}
			return scriptedmodel.Reply{Text: "1. Make Greet return a greeting.\n2. Run go test."}
		}
	}
}

// turnsAsked counts, by a word of the message, the requests that open a turn.
func turnsAsked(model *scriptedmodel.Server, words ...string) []int {
	counts := make([]int, len(words))
	for _, req := range model.Requests() {
		text, step, _ := req.LastUser()
		if step > 0 || req.Messages[len(req.Messages)-1].Role != "user" {
			continue
		}
		for i, word := range words {
			if strings.Contains(text, word) {
				counts[i]++
				break
			}
		}
	}
	return counts
}

// TestPlanCodeReview is the main job on the real App Server, which the
// orchestrator starts itself: the files on disk change, and the model's own log
// shows that every turn was asked for exactly once.
func TestPlanCodeReview(t *testing.T) {
	t.Parallel()
	repo := scratchRepo(t)
	model := startModel(t, teamModel(repo))
	env := environment(t, model)
	data := t.TempDir()
	run := func() summary {
		r := orchestrator(t, env, "run", "../examples/teams/plan-code-review.yaml",
			"--input", "goal=Greet in two languages", "--input", "repo="+repo, "--input", "tests=test -f greet.go",
			"--app-server", "managed", "--letta", letta, "--data-dir", data, "--json")
		if r.status != 0 {
			t.Fatalf("status %d\nstdout:\n%s\nstderr:\n%s", r.status, r.stdout, r.stderr)
		}
		return lastLine(t, r)
	}
	got := run()
	want := []string{
		"planner -end_turn-> coder", "coder -end_turn-> tests", "tests -passed-> reviewer", "reviewer -request_changes-> coder",
		"coder -end_turn-> tests", "tests -passed-> reviewer", "reviewer -approve-> succeeded",
	}
	if !slices.Equal(got.route(), want) || got.State != "succeeded" {
		t.Errorf("state %s, route %q, want succeeded, %q", got.State, got.route(), want)
	}
	if got.Tokens == 0 {
		t.Error("no tokens were counted")
	}
	if content := read(t, filepath.Join(repo, "greet.go")); content != secondGreet {
		t.Errorf("greet.go is\n%s", content)
	}
	words := []string{"The reviewer asks for changes", "Carry out this plan", "German now", "Review the uncommitted change", "Greet in two languages"}
	if counts := turnsAsked(model, words...); !slices.Equal(counts, []int{1, 1, 1, 1, 1}) {
		t.Errorf("turns asked of the model by %q: %v, want each once", words, counts)
	}

	story := orchestrator(t, env, "show", got.Task, "--data-dir", data)
	for _, word := range []string{"request_changes", "rule 5", "German is missing", "succeeded"} {
		if !strings.Contains(story.stdout, word) {
			t.Errorf("show lacks %q:\n%s\n%s", word, story.stdout, story.stderr)
		}
	}

	// A second task of the team reuses its agents.
	reset := exec.CommandContext(t.Context(), "git", "checkout", "-q", ".")
	reset.Dir = repo
	if out, err := reset.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again := run()
	if again.State != "succeeded" || again.Task == got.Task {
		t.Errorf("second task: %+v", again)
	}
	server := startAppServer(t, env)
	agents := orchestrator(t, env, "appserver", "agents", "list", "--url", server.url, "--json")
	if n := strings.Count(agents.stdout, "agent-local-"); n != 3 {
		t.Errorf("%d agents after two tasks of a team of three:\n%s\n%s", n, agents.stdout, agents.stderr)
	}
}
