package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// check does everything that needs the names of the whole file.
func (p *parser) check() {
	p.checkStart()
	p.compileTemplates()
	names := true
	for i := range p.handoffs {
		h := &p.handoffs[i]
		p.checkFrom(h)
		p.checkOn(h)
		p.checkTo(h)
		p.checkTexts(h)
		names = names && !h.broken
	}
	p.checkNodes()
	p.checkSubTeams()
	p.checkSchedules()
	if len(p.team.NodeNames) > 0 && len(p.handoffs) > 0 {
		p.checkGraph(names)
	}
}

func (p *parser) checkStart() {
	start, ok := "", false
	if p.start != nil && len(p.team.NodeNames) > 0 {
		start, ok = p.text(p.start, "start")
	}
	if ok {
		p.team.Start = start
		if p.declared[start] == nil {
			p.problem(p.start, suggestion(start, p.team.NodeNames), "start names %q, which is no node of this team", start)
		}
	}
	if p.message == nil {
		return
	}
	if kind, known := p.team.Kind(start); known && kind != KindAgent {
		p.problem(p.message, "remove it", "the team has a message, and its start %q is %s, which reads none", start, kindName(kind))
		return
	}
	p.templates = append(p.templates, lateTemplate{node: p.message, what: "message", set: into(&p.team.Message), only: []string{"input", "task"}})
}

// aboutSubTeam reports whether a rule is about a sub-team, which can reach a
// limit of its own while this team has turns left.
func (p *parser) aboutSubTeam(r *Rule) bool {
	return slices.ContainsFunc(p.subTeams, func(s subTeamNodes) bool { return r.covers(s.node.Name) })
}

// kindNoun names a kind for people.
func kindNoun(kind NodeKind) string {
	switch kind {
	case KindCheck, KindGate:
		return string(kind)
	case KindTeam:
		return "sub-team"
	default:
		return "agent"
	}
}

// kindName is kindNoun with its article.
func kindName(kind NodeKind) string {
	if kind == KindAgent {
		return "an agent"
	}
	return "a " + kindNoun(kind)
}

// checkFrom checks the nodes that a rule is about.
func (p *parser) checkFrom(h *ruleNodes) {
	for _, n := range h.from {
		switch {
		case n.Value == anyName && len(h.from) > 1:
			p.problem(n, `write from: "*" alone`, `handoff %d lists "*" beside other nodes`, h.rule.Number)
		case n.Value == anyName || p.declared[n.Value] != nil:
		case isTerminal(n.Value):
			h.broken = true
			p.problem(n, "the task has ended there; name a node", "handoff %d begins at %q, which is an end of the task", h.rule.Number, n.Value)
		default:
			h.broken = true
			p.problem(n, suggestion(n.Value, p.team.NodeNames), "handoff %d begins at %q, which is no node of this team", h.rule.Number, n.Value)
		}
	}
}

// checkOn checks the reasons of a rule against what its nodes can end with.
func (p *parser) checkOn(h *ruleNodes) {
	possible := map[Reason]bool{}
	var names []string
	for _, node := range p.team.NodeNames {
		if !h.rule.covers(node) {
			continue
		}
		for _, reason := range p.team.Reasons(node) {
			if !possible[reason] {
				possible[reason] = true
				names = append(names, string(reason))
			}
		}
	}
	for _, n := range h.on {
		reason := Reason(n.Value)
		switch {
		case n.Value == anyName && len(h.on) > 1:
			p.problem(n, `write on: "*" alone`, `handoff %d lists "*" beside other reasons`, h.rule.Number)
		case n.Value == anyName || possible[reason] || len(names) == 0:
		case reason == ReasonBudgetExceeded:
			// It becomes possible as soon as a limit is set.
		default:
			h.broken = true
			p.problem(n, p.reasonFix(h, reason, names), "handoff %d waits for %q, and %s", h.rule.Number, n.Value, neverEnds(h.rule))
		}
		if reason == ReasonBudgetExceeded && p.team.asksForTurn(h.rule) && !p.aboutSubTeam(h.rule) {
			p.problem(n, "go to succeeded, failed, cancelled, a check or a gate", "handoff %d asks for a turn when no turn is left", h.rule.Number)
		}
	}
}

// asksForTurn reports whether a rule needs what is not left when a limit of the
// task is reached. A join goes on where only the limit of a branch was.
func (t *Team) asksForTurn(r *Rule) bool {
	if r.Join != nil {
		return false
	}
	return r.Retry != nil || slices.ContainsFunc(r.To, func(to string) bool {
		kind, ok := t.Kind(to)
		return ok && (kind == KindAgent || kind == KindTeam)
	})
}

func neverEnds(r *Rule) string {
	switch {
	case slices.Contains(r.From, anyName):
		return "no node of this team ever ends with that"
	case len(r.From) > 1:
		return "none of " + quoted(r.From) + " ever ends with that"
	}
	return quoted(r.From) + " never ends with that"
}

