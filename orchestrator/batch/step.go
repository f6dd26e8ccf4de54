package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TaskKey is the idempotency key of the task of an item.
func TaskKey(batch, item string, attempt int) string {
	// So that no key of an item looks like a later attempt at another one.
	item = strings.NewReplacer("%", "%25", "#", "%23").Replace(item)
	key := "batch/" + batch + "/" + item
	if attempt > 1 {
		key += fmt.Sprintf("#%d", attempt)
	}
	return key
}

// Change does what a person wants of a batch, which is named as in store.Batch.
// Errors: *RefusedError, store.ErrBatchNotFound, store.ErrAmbiguous, store.ErrStorage.
func (d *Driver) Change(ctx context.Context, batch string, verb Verb, by string) (View, error) {
	row, err := d.o.Store.Batch(ctx, batch)
	if err != nil {
		return View{}, err
	}
	if err := d.step(ctx, row.ID, Event{Verb: verb, By: by}, false); err != nil {
		return View{}, err
	}
	d.remind(row.ID)
	return ReadView(ctx, d.o.Store, row.ID, d.now())
}

// Note takes notice of a task that goes on with an item of a batch: a retry of
// the item's task. Where it is not called, Run does so after the next start.
// Errors: store.ErrBatchNotFound, store.ErrStorage.
func (d *Driver) Note(ctx context.Context, batch string) error {
	unlock := d.lock(batch)
	d.setNoted(batch, false) // with the lock: a step that has looked before it says at its end that all is noted
	err := d.steps(ctx, batch, Event{Verb: Look}, false)
	unlock()
	if err != nil {
		return err
	}
	d.remind(batch)
	return nil
}

// step takes notice of what the tasks of a batch have become, decides, commits,
// and does what follows. Items are begun only with start.
func (d *Driver) step(ctx context.Context, id string, e Event, start bool) error {
	defer d.lock(id)()
	if e.Verb != Look && !d.isNoted(id) { // what is asked is meant for the tasks that were not noted, too
		if err := d.steps(ctx, id, Event{Verb: Look}, false); err != nil {
			return err
		}
	}
	return d.steps(ctx, id, e, start)
}

// steps is step, for who has the lock.
func (d *Driver) steps(ctx context.Context, id string, e Event, start bool) error {
	for {
		again, err := d.stepOnce(ctx, id, e, start)
		if err != nil {
			d.setNoted(id, false) // a task may have been made all the same
		}
		if err != nil || !again {
			return err
		}
		e = Event{Verb: Look}
	}
}

// stepOnce is one decision. again says that items ended by it, or may have ended
// before they were adopted, which calls for another one.
func (d *Driver) stepOnce(ctx context.Context, id string, e Event, start bool) (again bool, err error) {
	row, err := d.o.Store.Batch(ctx, id)
	if err != nil {
		return false, err
	}
	state, err := decodeState(row)
	if err != nil {
		return false, err
	}
	e.At = d.now()
	l, err := look(ctx, d.o.Store, state, !d.isNoted(id), e.At)
	if err != nil {
		return false, err
	}
	next, work, err := Decide(state, l.counts, e)
	if err != nil {
		return false, err
	}
	if err := d.commit(ctx, row, l, state, next, work); err != nil {
		return false, err
	}
	d.setNoted(id, true)
	if l.adopted { // by a Look, as step sees to: who asks for something is heard after it
		return true, nil
	}
	switch {
	case work.CancelItems:
		again, err = d.cancelTasks(ctx, l.active, e.By)
	case work.Start > 0 && start:
		again, err = d.begin(ctx, next, l, work.Start)
	}
	return again, err
}

// commit stores a decision with what was found, if anything is new.
func (d *Driver) commit(ctx context.Context, row store.Batch, l *looked, state, next State, work Work) error {
	if err := d.changeItems(ctx, next, l, work); err != nil {
		return err
	}
	if len(l.changed) == 0 && reflect.DeepEqual(state, next) {
		return nil
	}
	text, err := json.Marshal(next)
	if err != nil {
		return fmt.Errorf("encode the state of batch %s: %w", row.ID, err)
	}
	prev := row.Version
	row.Version, row.State, row.Status, row.Updated = prev+1, text, string(next.Status), l.now
	row.Open = !next.Status.Terminal() || len(l.active) > 0
	if err := d.o.Store.CommitBatch(ctx, prev, row, l.changed, notices(state, next, l.counts, row.Version)); err != nil {
		return err
	}
	if next.Status != state.Status && d.o.Changed != nil {
		d.o.Changed(next)
	}
	return nil
}

