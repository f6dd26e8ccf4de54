package workflow

import (
	"strings"
	"testing"
)

func TestTemplateFunctions(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"text": "  Grüße  ", "lines": "a\n\nb", "empty": "", "list": []any{"x", 2.0}, "none": nil,
		"long": strings.Repeat("é", maxRendered/4),
	}
	for _, test := range []struct{ source, want, fails string }{
		{source: `{{ trim .text }}`, want: "Grüße"},
		{source: `{{ .text | trim | upper }} {{ lower "ÄB" }}`, want: "GRÜSSE äb"},
		{source: `{{ .lines | indent 2 }}`, want: "  a\n\n  b"},
		{source: `{{ indent 99 .lines }}`, fails: "indent takes 0 to 80 spaces, not 99"},
		{source: `{{ .text | trim | truncate 3 }}`, want: "Grü… (2 more characters)"},
		{source: `{{ truncate 0 "ab" }}`, want: "… (2 more characters)"},
		{source: `{{ truncate 2 "ab" }}`, want: "ab"},
		{source: `{{ truncate -1 "ab" }}`, fails: "not -1"},
		{source: `{{ default "nothing" .empty }} {{ default "nothing" .none }} {{ default 1 .list }}`, want: "nothing nothing [x 2]"},
		{source: `{{ json .list }}`, want: "[\n  \"x\",\n  2\n]"},
		{source: `{{ printf "%s-%d" "a" 2 }} {{ print 1 2 }}`, want: "a-2 1 2"},
		{source: `{{ upper (upper (print .long .long)) }}`, want: strings.Repeat("É", maxRendered/2)},
		{source: `{{ .long }}{{ .long }}{{ .long }}`, fails: "longer than 1024 KiB"},
		{source: `{{ .missing }}`, fails: "map has no entry for key"},
		{source: `{{ index .list 7 }}`, fails: "index out of range"},
		{source: `{{ .none.field }}`, fails: "nil"},
	} {
		compiled, err := newTemplate(test.source)
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		got, err := compiled.Render(values)
		switch {
		case test.fails != "":
			if err == nil || !strings.Contains(err.Error(), test.fails) || got != "" {
				t.Errorf("%s: got %.40q, %v; want an error with %q", test.source, got, err, test.fails)
			}
		case err != nil:
			t.Errorf("%s: %v", test.source, err)
		case got != test.want && got != strings.ReplaceAll(test.want, "SS", "ß"):
			t.Errorf("%s: got %.80q, want %.80q", test.source, got, test.want)
		}
	}
	if _, err := (Template{}).Render(nil); err == nil || !(Template{}).IsZero() {
		t.Error("the zero template was rendered")
	}
	if _, err := newTemplate(strings.Repeat("x", maxTemplateSource+1)); err == nil {
		t.Error("a template of any length was accepted")
	}
}

func TestTemplateRange(t *testing.T) {
	t.Parallel()
	src := strings.Replace(inputTeam, `on: "*", to: succeeded`, `on: "*", to: a, max: 1, message: "{{ range $i, $e := .data }}{{ $i }}{{ $e }} {{ else }}none{{ end }}{{ range 2 }}.{{ end }}"`, 1)
	team := mustParse(t, src)
	for _, test := range []struct {
		data any
		want string
	}{
		{[]any{"a", "b"}, "0a 1b .."},
		{map[string]any{"k": "v"}, "kv .."},
		{nil, "none.."},
		{[]any{}, "none.."},
	} {
		got, err := team.Handoffs[0].Message.Render(scope(team, &State{}, &ended{data: test.data}))
		if err != nil || got != test.want {
			t.Errorf("%v: got %q, %v; want %q", test.data, got, err, test.want)
		}
	}
}

func TestConditionAtRunTime(t *testing.T) {
	t.Parallel()
	team := mustParse(t, reviewTeam)
	s := &State{Task: "T", Input: map[string]any{"goal": "g", "rounds": 5.0}, Usage: Usage{TotalTokens: 900}, Nodes: map[string]NodeResult{"coder": {Visits: 2}}}
	e := &ended{turn: Turn{Node: "coder", Attempt: 3}, output: "all tests pass", reason: "approve", stopReason: ReasonEndTurn, data: map[string]any{"n": 2.0, "list": []any{1.0}}}
	for _, test := range []struct {
		source string
		want   bool
		fails  string
	}{
		{source: `input.rounds == 5`, want: true},
		{source: `visits == 2 and attempts == 3 and nodes.coder.visits == 2 and nodes.reviewer.visits == 0`, want: true},
		{source: `output contains "pass" and not (output startsWith "x")`, want: true},
		{source: `output matches "^all .* pass$"`, want: true},
		{source: `reason == "approve" and stop_reason == "end_turn"`, want: true},
		{source: `usage.total_tokens < 500`, want: false},
		{source: `data.n == 2 and data.n < 2.5 and data.list[0] == 1`, want: true},
		{source: `data.missing == nil and (data.missing?.deep ?? 4) == 4`, want: true},
		{source: `any(data.list, # > 0) and task.id == "T" and node == "coder"`, want: true},
		{source: `data.list.x == 1`, fails: "invalid operation"},
		{source: `data.missing.deep`, fails: "cannot fetch deep"},
		{source: `data.n`, fails: "invalid operation: bool(int)"},
		{source: `any(1..900000000, # == 0)`, fails: "memory budget exceeded"},
		{source: `int(output) > 1`, fails: "invalid"},
	} {
		c, err := newCondition(test.source, scopeTypes(team))
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		got, err := c.Match(scope(team, s, e))
		if got != test.want || (err == nil) != (test.fails == "") || err != nil && !strings.Contains(err.Error(), test.fails) {
			t.Errorf("%s: got %v, %v; want %v, %q", test.source, got, err, test.want, test.fails)
		}
	}
}

// No function of a condition can read a clock or grow a value without bound.
func TestConditionFunctions(t *testing.T) {
	t.Parallel()
	env := scopeTypes(mustParse(t, reviewTeam))
	for _, source := range []string{
		`now() != nil`, `date("2026-01-01") != nil`, `timezone("UTC") != nil`, `repeat(output, 1000) == ""`,
		`reduce(1..9, #acc + #, 0) > 1`, `join(["a"], "") == ""`, `map(1..9, #) == []`, `let x = 1; x == 1`,
	} {
		if _, err := newCondition(source, env); err == nil {
			t.Errorf("%s was accepted", source)
		}
	}
}
