package workflow

import (
	"fmt"
	"time"

	"gopkg.in/yaml.v3"
)

// ruleNodes are the nodes of a rule that later checks point at; nil for
// fields that are not given.
type ruleNodes struct {
	rule *Rule
	node *yaml.Node

	from, on          []*yaml.Node
	to, when, message *yaml.Node
	// broken says that the rule's graph cannot be known.
	broken bool
}

// rules reads the list of handoff rules.
func (p *parser) rules(n *yaml.Node) {
	if isNull(n) || n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.problem(n, `add at least:  - {from: "*", on: "*", to: failed}`, "the team has no rules")
		return
	}
	if n.Kind != yaml.SequenceNode {
		p.problem(n, "put a - before every rule", "handoffs is a list of rules, not %s", kindOf(n))
		return
	}
	for i, item := range n.Content {
		p.rule(resolve(item), i+1)
	}
}

func (p *parser) rule(n *yaml.Node, number int) {
	r := &Rule{Number: number, Pos: position(n)}
	what := fmt.Sprintf("handoff %d", number)
	of := func(field string) string { return field + " of " + what }
	nodes := ruleNodes{rule: r, node: n}
	keys := p.object(n, what, fields{
		"from":    func(n *yaml.Node) { nodes.from = p.selection(n, of("from")) },
		"on":      func(n *yaml.Node) { nodes.on = p.selection(n, of("on")) },
		"when":    func(n *yaml.Node) { nodes.when = n },
		"to":      func(n *yaml.Node) { nodes.to = p.target(n, of("to")) },
		"message": func(n *yaml.Node) { nodes.message = n },
		"max":     p.countInto(&r.Max, of("max")),
		"retry":   func(n *yaml.Node) { r.Retry = p.retry(n, of("retry")) },
	}, laterFields(sectionRule)...)
	r.From = values(nodes.from)
	for _, reason := range nodes.on {
		r.On = append(r.On, Reason(reason.Value))
	}
	if nodes.to != nil {
		r.To = nodes.to.Value
	}
	for _, field := range []struct{ name, fix string }{
		{"from", `name the agent that the rule is about, or "*" for every agent`},
		{"on", `name the reasons that the rule is about, or "*" for every reason`},
	} {
		if keys[field.name] == nil {
			p.problem(n, field.fix, "%s has no field %q", what, field.name)
		}
	}
	switch {
	case keys["to"] == nil && keys["retry"] == nil:
		p.problem(n, "say where it goes with to, or ask for the same turn again with retry", "%s has neither to nor retry", what)
	case keys["to"] != nil && keys["retry"] != nil:
		p.problem(keys["retry"], "keep one of them; a second rule can do the other", "%s has both to and retry", what)
	case keys["retry"] != nil && keys["message"] != nil:
		p.problem(keys["message"], "a retry sends the same message again: remove it", "%s has both retry and message", what)
	case nodes.to != nil && isTerminal(r.To) && keys["message"] != nil:
		p.problem(keys["message"], "the task ends there and nobody would read it: remove it", "%s has a message and goes to %s", what, r.To)
	}
	nodes.broken = len(nodes.from) == 0 || len(nodes.on) == 0 || nodes.to == nil && r.Retry == nil
	p.handoffs = append(p.handoffs, nodes)
	p.team.Handoffs = append(p.team.Handoffs, r)
}

// selection reads `from:` or `on:`, which name at least one thing.
func (p *parser) selection(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.problem(n, `name at least one, or write "*"`, "%s is empty", what)
	}
	return p.texts(n, what)
}

// target reads `to:`; nil after a problem.
func (p *parser) target(n *yaml.Node, what string) *yaml.Node {
	if n.Kind == yaml.SequenceNode {
		p.problem(n, "name one agent, or succeeded, failed or cancelled", "%s is a list; going to several agents at once is not supported by this version", what)
		return nil
	}
	if _, ok := p.text(n, what); !ok {
		return nil
	}
	return n
}

func (p *parser) retry(n *yaml.Node, what string) *Retry {
	r := &Retry{Backoff: defaultBackoff, MaxBackoff: defaultMaxBackoff}
	keys := p.object(n, what, fields{
		"max":         p.countInto(&r.Max, "max in "+what),
		"backoff":     p.durationInto(&r.Backoff, "backoff in "+what, 0),
		"max_backoff": p.durationInto(&r.MaxBackoff, "max_backoff in "+what, time.Millisecond),
	})
	if keys["max"] == nil {
		p.problem(n, "say how often at most:  retry: {max: 3}", "%s has no max", what)
	}
	if keys["max_backoff"] == nil {
		r.MaxBackoff = max(r.MaxBackoff, r.Backoff)
	} else if r.MaxBackoff < r.Backoff {
		p.problem(keys["max_backoff"], "", "max_backoff in %s is less than backoff, which is %s", what, r.Backoff)
	}
	return r
}
