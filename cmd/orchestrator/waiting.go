package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// waitingFor says what a task that has not ended waits for, until when, and how
// to answer, a line for each thing.
func waitingFor(s workflow.State, v *storyView) []string {
	loc := v.loc
	if s.Status == workflow.TaskQueued {
		return []string{cmp.Or(placeWait(s), "waits to be taken up")}
	}
	var out []string
	if s.Status == workflow.TaskPaused {
		p := pausedOf(s)
		out = append(out, fmt.Sprintf("paused since %s: %s", formatTime(pausedAt(s), loc), oneLine(p.Note, 400)), "  go on: "+p.command(v.place))
		for _, h := range s.Held {
			what := "ended with " + string(h.Result.Reason)
			if h.Cut {
				what = "was not finished"
			}
			out = append(out, fmt.Sprintf("turn %d (%s) %s, and goes on then", h.Turn.ID, h.Turn.Node, what))
		}
	}
	for _, a := range asksOf(s) {
		out = append(out, askLine(a, loc))
		for _, command := range a.commands(v.place) {
			out = append(out, "  "+command)
		}
	}
	for _, t := range s.Turns {
		if line := turnWait(s, t, v.team, loc, v.now); line != "" {
			out = append(out, line)
		}
	}
	for _, g := range s.Groups {
		if waiting := len(g.Items) - g.Next; waiting > 0 {
			out = append(out, fmt.Sprintf("%s of rule %d have not begun", plural(waiting, "element"), g.Rule))
		}
		if len(g.Arrived) > 0 {
			out = append(out, fmt.Sprintf("the join of rule %d: %d of %d arrived", g.Arrived[0].Join, len(g.Arrived), g.Size))
		}
	}
	return out
}

func pausedAt(s workflow.State) time.Time {
	if s.Pause == nil {
		return s.Updated
	}
	return s.Pause.At
}

// askLine says what is asked and until when.
func askLine(a ask, loc *time.Location) string {
	if a.Kind == askGate {
		return fmt.Sprintf("gate %s: %s, until %s", a.name(), a.question(), formatTime(a.Expires, loc))
	}
	if a.Expires.IsZero() {
		return fmt.Sprintf("question %d of %s: %s", a.Question, a.name(), a.question())
	}
	return fmt.Sprintf("question %d of %s: %s, until %s", a.Question, a.name(), a.question(), formatTime(a.Expires, loc))
}

// turnWait says how long a live turn may take.
func turnWait(s workflow.State, t workflow.Turn, team *workflow.Team, loc *time.Location, now time.Time) string {
	name := fmt.Sprintf("turn %d (%s)", t.ID, nodeName(t.Node, branchLabel(s, t.Branch)))
	switch {
	case t.Kind == workflow.KindGate || t.State == workflow.TurnAwaitingApproval || t.State == workflow.TurnUncertain:
		return "" // told as what a person is asked
	case t.State == workflow.TurnPending && t.NotBefore.After(now):
		return fmt.Sprintf("waits until %s to try %s again%s", formatTime(t.NotBefore, loc), name, quotaRemark(t))
	case t.State == workflow.TurnPending:
		return fmt.Sprintf("waits for %s to be sent", name)
	case t.Kind == workflow.KindTeam:
		return fmt.Sprintf("waits for %s, which is task %s", name, t.Child)
	}
	limit := turnLimit(team, &step{Node: t.Node, Kind: t.Kind})
	return fmt.Sprintf("waits for %s, until %s at the latest", name, formatTime(t.Started.Add(limit), loc))
}

func quotaRemark(t workflow.Turn) string {
	if t.QuotaWaits == 0 {
		return ""
	}
	return ": the provider's quota is used up"
}

// currently says in a few words what a task does or waits for, or why it ended.
func currently(s workflow.State, now time.Time) string {
	switch {
	case s.Result != nil:
		return s.Result.Explanation
	case s.Status == workflow.TaskPaused:
		return pausedOf(s).Note
	case s.Status == workflow.TaskQueued && s.Place.WaitsFor != "":
		return "waits for the directory of " + s.Place.WaitsFor
	case s.Status == workflow.TaskQueued:
		return placeWait(s)
	}
	var parts []string
	for _, a := range asksOf(s) {
		part := fmt.Sprintf("%s %s", a.Kind, a.name())
		if !a.Expires.IsZero() {
			part += " until " + formatClock(a.Expires)
		}
		parts = append(parts, part)
	}
	for _, t := range s.Turns {
		name := nodeName(t.Node, branchLabel(s, t.Branch))
		switch {
		case t.Kind == workflow.KindGate || t.State == workflow.TurnAwaitingApproval || t.State == workflow.TurnUncertain:
		case t.State == workflow.TurnPending && t.NotBefore.After(now):
			parts = append(parts, fmt.Sprintf("%s again at %s%s", name, formatClock(t.NotBefore), quotaRemark(t)))
		default:
			parts = append(parts, name+" "+string(t.State))
		}
	}
	return strings.Join(parts, ", ")
}
