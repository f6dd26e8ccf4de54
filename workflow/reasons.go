package workflow

import "slices"

// builtinReasons are all reasons of agents that are not outcomes.
func builtinReasons() []Reason {
	return []Reason{
		ReasonEndTurn, ReasonError, ReasonLLMAPIError, ReasonMaxTokensExceeded, ReasonCancelled, ReasonInvalidLLMResponse,
		ReasonInvalidToolCall, ReasonMaxSteps, ReasonNoToolCall, ReasonToolRule, ReasonInsufficientCredits, ReasonContextOverflow,
		ReasonTurnTimeout, ReasonStalled, ReasonConnectionLost, ReasonBudgetExceeded, ReasonNoOutcome, ReasonUncertain,
	}
}

// Reasons lists what a node of the team can end with; nil for a name that is no
// node. An agent with outcomes never ends with end_turn: it ends with an outcome
// or with no_outcome. A check ends as uncertain only where it may not be run
// again. budget_exceeded is listed where a limit can reach the node: one of the
// task, or one of a branch that the node can run in. A sub-team ends with it at
// its own limits, too.
func (t *Team) Reasons(node string) []Reason {
	kind, ok := t.Kind(node)
	if !ok {
		return nil
	}
	limits := t.limitsAt(node)
	var out []Reason
	switch kind {
	case KindCheck:
		out = []Reason{ReasonPassed, ReasonFailed, ReasonTimeout}
		if !t.Checks[node].Rerun {
			out = append(out, ReasonUncertain)
		}
	case KindGate:
		out = []Reason{ReasonApproved, ReasonRejected}
		if at := t.Gates[node].AtExpiry; at == ReasonExpired || at == "" {
			out = append(out, ReasonExpired)
		}
		limits = Limits{Duration: limits.Duration}
	case KindTeam:
		out = []Reason{ReasonSucceeded, ReasonFailed, ReasonCancelled}
		if t.Teams[node].limited() {
			limits.Turns = 1 // any limit will do
		}
	default:
		return t.agentReasons(t.Agents[node], limits.set())
	}
	if limits.set() {
		out = append(out, ReasonBudgetExceeded)
	}
	return out
}

// bounded reports whether the task of the sub-team as a whole has a limit; nil has none.
func (t *SubTeam) bounded() bool {
	return t != nil && (t.Limits.set() || t.Team != nil && t.Team.Limits.set())
}

// limited reports whether something in the sub-team can reach a limit, after
// which its rules may end it: its task, a branch, or a sub-team of its own.
func (t *SubTeam) limited() bool {
	return t.bounded() || t != nil && t.Team != nil && t.Team.limitedWithin()
}

func (t *Team) limitedWithin() bool {
	return slices.ContainsFunc(t.Handoffs, func(r *Rule) bool { return r.Limits.set() }) ||
		slices.ContainsFunc(t.NodeNames, func(node string) bool { return t.Teams[node].limited() })
}

func (t *Team) agentReasons(a *Agent, limited bool) []Reason {
	var out []Reason
	for _, outcome := range a.Outcomes {
		out = append(out, Reason(outcome))
	}
	for _, reason := range builtinReasons() {
		switch {
		case reason == ReasonEndTurn && len(a.Outcomes) > 0:
		case reason == ReasonNoOutcome && len(a.Outcomes) == 0:
		case reason == ReasonBudgetExceeded && !limited:
		default:
			out = append(out, reason)
		}
	}
	return out
}

// limitsAt tells which kinds of limits can reach a node; the figures mean
// nothing. Whatever a rule with limits can lead to may run in its branch.
func (t *Team) limitsAt(node string) Limits {
	out := t.Limits
	for _, r := range t.Handoffs {
		if !r.Limits.set() || !slices.Contains(t.leadsTo(r), node) {
			continue
		}
		out.Turns, out.Tokens = max(out.Turns, r.Limits.Turns), max(out.Tokens, r.Limits.Tokens)
		out.Cost, out.Duration = max(out.Cost, r.Limits.Cost), max(out.Duration, r.Limits.Duration)
	}
	return out
}

// leadsTo lists the nodes that can follow a rule, by any rules.
func (t *Team) leadsTo(r *Rule) []string {
	var out []string
	next := slices.Clone(r.To)
	for len(next) > 0 {
		node := next[0]
		next = next[1:]
		if _, ok := t.Kind(node); !ok || slices.Contains(out, node) {
			continue
		}
		out = append(out, node)
		for _, r := range t.Handoffs {
			if r.covers(node) {
				next = append(next, r.To...)
			}
		}
	}
	return out
}
