package workflow

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
)

// route finds the first rule that matches how a turn ended, and follows it.
func (d *decision) route(e *ended) error {
	values := sync.OnceValue(func() map[string]any { return scope(d.team, &d.s, e) })
	var skipped []SkippedRule
	for _, r := range d.team.Handoffs {
		if !r.covers(e.turn.Node) {
			continue
		}
		if why := r.mismatch(&d.s, e, values); why != "" {
			skipped = append(skipped, SkippedRule{Rule: r.Number, Why: why})
			continue
		}
		return d.follow(r, e, values, skipped)
	}
	return d.fail(e, "no rule says what happens then", skipped)
}

// follow does what a rule that matches says.
func (d *decision) follow(r *Rule, e *ended, values func() map[string]any, skipped []SkippedRule) error {
	h := Handoff{
		FromTurn: e.turn.ID, From: e.turn.Node, Reason: e.reason, Rule: r.Number, Max: r.Max, To: r.To, Skipped: skipped, Note: e.note,
	}
	switch {
	case r.Retry != nil:
		return d.retry(r, e, h)
	case r.terminal():
		h.Fired = d.fire(r)
		d.emit(h)
		return d.finish(terminalState(r.To), Result{
			Node: e.turn.Node, Reason: e.reason, Rule: r.Number,
			Explanation: fmt.Sprintf("%s, and rule %d goes to %s", e.explain(), r.Number, r.To),
		})
	}
	if d.noTurnLeft() {
		return d.overBudget(e, fmt.Sprintf("a turn of %s by rule %d", r.To, r.Number))
	}
	message, err := d.message(r, e, values)
	if err != nil {
		return d.fail(e, fmt.Sprintf("the message of rule %d for %q %s", r.Number, r.To, err), skipped)
	}
	h.Fired, h.ToTurn = d.fire(r), d.s.LastTurn+1
	d.emit(h)
	d.startTurn(Turn{Node: r.To, Message: message}, true)
	return nil
}

// message is what the agent that a rule goes to is told.
func (d *decision) message(r *Rule, e *ended, values func() map[string]any) (string, error) {
	if r.Message.IsZero() {
		return handoffMessage(d.team, &d.s, e, r.To), nil
	}
	return renderMessage(r.Message, values())
}

func (d *decision) retry(r *Rule, e *ended, h Handoff) error {
	if d.noTurnLeft() {
		return d.overBudget(e, fmt.Sprintf("a retry by rule %d", r.Number))
	}
	t := e.turn
	if err := moveTurn(&t, turnRetry, d.event); err != nil {
		return err
	}
	wait := r.Retry.delay(d.s.Task, t.ID, t.Attempt, t.Retries[r.Number])
	t.Retries, t.Recoveries = withRetry(t.Retries, r.Number), 0
	d.fire(r)
	h.Retry, h.To, h.ToTurn, h.Fired, h.Max = true, t.Node, t.ID, t.Retries[r.Number], r.Retry.Max
	var notBefore time.Time
	if wait > 0 {
		notBefore = d.at.Add(wait)
		h.NotBefore = notBefore
	}
	d.emit(h)
	return d.nextAttempt(t, t.Message, notBefore)
}

// overBudget routes a turn once more, as budget_exceeded: only rules that end
// the task can match. wanted is what there is no turn left for.
func (d *decision) overBudget(e *ended, wanted string) error {
	over := *e
	over.reason = ReasonBudgetExceeded
	over.note = fmt.Sprintf("limits.turns: %d reached; there is no turn left for %s", d.team.Limits.Turns, wanted)
	return d.route(&over)
}

// fail ends the task where the rules do not say how it goes on.
func (d *decision) fail(e *ended, why string, skipped []SkippedRule) error {
	explanation := fmt.Sprintf("%s, and %s", e.explain(), why)
	if e.reason == ReasonBudgetExceeded {
		explanation = e.note
	}
	d.emit(Handoff{
		FromTurn: e.turn.ID, From: e.turn.Node, Reason: e.reason, To: TerminalFailed, Note: explanation, Skipped: skipped,
	})
	return d.finish(TaskFailed, Result{Node: e.turn.Node, Reason: e.reason, Explanation: explanation})
}

// fire counts a firing of a rule and returns how many there have been.
func (d *decision) fire(r *Rule) int {
	if d.s.Fired == nil {
		d.s.Fired = map[int]int{}
	}
	d.s.Fired[r.Number]++
	return d.s.Fired[r.Number]
}

// explain says in half a sentence how the turn ended.
func (e *ended) explain() string {
	if e.note != "" {
		return e.note
	}
	if e.err != "" {
		return fmt.Sprintf("%s ended with %s (%s)", e.turn.Node, e.reason, excerpt(e.err, 300))
	}
	return fmt.Sprintf("%s ended with %s", e.turn.Node, e.reason)
}

func terminalState(name string) TaskState {
	switch name {
	case TerminalSucceeded:
		return TaskSucceeded
	case TerminalCancelled:
		return TaskCancelled
	default:
		return TaskFailed
	}
}

// renderMessage renders the message of a turn. Its error continues a sentence
// that begins with the name of the message.
func renderMessage(t Template, values map[string]any) (string, error) {
	text, err := t.Render(values)
	if err != nil {
		return "", fmt.Errorf("cannot be rendered: %w", err)
	}
	if strings.TrimSpace(text) == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}
