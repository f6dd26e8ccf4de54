package workflow

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// builtinReasons are all reasons that are not outcomes.
func builtinReasons() []Reason {
	return []Reason{
		ReasonEndTurn, ReasonError, ReasonLLMAPIError, ReasonMaxTokensExceeded, ReasonCancelled, ReasonInvalidLLMResponse,
		ReasonInvalidToolCall, ReasonMaxSteps, ReasonNoToolCall, ReasonToolRule, ReasonInsufficientCredits, ReasonContextOverflow,
		ReasonTurnTimeout, ReasonStalled, ReasonConnectionLost, ReasonBudgetExceeded, ReasonNoOutcome, ReasonUncertain,
	}
}

// Reasons lists what an agent of the team can end with. An agent with outcomes
// never ends with end_turn: it ends with an outcome or with no_outcome.
// budget_exceeded is possible only where the team sets a limit.
func (t *Team) Reasons(agent string) []Reason {
	a := t.Agents[agent]
	if a == nil {
		return nil
	}
	var out []Reason
	for _, outcome := range a.Outcomes {
		out = append(out, Reason(outcome))
	}
	for _, reason := range builtinReasons() {
		switch {
		case reason == ReasonEndTurn && len(a.Outcomes) > 0:
		case reason == ReasonNoOutcome && len(a.Outcomes) == 0:
		case reason == ReasonBudgetExceeded && t.Limits.Turns == 0:
		default:
			out = append(out, reason)
		}
	}
	return out
}

// check does everything that needs the names of the whole file.
func (p *parser) check() {
	p.checkStart()
	if p.message != nil {
		if _, ok := p.text(p.message, "message"); ok {
			p.team.Message = p.template(p.message, "message", "input", "task")
		}
	}
	names := true
	for i := range p.handoffs {
		h := &p.handoffs[i]
		p.checkFrom(h)
		p.checkOn(h)
		p.checkTo(h)
		p.checkTexts(h)
		names = names && !h.broken
	}
	if len(p.team.AgentNames) == 0 || len(p.handoffs) == 0 {
		return
	}
	p.checkGraph(names)
}

func (p *parser) checkStart() {
	if p.start == nil {
		return
	}
	start, ok := p.text(p.start, "start")
	if !ok || len(p.team.AgentNames) == 0 {
		return
	}
	p.team.Start = start
	switch {
	case p.team.Agents[start] != nil:
	case slices.Contains(p.later, start):
	default:
		p.problem(p.start, suggestion(start, p.team.AgentNames), "start names %q, which is no agent of this team", start)
	}
}

// checkFrom checks the nodes that a rule is about.
func (p *parser) checkFrom(h *ruleNodes) {
	for _, n := range h.from {
		switch {
		case n.Value == anyName && len(h.from) > 1:
			p.problem(n, `write from: "*" alone`, `handoff %d lists "*" beside other agents`, h.rule.Number)
		case n.Value == anyName || p.team.Agents[n.Value] != nil:
		case isTerminal(n.Value):
			h.broken = true
			p.problem(n, "the task has ended there; name an agent", "handoff %d begins at %q, which is an end of the task", h.rule.Number, n.Value)
		case slices.Contains(p.later, n.Value):
			h.broken = true
		default:
			h.broken = true
			p.problem(n, suggestion(n.Value, p.team.AgentNames), "handoff %d begins at %q, which is no agent of this team", h.rule.Number, n.Value)
		}
	}
}

// checkOn checks the reasons of a rule against what its agents can end with.
func (p *parser) checkOn(h *ruleNodes) {
	possible := map[Reason]bool{}
	var names []string
	for _, agent := range p.team.AgentNames {
		if !h.rule.covers(agent) {
			continue
		}
		for _, reason := range p.team.Reasons(agent) {
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
		if reason == ReasonBudgetExceeded && h.to != nil && !isTerminal(h.rule.To) || reason == ReasonBudgetExceeded && h.rule.Retry != nil {
			p.problem(n, "go to succeeded, failed or cancelled", "handoff %d asks for a turn when no turn is left", h.rule.Number)
		}
	}
}

func neverEnds(r *Rule) string {
	switch {
	case slices.Contains(r.From, anyName):
		return "no agent of this team ever ends with that"
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
	return "an outcome must be declared by the agent:  outcomes: [" + string(reason) + "]"
}

// checkTo checks where a rule goes.
func (p *parser) checkTo(h *ruleNodes) {
	if h.to == nil {
		return
	}
	to := h.to.Value
	if p.team.Agents[to] != nil || isTerminal(to) {
		return
	}
	h.broken = true
	if !slices.Contains(p.later, to) {
		p.problem(h.to, suggestion(to, p.nodeNames()), "handoff %d goes to %q, which is no agent of this team", h.rule.Number, to)
	}
}

// checkTexts compiles the condition and the message of a rule.
func (p *parser) checkTexts(h *ruleNodes) {
	if h.when != nil {
		h.rule.When = p.condition(h.when, fmt.Sprintf("the condition of handoff %d", h.rule.Number))
	}
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
	if err == nil {
		return c
	}
	pos, fix := position(n), ""
	message := err.Error()
	width := 1
	if e, ok := errors.AsType[*conditionError](err); ok {
		offset := e.offset
		if strings.HasPrefix(n.Value[offset:], ".") {
			offset++ // the compiler points at the dot before an unknown field
		}
		pos, width = p.source.within(n, offset), len(wordAtStart.FindString(n.Value[offset:]))
		fix = p.conditionFix(e)
	}
	p.problems = append(p.problems, p.source.problem(pos, width, fmt.Sprintf("%s is wrong: %s", what, message), fix))
	return nil
}

var wordAtStart = regexp.MustCompile(`^\w+`)

// conditionFix suggests a name for the one that the compiler does not know.
func (p *parser) conditionFix(e *conditionError) string {
	env := scopeTypes(p.team)
	if _, name, ok := strings.Cut(e.message, "unknown name "); ok {
		return suggestion(name, sortedKeys(env))
	}
	if _, name, ok := strings.Cut(e.message, "unknown field "); ok {
		return didYouMean(name, append(sortedKeys(p.team.Inputs), p.team.AgentNames...))
	}
	return ""
}