func (p *parser) reasonFix(h *ruleNodes, reason Reason, names []string) string {
	if reason == ReasonEndTurn && len(h.from) == 1 {
		if a := p.team.Agents[h.from[0].Value]; a != nil && len(a.Outcomes) > 0 {
			return fmt.Sprintf("%s declares outcomes and ends with one of them: %s, or with no_outcome", a.Name, strings.Join(a.Outcomes, ", "))
		}
	}
	if hint := didYouMean(string(reason), names); hint != "" {
		return hint
	}
	if kind, ok := p.team.Kind(h.from[0].Value); len(h.from) == 1 && ok && kind != KindAgent {
		return fmt.Sprintf("%s ends with: %s", kindName(kind), strings.Join(names, ", "))
	}
	return "an outcome must be declared by the agent:  outcomes: [" + string(reason) + "]"
}

// checkTo checks where a rule goes.
func (p *parser) checkTo(h *ruleNodes) {
	reads := false // somebody reads the message
	for _, n := range h.to {
		if isTerminal(n.Value) {
			h.broken = h.broken || len(h.to) > 1
			continue
		}
		kind, ok := p.team.Kind(n.Value)
		reads = reads || !ok || kind == KindAgent
		if !ok {
			h.broken = true
			p.problem(n, suggestion(n.Value, p.nodeNames()), "handoff %d goes to %q, which is no node of this team", h.rule.Number, n.Value)
		}
	}
	if key := h.keys["message"]; key != nil && len(h.to) > 0 && !reads && !isTerminal(h.to[0].Value) {
		kind, _ := p.team.Kind(h.to[0].Value)
		p.problem(key, messageFix(kind), "handoff %d has a message and goes to %s, which reads none", h.rule.Number, kindName(kind))
	}
}

func messageFix(kind NodeKind) string {
	switch kind {
	case KindGate:
		return "say it in the gate's question"
	case KindTeam:
		return "say it in the sub-team's input"
	default:
		return "remove it"
	}
}

// nodeNames lists every name that `to:` may use.
func (p *parser) nodeNames() []string { return slices.Concat(p.team.NodeNames, terminals()) }

// checkTexts compiles the condition, the list and the message of a rule.
func (p *parser) checkTexts(h *ruleNodes) {
	if h.when != nil {
		h.rule.When = p.condition(h.when, fmt.Sprintf("the condition of handoff %d", h.rule.Number))
	}
	if h.forEach != nil && h.rule.Retry == nil {
		h.rule.ForEach = p.listExpression(h.forEach, fmt.Sprintf("for_each of handoff %d", h.rule.Number))
	}
	p.checkForEach(h)
	if h.message != nil {
		what := fmt.Sprintf("message of handoff %d", h.rule.Number)
		if _, ok := p.text(h.message, what); ok {
			h.rule.Message = p.template(h.message, what)
		}
	}
}

// condition compiles an expression and shows errors at their place in it.
func (p *parser) condition(n *yaml.Node, what string) *Condition {
	if n.Tag != "!!bool" { // when: true is an expression, if a needless one
		if _, ok := p.text(n, what); !ok {
			return nil
		}
	}
	c, err := newCondition(n.Value, scopeTypes(p.team))
	if err != nil {
		p.expressionProblem(n, what, err)
		return nil
	}
	return c
}

// listExpression compiles `for_each:`.
func (p *parser) listExpression(n *yaml.Node, what string) *ListExpression {
	if _, ok := p.text(n, what); !ok {
		return nil
	}
	e, err := newListExpression(n.Value, scopeTypes(p.team))
	if err != nil {
		p.expressionProblem(n, what, err)
		return nil
	}
	return e
}

// expressionProblem shows a compile error at its place in an expression.
func (p *parser) expressionProblem(n *yaml.Node, what string, err error) {
	pos, width, fix := position(n), 1, ""
	if e, ok := errors.AsType[*conditionError](err); ok {
		offset := e.offset
		if strings.HasPrefix(n.Value[offset:], ".") {
			offset++ // the compiler points at the dot before an unknown field
		}
		pos, width = p.source.within(n, offset), len(wordAtStart.FindString(n.Value[offset:]))
		fix = p.conditionFix(e)
	}
	p.problems = append(p.problems, p.source.problem(pos, width, fmt.Sprintf("%s is wrong: %s", what, err), fix))
}

var wordAtStart = regexp.MustCompile(`^\w+`)

// conditionFix suggests a name for the one that the compiler does not know.
func (p *parser) conditionFix(e *conditionError) string {
	env := scopeTypes(p.team)
	if _, name, ok := strings.Cut(e.message, "unknown name "); ok {
		return suggestion(name, sortedKeys(env))
	}
	if _, name, ok := strings.Cut(e.message, "unknown field "); ok {
		return didYouMean(name, slices.Concat(sortedKeys(p.team.Inputs), p.team.NodeNames, branchFields()))
	}
	return ""
}
