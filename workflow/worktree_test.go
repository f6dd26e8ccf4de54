package workflow

import (
	"strings"
	"testing"
)

func TestWorkspaceWorktree(t *testing.T) {
	source := func(worktree string) string {
		return "version: 1\nname: t\ninputs:\n  repo: {default: .}\n  base: {}\nworkspace:\n  worktree: " + worktree +
			"\nagents:\n  a: {prompt: P.}\nstart: a\nhandoffs:\n  - {from: a, on: end_turn, to: succeeded}\n  - {from: \"*\", on: \"*\", to: failed}\n"
	}
	for _, test := range []struct {
		name, worktree string
		input          map[string]any
		want           WorktreePlace
		err            string
	}{
		{"the repository alone", `{repo: "{{ .input.repo }}"}`, map[string]any{"repo": "/r"}, WorktreePlace{"/r", "", "", "team/T9"}, ""},
		{
			"everything", `{repo: /r, base: "{{ .input.base }}", branch: "x/{{ .task.team }}/{{ .task.id }}"}`,
			map[string]any{"repo": "/r", "base": " main\n"}, WorktreePlace{"/r", "", "main", "x/t/T9"}, "",
		},
		{"nothing given", `{repo: /r, base: "{{ .input.base }}", branch: "{{ .input.base }}"}`, map[string]any{"base": ""}, WorktreePlace{"/r", "", "", "team/T9"}, ""},
		{"no repository", `{repo: "{{ .input.repo }}"}`, map[string]any{"repo": " "}, WorktreePlace{}, "workspace.worktree.repo of team t is empty"},
		{"not to be rendered", `{repo: /r, branch: "{{ index .input.base 9 }}"}`, map[string]any{"base": "x"}, WorktreePlace{}, "render workspace.worktree.branch of team t"},
	} {
		t.Run(test.name, func(t *testing.T) {
			team, err := Parse("t.yaml", []byte(source(test.worktree)), ParseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			got, ok, err := team.WorkspaceWorktree("T9", test.input)
			if got != test.want || !ok || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Errorf("got %+v, %t, %v", got, ok, err)
			}
		})
	}
	if _, ok, err := new(Team).WorkspaceWorktree("T9", nil); ok || err != nil {
		t.Errorf("a team without: %t, %v", ok, err)
	}
}
