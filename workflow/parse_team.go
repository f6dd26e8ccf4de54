package workflow

import "gopkg.in/yaml.v3"

// teamVersion is the version of the team file that this package reads.
const teamVersion = "1"

// How long an output may be to be passed on whole, in bytes.
const (
	leastOutputLimit = 1 << 10
	mostOutputLimit  = 1 << 20
)

// decode reads the whole file. Templates and conditions are compiled in check,
// when all names are known.
func (p *parser) decode(root *yaml.Node) {
	t := p.team
	p.agents, p.declared = map[string]agentNodes{}, map[string]*yaml.Node{}
	t.Inputs, t.Agents, t.Checks, t.Gates, t.Teams = map[string]Input{}, map[string]*Agent{}, map[string]*Check{}, map[string]*Gate{}, map[string]*SubTeam{}
	t.Schedules = map[string]*Schedule{}
	t.OnUncertain = UncertainAsk
	keys := p.object(root, "the team file", fields{
		"version":      p.version,
		"name":         p.teamName,
		"description":  p.textInto(&t.Description, "description"),
		"inputs":       p.entriesInto("inputs", "an input", p.input),
		"limits":       func(n *yaml.Node) { p.limits(n, "limits", &t.Limits, true) },
		"output_limit": p.rangeInto(&t.OutputLimit, "output_limit", leastOutputLimit, mostOutputLimit),
		"on_uncertain": p.choiceInto(&t.OnUncertain, "on_uncertain", uncertainPolicies()),
		"workspace":    p.workspace,
		"agents":       p.entriesInto("agents", "an agent", p.agent),
		"checks":       p.entriesInto("checks", "a check", p.checkNode),
		"gates":        p.entriesInto("gates", "a gate", p.gate),
		"teams":        p.entriesInto("teams", "a sub-team", p.subTeam),
		"start":        func(n *yaml.Node) { p.start = n },
		"message":      func(n *yaml.Node) { p.message = n },
		"handoffs":     p.rules,
		"schedules":    p.entriesInto("schedules", "a schedule", p.schedule),
	}, laterFields(sectionTeam)...)
	for _, field := range []struct{ name, fix string }{
		{"version", "begin with:  version: 1"},
		{"name", "add, for example:  name: my-team"},
		{"start", "name the node that runs first:  start: planner"},
		{"handoffs", `add a list of rules, at least:  - {from: "*", on: "*", to: failed}`},
	} {
		if keys[field.name] == nil {
			p.problem(root, field.fix, "the team file has no field %q", field.name)
		}
	}
	if len(p.declared) == 0 {
		at := root
		if agents := keys["agents"]; agents != nil {
			at = agents
		}
		p.problem(at, "add at least one agent:  agents: {my-agent: {role: coder}}", "the team has no nodes")
	}
}

// node notes a node of the team; false when its name is taken.
func (p *parser) node(key *yaml.Node, kind string) bool {
	name := key.Value
	switch first := p.declared[name]; {
	case isTerminal(name):
		p.problem(key, "choose another name", "%q is the name of an end of the task and cannot name %s", name, kind)
		return false
	case first != nil:
		p.problem(key, "all nodes need names of their own: choose another", "%q names a node on line %d already", name, first.Line)
		return false
	}
	p.declared[name] = key
	p.team.NodeNames = append(p.team.NodeNames, name)
	return true
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
