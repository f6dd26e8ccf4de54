package workflow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// startTurn makes a new turn. A visit is counted unless the turn continues one.
func (d *decision) startTurn(t Turn, visit bool) {
	d.s.LastTurn++
	t.ID, t.Attempt, t.State = d.s.LastTurn, 1, TurnPending
	d.s.Attempts++
	d.s.Turns = append(d.s.Turns, t)
	if visit {
		node := d.s.Nodes[t.Node]
		node.Visits++
		d.setNode(t.Node, node)
	}
	d.emit(startOf(t))
}

func startOf(t Turn) StartTurn {
	return StartTurn{Turn: t.ID, Node: t.Node, Attempt: t.Attempt, Message: t.Message, Reminder: t.Reminder}
}

// nextAttempt asks for the same turn again, now or at notBefore. t is not among
// the live turns when it is called and is in state pending.
func (d *decision) nextAttempt(t Turn, message string, notBefore time.Time) error {
	t.Attempt++
	d.s.Attempts++
	t.Message = message
	t.ClientMessageID, t.Runtime, t.Started, t.NotBefore = "", Runtime{}, time.Time{}, time.Time{}
	wait := notBefore.After(d.at)
	if wait {
		t.NotBefore = notBefore
	}
	at, _ := slices.BinarySearchFunc(d.s.Turns, t.ID, func(live Turn, id int) int { return live.ID - id })
	d.s.Turns = slices.Insert(d.s.Turns, at, t)
	if !wait {
		d.emit(startOf(t))
		return nil
	}
	d.s.WakeAt = notBefore
	return d.move(taskWait)
}

// noTurnLeft reports whether limits.turns forbids another attempt.
func (d *decision) noTurnLeft() bool {
	return d.team.Limits.Turns > 0 && d.s.Attempts >= d.team.Limits.Turns
}

// live finds the turn and attempt that an event names.
func (d *decision) live(id, attempt int) (*Turn, error) {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == id && t.Attempt == attempt })
	switch {
	case i < 0:
		return nil, fmt.Errorf("%s of turn %d, attempt %d: %w", d.event, id, attempt, ErrStale)
	case d.s.Status != TaskRunning:
		return nil, &TransitionError{Event: d.event, Subject: "task", State: string(d.s.Status)}
	}
	return &d.s.Turns[i], nil
}

// take removes a turn from the live ones and returns it.
func (d *decision) take(id int) Turn {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == id })
	t := d.s.Turns[i]
	d.s.Turns = slices.Delete(d.s.Turns, i, i+1)
	return t
}

func (d *decision) setNode(name string, n NodeResult) {
	if d.s.Nodes == nil {
		d.s.Nodes = map[string]NodeResult{}
	}
	d.s.Nodes[name] = n
}

func (d *decision) sending(b TurnSending) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if err := moveTurn(t, turnSend, d.event); err != nil {
		return err
	}
	t.ClientMessageID, t.Runtime, t.Started = b.ClientMessageID, b.Runtime, d.at
	if d.s.Conversations == nil {
		d.s.Conversations = map[string]Runtime{}
	}
	d.s.Conversations[t.Node] = b.Runtime
	return nil
}

func (d *decision) accepted(b TurnAccepted) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	return moveTurn(t, turnAccept, d.event)
}

func (d *decision) finished(b TurnFinished) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if err := moveTurn(t, turnFinish, d.event); err != nil {
		return err
	}
	if b.Reason == "" {
		b.Reason, b.Error = ReasonError, strings.TrimSpace("the turn ended without a stop reason. "+b.Error)
	}
	return d.conclude(d.take(b.Turn), b)
}

