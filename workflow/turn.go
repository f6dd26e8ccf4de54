package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// visit starts a node in a branch.
func (d *decision) visit(branch int, name string, with given) error {
	kind, _ := d.team.Kind(name)
	t := Turn{Node: name, Kind: kind, Branch: branch, Message: with.message, Input: with.input}
	if d.s.Visits++; d.s.Visits > MaxVisits {
		return d.finish(TaskFailed, Result{Node: name, Explanation: fmt.Sprintf("the task has visited %d nodes, which is the most that any task may", MaxVisits)})
	}
	// Not node(): what a branch has of its own begins with its own visits.
	node := d.s.Nodes[name]
	if b := d.s.branch(branch); b != nil {
		node = b.Nodes[name]
	}
	node.Visits++
	d.setNode(branch, name, node)
	switch kind {
	case KindAgent:
		t.Conversation = d.conversationKey(d.team.Agents[name], branch, d.s.LastTurn+1)
	case KindGate:
		t.Expires = d.at.Add(d.team.Gates[name].expires())
	case KindCheck, KindTeam:
	}
	t.Late = !costly(kind) && d.overtime(branch)
	if d.s.Status == TaskPaused {
		d.postpone(t) // what its rule started before it has paused the task
		return nil
	}
	if costly(kind) {
		if note, _ := d.exhausted(branch, true); note != "" {
			return d.refuseVisit(t, note)
		}
	}
	d.startTurn(t)
	return nil
}

// refuseVisit ends a visit that a limit forbids before it has begun.
func (d *decision) refuseVisit(t Turn, note string) error {
	e := &ended{turn: d.numbered(t), reason: ReasonBudgetExceeded, stopReason: ReasonBudgetExceeded, note: note, over: true, cut: true}
	d.store(e)
	return d.route(e)
}

// postpone keeps a new turn until the task is resumed.
func (d *decision) postpone(t Turn) {
	d.hold(&ended{turn: d.numbered(t), cut: true})
}

// numbered gives a new turn its ID.
func (d *decision) numbered(t Turn) Turn {
	d.s.LastTurn++
	t.ID, t.State = d.s.LastTurn, TurnPending
	return t
}

// startTurn makes a new turn.
func (d *decision) startTurn(t Turn) {
	t = d.numbered(t)
	t.Attempt = 1
	if t.Kind == KindAgent {
		d.charge(t.Branch, 1, Usage{}, 0)
	}
	d.s.Turns = append(d.s.Turns, t)
	d.emit(d.startOf(t))
}

func (d *decision) startOf(t Turn) StartTurn {
	return StartTurn{
		Turn: t.ID, Node: t.Node, Attempt: t.Attempt, Message: t.Message, Reminder: t.Reminder,
		Kind: t.Kind, Branch: t.Branch, Label: d.s.label(t.Branch),
	}
}

// nextAttempt asks for the same turn again, now or at notBefore. t is not among
// the live turns when it is called and is in state pending.
func (d *decision) nextAttempt(t Turn, message string, notBefore time.Time) error {
	t.Attempt++
	if t.Kind == KindAgent {
		d.charge(t.Branch, 1, Usage{}, 0)
	}
	t.Message = message
	t.ClientMessageID, t.Runtime, t.Started, t.NotBefore = "", Runtime{}, time.Time{}, time.Time{}
	t.Progress, t.Stopping, t.Named = nil, "", false
	wait := notBefore.After(d.at)
	if wait {
		t.NotBefore = notBefore
	}
	at, _ := slices.BinarySearchFunc(d.s.Turns, t.ID, func(live Turn, id int) int { return live.ID - id })
	d.s.Turns = slices.Insert(d.s.Turns, at, t)
	if !wait {
		d.emit(d.startOf(t))
	}
	return nil
}

// endVisit forgets the conversation of a visit that had one of its own.
func (d *decision) endVisit(t Turn) {
	if agent := d.team.Agents[t.Node]; agent != nil && agent.Conversation == ConversationTurn {
		delete(d.s.Conversations, t.key())
	}
}

// live finds the turn and attempt that an event names.
func (d *decision) live(id, attempt int) (*Turn, error) {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == id && t.Attempt == attempt })
	switch {
	case i < 0:
		return nil, fmt.Errorf("%s of turn %d, attempt %d: %w", d.event, id, attempt, ErrStale)
	case d.s.Status == TaskWaiting && d.s.Turns[i].Kind == KindTeam: // for the sub-team, which waits for a person
		return &d.s.Turns[i], d.wake()
	case d.s.Status != TaskRunning && d.s.Status != TaskPaused:
		return nil, &TransitionError{Event: d.event, Subject: "task", State: string(d.s.Status)}
	case d.s.Turns[i].Kind == KindGate: // it has a person and its time, and nothing else
		return nil, &TransitionError{Event: d.event, Subject: fmt.Sprintf("gate of turn %d", id), State: string(d.s.Turns[i].State)}
	}
	return &d.s.Turns[i], nil
}

