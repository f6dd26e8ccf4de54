package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// board is what is known of all tasks that are watched.
type board struct {
	tasks map[string]workflow.State
	// batches are those for which something is still to be done, the newest first.
	batches []batch.View
	// lost says why the daemon does not answer; nil while it does.
	lost error
}

// with takes new states in.
func (b *board) with(states []workflow.State) {
	if b.tasks == nil {
		b.tasks = map[string]workflow.State{}
	}
	for _, s := range states {
		if known, ok := b.tasks[s.Task]; !ok || known.Version <= s.Version {
			b.tasks[s.Task] = s
		}
	}
	b.forget()
}

// boardEnded is how many tasks that have ended are kept.
const boardEnded = 1000

// forget leaves out the oldest of those that have ended.
func (b *board) forget() {
	if len(b.tasks) <= boardEnded {
		return
	}
	var ended []workflow.State
	for _, s := range b.tasks {
		if s.Status.Terminal() {
			ended = append(ended, s)
		}
	}
	slices.SortFunc(ended, func(a, b workflow.State) int { return b.Updated.Compare(a.Updated) })
	for _, s := range ended[min(len(ended), boardEnded):] {
		delete(b.tasks, s.Task)
	}
}

// rank orders the states: what waits for a person first, what is over last.
func rank(s workflow.State) int {
	switch {
	case len(asksOf(s)) > 0:
		return 0
	case s.Status == workflow.TaskPaused:
		return 1
	case s.Status == workflow.TaskRunning, s.Status == workflow.TaskWaiting:
		return 2
	case s.Status == workflow.TaskQueued:
		return 3
	}
	return 4
}

// sorted are the tasks in the order of a table.
func (b *board) sorted() []workflow.State {
	out := make([]workflow.State, 0, len(b.tasks))
	for _, s := range b.tasks {
		out = append(out, s)
	}
	slices.SortFunc(out, func(x, y workflow.State) int {
		if rank(x) == 4 && rank(y) == 4 {
			return cmp.Or(y.Updated.Compare(x.Updated), cmp.Compare(x.Task, y.Task))
		}
		return cmp.Or(cmp.Compare(rank(x), rank(y)), y.Created.Compare(x.Created), cmp.Compare(x.Task, y.Task))
	})
	return out
}

// totals count the tasks in each state.
func (b *board) totals() string {
	var counts [5]int
	failed := 0
	for _, s := range b.tasks {
		counts[rank(s)]++
		if s.Status == workflow.TaskFailed {
			failed++
		}
	}
	var parts []string
	for i, name := range []string{"waiting for a person", "paused", "running", "queued", "ended"} {
		if counts[i] > 0 || name == "running" {
			parts = append(parts, fmt.Sprintf("%d %s", counts[i], name))
		}
	}
	if failed > 0 {
		parts = append(parts, fmt.Sprintf("%d of them failed", failed))
	}
	return strings.Join(parts, " · ")
}

// nodesNow are the nodes whose turns are live.
func nodesNow(s workflow.State) string {
	var names []string
	for _, t := range s.Turns {
		names = append(names, nodeName(t.Node, branchLabel(s, t.Branch)))
	}
	if len(names) == 0 {
		return "-"
	}
	return strings.Join(names, ", ")
}

// taken is how long a task has taken.
func taken(s workflow.State, now time.Time) time.Duration {
	if s.Status.Terminal() {
		return s.Updated.Sub(s.Created)
	}
	return now.Sub(s.Created)
}

// batchLine is how far a batch is, with its name.
func batchLine(v batch.View, width int) string {
	return "batch " + oneLine(cmp.Or(v.Name, v.ID), 40) + " " + batchBar(v, max(min(width, 40), 5))
}

// boardRow is a task in the table of watch.
func boardRow(s workflow.State, now time.Time) []string {
	return []string{
		s.Task, printable(s.Team), string(s.Status), cut(nodesNow(s), 24), formatElapsed(taken(s, now)),
		formatCount(s.Usage.TotalTokens), cmp.Or(spendingOf(s).short(), "-"), oneLine(currently(s, now), 80),
	}
}
