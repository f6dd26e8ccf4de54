package main

import (
	"context"
	"errors"
	"iter"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// followOptions say which events are wanted.
type followOptions struct {
	// task is the whole ID of one task, of which after counts the events. Empty is
	// all tasks: after is then a position in the order of all commits.
	task string
	// tree selects, of all tasks, the one with this ID and those that it has started.
	tree string
	// after is what to begin after where begin is set; else one task is told from
	// its beginning, and all tasks from now on.
	after int64
	begin bool
	// progress asks for what turns do now, too, which only a daemon knows.
	progress bool
	// lost is told when the daemon does not answer, and with nil when it does again.
	lost func(error)
	// connected is called whenever following has begun: what was committed before,
	// and is not asked for, is not told. Both may be nil.
	connected func()
}

// followed is something that is told: a record, what a turn does, or trouble with the store.
type followed struct {
	record   *store.Record
	task     string
	progress *engine.TurnProgress
	storage  *engine.StorageTrouble
}

// journalEvents end with an error, or when nobody takes them any more.
type journalEvents = iter.Seq2[followed, error]

// pollInterval is how often a data directory is looked at for events of another process.
const pollInterval = 200 * time.Millisecond

// followPage is how many events are read at once.
const followPage = 500

// Follow implements reader: another process may write the data directory, which tells nobody.
func (r localReader) Follow(ctx context.Context, o followOptions) journalEvents {
	return func(yield func(followed, error) bool) {
		after := o.after
		if o.task == "" && !o.begin {
			var err error
			if after, err = r.LastPosition(ctx); err != nil {
				yield(followed{}, err)
				return
			}
		}
		if o.connected != nil {
			o.connected()
		}
		again := time.NewTicker(pollInterval)
		defer again.Stop()
		for {
			records, next, err := r.after(ctx, o, after)
			if err != nil {
				yield(followed{}, err)
				return
			}
			for _, rec := range records {
				if !yield(followed{record: &rec, task: rec.Task}, nil) {
					return
				}
			}
			if after != next {
				after = next
				continue // there may be more
			}
			select {
			case <-again.C:
			case <-ctx.Done():
				yield(followed{}, context.Cause(ctx))
				return
			}
		}
	}
}

// after are events that follow one, and what they are followed by.
func (r localReader) after(ctx context.Context, o followOptions, after int64) ([]store.Record, int64, error) {
	if o.task != "" {
		records, err := r.Events(ctx, o.task, after)
		if n := len(records); n > 0 {
			after = records[n-1].Seq
		}
		return records, after, err
	}
	events, err := r.EventsAfter(ctx, after, followPage)
	var records []store.Record
	for _, e := range events {
		if after = e.Position; belongs(o.tree, e.Task) {
			records = append(records, e.Record)
		}
	}
	return records, after, err
}

// belongs reports whether a task is the one of a tree, or one that it has started.
func belongs(tree, task string) bool {
	return tree == "" || task == tree || strings.HasPrefix(task, tree+".")
}

// Follow implements reader.
func (d *daemonBackend) Follow(ctx context.Context, o followOptions) journalEvents {
	events := d.Daemon.Follow(ctx, client.FollowOptions{
		Task: o.task, Tree: o.tree, After: o.after, Begin: o.begin, Progress: o.progress, Lost: o.lost, Connected: o.connected, Patience: d.patience,
	})
	return func(yield func(followed, error) bool) {
		for e, err := range events {
			if err != nil {
				yield(followed{}, err)
				return
			}
			told := followed{}
			switch {
			case e.Record != nil:
				record := storeRecord(*e.Record)
				told.record, told.task = &record, record.Task
			case e.Progress != nil:
				p := e.Progress
				told.task, told.progress = p.Task, &engine.TurnProgress{Turn: p.Turn, Attempt: p.Attempt, Node: p.Node, Progress: engine.Progress{
					Kind: engine.ProgressKind(p.Kind), Text: p.Text, Tool: p.Tool, Argument: p.Argument, Usage: p.Usage,
				}}
			case e.Storage != nil:
				told.storage = &engine.StorageTrouble{Err: errors.New(e.Storage.Error), Since: e.Storage.Since, Over: e.Storage.Over}
			}
			if !yield(told, nil) {
				return
			}
		}
	}
}
