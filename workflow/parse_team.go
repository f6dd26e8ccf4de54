package workflow

import (
	"slices"

	"gopkg.in/yaml.v3"
)

// teamVersion is the version of the team file that this package reads.
const teamVersion = "1"

// decode reads the whole file. Templates and conditions are compiled in check,
// when all names are known.
func (p *parser) decode(root *yaml.Node) {
	t := p.team
	p.agents = map[string]agentNodes{}
	keys := p.object(root, "the team file", fields{
		"version":     p.version,
		"name":        p.teamName,
		"description": p.textInto(&t.Description, "description"),
		"inputs": func(n *yaml.Node) {
			p.entries(n, "inputs", "an input", p.input)
		},
		"limits": func(n *yaml.Node) {
			p.object(n, "limits", fields{"turns": p.countInto(&t.Limits.Turns, "limits.turns")}, laterFields(sectionLimits)...)
		},
		"workspace": func(n *yaml.Node) {
			p.object(n, "workspace", fields{"directory": p.directory}, laterFields(sectionWorkspace)...)
		},
		"agents": func(n *yaml.Node) {
			p.entries(n, "agents", "an agent", p.agent)
			if isNull(n) || n.Kind == yaml.MappingNode && len(n.Content) == 0 {
				p.problem(n, "add at least one:  my-agent: {role: coder}", "the team has no agents")
			}
		},
		"start":    func(n *yaml.Node) { p.start = n },
		"message":  func(n *yaml.Node) { p.message = n },
		"handoffs": p.rules,
	}, laterFields(sectionTeam)...)
	p.laterNodes(root)
	for _, field := range []struct{ name, fix string }{
		{"version", "begin with:  version: 1"},
		{"name", "add, for example:  name: my-team"},
		{"agents", "add a mapping from the agents' names to their role or prompt"},
		{"start", "name the agent that gets the first message:  start: planner"},
		{"handoffs", `add a list of rules, at least:  - {from: "*", on: "*", to: failed}`},
	} {
		if keys[field.name] == nil {
			p.problem(root, field.fix, "the team file has no field %q", field.name)
		}
	}
}

// laterNodes notes the names of checks and gates, which are not supported
// yet, so that rules about them are not reported a second time.
func (p *parser) laterNodes(root *yaml.Node) {
	for i := 0; i+1 < len(root.Content); i += 2 {
		section := resolve(root.Content[i+1])
		if name := root.Content[i].Value; section.Kind != yaml.MappingNode || name != "checks" && name != "gates" {
			continue
		}
		for j := 0; j < len(section.Content); j += 2 {
			p.later = append(p.later, section.Content[j].Value)
		}
	}
}

func (p *parser) version(n *yaml.Node) {
	p.team.Version = 1
	if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
		p.problem(n, "write:  version: "+teamVersion, "version must be a whole number, not %s", kindOf(n))
		return
	}
	if n.Value != teamVersion {
		p.problem(n, "write:  version: "+teamVersion+"  (a newer file needs a newer orchestrator)",
			"version %s of the team file is not known to this program", excerpt(n.Value, 20))
	}
}

func (p *parser) teamName(n *yaml.Node) {
	if text, ok := p.text(n, "name"); ok && p.name(n, "a team") {
		p.team.Name = text
	}
}

func (p *parser) directory(n *yaml.Node) {
	if _, ok := p.text(n, "workspace.directory"); ok {
		p.team.Workspace.Directory = p.template(n, "workspace.directory", "input", "task.id", "task.team")
	}
}

// input reads one declared input.
func (p *parser) input(key, value *yaml.Node) {
	in := Input{Type: InputString, Pos: position(key)}
	what := "input " + key.Value
	var fallback *yaml.Node
	keys := p.object(value, what, fields{
		"type":        p.choiceInto(&in.Type, "the type of "+what, inputTypes()),
		"required":    p.boolInto(&in.Required, "required of "+what),
		"description": p.textInto(&in.Description, "the description of "+what),
		"default":     func(n *yaml.Node) { fallback = n },
	})
	if fallback != nil {
		in.Default = p.inputDefault(fallback, what, in.Type)
		if in.Required {
			p.problem(keys["default"], "remove one of the two", "%s is required and has a default", what)
		}
	}
	p.team.Inputs[key.Value] = in
}

func (p *parser) inputDefault(n *yaml.Node, what, kind string) any {
	var value any
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		p.problem(n, "", "the default of %s must be one value, not %s", what, kindOf(n))
		return nil
	}
	if err := n.Decode(&value); err != nil {
		p.problem(n, "", "the default of %s cannot be read: %s", what, err)
		return nil
	}
	// A text is converted for command lines; in the file 3 and "3" differ.
	if _, text := value.(string); text && kind != InputString {
		p.problem(n, "remove the quotes, or change the type", "the default of %s must be of type %s, not text", what, kind)
		return nil
	}
	typed, err := convertInput(kind, value)
	if err != nil {
		p.problem(n, "", "the default of %s %s", what, err)
		return nil
	}
	return typed
}

// nodeNames lists every name that `to:` may use.
func (p *parser) nodeNames() []string {
	return slices.Concat(p.team.AgentNames, terminals())
}
