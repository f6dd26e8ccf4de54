package teamtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestFieldReference keeps the generated part of docs/team-tests.md as the
// tables of fields have it.
func TestFieldReference(t *testing.T) { golden.Part(t, "../../docs/team-tests.md", FieldReference()) }

func schemaText(t testing.TB) []byte {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestSchemaIsUpToDate(t *testing.T) {
	golden.File(t, "../../docs/scenario-file.schema.json", string(schemaText(t)))
}

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(schemaText(t)))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("schema.json") // checks it against the meta-schema of its draft
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate reads YAML as an editor does, where every key is a text, and checks it.
func validate(schema *jsonschema.Schema, src []byte) error {
	var value any
	if err := yaml.Unmarshal(src, &value); err != nil {
		return err
	}
	src, err := json.Marshal(textKeys(value))
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(src))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

func textKeys(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, item := range v {
			v[key] = textKeys(item)
		}
	case map[any]any:
		out := map[string]any{}
		for key, item := range v {
			out[fmt.Sprint(key)] = textKeys(item)
		}
		return out
	case []any:
		for i, item := range v {
			v[i] = textKeys(item)
		}
	case time.Time:
		return v.String()
	}
	return value
}

func TestSchemaAcceptsGoodFiles(t *testing.T) {
	schema := compiledSchema(t)
	for _, pattern := range []string{"testdata/*" + Suffix, "../../examples/teams/*" + Suffix} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			t.Fatalf("no files match %s (%v)", pattern, err)
		}
		for _, path := range paths {
			src, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate(schema, src); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

func TestSchemaRefusesMistakesOfStructure(t *testing.T) {
	schema := compiledSchema(t)
	for _, src := range []string{
		"", "version: 1", "version: 2\nscenarios: [{name: x, expect: {state: failed}}]", "version: 1\nscenarios: []",
		"version: 1\nprices: {m: {input: 1}}\nscenarios: [{name: x, expect: {state: failed}}]",
		badScenario("    expct: {state: failed}\n"), badScenario("    nodes: {}\n"), badScenario("    expect: {}\n"), badScenario("    expect: {state: faild}\n"),
		badScenario("    nodes: {go: {repeat: last}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {branches: {a: {branches: {b: failed}}}}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {endings: [failed], repeat: often}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {output: x}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {reason: quota}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {reason: failed, nodes: {}}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {reason: failed, optional: 1}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: ~}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {reason: failed, calls: [{input: {}}]}}\n    expect: {state: failed}\n"),
		badScenario("    nodes: {go: {nodes: {inner: {reason: failed, takes: 5}}}}\n    expect: {state: failed}\n"),
		badScenario("    expect: {elapsed: 5}\n"), badScenario("    expect: {turns: many}\n"), badScenario("    expect: {messages: {a: {visits: 1}}}\n"),
	} {
		if err := validate(schema, []byte(src)); err == nil {
			t.Errorf("this is valid:\n%s", src)
		}
	}
}

// TestFieldsAreTheParsers asks the parser what it knows of every section: what
// it lists for an unknown field must be the table.
func TestFieldsAreTheParsers(t *testing.T) {
	const unknown = "zzzzzzzzzzzz"
	team, err := loadTeam("testdata/unused.yaml")
	if err != nil {
		t.Fatal(err)
	}
	place := map[string]string{
		sectionFile: "FIELD: 1", sectionPrice: "prices: {m: {FIELD: 1}}", sectionScenario: "scenarios: [{FIELD: 1}]",
		sectionResume: "scenarios: [{on_pause: [{FIELD: 1}]}]", sectionRaise: "scenarios: [{on_pause: [{raise: {FIELD: 1}}]}]",
		sectionScript: "scenarios: [{nodes: {tests: {endings: [], FIELD: 1}}}]", sectionBranchScript: "scenarios: [{nodes: {tests: {branches: {0: {endings: [], FIELD: 1}}}}}]",
		sectionTokens: "scenarios: [{nodes: {worker: {tokens: {FIELD: 1}}}}]", sectionCall: "scenarios: [{nodes: {worker: {calls: [{FIELD: 1}]}}}]",
		sectionExpect: "scenarios: [{expect: {FIELD: 1}}]", sectionMessage: "scenarios: [{expect: {messages: {worker: {FIELD: 1}}}}]",
	}
	// fieldsOf are what the parser says that there is.
	fieldsOf := func(team *workflow.Team, src string) []string {
		_, err := Parse("t.test.yaml", []byte("{"+strings.ReplaceAll(src, "FIELD", unknown)+"}\n"), team)
		problems, _ := errors.AsType[workflow.Problems](err)
		for _, p := range problems {
			if _, list, ok := strings.Cut(p.Fix, "there is: "); ok && strings.Contains(p.Message, unknown) {
				return strings.Split(list, ", ")
			} else if _, list, ok := strings.Cut(p.Fix, "it has: "); ok && strings.Contains(p.Message, unknown) {
				return strings.Split(list, ", ")
			}
		}
		t.Fatalf("%s: the parser says %v", src, err)
		return nil
	}
	people, err := loadTeam("testdata/people.yaml")
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string][]string{
		"agents": fieldsOf(team, "scenarios: [{nodes: {worker: {FIELD: 1}}}]"), "checks": fieldsOf(team, "scenarios: [{nodes: {tests: {FIELD: 1}}}]"),
		"sub-teams": fieldsOf(team, "scenarios: [{nodes: {inner: {FIELD: 1}}}]"), "gates": fieldsOf(people, "scenarios: [{nodes: {go: {FIELD: 1}}}]"),
	}
	for _, s := range sections() {
		var names []string
		for _, f := range s.fields {
			names = append(names, f.name)
		}
		slices.Sort(names)
		if s.name != sectionEnding {
			if got := fieldsOf(team, place[s.name]); !slices.Equal(got, names) {
				t.Errorf("%s: the parser has %v, the table has %v", s.name, got, names)
			}
			continue
		}
		for kind, got := range kinds {
			var want []string
			for _, f := range s.fields {
				if f.of == "" || slices.Contains(strings.Split(f.of, ", "), kind) {
					want = append(want, f.name)
				}
			}
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Errorf("an ending of %s: the parser has %v, the table has %v", kind, got, want)
			}
		}
	}
}
