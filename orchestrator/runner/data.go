package runner

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// maxDataErrors bounds how many mistakes the model is told of at once.
const maxDataErrors = 10

// dataSchema checks the data of a report by the JSON Schema of the agent's `data:`.
type dataSchema struct {
	schema *jsonschema.Schema
	source map[string]any
}

// schemaDir is where schemas seem to be, so that what they refer to beside them
// is not taken for themselves.
const schemaDir = "schema:///"

// noLoader refuses what a schema refers to outside of itself: nothing is read
// from the disk or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("it refers to %q: only references within it (#/…) are followed", strings.TrimPrefix(url, schemaDir))
}

// newDataSchema compiles a schema as it was decoded from JSON. It is nil for none.
func newDataSchema(source any) (*dataSchema, error) {
	if source == nil {
		return nil, nil //nolint:nilnil // no schema, no error
	}
	data, err := json.Marshal(source)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	const name = schemaDir + "data"
	if err := compiler.AddResource(name, document); err != nil {
		return nil, err
	}
	schema, err := compiler.Compile(name)
	if err != nil {
		return nil, err
	}
	object, ok := source.(map[string]any)
	if !ok {
		object = map[string]any{}
	}
	return &dataSchema{schema: schema, source: object}, nil
}

// optional says whether the data may be left out: it counts as null then.
func (d *dataSchema) optional() bool { return d.schema.Validate(nil) == nil }

// check returns what is wrong with the data, for the model to mend: one mistake
// a line. It is empty when nothing is. Missing data is null.
func (d *dataSchema) check(raw json.RawMessage) string {
	var value any
	if len(bytes.TrimSpace(raw)) > 0 {
		var err error
		if value, err = jsonschema.UnmarshalJSON(bytes.NewReader(raw)); err != nil {
			return "- data: it is no JSON"
		}
	}
	err := d.schema.Validate(value)
	if err == nil {
		return ""
	}
	invalid, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return "- data: " + err.Error()
	}
	if value == nil {
		return "- data: it is missing, and must be given"
	}
	var lines []string
	for leaf := range leaves(invalid) {
		if len(lines) == maxDataErrors {
			lines = append(lines, "- …")
			break
		}
		lines = append(lines, "- "+place(leaf.InstanceLocation)+": "+short(leaf.DetailedOutput().Error.String(), 300))
	}
	return strings.Join(lines, "\n")
}

// leaves ranges over the errors that have no further cause. There is at least one.
func leaves(e *jsonschema.ValidationError) iter.Seq[*jsonschema.ValidationError] {
	return func(yield func(*jsonschema.ValidationError) bool) {
		if len(e.Causes) == 0 {
			yield(e)
			return
		}
		for _, cause := range e.Causes {
			for leaf := range leaves(cause) {
				if !yield(leaf) {
					return
				}
			}
		}
	}
}

// place names a part of the data as people do: data.items[2].name.
func place(steps []string) string {
	path := "data"
	for _, step := range steps {
		if _, err := strconv.Atoi(step); err == nil {
			path += "[" + step + "]"
		} else {
			path += "." + step
		}
	}
	return path
}

// parameter is the schema as a part of the tool's parameters. References that
// start at its root are made to start at the root of the parameters.
func (d *dataSchema) parameter() map[string]any {
	moved, _ := moveReferences(d.source).(map[string]any) // a map stays one
	delete(moved, "$schema")
	delete(moved, "$id")
	if moved["type"] == nil {
		moved["type"] = "object"
	}
	if moved["description"] == nil {
		moved["description"] = "Facts for whoever comes next."
	}
	return moved
}

const dataRoot = "#/properties/data"

// moveReferences copies a schema. It also changes what looks like a reference
// within an enum or an example, which does no harm: the model is only shown it.
func moveReferences(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, child := range v {
			if target, ok := child.(string); ok && (key == "$ref" || key == "$dynamicRef") {
				if rest, local := strings.CutPrefix(target, "#"); local && (rest == "" || rest[0] == '/') {
					child = dataRoot + rest
				}
			}
			out[key] = moveReferences(child)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = moveReferences(child)
		}
		return out
	}
	return value
}
