package workflow

import (
	"fmt"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// ruleNodes are the nodes of a rule that later checks point at; nil for
// fields that are not given.
type ruleNodes struct {
	rule *Rule
	node *yaml.Node

	from, on, to           []*yaml.Node
	when, message, forEach *yaml.Node
	// keys are those of its fields, by name.
	keys map[string]*yaml.Node
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
	h := ruleNodes{rule: r, node: n}
	h.keys = p.object(n, what, fields{
		"from":         func(n *yaml.Node) { h.from = p.selection(n, of("from"), `"*"`) },
		"on":           func(n *yaml.Node) { h.on = p.selection(n, of("on"), `"*"`) },
		"when":         func(n *yaml.Node) { h.when = n },
		"to":           func(n *yaml.Node) { h.to = p.selection(n, of("to"), "succeeded, failed or cancelled") },
		"for_each":     func(n *yaml.Node) { h.forEach = n },
		"max_parallel": p.countInto(&r.MaxParallel, of("max_parallel")),
		"max_items":    p.rangeInto(&r.MaxItems, of("max_items"), 1, LargestMaxItems),
		"join":         func(n *yaml.Node) { r.Join = p.join(n, of("join")) },
		"limits":       func(n *yaml.Node) { p.limits(n, of("limits"), &r.Limits, false) },
		"message":      func(n *yaml.Node) { h.message = n },
		"max":          p.countInto(&r.Max, of("max")),
		"retry":        func(n *yaml.Node) { r.Retry = p.retry(n, of("retry")) },
	}, laterFields(sectionRule)...)
	r.From, r.To = values(h.from), values(h.to)
	for _, reason := range h.on {
		r.On = append(r.On, Reason(reason.Value))
	}
	if len(r.To) == 0 || r.Retry != nil {
		r.To, r.Join, r.Limits = nil, nil, Limits{}
	}
	if h.forEach != nil && r.MaxItems == 0 {
		r.MaxItems = DefaultMaxItems
	}
	p.ruleFields(&h, what)
	h.broken = len(h.from) == 0 || len(h.on) == 0 || len(h.to) == 0 && r.Retry == nil
	p.handoffs = append(p.handoffs, h)
	p.team.Handoffs = append(p.team.Handoffs, r)
}

// ruleFields checks what the fields of a rule demand of each other.
func (p *parser) ruleFields(h *ruleNodes, what string) {
	keys := h.keys
	for _, field := range []struct{ name, fix string }{
		{"from", `name the node that the rule is about, or "*" for every node`},
		{"on", `name the reasons that the rule is about, or "*" for every reason`},
	} {
		if keys[field.name] == nil {
			p.problem(h.node, field.fix, "%s has no field %q", what, field.name)
		}
	}
	ends := slices.IndexFunc(h.to, func(n *yaml.Node) bool { return isTerminal(n.Value) })
	switch {
	case keys["to"] == nil && keys["retry"] == nil:
		p.problem(h.node, "say where it goes with to, or ask for the same turn again with retry", "%s has neither to nor retry", what)
	case keys["to"] != nil && keys["retry"] != nil:
		p.problem(keys["retry"], "keep one of them; a second rule can do the other", "%s has both to and retry", what)
	case keys["retry"] != nil && keys["message"] != nil:
		p.problem(keys["message"], "a retry sends the same message again: remove it", "%s has both retry and message", what)
	case ends >= 0 && len(h.to) > 1:
		p.problem(h.to[ends], "go to nodes alone, or to one end", "%s goes to several nodes, and %q is an end of the task", what, h.to[ends].Value)
	case ends >= 0 && keys["message"] != nil:
		p.problem(keys["message"], "the task ends there and nobody would read it: remove it", "%s has a message and goes to %s", what, h.to[ends].Value)
	}
	for _, name := range []string{"join", "for_each", "limits"} {
		switch key := keys[name]; {
		case key == nil:
		case keys["retry"] != nil:
			p.problem(key, "a retry is of one turn: remove it", "%s has both retry and %s", what, name)
		case ends >= 0 && name != "join":
			p.problem(key, "nothing runs after that: remove it", "%s has %s and goes to %s", what, name, h.to[ends].Value)
		case name == "for_each" && len(h.to) > 1:
			p.problem(key, "name one node, and go on to the others from there", "%s has for_each and goes to several nodes", what)
		}
	}
	for _, name := range []string{"max_parallel", "max_items"} {
		if keys[name] != nil && keys["for_each"] == nil {
			p.problem(keys[name], "add for_each, or remove it", "%s has %s and no for_each", what, name)
		}
	}
}

// selection reads `from:`, `on:` or `to:`, which name at least one thing.
func (p *parser) selection(n *yaml.Node, what, or string) []*yaml.Node {
	if n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		p.problem(n, "name at least one, or write "+or, "%s is empty", what)
	}
	return p.texts(n, what)
}

// join reads `join:`; nil after a problem.
func (p *parser) join(n *yaml.Node, what string) *Join {
	const fix = "write all, any, or how many branches to wait for"
	if n.Kind == yaml.ScalarNode && n.Tag == "!!int" {
		j := &Join{Mode: JoinCount}
		before := len(p.problems)
		p.countInto(&j.Count, what)(n)
		if len(p.problems) > before {
			return nil
		}
		return j
	}
	if n.Kind != yaml.ScalarNode || n.Tag != "!!str" {
		p.problem(n, fix, "%s must be all, any or a number, not %s", what, kindOf(n))
		return nil
	}
	if n.Value == string(JoinAll) || n.Value == string(JoinAny) {
		return &Join{Mode: JoinMode(n.Value)}
	}
	if hint := didYouMean(n.Value, []string{string(JoinAll), string(JoinAny)}); hint != "" {
		p.problem(n, hint, "%s cannot be %q", what, n.Value)
	} else {
		p.problem(n, fix, "%s cannot be %q", what, excerpt(n.Value, 40))
	}
	return nil
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
