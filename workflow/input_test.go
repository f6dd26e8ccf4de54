package workflow

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const inputTeam = `version: 1
name: inputs
inputs:
  goal: {required: true, description: What to do}
  rounds: {type: int, default: 3}
  share: {type: number}
  strict: {type: bool}
  note: {}
workspace: {directory: "/repos/{{ .input.goal }}/{{ .task.team }}-{{ .task.id }}"}
agents: {a: {prompt: x}}
start: a
handoffs: [{from: a, on: "*", to: succeeded}]
`

func TestBindInput(t *testing.T) {
	t.Parallel()
	team := mustParse(t, inputTeam)
	for _, test := range []struct {
		name  string
		given map[string]any
		want  map[string]any
	}{
		{"defaults", map[string]any{"goal": "g"}, map[string]any{"goal": "g", "rounds": 3, "share": 0.0, "strict": false, "note": ""}},
		{"texts", map[string]any{"goal": "g", "rounds": "-7", "share": "0.25", "strict": "true", "note": "n=1"},
			map[string]any{"goal": "g", "rounds": -7, "share": 0.25, "strict": true, "note": "n=1"}},
		{"json", map[string]any{"goal": "g", "rounds": 7.0, "share": 2.0, "strict": true},
			map[string]any{"goal": "g", "rounds": 7, "share": 2.0, "strict": true, "note": ""}},
		{"go", map[string]any{"goal": "g", "rounds": int64(7), "share": 2, "strict": false},
			map[string]any{"goal": "g", "rounds": 7, "share": 2.0, "strict": false, "note": ""}},
		{"json numbers", map[string]any{"goal": "g", "rounds": json.Number("7"), "share": json.Number("1e3")},
			map[string]any{"goal": "g", "rounds": 7, "share": 1000.0, "strict": false, "note": ""}},
	} {
		got, err := team.BindInput(test.given)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
}

func TestBindInputErrors(t *testing.T) {
	t.Parallel()
	team := mustParse(t, inputTeam)
	for _, test := range []struct {
		given map[string]any
		want  string
	}{
		{nil, "the input \"goal\" is required\n      give it with --input goal=… (What to do)"},
		{map[string]any{"goal": ""}, "the input \"goal\" is required and was given empty\n      give it with --input goal=… (What to do)"},
		{map[string]any{"goal": "g", "round": 3}, "the team \"inputs\" declares no input \"round\"\n      did you mean \"rounds\"?"},
		{map[string]any{"goal": "g", "colour": 3}, "the team \"inputs\" declares no input \"colour\"\n      there is: goal, note, rounds, share, strict"},
		{map[string]any{"goal": 7}, "the input \"goal\" must be text, not 7\n      What to do"},
		{map[string]any{"goal": nil}, "the input \"goal\" must be text, not <nil>\n      What to do"},
		{map[string]any{"goal": "g", "rounds": "many"}, `the input "rounds" must be a whole number, not "many"`},
		{map[string]any{"goal": "g", "rounds": 1.5}, `the input "rounds" must be a whole number, not 1.5`},
		{map[string]any{"goal": "g", "rounds": true}, `the input "rounds" must be a whole number, not true`},
		{map[string]any{"goal": "g", "rounds": int64(math.MaxInt64)}, `the input "rounds" is out of range: at most 9007199254740992`},
		{map[string]any{"goal": "g", "share": "NaN"}, `the input "share" must be a finite number, not "NaN"`},
		{map[string]any{"goal": "g", "share": "half"}, `the input "share" must be a number, not "half"`},
		{map[string]any{"goal": "g", "share": []any{}}, `the input "share" must be a number, not []`},
		{map[string]any{"goal": "g", "strict": "perhaps"}, `the input "strict" must be true or false, not "perhaps"`},
	} {
		got, err := team.BindInput(test.given)
		if _, ok := errors.AsType[Problems](err); !ok || got != nil {
			t.Errorf("%v: got %v, %v", test.given, got, err)
			continue
		}
		if err.Error() != test.want {
			t.Errorf("%v:\ngot  %s\nwant %s", test.given, err, test.want)
		}
	}
	_, err := team.BindArguments(map[string]string{"rounds": "x", "other": "y"})
	if problems, _ := errors.AsType[Problems](err); len(problems) != 3 {
		t.Errorf("not all problems at once: %v", err)
	}
}

func TestWorkspaceDirectory(t *testing.T) {
	t.Parallel()
	team := mustParse(t, inputTeam)
	got, _, err := team.WorkspaceDirectory("T9", map[string]any{"goal": "x"})
	if err != nil || got != "/repos/x/inputs-T9" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, _, err := team.WorkspaceDirectory("T9", nil); err == nil || !strings.Contains(err.Error(), "workspace.directory") {
		t.Errorf("input that was not bound: %v", err)
	}
	none := mustParse(t, reviewTeam)
	if got, _, err := none.WorkspaceDirectory("T9", nil); err != nil || got != "" {
		t.Errorf("no directory: got %q, %v", got, err)
	}
}
