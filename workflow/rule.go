package workflow

import (
	"fmt"
	"slices"
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
	fmt.Fprintf(&b, " -> %s", r.To)
	if r.Max > 0 {
		fmt.Fprintf(&b, ", at most %d", r.Max)
	}
	return b.String()
}

// covers reports whether the rule is about a node at all.
func (r *Rule) covers(node string) bool {
	return slices.Contains(r.From, anyName) || slices.Contains(r.From, node)
}

// selects reports whether the rule is about a reason.
func (r *Rule) selects(reason Reason) bool {
	return slices.Contains(r.On, anyName) || slices.Contains(r.On, reason)
}

// mismatch says why the rule does not match how a turn ended; "" when it does.
// values makes the scope of the condition, and is called only when needed.
func (r *Rule) mismatch(s *State, e *ended, values func() map[string]any) string {
	if !r.selects(e.reason) {
		return fmt.Sprintf("%s is not among its reasons", e.reason)
	}
	if e.reason == ReasonBudgetExceeded && !r.terminal() {
		return "no further turn is allowed, and the rule asks for one"
	}
	if r.Max > 0 && s.Fired[r.Number] >= r.Max {
		return fmt.Sprintf("used up: it has fired %d of %d times", s.Fired[r.Number], r.Max)
	}
	if r.Retry != nil && e.turn.Retries[r.Number] >= r.Retry.Max {
		return fmt.Sprintf("used up: %d of %d retries of this turn", e.turn.Retries[r.Number], r.Retry.Max)
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
	return ""
}

// terminal reports whether the rule ends the task.
func (r *Rule) terminal() bool { return r.Retry == nil && isTerminal(r.To) }

func isTerminal(name string) bool {
	return name == TerminalSucceeded || name == TerminalFailed || name == TerminalCancelled
}

func terminals() []string {
	return []string{TerminalSucceeded, TerminalFailed, TerminalCancelled}
}