// changeItems adds to what has changed the items that a decision concerns as a whole.
func (d *Driver) changeItems(ctx context.Context, next State, l *looked, work Work) error {
	var from ItemState
	switch {
	case work.CancelItems && l.counts.Pending > 0:
		from = ItemPending
	case work.RetryItems:
		from = ItemFailed
	default:
		return nil
	}
	stored, err := d.o.Store.BatchItems(ctx, next.ID, store.ItemFilter{State: []string{string(from)}})
	if err != nil {
		return err
	}
	found := map[int]bool{}
	for i, item := range l.changed {
		found[item.Number] = true
		if work.RetryItems && item.State == string(ItemFailed) {
			l.changed[i] = again(item)
		}
	}
	for _, item := range stored {
		switch {
		case found[item.Number]: // it is not as it is stored
		case work.RetryItems:
			l.changed = append(l.changed, again(item))
		default:
			l.end(item, ItemCancelled, "the batch was cancelled before it began", l.now)
		}
	}
	return nil
}

// again is a failed item that is tried once more.
func again(item store.BatchItem) store.BatchItem {
	if item.Task != "" {
		item.Earlier = append(item.Earlier, item.Task)
	}
	item.Attempt++
	item.State, item.Task, item.Detail, item.Ended = string(ItemPending), "", "", 0
	return item
}

// cancelTasks cancels the tasks of items. again says that there were any.
func (d *Driver) cancelTasks(ctx context.Context, active []store.BatchItem, by string) (again bool, err error) {
	for _, item := range active {
		if item.Finishing {
			continue
		}
		if _, err := d.o.Tasks.Cancel(ctx, item.Task, by); err != nil && !errors.Is(err, workflow.ErrTerminal) {
			return false, err
		}
		again = true
	}
	return again, nil
}

// begin makes the tasks of the next n pending items. again says that some of them
// have failed by that.
func (d *Driver) begin(ctx context.Context, state State, l *looked, n int) (again bool, err error) {
	team, err := d.team(ctx, state.Revision)
	if err != nil {
		return false, err
	}
	pending, err := d.o.Store.BatchItems(ctx, state.ID, store.ItemFilter{State: []string{string(ItemPending)}, Limit: n})
	if err != nil {
		return false, err
	}
	l.changed = nil
	for _, item := range pending {
		task, failure := d.submit(ctx, team, state, item)
		switch {
		case failure == nil:
			item.State, item.Task, item.Started = string(ItemRunning), task.Task, task.Created
			l.changed = append(l.changed, item)
		case notOfItem(ctx, failure):
			err = failure
		default:
			item.Started = l.now
			l.end(item, ItemFailed, excerpt(failure.Error(), 500), l.now)
			again = true
		}
		if err != nil {
			break
		}
	}
	if len(l.changed) > 0 {
		err = errors.Join(err, d.o.Store.SetBatchItems(context.WithoutCancel(ctx), state.ID, l.changed))
	}
	return again, err
}

func (d *Driver) submit(ctx context.Context, team *workflow.Team, state State, item store.BatchItem) (workflow.State, error) {
	var given map[string]any
	if err := json.Unmarshal(item.Input, &given); err != nil {
		return workflow.State{}, fmt.Errorf("input of item %d: %w: %w", item.Number, store.ErrUnreadable, err)
	}
	input, err := team.BindInput(given) // numbers get their types back
	if err != nil {
		return workflow.State{}, err
	}
	task, _, err := d.o.Tasks.Submit(ctx, engine.Submission{
		Team: team, Input: input, Key: TaskKey(state.ID, item.Key, item.Attempt), Priority: state.Options.Priority, Batch: state.ID,
	})
	return task, err
}

// notOfItem reports whether an error says nothing about the item, so that it is tried again.
func notOfItem(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return true
	}
	for _, target := range []error{store.ErrStorage, store.ErrClosed, engine.ErrStopped, engine.ErrStopping, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

func (d *Driver) isNoted(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.noted[id]
}

func (d *Driver) setNoted(id string, noted bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.noted[id] = noted
}
