package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/teamtest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// examples says how each team of examples/teams runs on its script: a team
// that is missing here fails the test.
var examples = map[string]struct {
	inputs []string // WORK stands for the directory the team works in
	answer string   // of a person, as --answer takes it
	route  []string
	file   string // a file the agents leave there, and a word in it
	holds  string
}{
	"single-agent": {
		[]string{"goal=Write notes on rivers", "dir=WORK"}, "",
		[]string{"assistant end_turn -> succeeded"},
		"NOTES.md", "Rivers flow",
	},
	"plan-code-review": {
		[]string{"goal=Greet in English and German", "repo=WORK"}, "",
		[]string{
			"planner end_turn -> coder", "coder end_turn -> tests", "tests passed -> reviewer", "reviewer request_changes -> coder",
			"coder end_turn -> tests", "tests passed -> reviewer", "reviewer approve -> succeeded",
		},
		"greet.go", "unknown language",
	},
	"research-write-edit": {
		[]string{"question=Where do rivers flow?", "dir=WORK"}, "",
		[]string{"researcher end_turn -> writer", "writer end_turn -> editor", "editor revise -> writer", "writer end_turn -> editor", "editor accept -> succeeded"},
		"REPORT.md", "notes.txt:1",
	},
	"fix-until-green": {
		[]string{"repo=WORK"}, "",
		[]string{"tester failed -> fixer", "fixer end_turn -> tester", "tester passed -> succeeded"},
		"greet.go", `"hello"`,
	},
	"parallel-review": {
		[]string{"goal=Greet", "repo=WORK"}, "",
		[]string{
			"author end_turn -> security, performance, style", "security approve -> join", "performance approve -> join", "style request_changes -> join",
			"join -> author",
			"author end_turn -> security, performance, style", "security approve -> join", "performance approve -> join", "style approve -> join",
			"join -> succeeded",
		},
		"greet.go", "// Greet greets.",
	},
	"migrate-many": {
		[]string{"goal=Greet", "repo=WORK"}, "",
		[]string{
			"planner planned -> worker ×2", "worker@worker[0] end_turn -> join", "worker@worker[1] end_turn -> join", "join -> tests",
			"tests passed -> writer", "writer end_turn -> succeeded",
		},
		"greet.go", `"hello"`,
	},
	"nightly": {
		[]string{"repo=WORK"}, "keep=approve",
		[]string{"tests failed -> fixer", "fixer end_turn -> tests", "tests passed -> keep", "keep approved -> succeeded"},
		"greet.go", `"hello"`,
	},
	"maintain-repository": {
		[]string{"goal=Add a licence", "repo=WORK", "verify=grep -q 2026 LICENSE"}, "",
		[]string{
			"analyst change -> coder", "coder end_turn -> verify", "verify failed -> coder", "coder end_turn -> verify", "verify passed -> reviewer",
			"reviewer request_changes -> coder", "coder end_turn -> verify", "verify passed -> reviewer", "reviewer approve -> succeeded",
		},
		".git/logs/HEAD", "", // the worktree is gone, and its branch stays
	},
	"release-with-gate": {
		[]string{"version=v1.4.0", "repo=WORK"}, "publish=approve",
		[]string{"tests failed -> fix", "fix succeeded -> tests", "tests passed -> notes", "notes end_turn -> publish", "publish approved -> tag", "tag passed -> succeeded"},
		".git/refs/tags/v1.4.0", "",
	},
}

// routeOf is the route of the task that a journal in JSON begins with.
func routeOf(t *testing.T, events []byte) []string {
	t.Helper()
	var journal []workflow.Recorded
	task := ""
	for line := range bytes.Lines(events) {
		var rec recordLine
		if err := json.Unmarshal(line, &rec); err != nil || rec.Seq == 0 {
			continue // a note
		}
		if task = cmp.Or(task, rec.Task); rec.Task == task {
			journal = append(journal, workflow.Recorded{Seq: rec.Seq, Event: rec.Event, Effects: rec.Effects})
		}
	}
	var route []string
	for _, step := range workflow.InBranchOrder(workflow.Steps(journal)) {
		text, _, _ := strings.Cut(step.String(), "  rule")
		route = append(route, text)
	}
	return route
}

func TestExampleTeams(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "teams", "*.yaml"))
	files = slices.DeleteFunc(files, func(file string) bool { return strings.HasSuffix(file, teamtest.Suffix) })
	if err != nil || len(files) < len(examples) {
		t.Fatalf("%d example teams (%v), want %d", len(files), err, len(examples))
	}
	for name, value := range map[string]string{"AUTHOR_NAME": "test", "AUTHOR_EMAIL": "test@example.invalid", "COMMITTER_NAME": "test", "COMMITTER_EMAIL": "test@example.invalid"} {
		t.Setenv("GIT_"+name, value)
	}
	for _, team := range files {
		name := strings.TrimSuffix(filepath.Base(team), ".yaml")
		t.Run(name, func(t *testing.T) {
			want, ok := examples[name]
			if !ok {
				t.Fatalf("no test says how %s runs", team)
			}
			work := t.TempDir()
			for file, content := range map[string]string{
				"go.mod": "module greet\n\ngo 1.24\n", "greet.go": "package greet\n\nfunc Greet() string { return \"\" }\n",
				"greet_test.go": "package greet\n\nimport \"testing\"\n\nfunc TestGreet(t *testing.T) {\n\tif Greet() == \"\" {\n\t\tt.Fatal(\"empty\")\n\t}\n}\n",
				"notes.txt":     "Rivers flow downhill.\n",
			} {
				if err := os.WriteFile(filepath.Join(work, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			git := exec.CommandContext(t.Context(), "sh", "-c", "git init -q && git add . && git commit -qm begin")
			git.Dir = work
			if out, err := git.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			args := []string{
				"run", team, "--json", "--data-dir", t.TempDir(),
				"--app-server", "scripted:" + filepath.Join("..", "..", "examples", "scripts", name+".yaml"),
			}
			if want.answer != "" {
				args = append(args, "--answer", want.answer)
			}
			for _, input := range want.inputs {
				args = append(args, "--input", strings.ReplaceAll(input, "WORK", work))
			}
			var stdout, stderr bytes.Buffer
			if status := Main(args, strings.NewReader(""), &stdout, &stderr); status != 0 {
				t.Fatalf("exit status %d\n%s\n%s", status, &stdout, &stderr)
			}
			route := routeOf(t, stderr.Bytes())
			if !slices.Equal(route, want.route) {
				t.Errorf("route %q, want %q", route, want.route)
			}
			content, err := os.ReadFile(filepath.Join(work, want.file))
			if err != nil || !strings.Contains(string(content), want.holds) {
				t.Errorf("%s lacks %q (%v):\n%s", want.file, want.holds, err, content)
			}
		})
	}
}

// TestExampleScenarios holds the scenarios of the examples to the promise that
// together they fire every rule of their teams.
func TestExampleScenarios(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"test", "--coverage=all", filepath.Join("..", "..", "examples", "teams")}
	if status := Main(args, strings.NewReader(""), &stdout, &stderr); status != exitOK {
		t.Fatalf("exit status %d\n%s\n%s", status, &stdout, &stderr)
	}
	if strings.Contains(stdout.String(), "has no scenarios") {
		t.Errorf("a team has no scenarios:\n%s", &stdout)
	}
}
