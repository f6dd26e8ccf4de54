package workflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// schemaID names the JSON Schema. It is a name and no address to fetch.
const schemaID = "https://github.com/seed-e05a5b32/orchestrator/team-file.schema.json"

// object is a JSON object; encoding/json writes its keys in order.
type object = map[string]any

// DurationSyntax is a regular expression for the durations that team files, and
// files beside them, take: what time.ParseDuration does, with a unit and without
// a minus sign.
const DurationSyntax = `^\+?([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))*$`

// Schema is the JSON Schema (draft 2020-12) of the team file, for editors. A
// file that Parse accepts is valid by it. The reverse does not hold: a schema
// knows nothing of names that must exist, of templates and of conditions.
func Schema() ([]byte, error) {
	definitions := object{}
	sections := fileSections()
	for _, s := range sections[1:] {
		definitions[s.name] = s.schema()
	}
	return SchemaDocument(schemaID, "Team file", sections[0].schema(), definitions)
}

// SchemaDocument is a JSON Schema (draft 2020-12) as text: root under a name, with
// the definitions that it refers to as "#/$defs/...". It adds to root. An error says
// that something in it has no form in JSON.
func SchemaDocument(id, title string, root, definitions map[string]any) ([]byte, error) {
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = id
	root["title"] = title
	root["$defs"] = definitions
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(root); err != nil {
		return nil, fmt.Errorf("write the schema as JSON: %w", err)
	}
	return b.Bytes(), nil
}

func (s *section) schema() object {
	properties, required := object{}, []string{}
	for _, f := range s.fields {
		properties[f.name] = f.schema()
		if f.required {
			required = append(required, f.name)
		}
	}
	out := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		out["required"] = required
	}
	s.constrain(out)
	if out["required"] == nil && out["oneOf"] == nil {
		out["type"] = []string{"object", "null"} // a mapping without a field is written as nothing
	}
	return out
}

// constrain adds what fields of a section demand of each other.
func (s *section) constrain(out object) {
	without := func(names ...string) object {
		properties := object{}
		for _, name := range names {
			properties[name] = false
		}
		return object{"properties": properties}
	}
	has := func(name string, value object) object {
		return object{"required": []string{name}, "properties": object{name: value}}
	}
	switch s.name {
	case sectionInput:
		all := []object{{"if": has("required", object{"const": true}), "then": without("default")}}
		for _, kind := range inputTypes() {
			given := has("type", object{"const": kind})
			if kind == InputString {
				given = object{"properties": object{"type": object{"const": kind}}} // the default
			}
			value := map[string]string{InputString: "string", InputInt: "integer", InputNumber: "number", InputBool: "boolean"}[kind]
			all = append(all, object{"if": given, "then": object{"properties": object{"default": object{"type": value}}}})
		}
		out["allOf"] = all
	case sectionTeam:
		nodes := []object{}
		for _, name := range []string{"agents", "checks", "gates", "teams"} {
			nodes = append(nodes, has(name, object{"type": "object", "minProperties": 1}))
		}
		out["anyOf"] = nodes
	case sectionWorkspace:
		out["dependentSchemas"] = object{"worktree": without("directory"), "setup": without("directory")}
		needs := []string{"worktree"}
		out["dependentRequired"] = object{"commit": needs, "publish": needs, "cleanup": needs, "save_ignored": needs, "setup_timeout": []string{"setup"}}
	case sectionCommit:
		out["properties"].(object)["author"].(object)["pattern"] = authorSyntax
	case sectionPublish:
		out["oneOf"] = []object{{"required": []string{"patch"}}, {"required": []string{"bundle"}}, {"required": []string{"push"}}}
	case sectionAgent:
		out["dependentRequired"] = object{"data": []string{"outcomes"}}
		out["oneOf"] = []object{{"required": []string{"role"}}, {"required": []string{"prompt"}}, {"required": []string{"agent_id"}}}
		out["dependentSchemas"] = object{"agent_id": without("instructions", "model", "memory")}
	case sectionRule:
		out["oneOf"] = []object{{"required": []string{"to"}}, {"required": []string{"retry"}}}
		single := object{"properties": object{"to": object{"anyOf": []object{{"type": "string"}, {"maxItems": 1}}}}}
		out["dependentSchemas"] = object{"retry": without("message", "for_each", "join", "limits"), "for_each": single}
		out["dependentRequired"] = object{"max_parallel": []string{"for_each"}, "max_items": []string{"for_each"}}
		out["if"], out["then"] = has("to", object{"enum": terminals()}), without("message", "for_each", "limits")
	}
}

func (f *field) schema() object {
	out := f.value()
	out["description"] = f.description()
	switch {
	case f.fallback == "":
	case f.typ == typeBool:
		out["default"] = f.fallback == "true"
	case f.typ == typeCount, f.typ == typeInteger:
		out["default"] = json.Number(f.fallback)
	default:
		out["default"] = f.fallback
	}
	return out
}

