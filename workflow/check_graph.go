package workflow

import (
	"fmt"
	"slices"
	"strings"
)

// always reports whether a rule whose from and on match fires in any case, and
// goes on doing so. A branch arrives at a join before any condition is asked.
func (r *Rule) always() bool {
	return r.Max == 0 && r.Retry == nil && r.unconditional()
}

// unconditional reports whether a rule that is not used up fires in any case.
func (r *Rule) unconditional() bool {
	return r.Join != nil || r.When == nil && r.ForEach == nil
}

// coverage says which reasons of a node no rule is sure to be about.
type coverage struct {
	// uncovered has no rule, or only rules with conditions; exhausted only rules
	// that are used up some day.
	uncovered, exhausted []Reason
	// lists are reasons of which only rules with for_each are about, and those rules.
	lists     []Reason
	listRules []*Rule
}

// coverage plays every reason of a node through the rules. Reaching a limit of
// this team needs no rule, since the task pauses then, but one of a sub-team does.
// What is uncertain needs none either, unless it is to fail.
func (t *Team) coverage(node string) coverage {
	var c coverage
	for _, reason := range t.Reasons(node) {
		if reason == ReasonBudgetExceeded && !t.Teams[node].limited() {
			continue
		}
		if reason == ReasonUncertain && t.UncertainPolicy(node) != UncertainFail {
			continue
		}
		covered, always := false, false
		var list *Rule
		for _, r := range t.Handoffs {
			if always || !r.covers(node) || !r.selects(reason) {
				continue
			}
			covered, always = covered || r.unconditional(), r.always()
			if r.ForEach != nil && r.When == nil && list == nil {
				list = r
			}
		}
		switch {
		case covered && !always:
			c.exhausted = append(c.exhausted, reason)
		case !covered && list != nil:
			c.lists = append(c.lists, reason)
			c.listRules = append(c.listRules, list)
		case !covered:
			c.uncovered = append(c.uncovered, reason)
		}
	}
	return c
}

// checkGraph reports what is wrong with the rules as a whole. names says that
// every rule names only what exists; without that only what does not depend on
// it is reported.
func (p *parser) checkGraph(names bool) {
	for _, h := range p.handoffs {
		if h.broken && (len(h.from) == 0 || len(h.on) == 0) {
			return
		}
	}
	// A condition with an error is still a condition.
	for i, h := range p.handoffs {
		if h.when != nil && h.rule.When == nil {
			p.team.Handoffs[i].When = &Condition{source: h.when.Value}
		}
		if h.forEach != nil && h.rule.ForEach == nil && h.rule.Retry == nil {
			p.team.Handoffs[i].ForEach = &ListExpression{source: h.forEach.Value}
		}
	}
	if p.namesKnown() {
		p.checkCoverage()
	}
	if !names || p.declared[p.team.Start] == nil {
		return
	}
	x := explore(p.team)
	if x.tooMany {
		p.problem(p.start, "nest fewer rules with several targets, for_each or limits into each other", "the rules nest branches in too many ways to check them")
		return
	}
	p.checkReachable(x)
	p.checkJoins(x)
	p.checkLoops(x)
	p.checkWriters(x)
	p.checkShadowed(x)
}

// namesKnown reports whether every `from` and `on` names something that exists.
func (p *parser) namesKnown() bool {
	for _, h := range p.handoffs {
		for _, n := range h.from {
			if n.Value != anyName && p.declared[n.Value] == nil {
				return false
			}
		}
		if h.broken && (len(h.to) == 0 || p.toKnown(h)) {
			return false
		}
	}
	return true
}

func (p *parser) toKnown(h ruleNodes) bool {
	return !slices.ContainsFunc(h.rule.To, func(to string) bool { return p.declared[to] == nil && !isTerminal(to) })
}

func (p *parser) checkCoverage() {
	for _, node := range p.team.NodeNames {
		key, c, all := p.declared[node], p.team.coverage(node), len(p.team.Reasons(node))
		if len(c.uncovered) > 0 {
			p.problem(key, "add, as the last rule:  "+coveringRule(node, c.uncovered, all),
				"nothing says what happens when %q ends with %s", node, reasonList(c.uncovered))
		}
		for i, reason := range c.lists {
			p.problem(key, "add, as the last rule:  "+coveringRule(node, c.lists[i:i+1], all),
				"nothing says what happens when %q ends with %s and the list of handoff %d is empty or too long", node, reason, c.listRules[i].Number)
		}
		if len(c.exhausted) > 0 {
			p.warn(key, "add, as the last rule:  "+coveringRule(node, c.exhausted, all),
				"the task fails without a rule when %q ends with %s and the rules for that are used up", node, reasonList(c.exhausted))
		}
	}
}

// coveringRule proposes a rule for what is missing.
func coveringRule(node string, missing []Reason, all int) string {
	if len(missing) > 2 || len(missing) == all {
		return fmt.Sprintf(`- {from: %s, on: "*", to: failed}`, node)
	}
	return fmt.Sprintf("- {from: %s, on: [%s], to: failed}", node, reasonList(missing))
}

func reasonList(reasons []Reason) string {
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func (p *parser) checkReachable(x *exploration) {
	for _, node := range p.team.NodeNames {
		if x.reached(node) || p.team.Teams[node] != nil && p.spawns(x) {
			continue
		}
		kind, _ := p.team.Kind(node)
		p.problem(p.declared[node], fmt.Sprintf("add a rule with  to: %s, or remove it", node), "no rule leads to the %s %q", kindNoun(kind), node)
	}
	if !x.success {
		p.warn(p.handoffs[len(p.handoffs)-1].node, "add a rule with  to: succeeded", "no task of this team can succeed")
	}
}

// spawns reports whether an agent that can run may spawn tasks.
func (p *parser) spawns(x *exploration) bool {
	return slices.ContainsFunc(p.team.AgentNames, func(name string) bool {
		return x.reached(name) && slices.Contains(p.team.Agents[name].ControllerTools, ToolSpawnTask)
	})
}

func (p *parser) checkShadowed(x *exploration) {
	for _, h := range p.handoffs {
		if x.fires[h.rule] {
			continue
		}
		if slices.Equal(h.rule.On, []Reason{ReasonBudgetExceeded}) && !p.limited(h.rule) {
			p.warn(h.node, "set a limit:  limits: {turns: 20}", "handoff %d never matches: no limit can be exceeded", h.rule.Number)
			continue
		}
		p.warn(h.node, "move it up, or remove it", "handoff %d never matches: earlier rules cover all of it", h.rule.Number)
	}
}

// limited reports whether a node that the rule is about can reach a limit.
func (p *parser) limited(r *Rule) bool {
	return slices.ContainsFunc(p.team.NodeNames, func(node string) bool {
		return r.covers(node) && slices.Contains(p.team.Reasons(node), ReasonBudgetExceeded)
	})
}
