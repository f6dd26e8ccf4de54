package config

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/internal/golden"
)

// TestReference keeps the generated part of docs/config.md as the tables of fields have it.
func TestReference(t *testing.T) { golden.Part(t, "../../docs/config.md", Reference()) }

func TestSchemaIsUpToDate(t *testing.T) {
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden.File(t, "../../docs/config.schema.json", string(text))
}

func compiledSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	text, err := Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
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

func validate(schema *jsonschema.Schema, src []byte) error {
	var value map[string]any
	if err := yaml.Unmarshal(src, &value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(document)
}

func TestSchema(t *testing.T) {
	t.Parallel()
	schema := compiledSchema(t)
	if err := validate(schema, []byte(whole)); err != nil {
		t.Error(err)
	}
	for _, src := range []string{
		"{}", "version: 2", "version: 1\nmdel: x", "version: 1\ngrace: 30", "version: 1\ngrace: soon", "version: 1\nlisten: []", "version: 1\ntls: {cert: x}",
		"version: 1\napp_servers: [{managed: {}}]", "version: 1\napp_servers: [{name: a, url: nowhere}]", "version: 1\nlimits: {max_turns: 0}",
		"version: 1\nlimits: {teams: {x: {max_turn: 1}}}", "version: 1\nlogging: {level: inf}",
	} {
		if err := validate(schema, []byte(src)); err == nil {
			t.Errorf("this is valid:\n%s", src)
		}
	}
}

// The example on the page is a configuration.
func TestExampleOfThePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "```yaml\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the page has no example")
	}
	if _, err := Parse("/etc/orchestrator/orchestrator.yaml", []byte(example), Options{}); err != nil {
		t.Error(err)
	}
	if err := validate(compiledSchema(t), []byte(example)); err != nil {
		t.Error(err)
	}
}
