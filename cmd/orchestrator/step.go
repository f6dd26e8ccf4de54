package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// reason is what the step ended with, as the rules saw it: the outcome where
// the agent reports one, else the stop reason.
func (st *step) reason() string {
	switch {
	case st.Handoff != nil && st.Handoff.Reason != "":
		return string(st.Handoff.Reason)
	case st.Finished != nil && st.Finished.Outcome != "":
		return st.Finished.Outcome
	case st.Finished != nil:
		return string(st.Finished.Reason)
	case st.Reconciled != nil:
		return string(st.Reconciled.Finding)
	case st.Cancelled:
		return string(workflow.ReasonCancelled)
	}
	return ""
}

// good reports whether the turn itself ended as it should.
func (st *step) good() bool {
	if st.Reconciled != nil {
		return st.Reconciled.Finding == workflow.FindingFinished
	}
	if st.Finished == nil || st.Finished.Reason != workflow.ReasonEndTurn {
		return false
	}
	return !st.reminded() && st.reason() != string(workflow.ReasonNoOutcome)
}

func (st *step) output() string {
	switch {
	case st.Finished != nil:
		return st.Finished.Output
	case st.Reconciled != nil:
		return st.Reconciled.Output
	}
	return ""
}

// failure is the error text of the step, or empty.
func (st *step) failure() string {
	switch {
	case st.Finished != nil:
		return errorMessage(st.Finished.Error)
	case st.Reconciled != nil && st.Reconciled.Finding != workflow.FindingFinished:
		return st.Reconciled.Detail
	}
	return ""
}

// elapsed is how long the attempt took on the App Server, up to now while it runs.
func (st *step) elapsed(now time.Time) time.Duration {
	from := st.Sent
	if from.IsZero() {
		from = st.Decided
	}
	if !st.Ended.IsZero() {
		now = st.Ended
	}
	return now.Sub(from)
}

func (st *step) tokens() int64 {
	if st.Finished == nil {
		return 0
	}
	return st.Finished.Usage.TotalTokens
}

// next says where the task went from here, and by which rule.
func (st *step) next() (to, rule string) {
	h := st.Handoff
	switch {
	case st.reminded():
		return st.Node, "reminder: no outcome was reported"
	case st.Reconciled != nil && h == nil:
		return st.Node, afterFinding(st.Reconciled.Finding)
	case h == nil:
		return "", ""
	case h.Retry:
		return h.To + " again", ruleText(h)
	}
	return h.To, ruleText(h)
}

func afterFinding(f workflow.Finding) string {
	switch f {
	case workflow.FindingNotConsumed:
		return "the input had not arrived: sent again"
	case workflow.FindingInterrupted:
		return "the turn was interrupted: continued"
	case workflow.FindingFinished, workflow.FindingUnknown:
	}
	return ""
}

// ruleText is how people name the rule that fired: "rule 3, 1 of 3".
func ruleText(h *workflow.Handoff) string {
	if h.Rule == 0 {
		if h.Reason == workflow.ReasonBudgetExceeded {
			return "limits.turns"
		}
		return "no rule"
	}
	switch {
	case h.Retry && h.Max > 0:
		return fmt.Sprintf("rule %d, retry %d of %d", h.Rule, h.Fired, h.Max)
	case h.Retry:
		return fmt.Sprintf("rule %d, retry", h.Rule)
	case h.Max > 0:
		return fmt.Sprintf("rule %d, %d of %d", h.Rule, h.Fired, h.Max)
	}
	return fmt.Sprintf("rule %d", h.Rule)
}

// reminded says that the agent reported no outcome and is asked for it.
func (st *step) reminded() bool {
	return st.Follower != nil && st.Follower.Reminder && !st.Reminder
}

// retryDelay is how long the next attempt of the same turn is put off.
func (st *step) retryDelay() time.Duration {
	if st.Follower == nil || st.Follower.Turn != st.Turn || st.Follower.NotBefore.IsZero() {
		return 0
	}
	return st.Follower.NotBefore.Sub(st.Ended)
}

// errorMessage takes the message out of an error that is a JSON document, as
// model providers and App Servers wrap them; show has the whole.
func errorMessage(text string) string {
	var document any
	if !strings.HasPrefix(strings.TrimSpace(text), "{") || json.Unmarshal([]byte(text), &document) != nil {
		return text
	}
	for range 5 {
		object, ok := document.(map[string]any)
		if !ok {
			break
		}
		for _, name := range []string{"message", "detail"} {
			if message, ok := object[name].(string); ok && message != "" {
				return message
			}
		}
		document = object["error"]
	}
	if message, ok := document.(string); ok && message != "" {
		return message
	}
	return text
}

// shortExplanation is the explanation of the result without the text of the
// error, which stands in the line of the last step already.
func (s *story) shortExplanation() string {
	why := s.Result.Explanation
	if len(s.Steps) == 0 {
		return why
	}
	last, text := s.Steps[len(s.Steps)-1], ""
	switch {
	case last.Finished != nil:
		text = last.Finished.Error
	case last.Reconciled != nil:
		text = last.Reconciled.Detail
	}
	// The explanation quotes the first 300 characters, on one line.
	if text = cut(strings.Join(strings.Fields(text), " "), 300); text != "" {
		why = strings.Replace(why, " ("+text+")", "", 1)
	}
	return why
}
