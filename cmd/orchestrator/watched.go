package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// watched is what is known of a task and of those that belong to it: the
// latest states, and how much of each journal was reported.
type watched struct {
	family family
	seq    map[string]int64
}

// look reads what is new in the journals of a task and of all that it started,
// parents before their children.
func (w *watched) look(ctx context.Context, r reader, task string) ([]store.Record, error) {
	state, records, children, err := r.Look(ctx, task, w.seq[task])
	if err != nil {
		return nil, err
	}
	if n := len(records); n > 0 {
		w.seq[task] = records[n-1].Seq
	}
	if known, ok := w.family[task]; !ok || known.Version < state.Version {
		w.family[task] = state
	}
	for _, child := range children {
		more, err := w.look(ctx, r, child.Task)
		if err != nil {
			return nil, err
		}
		records = append(records, more...)
	}
	return records, nil
}

// sorted are the states in order of their IDs.
func (f family) sorted() []workflow.State {
	return slices.SortedFunc(maps.Values(f), func(a, b workflow.State) int { return strings.Compare(a.Task, b.Task) })
}

// report shows one update and says whether it is a committed event.
func (d *drive) report(u engine.Update) (committed bool) {
	if u.Storage != nil {
		d.reporter.note(storageNote(u.Storage))
		return false
	}
	if !belongs(d.task, u.Task) {
		return false
	}
	switch {
	case u.Record != nil:
		if u.Record.Seq <= d.seq[u.Task] {
			return false
		}
		d.seq[u.Task], d.family[u.Task] = u.Record.Seq, *u.Record.State
		d.reporter.record(store.Record{Task: u.Task, Seq: u.Record.Seq, Event: u.Record.Event, Effects: u.Record.Effects})
		return true
	case u.Progress != nil:
		d.reporter.progress(u.Task, u.Progress.Turn, u.Progress.Node, u.Progress.Progress)
	}
	return false
}

// storageNote tells that the store does not work, or that it works again.
func storageNote(trouble *engine.StorageTrouble) string {
	if !trouble.Over.IsZero() {
		return "the store works again after " + formatElapsed(trouble.Over.Sub(trouble.Since)) + "; going on"
	}
	what, todo := diagnose(trouble.Err)
	todo, _, _ = strings.Cut(todo, ";")
	return fmt.Sprintf("%s: nothing new is started, what runs goes on, and nothing is lost\n  what to do: %s; this run then goes on by itself", what, strings.TrimSuffix(todo, " and go on"))
}
