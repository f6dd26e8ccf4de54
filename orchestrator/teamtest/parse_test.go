package teamtest

import (
	"os"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// badScenario makes a scenario file of one scenario of testdata/people.yaml.
func badScenario(body string) string {
	return "version: 1\nscenarios:\n  - name: x\n" + body
}

func TestParseSaysWhatIsWrong(t *testing.T) {
	team, err := loadTeam("testdata/people.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, text, want, fix string }{
		{"empty", "", "1:1: the scenario file is empty", "version: 1"},
		{"no version", "scenarios: [{name: x, expect: {state: failed}}]", "1:1: the scenario file has no version", "begin with:  version: 1"},
		{"other version", "version: 2\nscenarios: [{name: x, expect: {state: failed}}]", "1:10: version must be 1", ""},
		{"no scenarios", "version: 1\nscenarios: []", "2:12: scenarios must be a list of at least one scenario", ""},
		{"unknown field", badScenario("    expct: {state: failed}\n"), `4:5: a scenario has no field "expct"`, `did you mean "expect"?`},
		{"nothing expected", badScenario("    nodes: {}\n"), "3:5: a scenario has no expect", ""},
		{"unknown node", badScenario("    nodes: {worke: end_turn}\n    expect: {state: failed}\n"), `4:13: the team people has no node "worke"`, `did you mean "worker"?`},
		{"unknown reason", badScenario("    nodes: {worker: endturn}\n    expect: {state: failed}\n"), `4:21: worker cannot end with "endturn"`, `did you mean "end_turn"?`},
		{"a reason of another kind", badScenario("    nodes: {go: passed}\n    expect: {state: failed}\n"), `4:17: go cannot end with "passed"`, "there is: approved, rejected, expired, open"},
		{"a limit is no ending", badScenario("    nodes: {worker: budget_exceeded}\n    expect: {state: failed}\n"), "4:21: budget_exceeded is no ending", "tokens or takes"},
		{"cut at a comma", badScenario("    nodes: {worker: [end_turn \"a, b\", end_turn]}\n    expect: {state: failed}\n"), "4:22: in a list in brackets YAML ends an ending at a comma", "single quotes"},
		{"text without quotes", badScenario("    nodes: {worker: end_turn done}\n    expect: {state: failed}\n"), "4:21: what follows end_turn must be one text in double quotes", `end_turn "text"`},
		{"quota without time", badScenario("    nodes: {worker: quota}\n    expect: {state: failed}\n"), "4:21: a quota that is used up has to say when it is reset", "quota 1h"},
		{"field of another kind", badScenario("    nodes: {go: {reason: approved, tokens: 5}}\n    expect: {state: failed}\n"), `4:36: an ending of go has no field "tokens"`, ""},
		{"two nodes", badScenario("    nodes: {go: approved, go: rejected}\n    expect: {state: failed}\n"), `4:27: nodes has "go" twice`, "line 4"},
		{"nothing to repeat", badScenario("    nodes: {go: {repeat: last}}\n    expect: {state: failed}\n"), `"go" has nothing to repeat`, "endings"},
		{"unknown input", badScenario("    input: {goal: x}\n    expect: {state: failed}\n"), `4:12: the team "people" declares no input "goal"`, ""},
		{"state", badScenario("    expect: {state: faild}\n"), `4:21: the state cannot be "faild"`, `did you mean "failed"?`},
		{"node of the route", badScenario("    expect: {route: [workr]}\n"), `4:22: the team people has no node "workr"`, `did you mean "worker"?`},
		{"reason of the route", badScenario("    expect: {route: [worker approved]}\n"), `4:22: worker cannot end with "approved"`, ""},
		{"target of the route", badScenario("    expect: {route: [worker -> lft]}\n"), `4:22: the team people has no node "lft"`, `did you mean "left"?`},
		{"no step", badScenario("    expect: {route: [worker => left]}\n"), `4:22: "worker => left" is no step`, "tests failed -> coder"},
		{"rule", badScenario("    expect: {rules: [9]}\n"), "4:22: the team people has 6 rules, there is none with number 9", ""},
		{"bound", badScenario("    expect: {elapsed: 5}\n"), `4:23: elapsed cannot be "5"`, `write 10m, or "<= 10m"`},
		{"messages of nobody", badScenario("    expect: {messages: {check: x}}\n"), `4:25: "check" is no agent and no gate of the team`, ""},
		{"regular expression", badScenario("    expect: {messages: {go: {matches: '('}}}\n"), "4:39: matches cannot be read", ""},
		{"price", "version: 1\nprices: {m: {input: -1, output: 2}}\nscenarios: [{name: x, expect: {state: failed}}]", "2:21: a price is dollars for a million tokens and cannot be negative", ""},
		{"model", "version: 1\nprices: {a b: {input: 1, output: 2}}\nscenarios: [{name: x, expect: {state: failed}}]", "2:10: this is no name of a model", "provider/model"},
		{"optional", badScenario("    nodes: {go: {reason: approved, optional: 1}}\n    expect: {state: failed}\n"), "4:46: optional of go must be true or false", ""},
		{"same name", badScenario("    expect: {state: failed}\n  - name: x\n    expect: {state: failed}\n"), `5:5: two scenarios are called "x"`, "another name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("people.test.yaml", []byte(tt.text), team)
			if err == nil {
				t.Fatal("no problem")
			}
			if !strings.Contains(err.Error(), "people.test.yaml:"+tt.want) && !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.fix) {
				t.Errorf("got\n%s\nwant %s and %s", err, tt.want, tt.fix)
			}
		})
	}
}

func TestMatchRoute(t *testing.T) {
	// a fans out into b and c, which are joined; then d.
	steps := []workflow.Step{
		{Turn: 1, Node: "a", To: []string{"b", "c"}},
		{Turn: 2, Node: "b", Arrived: true, After: []int{0}},
		{Turn: 3, Node: "c", Arrived: true, After: []int{0}},
		{Joined: []int{2, 3}, To: []string{"d"}, After: []int{1, 2}},
		{Turn: 4, Node: "d", To: []string{"succeeded"}, After: []int{3}},
	}
	for route, want := range map[string]bool{
		"a b c d": true, "a c b d": true, "a b c join d": true, "a c b join d": true,
		"a b d c": false, "b a c d": false, "a b c": false, "a b c d d": false, "a join b c d": false, "": false,
	} {
		var patterns []StepPattern
		for name := range strings.FieldsSeq(route) {
			patterns = append(patterns, StepPattern{Node: name})
		}
		if ok := matchRoute(patterns, steps); ok != want {
			t.Errorf("%q: %v, want %v", route, ok, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	team, err := loadTeam("testdata/people.yaml")
	if err != nil {
		f.Fatal(err)
	}
	src, err := os.ReadFile("testdata/people.test.yaml")
	if err != nil {
		f.Fatal(err)
	}
	schema := compiledSchema(f)
	f.Add(src)
	f.Add([]byte("version: 1\nscenarios: [{name: x, expect: {route: [a -> b rule 3]}}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		file, err := Parse("x.test.yaml", src, team)
		if (file == nil) == (err == nil) {
			t.Errorf("file %v, error %v", file, err)
		}
		if err == nil {
			if err := validate(schema, src); err != nil {
				t.Errorf("it is read, and not valid by the schema: %v", err)
			}
		}
	})
}
