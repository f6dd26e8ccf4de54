package teamtest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func library(t *testing.T) *roles.Library {
	t.Helper()
	l, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func loadTeam(path string) (*workflow.Team, error) {
	src, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return workflow.Parse(path, src, workflow.ParseOptions{Load: func(name string) (string, []byte, error) {
		file := filepath.Join(filepath.Dir(path), name)
		src, err := os.ReadFile(file)
		return file, src, err
	}})
}

// results runs the scenarios of a file.
func results(t *testing.T, path string) []Result {
	t.Helper()
	f, err := Load(path, loadTeam)
	if err != nil {
		t.Fatal(err)
	}
	var out []Result
	for _, s := range f.Scenarios {
		r, err := Run(t.Context(), s, Options{Roles: library(t)})
		if err != nil {
			t.Fatalf("%s: %v", s.Name, err)
		}
		out = append(out, r)
	}
	return out
}

// TestScenarios runs the scenarios of testdata, which use everything that a
// scenario can say. A scenario whose name begins with "fails:" must fail with
// the words that follow.
func TestScenarios(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "*"+Suffix))
	if err != nil || len(files) == 0 {
		t.Fatalf("no scenarios: %v", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			for _, r := range results(t, name) {
				text := describe(r)
				want, fails := strings.CutPrefix(r.Scenario.Name, "fails: ")
				switch {
				case fails && r.Passed():
					t.Errorf("%s: it passed", r.Scenario.Name)
				case fails && !strings.Contains(text, want):
					t.Errorf("%s: it failed with\n%s", r.Scenario.Name, text)
				case !fails && !r.Passed():
					t.Errorf("%s: %s", r.Scenario.Name, text)
				}
			}
		})
	}
}

func describe(r Result) string {
	var b strings.Builder
	for _, f := range r.Failures {
		fmt.Fprintf(&b, "%d:%d: %s\n", f.Pos.Line, f.Pos.Column, f.Message)
		for _, line := range f.Diff {
			fmt.Fprintf(&b, "  %c %s\n", line.Sign, line.Text)
		}
	}
	for _, step := range r.Route {
		fmt.Fprintf(&b, "  = %s\n", step)
	}
	return b.String()
}

// TestRunsAreTheSame runs a scenario with parallel branches again and again:
// the journal tells the same story in the same order at the same times.
func TestRunsAreTheSame(t *testing.T) {
	t.Parallel()
	story := func() []string {
		var out []string
		for _, r := range results(t, filepath.Join("testdata", "parallel"+Suffix)) {
			for _, rec := range r.Journal {
				for _, effect := range rec.Effects {
					if h, ok := effect.(workflow.Handoff); ok {
						out = append(out, fmt.Sprint(r.Scenario.Name, rec.Event.At, h.FromTurn, h.From, h.Reason, h.To, h.ToTurn))
					}
				}
			}
		}
		return out
	}
	first := story()
	for range 3 {
		if again := story(); !slices.Equal(first, again) {
			t.Fatalf("the story differs:\n%s\n\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
		}
	}
}