// reference is the end of a sentence that leads to another part of the page.
var reference = regexp.MustCompile(`[,;]( default:)? see \[[^]]*\]\(#[^)]*\)`)

// description is about without the links of the page.
func (f *field) description() string {
	text := f.about
	text = reference.ReplaceAllString(text, "")
	text = strings.NewReplacer("; default: see below", "", "[reason](#reasons)", "reason").Replace(text)
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// value is the schema of what the field holds.
func (f *field) value() object {
	text := object{"type": "string", "pattern": `\S`}
	name := object{"type": "string", "pattern": nameSyntax.String(), "maxLength": maxName}
	nodeName := object{"pattern": nameSyntax.String(), "maxLength": maxName, "not": object{"enum": terminals()}}
	duration := object{"type": "string", "pattern": DurationSyntax, "examples": []string{"90s", "15m", "1h30m"}}
	scalar := object{"type": []string{"string", "number", "boolean"}}
	switch f.typ {
	case typeVersion:
		return object{"const": 1}
	case typeName:
		return name
	case typeNode:
		return object{"type": "string", "pattern": nameSyntax.String()}
	case typeCondition:
		return object{"type": []string{"string", "boolean"}, "pattern": `\S`, "maxLength": maxCondition}
	case typeBool:
		return object{"type": "boolean"}
	case typeCount:
		out := object{"type": "integer", "minimum": max(f.least, 1)}
		if f.most > 0 {
			out["maximum"] = f.most
		}
		return out
	case typeMoney:
		return object{"type": "number", "exclusiveMinimum": 0, "maximum": mostDollars}
	case typeDuration:
		return duration
	case typeBackoff:
		duration["type"], duration["minimum"], duration["maximum"] = []string{"string", "integer"}, 0, 0
		return duration
	case typeChoice:
		return object{"enum": f.choices}
	case typeChoices:
		return listOf(object{"enum": f.choices}, 0)
	case typeJoin:
		return object{"anyOf": []object{{"enum": []string{string(JoinAll), string(JoinAny)}}, {"type": "integer", "minimum": 1}}}
	case typeCommand:
		return object{"anyOf": []object{text, {"type": "array", "items": object{"type": []string{"string", "number", "boolean"}}, "minItems": 1}}}
	case typeVariables:
		return object{"type": []string{"object", "null"}, "propertyNames": object{"pattern": variableSyntax.String()}, "additionalProperties": scalar}
	case typeInteger:
		return object{"type": "integer", "minimum": f.least, "maximum": f.most}
	case typeValues, typeInputValues:
		return object{"type": []string{"object", "null"}, "additionalProperties": scalar}
	case typeDataSchema:
		return object{"type": "object"}
	case typeExpression:
		return object{"type": "string", "pattern": `\S`, "maxLength": maxCondition}
	case typeTargets:
		list := listOf(object{"type": "string", "pattern": nameSyntax.String()}, 1)
		// An end stands alone.
		list["if"], list["then"] = object{"type": "array", "contains": object{"enum": terminals()}}, object{"maxItems": 1}
		return list
	case typeTexts:
		return listOf(text, 0)
	case typeNodes, typeReasons:
		if f.typ == typeNodes {
			text["not"] = object{"enum": terminals()}
		}
		list := listOf(text, 1)
		// "*" stands alone.
		list["if"], list["then"] = object{"type": "array", "contains": object{"const": anyName}}, object{"maxItems": 1}
		return list
	case typeOutcomes:
		reasons := slices.DeleteFunc(builtinReasons(), func(r Reason) bool { return !nameSyntax.MatchString(string(r)) })
		name["not"] = object{"enum": reasons}
		return listOf(name, 1)
	case typePatterns:
		return listOf(object{"type": "string", "pattern": approvalPattern.String()}, 0)
	case typeScalar:
		return scalar
	case typeObject:
		return object{"$ref": "#/$defs/" + f.section.name}
	case typeObjectMap:
		out := object{"additionalProperties": object{"$ref": "#/$defs/" + f.section.name}, "propertyNames": object{"pattern": nameSyntax.String(), "maxLength": maxName}, "type": []string{"object", "null"}}
		if f.name != "inputs" && f.name != "schedules" {
			out["propertyNames"] = nodeName
		}
		return out
	case typeObjectList:
		return object{"type": "array", "minItems": 1, "items": object{"$ref": "#/$defs/" + f.section.name}}
	default: // a text or a template
		return text
	}
}

// listOf is one item, or a list of different items.
func listOf(item object, least int) object {
	list := object{"type": "array", "items": item, "uniqueItems": true}
	if least > 0 {
		list["minItems"] = least
	}
	return object{"anyOf": []object{item, list}}
}
