package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// name is how people call the step: the node, with the branch where it is not
// clear from the node alone.
func (st *step) name() string { return nodeName(st.Node, st.Label) }

// nodeName names a node in a branch: "security" in the branch of that name,
// "worker[3]", and "worker[3]/tests" for what follows there.
func nodeName(node, label string) string {
	if label == "" {
		return node
	}
	last := label[strings.LastIndexByte(label, '/')+1:]
	if base, _, _ := strings.Cut(last, "["); base == node {
		return label
	}
	return label + "/" + node
}

// handoff is what followed; the first one where several branches were started. nil when nothing did.
func (st *step) handoff() *workflow.Handoff {
	if len(st.Handoffs) == 0 {
		return nil
	}
	return st.Handoffs[0]
}

// reason is what the step ended with, as the rules saw it: the outcome where
// the agent reports one, else the stop reason.
func (st *step) reason() string {
	h := st.handoff()
	switch {
	case st.Line != nil && st.Line.Reason != "":
		return string(st.Line.Reason)
	case h != nil && h.Reason != "" && (!h.Retry || h.Rule > 0 || st.Finished == nil):
		return string(h.Reason)
	case st.Finished != nil && st.Finished.Outcome != "" && st.Kind == workflow.KindAgent && st.Finished.Reason == workflow.ReasonEndTurn:
		return st.Finished.Outcome
	case st.Finished != nil:
		return string(st.Finished.Reason)
	case st.Reconciled != nil:
		return string(st.Reconciled.Finding)
	case st.Gate != nil && st.Gate.Approved:
		return string(workflow.ReasonApproved)
	case st.Gate != nil:
		return string(workflow.ReasonRejected)
	case st.Aborted:
		return string(workflow.ReasonCancelled)
	case st.Held:
		return "put off"
	case st.Kind == workflow.KindGate && !st.Ended.IsZero():
		return string(workflow.ReasonExpired)
	}
	return ""
}

// reasonText is the reason with what makes it plain: the exit status of a check.
func (st *step) reasonText() string {
	if f := st.Finished; f != nil && st.Kind == workflow.KindCheck && f.Reason == workflow.ReasonFailed && f.ExitCode != 0 {
		return fmt.Sprintf("%s (exit %d)", f.Reason, f.ExitCode)
	}
	return st.reason()
}

// good reports whether the step itself ended as it should.
func (st *step) good() bool {
	switch st.Kind {
	case workflow.KindGate:
		return st.reason() == string(workflow.ReasonApproved)
	case workflow.KindCheck:
		return st.Finished != nil && st.Finished.Reason == workflow.ReasonPassed
	case workflow.KindTeam:
		return st.Finished != nil && st.Finished.Reason == workflow.ReasonSucceeded
	case workflow.KindAgent:
	}
	if st.Reconciled != nil {
		return st.Reconciled.Finding == workflow.FindingFinished
	}
	if st.Finished == nil || st.Finished.Reason != workflow.ReasonEndTurn {
		return false
	}
	return !st.reminded() && st.reason() != string(workflow.ReasonNoOutcome)
}

// unneeded says that the step was ended without any fault of its own.
func (st *step) unneeded() bool {
	return st.Finished == nil && st.Reconciled == nil && st.Gate == nil && (st.Aborted && st.handoff() == nil || st.Held)
}

func (st *step) output() string {
	switch {
	case st.Finished != nil:
		return st.Finished.Output
	case st.Reconciled != nil:
		return st.Reconciled.Output
	case st.Gate != nil:
		return st.Gate.Comment
	}
	return ""
}

// failure is the error text of the step, or empty.
func (st *step) failure() string {
	switch {
	case st.Finished != nil && st.Kind == workflow.KindCheck && st.Finished.ExitCode != 0:
		return "" // its exit status says it all
	case st.Finished != nil:
		return errorMessage(st.Finished.Error)
	case st.Sent.IsZero() && st.Why != "" && !st.Held && !st.Aborted: // of one that was ended by others it is no error
		return st.Why
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
	if st.Kind == workflow.KindTeam {
		return st.ChildUsage.TotalTokens
	}
	switch {
	case st.Finished != nil:
		return st.Finished.Usage.TotalTokens
	case st.Reconciled != nil:
		return st.Reconciled.Usage.TotalTokens
	}
	return 0
}

// next says where the task went from here, and by which rule.
func (st *step) next() (to, rule string) {
	h := st.handoff()
	switch {
	case st.reminded():
		return st.Node, "reminder: no outcome was reported"
	case st.Reconciled != nil && h == nil && st.Line == nil:
		return st.Node, st.afterFinding()
	case st.Line != nil && st.Line.How == workflow.BranchArrived:
		return "join", fmt.Sprintf("rule %d, %d of %d arrived", st.Line.Rule, st.Line.Arrived, st.Line.Size)
	case h == nil:
		return "", ""
	}
	return target(st.Handoffs), ruleText(h)
}

// target is where handoffs of one rule go: a node, several, or one for each element of a list.
func target(handoffs []*workflow.Handoff) string {
	h := handoffs[0]
	switch {
	case h.Retry:
		return h.To + " again"
	case h.Size <= 1:
		return h.To
	}
	var names []string
	for _, next := range handoffs {
		if !slices.Contains(names, next.To) {
			names = append(names, next.To)
		}
	}
	if len(names) == 1 {
		return fmt.Sprintf("%s, %d times", names[0], h.Size)
	}
	return strings.Join(names, ", ")
}

// afterFinding says what came of a turn that was looked up.
func (st *step) afterFinding() string {
	switch st.Reconciled.Finding {
	case workflow.FindingNotConsumed:
		return "the input had not arrived: sent again"
	case workflow.FindingInterrupted:
		return "the turn was interrupted: continued"
	case workflow.FindingUnknown:
		for _, q := range st.Questions {
			if q.Kind != workflow.QuestionUncertain || q.Answer == nil {
				continue
			}
			switch q.Answer.Answer {
			case workflow.AnswerContinue:
				return "another attempt, which is told that this one may have been carried out"
			case workflow.AnswerRetry:
				return "another attempt, as if this one had not been carried out"
			}
		}
		return "whether the turn ran cannot be known"
	case workflow.FindingFinished:
	}
	return ""
}

// ruleText is how people name the rule that fired: "rule 3, 1 of 3".
func ruleText(h *workflow.Handoff) string {
	if h.Rule == 0 {
		if h.Retry && !h.NotBefore.IsZero() {
			return "waits for the provider's quota until " + formatClock(h.NotBefore)
		}
		if h.Retry {
			return "goes on"
		}
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
