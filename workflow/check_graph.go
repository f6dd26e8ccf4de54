package workflow

import (
	"fmt"
	"slices"
	"strings"
)

// graph is what the rules of a team can do, as far as it can be known without
// running it.
type graph struct {
	team *Team
	// live lists, for every rule, the agents after which it can still fire: no
	// earlier rule always fires in its place.
	live map[*Rule][]string
	// uncovered lists, for every agent, the reasons that no rule is about.
	uncovered map[string][]Reason
	// exhausted lists, for every agent, the reasons that are covered only by
	// rules that are used up some day or have a condition.
	exhausted map[string][]Reason
}

// newGraph plays every reason of every agent through the rules.
func newGraph(team *Team) *graph {
	g := &graph{team: team, live: map[*Rule][]string{}, uncovered: map[string][]Reason{}, exhausted: map[string][]Reason{}}
	for _, agent := range team.AgentNames {
		for _, reason := range team.Reasons(agent) {
			covered, always := false, false
			for _, r := range team.Handoffs {
				if always || !r.covers(agent) || !r.selects(reason) || reason == ReasonBudgetExceeded && !r.terminal() {
					continue
				}
				if !slices.Contains(g.live[r], agent) {
					g.live[r] = append(g.live[r], agent)
				}
				covered = covered || r.When == nil
				always = r.When == nil && r.Max == 0 && r.Retry == nil
			}
			switch {
			case !covered:
				g.uncovered[agent] = append(g.uncovered[agent], reason)
			case !always:
				g.exhausted[agent] = append(g.exhausted[agent], reason)
			}
		}
	}
	return g
}

// edge is a rule that can hand over from one agent to another.
type edge struct {
	to   string
	rule *Rule
}

// edges lists where a rule can lead from an agent.
func (g *graph) edges(agent string, follow func(*Rule) bool) []edge {
	var out []edge
	for _, r := range g.team.Handoffs {
		if r.Retry == nil && g.team.Agents[r.To] != nil && slices.Contains(g.live[r], agent) && follow(r) {
			out = append(out, edge{to: r.To, rule: r})
		}
	}
	return out
}

// reachable lists the agents that the start can lead to.
func (g *graph) reachable() map[string]bool {
	seen := map[string]bool{}
	next := []string{g.team.Start}
	for len(next) > 0 {
		agent := next[0]
		next = next[1:]
		if seen[agent] {
			continue
		}
		seen[agent] = true
		for _, e := range g.edges(agent, func(*Rule) bool { return true }) {
			next = append(next, e.to)
		}
	}
	return seen
}

// loop finds a cycle of rules none of which has a max; nil when there is none.
// The last edge closes it.
func (g *graph) loop() []edge {
	done := map[string]bool{}
	var path []edge
	var on []string
	var visit func(agent string) []edge
	visit = func(agent string) []edge {
		if at := slices.Index(on, agent); at >= 0 {
			return slices.Clone(path[at:])
		}
		if done[agent] {
			return nil
		}
		done[agent] = true
		on = append(on, agent)
		for _, e := range g.edges(agent, func(r *Rule) bool { return r.Max == 0 }) {
			path = append(path, e)
			if found := visit(e.to); found != nil {
				return found
			}
			path = path[:len(path)-1]
		}
		on = on[:len(on)-1]
		return nil
	}
	for _, agent := range g.team.AgentNames {
		if found := visit(agent); found != nil {
			return found
		}
	}
	return nil
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
	}
	g := newGraph(p.team)
	if p.namesKnown() {
		p.checkCoverage(g)
	}
	if !names || p.team.Agents[p.team.Start] == nil {
		return
	}
	p.checkReachable(g)
	p.checkLoops(g)
	p.checkShadowed(g)
}

