package batch

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const maintain = `
version: 1
name: maintain
inputs:
  repo: {type: string, required: true}
  goal: {type: string, default: tidy}
  depth: {type: int}
  strict: {type: bool}
agents:
  a: {prompt: A}
start: a
message: "{{ .input.repo }} {{ .input.goal }} {{ .input.depth }} {{ .input.strict }}"
limits: {turns: 3}
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: a, on: "*", to: failed}
`

func parseTeam(t testing.TB, source string) *workflow.Team {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// inputsOf writes the inputs of items that were given as people would read them.
func inputsOf(items []Item) []string {
	var out []string
	for _, item := range items {
		out = append(out, fmt.Sprintf("%v|%v|%v|%v", item.Input["repo"], item.Input["goal"], item.Input["depth"], item.Input["strict"]))
	}
	return out
}

func TestReadItems(t *testing.T) {
	team := parseTeam(t, maintain)
	long := strings.Repeat("x", 200_000)
	for _, c := range []struct {
		name, file, text string
		options          ItemsOptions
		want             []string
	}{
		{"CSV", "r.csv", "repo,goal\na,b\nc,d\n", ItemsOptions{}, []string{"a|b|0|false", "c|d|0|false"}},
		{"a byte order mark, CRLF, and no last line end", "r.csv", "\xef\xbb\xbfrepo,depth\r\na,3\r\nb,4", ItemsOptions{}, []string{"a|tidy|3|false", "b|tidy|4|false"}},
		{"quotes, with separators, quotes and lines in them", "r.csv", "repo,goal\n\"a,1\",\"say \"\"hi\"\"\nnow\"\n", ItemsOptions{}, []string{"a,1|say \"hi\"\nnow|0|false"}},
		{"blank lines, and empty cells", "r.csv", "repo,goal,depth\n\na,,\n,,\n", ItemsOptions{}, []string{"a||0|false"}},
		{"semicolons", "r.csv", "repo;strict\na,b;true\n", ItemsOptions{}, []string{"a,b|tidy|0|true"}},
		{"tabs", "r.tsv", "repo\tgoal\na\tb c\n", ItemsOptions{}, []string{"a|b c|0|false"}},
		{"a long line", "r.csv", "repo,goal\na," + long + "\n", ItemsOptions{}, []string{"a|" + long + "|0|false"}},
		{"one column", "r.csv", "repo\na\n", ItemsOptions{}, []string{"a|tidy|0|false"}},
		{"spaces around names", "r.csv", "repo , goal\na,b\n", ItemsOptions{}, []string{"a|b|0|false"}},
		{"JSON", "r.jsonl", "{\"repo\":\"a\",\"depth\":3,\"strict\":true}\r\n\n{\"repo\":\"b\",\"goal\":null}\n", ItemsOptions{}, []string{"a|tidy|3|true", "b|tidy|0|false"}},
		{"JSON by its first character", "-", " {\"repo\":\"a\"}", ItemsOptions{}, []string{"a|tidy|0|false"}},
		{"CSV from the standard input", "-", "repo\na", ItemsOptions{}, []string{"a|tidy|0|false"}},
		{"whole numbers as they are", "r.jsonl", `{"repo":"a","depth":9007199254740991}`, ItemsOptions{}, []string{"a|tidy|9007199254740991|false"}},
		{"other names", "r.csv", "path,notes\na,b\n", ItemsOptions{Columns: map[string]string{"path": "repo", "notes": ""}}, []string{"a|tidy|0|false"}},
		{"inputs for all, which columns replace", "r.jsonl", "{\"repo\":\"a\"}\n{\"repo\":\"b\",\"goal\":\"own\"}", ItemsOptions{Input: map[string]any{"goal": "all"}}, []string{"a|all|0|false", "b|own|0|false"}},
		{"a key that is no input", "r.csv", "id,repo\n1,a\n2,a\n", ItemsOptions{KeyColumn: "id"}, []string{"a|tidy|0|false", "a|tidy|0|false"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Team = team
			items, err := ReadItems(c.file, []byte(c.text), c.options)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, inputsOf(items)); diff != "" {
				t.Error(diff)
			}
			keys := map[string]bool{}
			for _, item := range items {
				keys[item.Key] = true
			}
			if len(keys) != len(items) || keys[""] {
				t.Errorf("keys %v", keys)
			}
		})
	}
}

