package workflow

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

// What bounds the JSON Schema of an agent's data, aliases written out.
const (
	maxDataValues = 5_000
	maxDataDepth  = 50
)

// dataSchema reads `data:`, a JSON Schema. It returns it as decoded from JSON.
func (p *parser) dataSchema(n *yaml.Node, what string) any {
	if n.Kind != yaml.MappingNode {
		p.problem(n, "write a JSON Schema, as in  {type: object, required: [items]}", "%s is a JSON Schema, not %s", what, kindOf(n))
		return nil
	}
	reader := valueReader{p: p, what: what}
	value, ok := reader.value(n, 0)
	if !ok {
		return nil
	}
	if ref := findReference(n, func(to string) bool { return !strings.HasPrefix(to, "#") }); ref != nil {
		p.problem(ref, "write the other schema into this one, under $defs", "%s refers to another schema, which is never read; only #/… is allowed", what)
		return nil
	}
	text, err := json.Marshal(value)
	if err != nil {
		p.problem(n, "", "%s cannot be written as JSON: %s", what, err)
		return nil
	}
	if err := checkDataSchema(text); err != nil {
		at, fix := n, ""
		if invalid, ok := errors.AsType[*dataSchemaError](err); ok {
			at, fix = find(n, invalid.path), invalid.fix
			if _, missing, ok := strings.Cut(invalid.message, "json-pointer in "); ok {
				at, fix = cmp.Or(findReference(n, func(to string) bool { return strings.Contains(missing, strconv.Quote(to)) }), n), "name a part that exists, as in #/$defs/item"
			}
		}
		p.problem(at, fix, "%s is not a valid JSON Schema: %s", what, err)
		return nil
	}
	if object, ok := value.(map[string]any); ok && object["type"] != nil && object["type"] != "object" {
		p.problem(find(n, []string{"type"}), "write  type: object  and put the value into a field of it", "%s must describe an object: that is what report_outcome takes", what)
		return nil
	}
	var data any
	if err := json.Unmarshal(text, &data); err != nil {
		p.problem(n, "", "%s cannot be read as JSON: %s", what, err)
		return nil
	}
	return data
}

// dataSchemaError says what is wrong with a schema, and where in it.
type dataSchemaError struct {
	message, fix string
	path         []string
}

func (e *dataSchemaError) Error() string { return e.message }

// noLoader refuses whatever a schema refers to outside of itself, so that
// nothing is read from the disk or the network.
type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, &dataSchemaError{message: fmt.Sprintf("it refers to %q, and only references within it (#/…) are allowed", url), fix: "write the other schema into this one, under $defs"}
}

// checkDataSchema compiles the text of a schema.
func checkDataSchema(text []byte) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.UseLoader(noLoader{})
	const name = "data:schema"
	if err := compiler.AddResource(name, document); err != nil {
		return err
	}
	if _, err = compiler.Compile(name); err == nil {
		return nil
	}
	if refused, ok := errors.AsType[*dataSchemaError](err); ok {
		return refused
	}
	if invalid, ok := errors.AsType[*jsonschema.SchemaValidationError](err); ok {
		if deep, ok := errors.AsType[*jsonschema.ValidationError](invalid.Err); ok {
			for len(deep.Causes) > 0 {
				deep = deep.Causes[0]
			}
			return &dataSchemaError{message: lastLine(deep.Error()), path: deep.InstanceLocation}
		}
	}
	return &dataSchemaError{message: strings.ReplaceAll(err.Error(), name, "")}
}

// lastLine is what a validation error says in the end: before that come the
// places in the schema of schemas.
func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	line := strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "- ")
	if _, after, ok := strings.Cut(line, "': "); ok && strings.HasPrefix(line, "at '") {
		return after
	}
	return line
}

// findReference finds the first reference of a schema that is of some kind; nil
// where there is none.
func findReference(n *yaml.Node, of func(to string) bool) *yaml.Node {
	n = resolve(n)
	for i, value := range n.Content {
		value = resolve(value)
		if n.Kind == yaml.MappingNode && i%2 == 1 && value.Kind == yaml.ScalarNode {
			if key := n.Content[i-1].Value; (key == "$ref" || key == "$dynamicRef" || key == "$recursiveRef") && of(value.Value) {
				return value
			}
		}
		if found := findReference(value, of); found != nil {
			return found
		}
	}
	return nil
}

// find follows a path of keys and indices; it stops where there is no such thing.
func find(n *yaml.Node, path []string) *yaml.Node {
	for _, step := range path {
		var next *yaml.Node
		for i, value := range n.Content {
			if n.Kind == yaml.SequenceNode && fmt.Sprint(i) == step || n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == step {
				next = resolve(value)
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}

// valueReader reads any YAML as the value that JSON would have.
type valueReader struct {
	p     *parser
	what  string
	count int
}

func (r *valueReader) value(n *yaml.Node, depth int) (any, bool) {
	n = resolve(n)
	r.count++
	if r.count > maxDataValues || depth > maxDataDepth {
		r.p.problem(n, "make it smaller", "%s has more than %d values, or is nested more than %d deep", r.what, maxDataValues, maxDataDepth)
		return nil, false
	}
	if n.Kind == yaml.MappingNode {
		return r.mapping(n, depth)
	}
	if n.Kind == yaml.SequenceNode {
		out := make([]any, 0, len(n.Content))
		for _, item := range n.Content {
			value, ok := r.value(item, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, value)
		}
		return out, true
	}
	if n.Tag == "!!int" || n.Tag == "!!float" || n.Tag == "!!bool" || n.Tag == "!!null" {
		var value any
		if err := n.Decode(&value); err != nil {
			r.p.problem(n, "", "%s in %s cannot be read: %s", kindOf(n), r.what, err)
			return nil, false
		}
		return value, true
	}
	return n.Value, true
}

func (r *valueReader) mapping(n *yaml.Node, depth int) (any, bool) {
	out, keys := map[string]any{}, map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := resolve(n.Content[i])
		if key.Tag == "!!merge" {
			r.p.problem(key, "write the fields out", "merge keys are not supported")
			return nil, false
		}
		if !r.p.key(key, keys, r.what) {
			return nil, false
		}
		value, ok := r.value(n.Content[i+1], depth+1)
		if !ok {
			return nil, false
		}
		out[key.Value] = value
	}
	return out, true
}