// namesKnown reports whether every `from` and `on` names something that exists.
func (p *parser) namesKnown() bool {
	for _, h := range p.handoffs {
		for _, n := range h.from {
			if n.Value != anyName && p.team.Agents[n.Value] == nil {
				return false
			}
		}
		if h.broken && (h.to == nil || p.team.Agents[h.rule.To] != nil || isTerminal(h.rule.To)) {
			return false
		}
	}
	return true
}

func (p *parser) checkCoverage(g *graph) {
	for _, agent := range p.team.AgentNames {
		key := p.agents[agent].key
		if missing := g.uncovered[agent]; len(missing) > 0 {
			p.problem(key, "add, as the last rule:  "+coveringRule(agent, missing, len(g.team.Reasons(agent))),
				"nothing says what happens when %q ends with %s", agent, reasonList(missing))
		}
		if once := g.exhausted[agent]; len(once) > 0 {
			p.warn(key, "add, as the last rule:  "+coveringRule(agent, once, len(g.team.Reasons(agent))),
				"the task fails without a rule when %q ends with %s and the rules for that are used up", agent, reasonList(once))
		}
	}
}

// coveringRule proposes a rule for what is missing.
func coveringRule(agent string, missing []Reason, all int) string {
	if len(missing) > 2 || len(missing) == all {
		return fmt.Sprintf(`- {from: %s, on: "*", to: failed}`, agent)
	}
	return fmt.Sprintf("- {from: %s, on: [%s], to: failed}", agent, reasonList(missing))
}

func reasonList(reasons []Reason) string {
	names := make([]string, len(reasons))
	for i, r := range reasons {
		names[i] = string(r)
	}
	return strings.Join(names, ", ")
}

func (p *parser) checkReachable(g *graph) {
	reachable := g.reachable()
	for _, agent := range p.team.AgentNames {
		if !reachable[agent] {
			p.problem(p.agents[agent].key, fmt.Sprintf("add a rule with  to: %s, or remove the agent", agent), "no rule leads to the agent %q", agent)
		}
	}
	success := slices.ContainsFunc(p.team.Handoffs, func(r *Rule) bool {
		return r.Retry == nil && r.To == TerminalSucceeded && slices.ContainsFunc(g.live[r], func(a string) bool { return reachable[a] })
	})
	if !success {
		p.warn(p.handoffs[len(p.handoffs)-1].node, "add a rule with  to: succeeded", "no task of this team can succeed")
	}
}

func (p *parser) checkLoops(g *graph) {
	if p.team.Limits.Turns > 0 {
		return
	}
	loop := g.loop()
	if loop == nil {
		return
	}
	var agents, rules []string
	for _, e := range loop {
		agents = append(agents, e.to)
		rules = append(rules, fmt.Sprint(e.rule.Number))
	}
	last := loop[len(loop)-1].rule
	fix := fmt.Sprintf("add max: 3 to handoff %d, or bound the whole task:  limits: {turns: 20}", last.Number)
	message := fmt.Sprintf("handoffs %s lead around %s for ever: nothing bounds the loop", strings.Join(rules, ", "), quoted(agents))
	if len(loop) == 1 {
		message = fmt.Sprintf("handoff %d leads from %q to itself for ever: nothing bounds the loop", last.Number, agents[0])
	}
	for _, h := range p.handoffs {
		if h.rule == last && h.to != nil {
			p.problem(h.to, fix, "%s", message)
		}
	}
}

func (p *parser) checkShadowed(g *graph) {
	for _, h := range p.handoffs {
		if len(g.live[h.rule]) > 0 {
			continue
		}
		if p.team.Limits.Turns == 0 && slices.Equal(h.rule.On, []Reason{ReasonBudgetExceeded}) {
			p.warn(h.node, "set a limit:  limits: {turns: 20}", "handoff %d never matches: no limit can be exceeded", h.rule.Number)
			continue
		}
		p.warn(h.node, "move it up, or remove it", "handoff %d never matches: earlier rules cover all of it", h.rule.Number)
	}
}