// reconciled goes on after a crash, by what was found out about the turn.
func (d *decision) reconciled(b TurnReconciled) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if b.ConversationLost {
		delete(d.s.Conversations, t.Node)
	}
	switch b.Finding {
	case FindingFinished:
		if err := moveTurn(t, turnFinish, d.event); err != nil {
			return err
		}
		return d.conclude(d.take(b.Turn), TurnFinished{Reason: ReasonEndTurn, Output: b.Output})
	case FindingNotConsumed:
		if err := moveTurn(t, turnNotSent, d.event); err != nil {
			return err
		}
		again := d.take(b.Turn)
		return d.recover(again, again.Message, TurnFinished{
			Reason: ReasonStalled,
			Error:  fmt.Sprintf("the App Server did not take up the input, %d times in a row; last: %s", again.Recoveries+1, b.Detail),
		})
	case FindingInterrupted:
		if err := errors.Join(moveTurn(t, turnCut, d.event), moveTurn(t, turnContinue, d.event)); err != nil {
			return err
		}
		again := d.take(b.Turn)
		return d.recover(again, continuationMessage(again.Message), TurnFinished{
			Reason: ReasonConnectionLost,
			Error:  fmt.Sprintf("the turn was interrupted %d times in a row; last: %s", again.Recoveries+1, b.Detail),
		})
	case FindingUnknown:
		if err := errors.Join(moveTurn(t, turnLose, d.event), moveTurn(t, turnFinish, d.event)); err != nil {
			return err
		}
		return d.conclude(d.take(b.Turn), TurnFinished{Reason: ReasonUncertain, Error: b.Detail})
	default:
		return &UnknownTypeError{Kind: "finding", Type: string(b.Finding)}
	}
}

// recover asks for the turn once more, or, when that was done MaxRecoveries
// times in a row, ends it as otherwise says. A rule that then retries it sends
// message: what was consumed is continued, and not repeated.
func (d *decision) recover(t Turn, message string, otherwise TurnFinished) error {
	if t.Recoveries >= MaxRecoveries {
		t.Message = message
		if err := moveTurn(&t, turnFinish, d.event); err != nil {
			return err
		}
		return d.conclude(t, otherwise)
	}
	t.Recoveries++
	return d.again(t, message)
}

// again asks for the turn once more where the limits allow it.
func (d *decision) again(t Turn, message string) error {
	if d.noTurnLeft() {
		return d.overBudget(&ended{turn: t}, "another attempt at the turn")
	}
	return d.nextAttempt(t, message, time.Time{})
}

// conclude stores how a turn ended and decides what follows. t is no longer
// among the live turns.
func (d *decision) conclude(t Turn, b TurnFinished) error {
	d.s.Usage = d.s.Usage.Add(b.Usage)
	if b.ConversationLost {
		delete(d.s.Conversations, t.Node)
	}
	e := &ended{turn: t, reason: b.Reason, stopReason: b.Reason, output: b.Output, summary: b.Summary, data: b.Data, err: b.Error}
	if t.Reminder && strings.TrimSpace(t.PriorOutput) != "" {
		// The reminder asked for an outcome only; the work is in the turn before.
		e.output = t.PriorOutput
	}
	remind := false
	if agent := d.team.Agents[t.Node]; agent != nil && len(agent.Outcomes) > 0 {
		valid := slices.Contains(agent.Outcomes, b.Outcome)
		if valid {
			e.outcome = b.Outcome
		}
		switch {
		case b.Reason != ReasonEndTurn:
		case valid:
			e.reason = Reason(b.Outcome)
		case t.Reminder:
			e.reason = ReasonNoOutcome
		default:
			remind = true
		}
	}
	d.store(e)
	if remind {
		return d.remind(e)
	}
	return d.route(e)
}

// store keeps how the node ended for later rules and messages.
func (d *decision) store(e *ended) {
	d.setNode(e.turn.Node, NodeResult{
		Visits: d.s.Nodes[e.turn.Node].Visits, Turn: e.turn.ID, Reason: e.reason, Output: e.output,
		Outcome: e.outcome, Summary: e.summary, Data: e.data, Error: e.err,
	})
}

// remind asks for a missing outcome, once for every turn.
func (d *decision) remind(e *ended) error {
	if d.noTurnLeft() {
		return d.overBudget(e, "a reminder of the missing outcome")
	}
	d.startTurn(Turn{
		Node: e.turn.Node, Reminder: true, PriorOutput: e.output,
		Message: reminderMessage(d.team.Agents[e.turn.Node].Outcomes),
	}, false)
	return nil
}

// withRetry returns the retries of a turn with one more of a rule.
func withRetry(retries map[int]int, rule int) map[int]int {
	out := maps.Clone(retries)
	if out == nil {
		out = map[int]int{}
	}
	out[rule]++
	return out
}
