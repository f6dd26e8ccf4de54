package workflow

import (
	"fmt"
	"slices"
)

// childReported counts what the task of a sub-team has used since the last
// report. The limits here stop it as they stop what this task runs itself.
func (d *decision) childReported(b ChildReported) error {
	t, err := d.liveOf(KindTeam, b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if b.Usage.TotalTokens < t.ChildUsage.TotalTokens { // attempts that were taken back make Attempts less
		return fmt.Errorf("report of task %s: %w", t.Child, ErrStale)
	}
	d.charge(t.Branch, b.Attempts-t.ChildAttempts, b.Usage.minus(t.ChildUsage), b.Cost-t.ChildCost)
	for _, model := range b.Unpriced {
		if !slices.Contains(d.s.Unpriced, model) { // it names all of them every time
			d.unpriced(model)
		}
	}
	t.ChildAttempts, t.ChildUsage, t.ChildCost, t.ChildStatus = b.Attempts, b.Usage, b.Cost, b.Status
	if b.Starting && t.Stopping == "" && t.State != TurnPending {
		if note := d.refuses(*t); note != "" {
			d.stop(t, note)
		}
	}
	return nil
}

// refuses says which limit forbids the turn that a sub-team is about to begin,
// and that is counted already; "" when none does.
func (d *decision) refuses(t Turn) string {
	for _, a := range accounts(d.team, &d.s, t.Branch) {
		a.attempts--
		if note := a.spent(&d.s, Spent{}, asNewTurn, d.now()); note != "" {
			return note
		}
	}
	return ""
}

func (d *decision) limitReached(b LimitReached) error {
	t, err := d.liveOf(KindTeam, b.Turn, b.Attempt)
	if err != nil {
		return err
	}
	if t.Stopping != "" || t.State == TurnPending {
		return fmt.Errorf("%s of turn %d: %w", d.event, t.ID, ErrStale)
	}
	d.stop(t, b.Note)
	return nil
}

// ChildWish is what a task wants of the task of one of its sub-teams.
type ChildWish string

// The wishes. What is stopped is paused, and the turns that run in it end.
const (
	ChildRuns     ChildWish = "run"
	ChildPauses   ChildWish = "pause"
	ChildStops    ChildWish = "stop"
	ChildUnwanted ChildWish = "unwanted"
)

// Children lists the tasks of the sub-teams that a task waits for, or goes on
// with when it is resumed, and what it wants of each.
func (s State) Children() map[string]ChildWish {
	out := map[string]ChildWish{}
	for _, h := range s.Held {
		if h.Cut && h.Turn.Child != "" {
			out[h.Turn.Child] = ChildStops
		}
	}
	for _, t := range s.Turns {
		switch {
		case t.Child == "":
		case t.State == TurnPending || t.Stopping != "":
			out[t.Child] = ChildStops
		case s.Status == TaskPaused:
			out[t.Child] = ChildPauses
		default:
			out[t.Child] = ChildRuns
		}
	}
	return out
}
