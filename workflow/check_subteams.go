package workflow

import (
	"fmt"
	"slices"
	"text/template/parse"
)

// checkSubTeams checks the sub-teams' inputs and, where agents may spawn tasks of
// them, that something bounds these.
func (p *parser) checkSubTeams() {
	spawned := slices.ContainsFunc(p.team.AgentNames, func(name string) bool {
		return slices.Contains(p.team.Agents[name].ControllerTools, ToolSpawnTask)
	})
	for _, s := range p.subTeams {
		if s.node.Team == nil {
			continue
		}
		p.checkSubTeamInput(s)
		if spawned && !s.node.bounded() {
			p.problem(s.key, fmt.Sprintf("give it a limit:  %s: {team: %s, limits: {turns: 20}}", s.node.Name, s.node.File),
				"agents may spawn tasks of the sub-team %q, and nothing bounds them", s.node.Name)
		}
	}
}

func (p *parser) checkSubTeamInput(s subTeamNodes) {
	declared := s.node.Team.Inputs
	for _, name := range sortedKeys(s.inputs) {
		in, ok := declared[name]
		value := s.values[name]
		switch {
		case !ok:
			p.problem(s.inputs[name], suggestion(name, sortedKeys(declared)), "the team %q declares no input %q", s.node.Team.Name, name)
		case value != nil && isConstant(s.node.Input[name]):
			if _, err := convertInput(in.Type, value.Value); err != nil {
				p.problem(value, in.Description, "the input %q of sub-team %q %s", name, s.node.Name, err)
			}
		}
	}
	if s.keys["input"] != nil && !s.given || !p.leadsTo(s.node.Name) {
		return // the agent that spawns it gives the inputs
	}
	for _, name := range sortedKeys(declared) {
		if declared[name].Required && s.inputs[name] == nil {
			p.problem(s.key, fmt.Sprintf(`add  input: {%s: "{{ .output }}"}`, name), "the sub-team %q is not given the input %q, which its team requires", s.node.Name, name)
		}
	}
}

// leadsTo reports whether the start or a rule names a node.
func (p *parser) leadsTo(node string) bool {
	return p.team.Start == node || slices.ContainsFunc(p.team.Handoffs, func(r *Rule) bool { return slices.Contains(r.To, node) })
}

// isConstant reports whether a template renders to the same text always.
func isConstant(t Template) bool {
	if t.IsZero() || t.tmpl.Tree == nil {
		return false
	}
	return !slices.ContainsFunc(t.tmpl.Root.Nodes, func(n parse.Node) bool { return n.Type() != parse.NodeText })
}