func TestWrongItems(t *testing.T) {
	team := parseTeam(t, maintain)
	for _, c := range []struct {
		name, file, text string
		options          ItemsOptions
		want             []string // the first lines of the problems
	}{
		{"everything at once", "r.csv", "repo,depth\n,1\na,many\n\"b\",2\nb,2\nc,1,2\n", ItemsOptions{}, []string{
			`r.csv:2:1: the input "repo" is required and was given empty`,
			`r.csv:3:3: the input "depth" must be a whole number, not "many"`,
			`r.csv:5:1: the item has the same inputs as that in line 4`,
			`r.csv:6:1: the record has 3 fields, and the header has 2`,
		}},
		{"a missing input", "r.csv", "goal\na\n", ItemsOptions{}, []string{`r.csv:2:1: the input "repo" is required`}},
		{"an unknown column, once", "r.csv", "repo,gaol\na,b\nc,d\n", ItemsOptions{}, []string{`r.csv:1:6: the column "gaol" is no input of the team "maintain"`}},
		{"an unknown field, once", "r.jsonl", "{\"repo\":\"a\",\"gaol\":1}\n{\"repo\":\"b\",\"gaol\":1}", ItemsOptions{}, []string{`r.jsonl:1:13: the column "gaol" is no input of the team "maintain"`}},
		{"a mapping to nothing", "r.csv", "path\na\n", ItemsOptions{Columns: map[string]string{"path": "rep"}}, []string{
			`r.csv:1:1: the column "path" is for the input "rep", which the team "maintain" does not declare`,
			`r.csv:2:1: the input "repo" is required`,
		}},
		{"a mapping of nothing", "r.csv", "repo\na\n", ItemsOptions{Columns: map[string]string{"pth": "repo"}}, []string{`r.csv:1:1: there is no column "pth", which --map names`}},
		{"no key column", "r.csv", "repo\na\n", ItemsOptions{KeyColumn: "id"}, []string{`r.csv:1:1: there is no column "id", which --key-column names`}},
		{"the same key twice", "r.csv", "id,repo\nx,a\ny,b\nx,c\n", ItemsOptions{KeyColumn: "id"}, []string{`r.csv:4:1: the item has the same key "x" as that in line 2`}},
		{"an empty key", "r.csv", "id,repo\n,a\n", ItemsOptions{KeyColumn: "id"}, []string{`r.csv:2:1: the key column "id" is empty`}},
		{"a key with a line in it", "r.csv", "id,repo\n\"a\nb\",a\n", ItemsOptions{KeyColumn: "id"}, []string{`r.csv:2:1: the key of the item has a control character in it`}},
		{"a long key", "r.csv", "id,repo\n" + strings.Repeat("k", 201) + ",a\n", ItemsOptions{KeyColumn: "id"}, []string{`r.csv:2:1: the key of the item has 201 bytes, and may have 200`}},
		{"a column twice", "r.csv", "repo,repo\na,b\n", ItemsOptions{}, []string{`r.csv:1:6: two columns have the name "repo"`}},
		{"a column without a name", "r.csv", "repo,\na,b\n", ItemsOptions{}, []string{`r.csv:1:6: column 2 has no name`}},
		{"a quote in a field, and what follows it", "r.csv", "repo,goal\na \"b\",c\n,d\n", ItemsOptions{}, []string{
			`r.csv:2:3: there is a " in a field that does not begin with one`, `r.csv:3:1: the input "repo" is required and was given empty`,
		}},
		{"a quote that is not closed", "r.csv", "repo\na\n\"b\nc\n", ItemsOptions{}, []string{`r.csv:3:1: a " that begins in this record is not closed, or something follows the closing one`}},
		{"columns count characters", "r.csv", "repo,depth\näöü,x\n", ItemsOptions{}, []string{`r.csv:2:5: the input "depth" must be a whole number, not "x"`}},
		{"nothing", "r.csv", "", ItemsOptions{}, []string{`r.csv: there are no items in it`}},
		{"a header alone", "r.csv", "repo\n", ItemsOptions{}, []string{`r.csv: there are no items in it`}},
		{"bad JSON, and more of it", "r.jsonl", "{\"repo\":}\n{\"repo\":\"a\"\n[1]\n3\n{\"repo\":\"b\"} x\n{\"repo\":\"c\",\"repo\":\"d\"}", ItemsOptions{}, []string{
			`r.jsonl:1:9: this is no JSON: invalid character '}' looking for beginning of value`,
			`r.jsonl:2:12: this is no JSON: the object does not end in this line`,
			`r.jsonl:3:1: this is a list of JSON, and one object in each line is wanted`,
		}},
		{"what is no object", "r.jsonl", "3\n{\"repo\":\"b\"} x\n{\"repo\":\"c\",\"repo\":\"d\"}", ItemsOptions{}, []string{
			`r.jsonl:1:1: this is no object`,
			`r.jsonl:2:14: something follows the object`,
			`r.jsonl:3:13: the field "repo" is there twice`,
		}},
		{"an object over many lines", "r.json", "{\n  \"repo\": \"a\"\n}\n", ItemsOptions{}, []string{`r.json:1:2: this is no JSON: the object does not end in this line`}},
		{"wrong types", "r.jsonl", `{"repo":["a"],"depth":1.5,"strict":"perhaps"}`, ItemsOptions{}, []string{
			`r.jsonl:1:15: the input "depth" must be a whole number, not "1.5"`,
			`r.jsonl:1:2: the input "repo" must be text, not [a]`,
			`r.jsonl:1:27: the input "strict" must be true or false, not "perhaps"`,
		}},
		{"an item that is too long", "r.jsonl", `{"repo":"` + strings.Repeat("x", MaxItemSize) + `"}`, ItemsOptions{}, []string{`r.jsonl:1:1: the line has 1048587 bytes, and may have 1048576`}},
		{"no UTF-8", "r.csv", "repo\n\xff\n", ItemsOptions{}, []string{`r.csv:2:1: it is not valid UTF-8`}},
		{"UTF-16", "r.csv", "\xff\xfer\x00", ItemsOptions{}, []string{`r.csv: it is UTF-16`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.Team = team
			items, err := ReadItems(c.file, []byte(c.text), c.options)
			problems, ok := err.(workflow.Problems) //nolint:errorlint // it is never wrapped
			if !ok {
				t.Fatalf("%v, and %d items", err, len(items))
			}
			var got []string
			for _, p := range problems {
				first, _, _ := strings.Cut(p.String(), "\n")
				got = append(got, first)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s\n%v", diff, err)
			}
		})
	}
}

