package workflow

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

func files(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no files match %s (%v)", pattern, err)
	}
	return paths
}

// TestParseBad reads one bad file per kind of mistake and compares everything
// that is said about it.
func TestParseBad(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "testdata/bad/*.yaml") {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			team, err := Parse(name+".yaml", src, ParseOptions{Roles: []string{"coder", "planner"}, Load: loadFrom("testdata/bad")})
			if team != nil {
				t.Error("a team was returned beside the error")
			}
			problems, ok := errors.AsType[Problems](err)
			if !ok {
				t.Fatalf("got error %v, want Problems", err)
			}
			lines := strings.Count(string(src), "\n") + 1
			for _, p := range problems {
				if p.File == name+".yaml" && (p.Line < 1 || p.Line > lines || p.Column < 1) {
					t.Errorf("place %d:%d is not in the file: %s", p.Line, p.Column, p.Message)
				}
			}
			golden.File(t, strings.TrimSuffix(path, ".yaml")+".golden", err.Error()+"\n")
		})
	}
}

func TestParseGood(t *testing.T) {
	t.Parallel()
	for _, path := range files(t, "testdata/good/*.yaml") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			team := load(t, path)
			var b strings.Builder
			for _, r := range team.Handoffs {
				b.WriteString(r.String() + "\n")
			}
			if clean := !strings.HasPrefix(filepath.Base(path), "warn-"); clean != (len(team.Warnings) == 0) {
				t.Errorf("%d warnings; files whose name begins with warn- have some, and others none", len(team.Warnings))
			}
			for _, w := range team.Warnings {
				b.WriteString("warning: " + w.String() + "\n")
			}
			golden.File(t, strings.TrimSuffix(path, ".yaml")+".golden", b.String())
		})
	}
}

func load(t testing.TB, path string) *Team {
	t.Helper()
	src, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	team, err := Parse("team.yaml", src, ParseOptions{Load: loadFrom(filepath.Dir(path))})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// loadFrom reads the files of sub-teams.
func loadFrom(directory string) func(string) (string, []byte, error) {
	return func(name string) (string, []byte, error) {
		src, err := os.ReadFile(filepath.Join(directory, name))
		return name, src, err
	}
}

func mustParse(t testing.TB, src string) *Team {
	t.Helper()
	team, err := Parse("team.yaml", []byte(src), ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	team := load(t, "testdata/good/plan-code-review.yaml")
	if team.Name != "plan-code-review" || team.Start != "planner" || team.Limits.Turns != 20 || team.Version != 1 {
		t.Errorf("got %s, start %s, turns %d, version %d", team.Name, team.Start, team.Limits.Turns, team.Version)
	}
	if len(team.Revision) != 64 {
		t.Errorf("revision %q is no SHA-256", team.Revision)
	}
	if want := []string{"planner", "coder", "reviewer"}; !slices.Equal(team.AgentNames, want) {
		t.Errorf("agents %v, want %v", team.AgentNames, want)
	}
	planner := *team.Agents["planner"]
	want := Agent{
		Name: "planner", Role: "planner", Model: "anthropic/claude-sonnet-4-5", PermissionMode: "standard",
		Tools: []string{"Read", "Grep", "Glob"}, Approvals: Approvals{Otherwise: "deny", Expires: DefaultAskExpires}, Conversation: ConversationTask,
		TurnTimeout: 15 * time.Minute, StallTimeout: 3 * time.Minute, Pos: Position{Line: 15, Column: 3},
	}
	if diff := cmp.Diff(want, planner); diff != "" {
		t.Errorf("planner (-want +got):\n%s", diff)
	}
	coder := team.Agents["coder"]
	wantApprovals := Approvals{Allow: []string{"Bash(go test *)"}, Deny: []string{"Bash(git push *)"}, Otherwise: "deny", Expires: DefaultAskExpires}
	if diff := cmp.Diff(wantApprovals, coder.Approvals); diff != "" || coder.Tools != nil {
		t.Errorf("coder: tools %v, approvals (-want +got):\n%s", coder.Tools, diff)
	}
	if got := team.Handoffs[4].Retry; *got != (Retry{Max: 5, Backoff: 30 * time.Second, MaxBackoff: 5 * time.Minute}) {
		t.Errorf("retry %+v", *got)
	}
	if got := team.Inputs["rounds"]; got.Type != InputInt || got.Default != 3 {
		t.Errorf("input rounds %+v", got)
	}
	if block := load(t, "testdata/good/block-style.yaml"); block.Agents["one"].Tools == nil || block.Agents["one"].Prompt != "Do it well.\n" {
		t.Errorf("block style: %+v", block.Agents["one"])
	}
}

// The revision is of the source text and the source is a copy.
func TestParseKeepsSource(t *testing.T) {
	t.Parallel()
	src := []byte("version: 1\nname: t\nagents: {a: {prompt: x}}\nstart: a\nhandoffs: [{from: a, on: \"*\", to: succeeded}]\n")
	team, err := Parse("t.yaml", src, ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	src[0] = '#'
	if team.Source[0] != 'v' {
		t.Error("the team shares its source with the caller")
	}
	again, err := Parse("other.yaml", team.Source, ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Revision != team.Revision {
		t.Error("the revision depends on the name of the file")
	}
}

func TestParseTooLong(t *testing.T) {
	t.Parallel()
	_, err := Parse("t.yaml", make([]byte, maxFile+1), ParseOptions{})
	if err == nil || !strings.Contains(err.Error(), "longer than 1024 KiB") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever the bytes, Parse returns a team or Problems within the file.
func FuzzParse(f *testing.F) {
	subTeams := map[string][]byte{}
	for _, pattern := range []string{"testdata/good/*.yaml", "testdata/bad/*.yaml", "testdata/good/teams/*.yaml", "testdata/bad/teams/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
			if directory, file := filepath.Split(path); strings.HasSuffix(directory, "/teams/") {
				subTeams["teams/"+file] = src
			}
		}
	}
	load := LoadSources("fuzz.yaml", subTeams)
	f.Fuzz(func(t *testing.T, src []byte) {
		team, err := Parse("fuzz.yaml", src, ParseOptions{Load: load})
		if err == nil {
			if team == nil {
				t.Fatal("neither a team nor an error")
			}
			if _, ok := team.Kind(team.Start); !ok {
				t.Fatal("a team without a start was accepted")
			}
			again, err := Parse(team.File, team.Source, ParseOptions{Load: LoadSources(team.File, team.Sources)})
			if err != nil || again.Revision != team.Revision {
				t.Fatalf("the team cannot be parsed again from what it keeps: %v", err)
			}
			return
		}
		problems, ok := errors.AsType[Problems](err)
		if !ok || len(problems) == 0 {
			t.Fatalf("got %T, want Problems", err)
		}
		_ = err.Error()
	})
}