// liveOf finds the turn as live does, where it is of this kind.
func (d *decision) liveOf(kind NodeKind, id, attempt int) (*Turn, error) {
	t, err := d.live(id, attempt)
	if err == nil && t.Kind != kind {
		return nil, &TransitionError{Event: d.event, Subject: fmt.Sprintf("turn %d of %s", id, kindName(t.Kind)), State: string(t.State)}
	}
	return t, err
}

// take removes a turn from the live ones and returns it.
func (d *decision) take(id int) Turn {
	i := slices.IndexFunc(d.s.Turns, func(t Turn) bool { return t.ID == id })
	t := d.s.Turns[i]
	d.s.Turns = slices.Delete(d.s.Turns, i, i+1)
	d.dropQuestions(id)
	return t
}

// withdraw takes back a turn that was asked for and never sent, and returns it.
func (d *decision) withdraw(id int, why string) Turn {
	t := d.take(id)
	if t.Kind == KindAgent {
		d.charge(t.Branch, -1, Usage{}, 0) // it was counted when it was asked for
	}
	d.emit(AbortTurn{Turn: t.ID, Attempt: t.Attempt, Why: why})
	return t
}

func (d *decision) sending(b TurnSending) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if err := moveTurn(t, turnSend, d.event); err != nil {
		return err
	}
	t.ClientMessageID, t.Runtime, t.Child, t.ChildStatus, t.Started = b.ClientMessageID, b.Runtime, b.Child, "", d.at
	if t.Kind != KindAgent {
		return nil
	}
	if d.s.Conversations == nil {
		d.s.Conversations = map[string]Runtime{}
	}
	d.s.Conversations[t.key()] = b.Runtime
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

// used counts what an attempt has used without an end that says so.
func (d *decision) used(b TurnUsed) {
	d.charge(b.Branch, 0, b.Usage, b.Cost)
	if b.Unpriced {
		d.unpriced(b.Model)
	}
}

