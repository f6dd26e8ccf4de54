package workflow

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// parent is a team with one sub-team, and child one without.
func parent(file string) []byte {
	return []byte("version: 1\nname: t\nteams: {s: {team: " + file + "}}\nstart: s\nhandoffs: [{from: s, on: succeeded, to: succeeded}, {from: s, on: \"*\", to: failed}]\n")
}

func child(prompt string) []byte {
	return []byte("version: 1\nname: c\nagents: {a: {prompt: " + prompt + "}}\nstart: a\nhandoffs: [{from: a, on: end_turn, to: succeeded}, {from: a, on: \"*\", to: failed}]\n")
}

// A team can be parsed again from what it keeps, to the same revision, and so
// can every team within it.
func TestSubTeamFromSources(t *testing.T) {
	t.Parallel()
	on := map[string][]byte{
		"sub/one.yaml": parent("../other/two.yaml"), "other/two.yaml": parent("deep/../deep/three.yaml"),
		"other/deep/three.yaml": parent("../../../up.yaml"), "../up.yaml": child("x"),
	}
	var read []string
	disk := func(name string) (string, []byte, error) {
		read = append(read, name)
		src, ok := on[name]
		if !ok {
			return name, nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		return path.Join("teams", name), src, nil
	}
	team, err := Parse("teams/top.yaml", parent("sub/one.yaml"), ParseOptions{Load: disk})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(on, team.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if len(read) != len(on) {
		t.Errorf("read %q: every file once", read)
	}
	for depth := 0; team != nil; depth++ {
		again, err := Parse(team.File, team.Source, ParseOptions{Load: LoadSources(team.File, team.Sources)})
		if err != nil {
			t.Fatalf("depth %d: %v", depth, err)
		}
		if again.Revision != team.Revision {
			t.Errorf("depth %d: the revision changed", depth)
		}
		if !slices.Equal(slices.Sorted(maps.Keys(again.Sources)), slices.Sorted(maps.Keys(team.Sources))) {
			t.Errorf("depth %d: sources %q became %q", depth, slices.Sorted(maps.Keys(team.Sources)), slices.Sorted(maps.Keys(again.Sources)))
		}
		inner := team.Teams["s"]
		team = nil
		if inner != nil {
			team = inner.Team
		}
	}
}

// The revision of a team changes with each file that it consists of, and with nothing else.
func TestRevisionOfSubTeams(t *testing.T) {
	t.Parallel()
	revision := func(file, prompt string) string {
		team, err := Parse("top.yaml", parent(file), ParseOptions{Load: func(name string) (string, []byte, error) { return name, child(prompt), nil }})
		if err != nil {
			t.Fatal(err)
		}
		return team.Revision
	}
	first := revision("a.yaml", "x")
	if first != revision("a.yaml", "x") {
		t.Error("the same files have two revisions")
	}
	if revision("a.yaml", "x") == revision("a.yaml", "y") {
		t.Error("a change of the sub-team does not change the revision")
	}
	if revision("a.yaml", "x") == revision("b.yaml", "x") {
		t.Error("a change of the file does not change the revision")
	}
}

func TestSubTeamCannotBeRead(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		load func(string) (string, []byte, error)
		want string
	}{
		"no loader":  {nil, `the team file "a.yaml" cannot be read here`},
		"no file":    {LoadSources("top.yaml", nil), `there is no team file "a.yaml"`},
		"other":      {func(string) (string, []byte, error) { return "", nil, errors.New("it is locked") }, `the team file "a.yaml" cannot be read: it is locked`},
		"other name": {func(string) (string, []byte, error) { return "./top.yaml", child("x"), nil }, "the sub-teams lead around: top.yaml -> top.yaml"},
	} {
		_, err := Parse("top.yaml", parent("a.yaml"), ParseOptions{Load: test.load})
		if err == nil || !strings.HasPrefix(err.Error(), "top.yaml:3:19: "+test.want+"\n") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// Problems of a sub-team are told once, with its own file, after those of the team.
func TestSubTeamProblems(t *testing.T) {
	t.Parallel()
	src := "version: 1\nname: t\nteams: {s: {team: a.yaml}, r: {team: a.yaml}}\nstart: x\nhandoffs: [{from: \"*\", on: \"*\", to: failed}]\n"
	load := func(name string) (string, []byte, error) { return "dir/" + name, []byte("version: 2\n"), nil }
	_, err := Parse("top.yaml", []byte(src), ParseOptions{Load: load})
	problems, _ := errors.AsType[Problems](err)
	var files []string
	for _, p := range problems {
		files = append(files, p.File)
	}
	if !slices.Equal(files, []string{"top.yaml", "dir/a.yaml", "dir/a.yaml", "dir/a.yaml", "dir/a.yaml", "dir/a.yaml"}) {
		t.Errorf("got problems in %q:\n%v", files, err)
	}
}

func TestRelative(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ dir, written string }{
		{".", "a.yaml"}, {".", "x/a.yaml"}, {".", "../a.yaml"}, {"x", "a.yaml"}, {"x", "../a.yaml"}, {"x", "../../a.yaml"}, {"x/y", "../a.yaml"},
		{"x/y", "../../z/a.yaml"}, {"..", "a.yaml"}, {"..", "../a.yaml"}, {"../x", "../y/a.yaml"}, {"../x", "y/a.yaml"}, {"../../x", "../../a.yaml"},
	} {
		name := path.Join(test.dir, test.written)
		if got := relative(test.dir, name); got != test.written {
			t.Errorf("%s seen from %s: got %s, want %s", name, test.dir, got, test.written)
		}
	}
}
