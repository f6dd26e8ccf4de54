package workflow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// anyName is what `from: "*"` and `on: "*"` say.
const anyName = "*"

// String names the rule for people, e.g. "rule 3: coder on failed -> coder, at most 3".
func (r *Rule) String() string {
	on := make([]string, len(r.On))
	for i, reason := range r.On {
		on[i] = string(reason)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "rule %d: %s on %s", r.Number, strings.Join(r.From, ", "), strings.Join(on, ", "))
	if r.When != nil {
		fmt.Fprintf(&b, " when %s", excerpt(r.When.String(), 80))
	}
	if r.Retry != nil {
		fmt.Fprintf(&b, " -> retry, at most %d", r.Retry.Max)
		if r.Max > 0 {
			fmt.Fprintf(&b, " for one turn and %d in all", r.Max)
		}
		return b.String()
	}
	if r.Join != nil {
		fmt.Fprintf(&b, " join %s", r.Join)
	}
	fmt.Fprintf(&b, " -> %s", strings.Join(r.To, ", "))
	if r.ForEach != nil {
		fmt.Fprintf(&b, " for each of %s", excerpt(r.ForEach.String(), 80))
		if r.MaxParallel > 0 {
			fmt.Fprintf(&b, ", %d at a time", r.MaxParallel)
		}
	}
	if r.Max > 0 {
		fmt.Fprintf(&b, ", at most %d", r.Max)
	}
	return b.String()
}

// String is the join as a team file says it.
func (j *Join) String() string {
	if j.Mode == JoinCount {
		return strconv.Itoa(j.Count)
	}
	return string(j.Mode)
}

// covers reports whether the rule is about a node at all.
func (r *Rule) covers(node string) bool {
	return slices.Contains(r.From, anyName) || slices.Contains(r.From, node)
}

// selects reports whether the rule is about a reason.
func (r *Rule) selects(reason Reason) bool {
	return slices.Contains(r.On, anyName) || slices.Contains(r.On, reason)
}

// mismatch says why the rule does not match how a node ended; "" when it does.
// values makes the scope of the condition, and is called only when needed.
func (d *decision) mismatch(r *Rule, e *ended, values func() map[string]any) string {
	if reason, misses := r.misses(e); misses {
		return fmt.Sprintf("%s is not among its reasons", reason)
	}
	if e.joined != nil && r.Join != nil && d.team.joinOf(r) != e.join {
		return "it joins other branches"
	}
	if e.reason == ReasonUncertain && e.joined == nil && (r.Retry != nil || e.turn.Named) && !slices.Contains(r.On, ReasonUncertain) {
		return "it does not name uncertain, and what may have run is not run again unasked"
	}
	if e.over {
		if why := d.unaffordable(r, e); why != "" {
			return why
		}
	}
	if e.pick != "" && !slices.Contains(r.To, e.pick) && e.normal() {
		return fmt.Sprintf("%s picked %s", e.turn.Node, e.pick)
	}
	counted := e.turn.Branch
	if b := d.s.branch(counted); b != nil && r.Join != nil && e.joined == nil {
		counted = b.Parent // a join fires where the branches came from
	}
	if n := d.s.fired(counted, r.Number); r.Max > 0 && n >= r.Max {
		return fmt.Sprintf("used up: it has fired %d of %d times", n, r.Max)
	}
	if r.Retry != nil && e.joined != nil {
		return "several branches cannot be tried again"
	}
	if r.Retry != nil && e.turn.Retries[r.Number] >= r.Retry.Max {
		return fmt.Sprintf("used up: %d of %d retries of this turn", e.turn.Retries[r.Number], r.Retry.Max)
	}
	if r.Join != nil && e.joined == nil {
		return "" // its condition is about all that it waits for, and asked then
	}
	if r.When != nil {
		match, err := r.When.Match(values())
		if err != nil {
			return fmt.Sprintf("its condition could not be evaluated, which counts as false: %s", err)
		}
		if !match {
			return fmt.Sprintf("its condition is false: %s", r.When)
		}
	}
	if r.ForEach != nil {
		_, why := r.items(values())
		return why
	}
	return ""
}

// unaffordable says why a rule does not match budget_exceeded.
func (d *decision) unaffordable(r *Rule, e *ended) string {
	if d.team.Effective(d.s).AtLimit == AtLimitPause && !slices.Contains(r.On, ReasonBudgetExceeded) {
		return "limits.at_limit is pause, and the rule does not name budget_exceeded"
	}
	switch {
	case r.terminal(), r.Join != nil && e.joined == nil && e.inBranch:
		return ""
	case r.Retry == nil && r.Join == nil && !slices.ContainsFunc(r.To, d.costs):
		return ""
	}
	return "no further turn is allowed, and the rule asks for one"
}

// normal reports whether the agent came to its own end, with which its pick counts.
func (e *ended) normal() bool {
	return e.stopReason == ReasonEndTurn && e.reason != ReasonNoOutcome && !e.over
}

// HandoffTargets lists what an agent may pick with the tool handoff: whatever
// the rules about its own ends go to. It is empty for one that may not use it.
func (t *Team) HandoffTargets(agent string) []string {
	a := t.Agents[agent]
	if a == nil || !slices.Contains(a.ControllerTools, ToolHandoff) {
		return nil
	}
	own := []Reason{ReasonEndTurn}
	if len(a.Outcomes) > 0 {
		own = nil
		for _, outcome := range a.Outcomes {
			own = append(own, Reason(outcome))
		}
	}
	var out []string
	for _, r := range t.Handoffs {
		if r.Retry != nil || r.Join != nil || !r.covers(agent) || !slices.ContainsFunc(own, r.selects) {
			continue
		}
		for _, to := range r.To {
			if !slices.Contains(out, to) {
				out = append(out, to)
			}
		}
	}
	return out
}

// terminal reports whether the rule ends the task.
func (r *Rule) terminal() bool { return r.Retry == nil && isTerminal(r.target()) }

func isTerminal(name string) bool {
	return name == TerminalSucceeded || name == TerminalFailed || name == TerminalCancelled
}

func terminals() []string {
	return []string{TerminalSucceeded, TerminalFailed, TerminalCancelled}
}

// target is the one thing that a rule without a fan-out goes to; empty for a retry.
func (r *Rule) target() string {
	if len(r.To) == 0 {
		return ""
	}
	return r.To[0]
}