func TestManyMistakesAreCounted(t *testing.T) {
	_, err := ReadItems("r.csv", []byte("repo,depth\n"+strings.Repeat("a,x\n", 70)), ItemsOptions{Team: parseTeam(t, maintain)})
	if problems, ok := err.(workflow.Problems); !ok || len(problems) != maxProblems+1 || !strings.Contains(problems[maxProblems].Message, "20 more") { //nolint:errorlint // it is never wrapped
		t.Errorf("%v", err)
	}
}

func TestTooManyItems(t *testing.T) {
	var b strings.Builder
	b.WriteString("repo\n")
	for i := range MaxItems + 5 {
		fmt.Fprintf(&b, "%d\n", i)
	}
	_, err := ReadItems("r.csv", []byte(b.String()), ItemsOptions{Team: parseTeam(t, maintain)})
	if err == nil || !strings.Contains(err.Error(), "r.csv:100002:1: a batch takes at most 100000 items") || strings.Count(err.Error(), "at most") != 1 {
		t.Errorf("%v", err)
	}
}

func TestDirectoryItems(t *testing.T) {
	team := parseTeam(t, maintain)
	items, err := DirectoryItems([]string{"/r/a", "/r/b"}, ItemsOptions{Team: team})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"/r/a|tidy|0|false", "/r/b|tidy|0|false"}, inputsOf(items)); diff != "" || items[0].Label != "a" {
		t.Errorf("%s, label %q", diff, items[0].Label)
	}
	items, err = DirectoryItems([]string{"/r/a"}, ItemsOptions{Team: team, Columns: map[string]string{"directory": "goal", "name": "repo"}})
	if err != nil || items[0].Input["repo"] != "a" || items[0].Input["goal"] != "/r/a" {
		t.Errorf("%v, %v", items, err)
	}
	two := parseTeam(t, strings.Replace(maintain, "goal: {type: string, default: tidy}", "goal: {type: string, required: true}", 1))
	if _, err := DirectoryItems([]string{"/r/a"}, ItemsOptions{Team: two}); err == nil || !strings.Contains(err.Error(), "--map directory=INPUT") {
		t.Errorf("%v", err)
	}
	if items, err := DirectoryItems([]string{"/r/a"}, ItemsOptions{Team: two, Input: map[string]any{"goal": "x"}}); err != nil || items[0].Input["repo"] != "/r/a" {
		t.Errorf("%v, %v", items, err)
	}
}

