package config

import (
	"fmt"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// field describes one field: what people read of it, what a JSON Schema says of
// it, and what reads it.
type field struct {
	name, typ string
	about     string // Markdown, without a full stop
	required  bool
	// restart says that a reload does not change it.
	restart bool
	schema  object
	read    func(p *parser, n *yaml.Node)
}

// section is a mapping of the file.
type section struct {
	// name is the section's in the JSON Schema, title on the page.
	name, title string
	about       string
	fields      []field
}

// object is a JSON object.
type object = map[string]any

func (s section) reads(p *parser) map[string]func(*yaml.Node) {
	reads := map[string]func(*yaml.Node){}
	for _, f := range s.fields {
		reads[f.name] = func(n *yaml.Node) { f.read(p, n) }
	}
	return reads
}

// in reads a node as this section, and says which keys it has. what names the
// section in messages.
func (s section) in(p *parser, n *yaml.Node, what string) map[string]*yaml.Node {
	keys := p.Fields(n, what, s.reads(p))
	if n.Kind != yaml.MappingNode && n.Tag != "!!null" {
		return keys // it is told already
	}
	for _, f := range s.fields {
		if f.required && keys[f.name] == nil {
			p.Problem(n, fmt.Sprintf("add:  %s: …", f.name), "%s has no %s", what, f.name)
		}
	}
	return keys
}

func nonEmpty() object { return object{"type": "string", "pattern": `\S`} }

func text(name, about string, target *string) field {
	return field{name: name, typ: "text", about: about, schema: nonEmpty(), read: func(p *parser, n *yaml.Node) {
		*target, _ = p.Text(n, name)
	}}
}

func choice(name, about string, allowed []string, target *string) field {
	return field{name: name, typ: "`" + strings.Join(allowed, "`, `") + "`", about: about, schema: object{"enum": allowed}, read: func(p *parser, n *yaml.Node) {
		*target, _ = p.Choice(n, name, allowed)
	}}
}

func boolean(name, about string, target *bool) field {
	return field{name: name, typ: "bool", about: about, schema: object{"type": "boolean"}, read: func(p *parser, n *yaml.Node) {
		*target = p.Bool(n, name)
	}}
}

func count(name, about string, target *int) field {
	return field{name: name, typ: "number", about: about, schema: object{"type": "integer", "minimum": 1}, read: func(p *parser, n *yaml.Node) {
		*target = p.Count(n, name)
	}}
}

// durationPattern is what ParseDuration takes.
const durationPattern = `^(\+?[0-9]+d|0)$|^\+?([0-9]+d)?` + `([0-9.]+(ns|us|µs|μs|ms|s|m|h))+$`

func duration(name, about string, least time.Duration, target *time.Duration) field {
	schema := object{"type": []string{"string", "integer"}, "pattern": durationPattern, "minimum": 0, "maximum": 0, "examples": []string{"30s", "15m", "90d"}}
	return field{name: name, typ: "duration", about: about, schema: schema, read: func(p *parser, n *yaml.Node) {
		*target = p.duration(n, name, least)
	}}
}

// presence says what must be at a path.
type presence int

const (
	anything presence = iota
	aFile
	aDirectory
)

func path(name, about string, want presence, target *string) field {
	return field{name: name, typ: "path", about: about, schema: nonEmpty(), read: func(p *parser, n *yaml.Node) {
		*target = p.path(n, name, want)
	}}
}

// variable names the environment variable with a token.
func variable(name string, target *string) field {
	return field{name: name, typ: "name", about: "the environment variable with that token, instead of a file", schema: object{"type": "string", "pattern": variableName.String()}, read: func(p *parser, n *yaml.Node) {
		*target = p.variable(n, name)
	}}
}

// texts is a list of texts, or one that stands for itself.
func texts(name, about string, target *[]string, check func(p *parser, n *yaml.Node)) field {
	list := object{"anyOf": []object{nonEmpty(), {"type": "array", "minItems": 1, "items": nonEmpty()}}}
	return field{name: name, typ: "text or list", about: about, schema: list, read: func(p *parser, n *yaml.Node) {
		items := p.List(n)
		if len(items) == 0 {
			p.Problem(n, "write a text, or leave the field out", "%s is empty", name)
		}
		for _, item := range items {
			if value, ok := p.Text(item, "an entry of "+name); ok {
				*target = append(*target, value)
				check(p, item)
			}
		}
	}}
}

// fields is a field that has fields itself; read gets its value.
func fields(name, about string, of section, read func(p *parser, n *yaml.Node)) field {
	return field{name: name, typ: "fields", about: about, schema: ref(of), read: read}
}

func ref(s section) object { return object{"$ref": "#/$defs/" + s.name} }

func (f field) needsRestart() field {
	f.restart = true
	return f
}

func (f field) isRequired() field {
	f.required = true
	return f
}

// ParseDuration reads a duration as the file has it: what time.ParseDuration
// does, with days (d) before it, and not negative.
func ParseDuration(text string) (time.Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		if err == nil && d < 0 {
			err = fmt.Errorf("%q is negative", text)
		}
		return d, err
	}
	var n int64
	for _, digit := range strings.TrimPrefix(days, "+") {
		if n = n*10 + int64(digit-'0'); digit < '0' || digit > '9' || n > maxDays {
			return 0, fmt.Errorf("%q is not a number of days, or too many", days)
		}
	}
	if strings.TrimPrefix(days, "+") == "" {
		return 0, fmt.Errorf("there is no number before the d in %q", text)
	}
	d := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return d, nil
	}
	more, err := ParseDuration(rest)
	if err != nil || rest == "0" || strings.HasPrefix(rest, "+") || strings.Contains(rest, "d") || d+more < d {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return d + more, nil
}

