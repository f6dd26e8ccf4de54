package workflow

import (
	"fmt"
	"slices"
)

// held is the end of a node as it is kept in the state.
func (e *ended) held() Held {
	return Held{
		Turn: e.turn, Result: e.result(0), StopReason: e.stopReason, Note: e.note, Handoff: e.pick, HandoffMessage: e.handoff,
		Joined: e.joined, Join: e.join, Cut: e.cut,
	}
}

// ended is the end of a node as it was held.
func (h Held) ended() *ended {
	r := h.Result
	return &ended{
		turn: h.Turn, reason: r.Reason, stopReason: h.StopReason, output: r.Output, outputFile: r.OutputFile, outcome: r.Outcome, summary: r.Summary,
		data: r.Data, err: r.Error, exitCode: r.ExitCode, by: r.By, note: h.Note, pick: h.Handoff, handoff: h.HandoffMessage,
		joined: h.Joined, join: h.Join, cut: h.Cut,
	}
}

// hold keeps the end of a node until the task is resumed.
func (d *decision) hold(e *ended) {
	d.s.Held = append(slices.Clone(d.s.Held), e.held())
}

// pause stops the task: what runs goes on to its end, what has not begun waits.
func (d *decision) pause(p Pause) error {
	if err := d.move(taskPause); err != nil {
		return err
	}
	p.At = d.at
	d.s.Pause = &p
	for _, t := range slices.Clone(d.s.Turns) {
		if t.State != TurnPending || t.Kind == KindGate {
			continue
		}
		d.withdraw(t.ID, p.Note)
		d.hold(&ended{turn: t, cut: true, note: p.Note})
	}
	d.emit(PauseTask{Pause: p})
	return nil
}

func (d *decision) pauseRequested(b PauseRequested) error {
	note := b.Note
	if note == "" {
		note = "paused"
		if b.By != "" {
			note += " by " + b.By
		}
	}
	if d.s.Status != TaskPaused || !b.Stop {
		if err := d.pause(Pause{By: b.By, Note: note, Parent: b.Parent}); err != nil {
			return err
		}
	}
	if b.Stop {
		for i := range d.s.Turns {
			if t := &d.s.Turns[i]; t.Kind != KindGate && t.Stopping == "" {
				d.stop(t, note)
			}
		}
	}
	return nil
}

func (d *decision) resumeRequested(b ResumeRequested) error {
	if p := d.s.Pause; p != nil && p.Parent && !b.Parent && d.s.Parent != nil {
		return &PausedByParentError{Task: d.s.Task, Parent: d.s.Parent.Task}
	}
	if err := d.move(taskResume); err != nil {
		return err
	}
	for i := range d.s.Turns {
		d.s.Turns[i].ChildStatus = "" // those that were paused with this task go on; what else holds them they report
	}
	d.endWaiting()
	d.raise(b.Raise)
	if d.s.Pause != nil {
		for i := range d.s.Turns {
			if t := &d.s.Turns[i]; t.Kind == KindGate {
				t.Expires = t.Expires.Add(d.at.Sub(d.s.Pause.At)) // it has stood still
			}
		}
	}
	held := d.s.Held
	d.s.Held, d.s.Pause = nil, nil
	return d.release(held, "the task was resumed")
}

// release goes on with all that was held. why is for people.
func (d *decision) release(held []Held, why string) error {
	for i, h := range held {
		if d.s.Status.Terminal() {
			return nil
		}
		if d.s.Status == TaskPaused {
			d.s.Held = append(d.s.Held, held[i:]...)
			return nil
		}
		if h.Turn.Branch != 0 && d.s.branch(h.Turn.Branch) == nil {
			continue // its branch was cancelled by a join meanwhile
		}
		if err := d.goOn(h, why); err != nil {
			return err
		}
	}
	for _, g := range slices.Clone(d.s.Groups) {
		if d.s.group(g.ID) != nil {
			if err := d.begin(g.ID, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// goOn routes the end of a node that was held, or asks for the turn (again)
// where it was cut off or never begun.
func (d *decision) goOn(h Held, why string) error {
	if !h.Cut {
		e := h.ended()
		e.note = ""
		return d.route(e)
	}
	t := h.Turn
	message := t.Message
	if t.State != TurnPending {
		if t.Kind == KindAgent && t.ClientMessageID != "" { // else it was never sent
			message = budgetMessage(t.Message)
		}
		if err := moveTurn(&t, turnRetry, d.event); err != nil {
			return err
		}
	}
	t.Stopping = ""
	if costly(t.Kind) {
		if note, _ := d.exhausted(t.Branch, t.Kind == KindAgent); note != "" {
			h.Note = note
			d.s.Held = append(slices.Clone(d.s.Held), h)
			return d.pause(Pause{Note: note})
		}
	}
	if t.Kind == KindGate {
		t.State, t.Expires = TurnPending, d.at.Add(d.team.Gates[t.Node].expires())
	}
	d.emit(Handoff{
		From: t.Node, FromTurn: t.ID, Reason: h.Result.Reason, To: t.Node, ToTurn: t.ID, Retry: true, Branch: t.Branch, Label: d.s.label(t.Branch),
		Note: fmt.Sprintf("%s: %s goes on", why, t.Node),
	})
	return d.nextAttempt(t, message, t.NotBefore)
}