func TestTaskKeysAreTheirOwn(t *testing.T) {
	seen := map[string]string{}
	for _, item := range []string{"a", "a#2", "a%232", "a#", "a%23"} {
		for attempt := 1; attempt <= 3; attempt++ {
			key, what := TaskKey("B", item, attempt), fmt.Sprint(item, attempt)
			if other, twice := seen[key]; twice {
				t.Errorf("%s and %s have the key %s", what, other, key)
			}
			seen[key] = what
		}
	}
	if got := TaskKey("B", "repo/a", 1); got != "batch/B/repo/a" {
		t.Error(got)
	}
	if got := TaskKey("B", "repo/a", 2); got != "batch/B/repo/a#2" {
		t.Error(got)
	}
}

func TestDigest(t *testing.T) {
	a, b := Item{Key: "1", Input: map[string]any{"x": 1}}, Item{Key: "2", Input: map[string]any{"x": 1}}
	if Digest("t", []Item{a, b}) != Digest("t", []Item{b, a}) {
		t.Error("the order counts")
	}
	for _, other := range []string{Digest("u", []Item{a, b}), Digest("t", []Item{a}), Digest("t", []Item{a, {Key: "2", Input: map[string]any{"x": 2}}})} {
		if other == Digest("t", []Item{a, b}) {
			t.Error("another batch has the same digest")
		}
	}
}

func FuzzReadItems(f *testing.F) {
	for _, seed := range []string{"repo\na\n", "repo,goal\n\"a\n", "{\"repo\":\"a\"}", "{\"repo\":[[", "\xef\xbb\xbf", "repo;x\n;\n", "{\"a\":{}}\n[", "{\"re\\u0070o\":1}"} {
		f.Add("x", seed)
		f.Add("x.csv", seed)
		f.Add("x.jsonl", seed)
	}
	team := parseTeam(f, maintain)
	f.Fuzz(func(t *testing.T, file, text string) {
		items, err := ReadItems(file, []byte(text), ItemsOptions{Team: team})
		if (err == nil) == (len(items) == 0) {
			t.Errorf("%d items and the error %v", len(items), err)
		}
	})
}
