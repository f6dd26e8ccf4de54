package teamtest

import (
	"regexp"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// schemaID names the JSON Schema. It is a name and no address to fetch.
const schemaID = "https://github.com/seed-e05a5b32/orchestrator/scenario-file.schema.json"

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// Schema is the JSON Schema (draft 2020-12) of the scenario file, for editors. A
// file that Parse accepts is valid by it. The reverse does not hold: a schema
// knows nothing of the team, its nodes and their reasons.
func Schema() ([]byte, error) {
	definitions := object{}
	all := sections()
	for _, s := range all[1:] {
		definitions[s.name] = s.schema()
	}
	return workflow.SchemaDocument(schemaID, "Scenario file", all[0].schema(), definitions)
}

// link is a link of the page.
var link = regexp.MustCompile(`\[([^]]*)\]\([^)]*\)`)

func (s section) schema() object {
	properties, required := object{}, []string{}
	for _, f := range s.fields {
		about := strings.NewReplacer(", see below", "", " below", "").Replace(link.ReplaceAllString(f.about, "$1"))
		if f.of != "" {
			about = "Of " + f.of + ": " + about
		}
		f.value["description"] = strings.ToUpper(about[:1]) + about[1:] + "."
		properties[f.name] = f.value
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	switch s.name {
	case sectionEnding:
		out["oneOf"] = []object{{"required": []string{"reason"}}, {"required": []string{"nodes"}}}
		out["if"] = object{"required": []string{"reason"}, "properties": object{"reason": object{"const": EndingQuota}}}
		out["then"] = object{"required": []string{"reset"}}
	case sectionScript, sectionBranchScript:
		out["dependentRequired"] = object{"repeat": []string{"endings"}}
	}
	if len(required) > 0 {
		out["required"] = required
	} else if s.name != sectionEnding {
		out["type"] = orNull("object") // a mapping without a field is written as nothing
	}
	return out
}

func text() object  { return object{"type": "string", "pattern": `\S`} }
func count() object { return object{"type": "integer", "minimum": 1} }

// duration is a text, or 0 alone.
func duration() object {
	return object{"type": []string{"string", "integer"}, "pattern": `^0$|` + workflow.DurationSyntax, "minimum": 0, "maximum": 0, "examples": []string{"90s", "15m", "1h30m"}}
}

func ref(section string) object { return object{"$ref": "#/$defs/" + section} }

func orNull(kind string) []string { return []string{kind, "null"} }

// mapOf has names that the file chooses; keys, where it is not nil, is what they must be.
func mapOf(value, keys object) object {
	out := object{"type": orNull("object"), "additionalProperties": value}
	if keys != nil {
		out["propertyNames"] = keys
	}
	return out
}

// listOf is a list, one item that stands for itself, or nothing.
func listOf(item object) object {
	return object{"anyOf": []object{item, {"type": "array", "items": item}, {"type": "null"}}}
}

// shortEnding is an ending in its short form.
const shortEnding = `^[a-z][a-z0-9_-]*([ ][\s\S]*)?$`

func endingsValue() object {
	return listOf(object{"anyOf": []object{{"type": "string", "pattern": shortEnding}, ref(sectionEnding)}})
}

// nodeValue is how one node ends: its script, or its endings alone.
func nodeValue(script string) object {
	isScript := object{"type": "object", "anyOf": []object{{"required": []string{"endings"}}, {"required": []string{"repeat"}}, {"required": []string{"branches"}}}}
	return object{"if": isScript, "then": ref(script), "else": endingsValue(), "not": object{"type": "null"}}
}

func nodesValue() object { return mapOf(nodeValue(sectionScript), nil) }
