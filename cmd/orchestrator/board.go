package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// board is what is known of all tasks that are watched.
type board struct {
	tasks map[string]workflow.State
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

// forget leaves out the oldest of those that have ended, outside of batches that go on.
func (b *board) forget() {
	if len(b.tasks) <= boardEnded {
		return
	}
	going := map[string]bool{}
	var ended []workflow.State
	for _, s := range b.tasks {
		if s.Batch != "" && !s.Status.Terminal() {
			going[s.Batch] = true
		}
	}
	for _, s := range b.tasks {
		if s.Status.Terminal() && !going[s.Batch] {
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

// batchCount is how far a batch is.
type batchCount struct {
	name                        string
	total, ended, failed, going int
}

// batches are those of which something has not ended.
func (b *board) batches() []batchCount {
	byName := map[string]*batchCount{}
	for _, s := range b.tasks {
		if s.Batch == "" {
			continue
		}
		bar := byName[s.Batch]
		if bar == nil {
			bar = &batchCount{name: s.Batch}
			byName[s.Batch] = bar
		}
		bar.total++
		switch {
		case s.Status.Terminal():
			bar.ended++
			if s.Status != workflow.TaskSucceeded {
				bar.failed++
			}
		case s.Status != workflow.TaskQueued:
			bar.going++
		}
	}
	var out []batchCount
	for _, bar := range byName {
		if bar.ended < bar.total {
			out = append(out, *bar)
		}
	}
	slices.SortFunc(out, func(a, b batchCount) int { return cmp.Compare(a.name, b.name) })
	return out
}

// line draws the bar.
func (b batchCount) line(width int) string {
	width = max(min(width, 40), 5)
	full := 0
	if b.total > 0 {
		full = b.ended * width / b.total
	}
	text := fmt.Sprintf("batch %s %s%s %d of %d", printable(b.name), strings.Repeat("█", full), strings.Repeat("░", width-full), b.ended, b.total)
	if b.going > 0 {
		text += fmt.Sprintf(", %d running", b.going)
	}
	if b.failed > 0 {
		text += fmt.Sprintf(", %d failed", b.failed)
	}
	return text
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

// boardRow is a task in the table of watch.
func boardRow(s workflow.State, now time.Time) []string {
	return []string{
		s.Task, printable(s.Team), string(s.Status), cut(nodesNow(s), 24), formatElapsed(taken(s, now)),
		formatCount(s.Usage.TotalTokens), cmp.Or(spendingOf(s).short(), "-"), oneLine(currently(s, now), 80),
	}
}
