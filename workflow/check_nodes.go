package workflow

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// checkNodes checks what the fields of agents and checks demand of each other
// and of the rest of the file.
func (p *parser) checkNodes() {
	for _, name := range p.team.AgentNames {
		a, nodes := p.team.Agents[name], p.agents[name]
		p.checkTimes(a, nodes)
		p.checkApprovals(a, nodes)
		p.checkTools(a, nodes)
	}
	for _, c := range p.checks {
		p.withinLimit(c.timeout, fmt.Sprintf("timeout of check %q", c.check.Name), c.check.Timeout)
	}
	for _, h := range p.handoffs {
		if h.rule.Retry != nil && h.keys["retry"] != nil {
			p.withinLimit(h.keys["retry"], fmt.Sprintf("backoff in retry of handoff %d", h.rule.Number), h.rule.Retry.Backoff)
		}
		p.checkSmaller(h.keys["limits"], fmt.Sprintf("handoff %d", h.rule.Number), h.rule.Limits)
	}
	for _, s := range p.subTeams {
		p.checkSmaller(s.keys["limits"], fmt.Sprintf("sub-team %q", s.node.Name), s.node.Limits)
	}
}

// checkTimes reports times of an agent that can never be reached.
func (p *parser) checkTimes(a *Agent, nodes agentNodes) {
	turn := cmp.Or(a.TurnTimeout, DefaultTurnTimeout)
	if key := nodes.keys["stall_timeout"]; key != nil && a.StallTimeout > turn {
		p.problem(key, "write less than "+shortDuration(turn)+", or raise turn_timeout",
			"stall_timeout of agent %q is %s, and its turns end after %s", a.Name, shortDuration(a.StallTimeout), shortDuration(turn))
	}
	if key := nodes.keys["turn_timeout"]; key != nil {
		p.withinLimit(key, fmt.Sprintf("turn_timeout of agent %q", a.Name), a.TurnTimeout)
	}
}

// withinLimit reports a time that is longer than a task may take.
func (p *parser) withinLimit(key *yaml.Node, what string, d time.Duration) {
	if limit := p.team.Limits.Duration; key != nil && limit > 0 && d > limit {
		p.problem(key, "write less, or raise limits.duration", "%s is %s, and limits.duration ends the task after %s", what, shortDuration(d), shortDuration(limit))
	}
}

// checkSmaller warns of limits of a branch or a sub-team that are never reached,
// since those of the task are smaller.
func (p *parser) checkSmaller(key *yaml.Node, what string, l Limits) {
	task := p.team.Limits
	for _, limit := range []struct {
		name        string
		inner, task int64
	}{
		{"turns", int64(l.Turns), int64(task.Turns)}, {"tokens", l.Tokens, task.Tokens},
		{"duration", int64(l.Duration), int64(task.Duration)}, {"cost", l.Cost, task.Cost},
	} {
		if key != nil && limit.task > 0 && limit.inner > limit.task {
			p.warn(key, "make it smaller, or remove it", "the limit of %s for %s is never reached: limits.%s is smaller", limit.name, what, limit.name)
		}
	}
}

// checkApprovals warns of patterns that decide nothing.
func (p *parser) checkApprovals(a *Agent, nodes agentNodes) {
	for _, list := range nodes.approvals {
		for _, n := range list.nodes {
			for _, before := range nodes.approvals {
				if before.name == list.name {
					break
				}
				if slices.ContainsFunc(before.nodes, func(other *yaml.Node) bool { return other.Value == n.Value }) {
					p.warn(n, "remove one of the two", "%s in approvals of agent %q lists %q, and %s decides it already", list.name, a.Name, n.Value, before.name)
				}
			}
		}
	}
	asks := len(a.Approvals.Ask) > 0 || a.Approvals.Otherwise == "ask" || slices.Contains(a.ControllerTools, ToolAskHuman)
	if key := nodes.expires; key != nil && !asks {
		p.warn(key, "remove it, or add  otherwise: ask", "nobody is ever asked: expires in approvals of agent %q has no effect", a.Name)
	}
}

// checkTools checks the tools of the orchestrator against what they work on.
func (p *parser) checkTools(a *Agent, nodes agentNodes) {
	for _, n := range nodes.tools {
		switch n.Value {
		case ToolSpawnTask:
			if len(p.subTeams) == 0 {
				p.problem(n, "declare one:  teams: {fix: {team: fix.yaml}}", "agent %q may spawn tasks, and the team has no sub-teams", a.Name)
			}
		case ToolHandoff:
			if targets := p.team.HandoffTargets(a.Name); len(targets) < 2 {
				p.warn(n, "add rules that lead to others, or remove the tool", "agent %q may pick who is next, and the rules leave it %s", a.Name, choiceOf(targets))
			}
		}
	}
}

func choiceOf(targets []string) string {
	if len(targets) == 0 {
		return "no choice"
	}
	return fmt.Sprintf("only %q", targets[0])
}

// leadsTo reports whether the rule goes to one of the names.
func (r *Rule) leadsTo(names []string) bool {
	return slices.ContainsFunc(r.To, func(to string) bool { return slices.Contains(names, to) })
}

// finishes reports whether a reason says that the agent has done its turn.
func (a *Agent) finishes(reason Reason) bool {
	return reason == ReasonEndTurn || slices.Contains(a.Outcomes, string(reason))
}

// itemName finds the use of what differs between the branches of a for_each.
var itemName = regexp.MustCompile(`\.(item|index|branch)\b`)

var dataName = regexp.MustCompile(`(^|[^.\w])data\b`)

// checkForEach warns of a for_each whose branches have nothing of their own, or
// wait for each other, or of whose list nothing is known.
func (p *parser) checkForEach(h *ruleNodes) {
	if h.forEach == nil || len(h.rule.To) != 1 {
		return
	}
	number := h.rule.Number
	if h.message != nil && !itemName.MatchString(h.message.Value) {
		p.warn(h.keys["message"], "use  {{ .item }}  in it", "message of handoff %d uses neither .item nor .index: all branches are told the same", number)
	}
	a := p.team.Agents[h.rule.To[0]]
	if a != nil && a.Conversation == ConversationShared && h.rule.MaxParallel != 1 {
		p.warn(h.keys["for_each"], "give the agent  conversation: task, or the rule  max_parallel: 1",
			"the branches of handoff %d wait for each other: agent %q has one shared conversation", number, a.Name)
	}
	if !dataName.MatchString(h.forEach.Value) || slices.Contains(h.rule.From, anyName) {
		return
	}
	for _, from := range h.rule.From {
		if kind, ok := p.team.Kind(from); ok && kind != KindTeam && (kind != KindAgent || len(p.team.Agents[from].Outcomes) == 0) {
			p.warn(h.forEach, "let an agent with outcomes report it", "for_each of handoff %d uses data, and the %s %q reports none", number, kindNoun(kind), from)
		}
	}
}