// maxDays is a hundred years.
const maxDays = 36500

func (p *parser) duration(n *yaml.Node, what string, least time.Duration) time.Duration {
	d, err := ParseDuration(n.Value)
	switch {
	case n.Kind != yaml.ScalarNode || err != nil:
		fix := "write a number and a unit, as in 30s, 15m, 2h or 90d"
		if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
			fix = fmt.Sprintf("write the unit too: %ss", n.Value)
		}
		p.Problem(n, fix, "%s must be a duration", what)
	case d < least:
		p.Problem(n, fmt.Sprintf("write at least %s", least), "%s is too short: %s", what, n.Value)
	default:
		return d
	}
	return 0
}

// Schema is the JSON Schema (draft 2020-12) of the file, for editors. A file
// that Parse accepts is valid by it. The reverse does not hold: a schema knows
// nothing of files that must exist, nor of what fields demand of each other.
func Schema() ([]byte, error) {
	definitions := object{}
	all := sections()
	for _, s := range all[1:] {
		definitions[s.name] = s.schema()
	}
	return workflow.SchemaDocument("https://github.com/seed-e05a5b32/orchestrator/config.schema.json", "Configuration of the daemon", all[0].schema(), definitions)
}

func (s section) schema() object {
	properties, required := object{}, []string{}
	for _, f := range s.fields {
		f.schema["description"] = strings.ToUpper(f.about[:1]) + f.about[1:] + "."
		properties[f.name] = f.schema
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"], out["type"] = required, "object"
	}
	return out
}

// Reference is the part of docs/config.md that lists the fields, as Markdown.
func Reference() string {
	var b strings.Builder
	for _, s := range sections() {
		fmt.Fprintf(&b, "### %s\n\n", s.title)
		if s.about != "" {
			fmt.Fprintf(&b, "%s\n\n", s.about)
		}
		b.WriteString("| field | type | what it says |\n|---|---|---|\n")
		for _, f := range s.fields {
			about := f.about
			if f.required {
				about += "; required"
			}
			if f.restart {
				about += ". Needs a restart"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", f.name, f.typ, strings.ReplaceAll(about, "|", `\|`))
		}
		b.WriteString("\n")
	}
	return b.String()
}
