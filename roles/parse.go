package roles

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
)

// frontMatterLine is the line of the file that the front matter's first line is.
const frontMatterLine = 2

// parse reads the text of a role file. file is for messages.
func parse(file string, data []byte) (Role, error) {
	data = bytes.ReplaceAll(bytes.TrimPrefix(data, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	p := &parser{file: file}
	header, prompt, ok := split(data)
	if !ok {
		return Role{}, p.at(1, 1, `needs front matter: a first line "---", YAML with at least a description, and a line "---"`)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(header, &document); err != nil {
		line, text := yamlProblem(err)
		return Role{}, p.at(line+frontMatterLine-1, 1, "the front matter is no valid YAML: "+text)
	}
	if len(document.Content) == 0 {
		return Role{}, p.at(frontMatterLine, 1, "the front matter is empty: add at least `description: …`")
	}
	role := p.fields(document.Content[0])
	role.Prompt = strings.TrimSpace(string(prompt))
	if role.Prompt == "" {
		p.add(bytes.Count(header, []byte("\n"))+frontMatterLine+1, 1, "the prompt is missing: write it below the front matter")
	}
	return role, errors.Join(p.problems...)
}

// split cuts the file into front matter and prompt.
func split(data []byte) (header, prompt []byte, ok bool) {
	rest, ok := bytes.CutPrefix(data, []byte("---\n"))
	if !ok {
		return nil, nil, false
	}
	for end := 0; end < len(rest); {
		line, _, more := bytes.Cut(rest[end:], []byte("\n"))
		if string(bytes.TrimRight(line, " \t")) == "---" {
			return rest[:end], rest[min(end+len(line)+1, len(rest)):], true
		}
		if !more {
			break
		}
		end += len(line) + 1
	}
	return nil, nil, false
}

type parser struct {
	file     string
	problems []error
}

func (p *parser) at(line, column int, problem string) error {
	return &FileError{File: p.file, Line: line, Column: column, Problem: problem}
}

func (p *parser) add(line, column int, problem string) {
	p.problems = append(p.problems, p.at(line, column, problem))
}

// node reports a problem at a place in the front matter.
func (p *parser) node(n *yaml.Node, problem string) {
	p.add(n.Line+frontMatterLine-1, n.Column, problem)
}

func knownFields() []string {
	return []string{"description", "receives", "hands_over", "permission_mode", "tools", "outcomes"}
}

func (p *parser) fields(m *yaml.Node) Role {
	var role Role
	if m.Kind != yaml.MappingNode {
		p.node(m, "the front matter must be a mapping, such as `description: …`")
		return role
	}
	seen := make(map[string]bool)
	for i := 0; i+1 < len(m.Content); i += 2 {
		key, value := m.Content[i], m.Content[i+1]
		if seen[key.Value] {
			p.node(key, fmt.Sprintf("%q is there twice", key.Value))
		}
		seen[key.Value] = true
		switch key.Value {
		case "description":
			role.Description = p.text(key.Value, value)
		case "receives":
			role.Receives = p.text(key.Value, value)
		case "hands_over":
			role.HandsOver = p.text(key.Value, value)
		case "permission_mode":
			role.PermissionMode = p.mode(value)
		case "tools":
			role.Tools = p.list(key.Value, value)
		case "outcomes":
			role.Outcomes = p.list(key.Value, value)
		default:
			problem := fmt.Sprintf("unknown field %q: known are %s", key.Value, strings.Join(knownFields(), ", "))
			if near := suggest.Nearest(key.Value, knownFields()); near != "" {
				problem = fmt.Sprintf("unknown field %q: did you mean %q?", key.Value, near)
			}
			p.node(key, problem)
		}
	}
	if !seen["description"] {
		p.node(m, "description is missing: say in one sentence what the role does")
	}
	return role
}

func (p *parser) text(field string, n *yaml.Node) string {
	var s string
	if n.Kind != yaml.ScalarNode || n.Decode(&s) != nil || strings.TrimSpace(s) == "" {
		p.node(n, field+" must be a text that is not empty")
	}
	return strings.TrimSpace(s)
}

func (p *parser) mode(n *yaml.Node) string {
	switch n.Value {
	case "standard", "acceptEdits", "unrestricted", "strict":
		return n.Value
	}
	p.node(n, fmt.Sprintf("permission_mode must be standard, acceptEdits, unrestricted or strict, not %q", n.Value))
	return ""
}

func (p *parser) list(field string, n *yaml.Node) []string {
	if n.Kind != yaml.SequenceNode {
		p.node(n, field+" must be a list, such as [a, b]")
		return nil
	}
	var out []string
	seen := make(map[string]bool)
	for _, item := range n.Content {
		switch {
		case item.Kind != yaml.ScalarNode || strings.TrimSpace(item.Value) == "":
			p.node(item, "an entry of "+field+" must be a name")
		case seen[item.Value]:
			p.node(item, fmt.Sprintf("%q is in %s twice", item.Value, field))
		default:
			seen[item.Value] = true
			out = append(out, item.Value)
		}
	}
	return out
}

// yamlProblem takes the line out of a syntax error of the YAML library, which
// has it in the text only.
func yamlProblem(err error) (line int, text string) {
	text = strings.TrimPrefix(err.Error(), "yaml: ")
	m := regexp.MustCompile(`^line (\d+): `).FindStringSubmatch(text)
	if m == nil {
		return 1, text
	}
	line, err = strconv.Atoi(m[1])
	if err != nil {
		return 1, text
	}
	return line, strings.TrimPrefix(text, m[0])
}