// reconciled goes on after a crash, by what was found out about the turn.
func (d *decision) reconciled(b TurnReconciled) error {
	t, err := d.live(b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if b.ConversationLost {
		delete(d.s.Conversations, t.key())
	}
	if b.KeepAsked {
		t.Asked = append(slices.Clone(t.Asked), d.asked(t.ID)...)
	}
	d.dropQuestions(t.ID)
	if b.Finding != FindingFinished { // which counts it with the end
		d.charge(t.Branch, 0, b.Usage, b.Cost)
		if b.Unpriced {
			d.unpriced(b.Model)
		}
	}
	switch b.Finding {
	case FindingFinished:
		if err := moveTurn(t, turnFinish, d.event); err != nil {
			return err
		}
		return d.conclude(d.take(b.Turn), TurnFinished{
			Reason: ReasonEndTurn, Output: b.Output, OutputFile: b.OutputFile, Usage: b.Usage, Model: b.Model, Cost: b.Cost, Unpriced: b.Unpriced,
		})
	case FindingNotConsumed:
		if err := moveTurn(t, turnNotSent, d.event); err != nil {
			return err
		}
		again := d.take(b.Turn)
		if again.Kind == KindCheck {
			// A command may be run again, and its rule asks for no recovery.
			return d.recover(again, again.Message, TurnFinished{Reason: ReasonFailed, Error: b.Detail})
		}
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
		if err := moveTurn(t, turnLose, d.event); err != nil {
			return err
		}
		return d.uncertain(b.Turn, b.Detail)
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
	if d.s.Status == TaskPaused {
		t.Message = message
		d.hold(&ended{turn: t, cut: true})
		return nil
	}
	if costly(t.Kind) {
		if note, _ := d.exhausted(t.Branch, t.Kind == KindAgent); note != "" {
			t.Message = message
			return d.overBudget(&ended{turn: t, cut: true}, note, "another attempt at the turn")
		}
	}
	return d.nextAttempt(t, message, time.Time{})
}

// conclude stores how a turn ended and decides what follows. t is no longer
// among the live turns.
func (d *decision) conclude(t Turn, b TurnFinished) error {
	if t.Kind == KindTeam {
		b.Usage, b.Cost = Usage{}, 0 // counted by ChildReported
	}
	d.charge(t.Branch, 0, b.Usage, b.Cost)
	if b.Unpriced {
		d.unpriced(b.Model)
	}
	if b.ConversationLost {
		delete(d.s.Conversations, t.key())
	}
	if !b.QuotaReset.IsZero() && b.Reason != ReasonEndTurn && t.QuotaWaits < MaxQuotaWaits {
		return d.awaitQuota(t, b.QuotaReset)
	}
	e := &ended{
		turn: t, reason: b.Reason, stopReason: b.Reason, output: b.Output, outputFile: b.OutputFile, summary: b.Summary, data: b.Data, err: b.Error,
		exitCode: b.ExitCode, pick: b.Handoff, handoff: b.HandoffMessage,
	}
	if t.Kind == KindTeam {
		e.outcome = b.Outcome
	}
	if a := d.team.Agents[t.Node]; a == nil || !slices.Contains(a.ControllerTools, ToolHandoff) {
		e.pick, e.handoff = "", "" // it has no say in where the task goes, and the checks of the team count on that
	}
	if b.Reason == ReasonBudgetExceeded && (t.Kind != KindTeam || t.Stopping != "") { // else it was the sub-team's own limit, and an end like any other
		d.cutShort(e)
	}
	if t.Reminder && strings.TrimSpace(t.PriorOutput) != "" {
		// The reminder asked for an outcome only; the work is in the turn before.
		e.output = t.PriorOutput
	}
	remind := false
	if agent := d.team.Agents[t.Node]; agent != nil && t.Kind == KindAgent && len(agent.Outcomes) > 0 {
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

// cutShort says for which limit a turn was cut off.
func (d *decision) cutShort(e *ended) {
	note, in := d.exhausted(e.turn.Branch, false)
	switch {
	case e.turn.Stopping != "":
		e.note = e.turn.Stopping
	case note != "":
		e.note = note
	default:
		e.note = cmp.Or(e.err, "the turn was stopped at a limit")
	}
	e.over, e.cut, e.inBranch = true, true, in.branch != 0
}

// awaitQuota asks for the turn again when the provider allows it.
func (d *decision) awaitQuota(t Turn, reset time.Time) error {
	wait := min(max(reset.Sub(d.at), time.Second), maxQuotaWait)
	wait += spread(d.s.Task, t.ID, t.Attempt, min(wait/10, time.Minute))
	if err := moveTurn(&t, turnRetry, d.event); err != nil {
		return err
	}
	t.QuotaWaits++
	message, until := quotaMessage(t.Message), d.at.Add(wait)
	held := t
	held.Message, held.NotBefore = message, until
	if d.s.Status == TaskPaused {
		d.hold(&ended{turn: held, cut: true})
		return nil
	}
	if note, _ := d.exhausted(t.Branch, true); note != "" {
		return d.overBudget(&ended{turn: held, cut: true}, note, "the turn after the wait for the provider's quota")
	}
	d.emit(Handoff{
		FromTurn: t.ID, From: t.Node, Reason: ReasonLLMAPIError, To: t.Node, ToTurn: t.ID, Retry: true, NotBefore: until, Branch: t.Branch, Label: d.s.label(t.Branch),
		Note: fmt.Sprintf("the provider's quota is used up until %s", reset.UTC().Format(time.RFC3339)),
	})
	return d.nextAttempt(t, message, until)
}

// store keeps how the node ended for later rules and messages.
func (d *decision) store(e *ended) {
	d.setNode(e.turn.Branch, e.turn.Node, e.result(d.s.visits(e.turn.Branch, e.turn.Node)))
}

func (e *ended) result(visits int) NodeResult {
	return NodeResult{
		Visits: visits, Turn: e.turn.ID, Reason: e.reason, Output: e.output, OutputFile: e.outputFile,
		Outcome: e.outcome, Summary: e.summary, Data: e.data, Error: e.err, ExitCode: e.exitCode, By: e.by,
	}
}

// remind asks for a missing outcome, once for every turn.
func (d *decision) remind(e *ended) error {
	t := Turn{
		Node: e.turn.Node, Branch: e.turn.Branch, Conversation: e.turn.Conversation, Reminder: true, PriorOutput: e.output,
		Message: reminderMessage(d.team.Agents[e.turn.Node].Outcomes),
	}
	if d.s.Status == TaskPaused {
		d.postpone(t)
		return nil
	}
	if note, _ := d.exhausted(t.Branch, true); note != "" {
		d.s.LastTurn++
		t.ID, t.State = d.s.LastTurn, TurnPending
		due := *e
		due.turn, due.cut = t, true // what is asked for when there is more
		return d.overBudget(&due, note, "a reminder of the missing outcome")
	}
	d.startTurn(t)
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
