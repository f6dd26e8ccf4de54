package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// examples says how each team of examples/teams runs on its script: a team
// that is missing here fails the test.
var examples = map[string]struct {
	inputs []string // WORK stands for the directory the team works in
	route  []string
	file   string // a file the agents leave there, and a word in it
	holds  string
}{
	"single-agent": {
		[]string{"goal=Write notes on rivers", "dir=WORK"},
		[]string{"assistant end_turn succeeded"},
		"NOTES.md", "Rivers flow",
	},
	"plan-code-review": {
		[]string{"goal=Greet in English and German", "repo=WORK"},
		[]string{"planner end_turn coder", "coder end_turn reviewer", "reviewer request_changes coder", "coder end_turn reviewer", "reviewer approve succeeded"},
		"greet.go", "unknown language",
	},
	"research-write-edit": {
		[]string{"question=Where do rivers flow?", "dir=WORK"},
		[]string{"researcher end_turn writer", "writer end_turn editor", "editor revise writer", "writer end_turn editor", "editor accept succeeded"},
		"REPORT.md", "notes.txt:1",
	},
	"fix-until-green": {
		[]string{"repo=WORK"},
		[]string{"tester failed fixer", "fixer end_turn tester", "tester passed succeeded"},
		"greet.go", `"hello"`,
	},
}

func TestExampleTeams(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "examples", "teams", "*.yaml"))
	if err != nil || len(files) < len(examples) {
		t.Fatalf("%d example teams (%v), want %d", len(files), err, len(examples))
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
			args := []string{
				"run", team, "--json", "--data-dir", t.TempDir(),
				"--app-server", "scripted:" + filepath.Join("..", "..", "examples", "scripts", name+".yaml"),
			}
			for _, input := range want.inputs {
				args = append(args, "--input", strings.ReplaceAll(input, "WORK", work))
			}
			var stdout, stderr bytes.Buffer
			if status := Main(args, strings.NewReader(""), &stdout, &stderr); status != 0 {
				t.Fatalf("exit status %d\n%s\n%s", status, &stdout, &stderr)
			}
			var summary struct {
				Handoffs []struct{ From, Reason, To string }
			}
			if err := json.Unmarshal(stdout.Bytes(), &summary); err != nil {
				t.Fatalf("%v in %s", err, &stdout)
			}
			var route []string
			for _, h := range summary.Handoffs {
				if h.From != "" {
					route = append(route, h.From+" "+h.Reason+" "+h.To)
				}
			}
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
