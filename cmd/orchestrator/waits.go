package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// waits is what a task that nothing drives forward waits for.
type waits struct {
	asks   []ask
	paused []pausedTask
	resume string // the command that goes on when that is done
	driven bool   // a daemon goes on by itself then
	place  place
}

// pausedTask is a task that is paused.
type pausedTask struct {
	Task string `json:"task"`
	// By is who paused it; empty when a limit did.
	By   string `json:"by,omitempty"`
	Note string `json:"note"`
	// Parent is the task that it was paused with, and goes on with.
	Parent string `json:"parent,omitempty"`
}

// command is what to type to go on with a paused task.
func (p pausedTask) command(where place) string {
	switch {
	case p.Parent != "":
		return where.in("orchestrator resume " + p.Parent)
	case p.By != "":
		return where.in("orchestrator resume " + p.Task)
	}
	flag := "--turns 10"
	for _, limit := range []struct{ name, flag string }{
		{"limits.tokens", "--tokens 100000"}, {"limits.duration", "--duration 1h"}, {"limits.cost", "--cost 1.00"},
	} {
		if strings.Contains(p.Note, limit.name) {
			flag = limit.flag
		}
	}
	return where.in("orchestrator resume " + p.Task + " " + flag)
}

// family are the latest states of a task and of those that belong to it, by ID.
type family map[string]workflow.State

// blocked reports whether nothing of a task can go on without a person, and
// what it then waits for.
func (f family) blocked(task string) (waits, bool) {
	var w waits
	s, known := f[task]
	if !known || s.Status.Terminal() || s.Status == workflow.TaskQueued {
		return w, false
	}
	if p := pausedOf(s); s.Status == workflow.TaskPaused && p.Parent == "" {
		w.paused = append(w.paused, p)
	}
	w.asks = asksOf(s)
	for _, t := range s.Turns {
		switch {
		case t.Kind == workflow.KindGate, t.State == workflow.TurnUncertain:
		case t.Kind == workflow.KindTeam && t.Child != "":
			child, blocked := f.blocked(t.Child)
			if pausedHere := pausedOf(f[t.Child]).Parent != ""; !blocked || t.Stopping != "" || pausedHere && s.Status != workflow.TaskPaused {
				return w, false // or it is about to go on, or to end
			}
			w.asks, w.paused = append(w.asks, child.asks...), append(w.paused, child.paused...)
		default:
			return w, false
		}
	}
	return w, s.Status == workflow.TaskPaused || len(w.asks)+len(w.paused) > 0
}

// asks lists what people can answer in a task and in all that belong to it.
func (f family) asks() []ask {
	var out []ask
	for _, s := range f {
		out = append(out, asksOf(s)...)
	}
	slices.SortFunc(out, func(a, b ask) int {
		// What holds up a running turn comes first.
		return cmp.Or(-cmp.Compare(min(a.Question, 1), min(b.Question, 1)), cmp.Compare(a.Task, b.Task), cmp.Compare(a.Turn, b.Turn), cmp.Compare(a.Question, b.Question))
	})
	return out
}

func pausedOf(s workflow.State) pausedTask {
	p := pausedTask{Task: s.Task, Note: "paused"}
	if s.Pause != nil {
		p.By, p.Note = s.Pause.By, s.Pause.Note
		if s.Pause.Parent && s.Parent != nil {
			p.Parent = s.Parent.Task
		}
	}
	return p
}

// waitLines end a run whose task waits for a person.
func (l lineStyle) waitLines(s *story, w *waits) string {
	what := "waiting for a person"
	if len(w.paused) > 0 {
		what = "paused"
	}
	lines := []string{fmt.Sprintf("%s after %s · %s", l.bold(what), formatElapsed(time.Since(s.Submitted)), s.totals())}
	for _, p := range w.paused {
		lines = append(lines, "  "+oneLine(p.Note, 400)+taskRemark(s.Task, p.Task), "    "+p.command(w.place))
	}
	for _, a := range w.asks {
		lines = append(lines, fmt.Sprintf("  %s: %s%s%s", l.name(a.name()), a.question(), until(a.Expires), taskRemark(s.Task, a.Task)))
		for _, command := range a.commands(w.place) {
			lines = append(lines, "    "+command)
		}
	}
	then := "  then go on with:"
	if w.driven {
		then = "  the daemon then goes on; watch it with:"
	}
	lines = append(lines, then, "    "+w.resume)
	return strings.Join(lines, "\n")
}

// taskRemark names the task that something is about, where it is another one.
func taskRemark(task, other string) string {
	if task == other {
		return ""
	}
	return " (task " + other + ")"
}
