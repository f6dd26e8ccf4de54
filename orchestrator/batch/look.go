package batch

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Reader is what reading about batches needs of a store; *store.Store
// implements it, also where it was opened for reading only.
type Reader interface {
	Task(ctx context.Context, id string) (workflow.State, error)
	Batch(ctx context.Context, id string) (store.Batch, error)
	Batches(ctx context.Context, f store.BatchFilter) ([]store.Batch, error)
	BatchItems(ctx context.Context, batch string, f store.ItemFilter) ([]store.BatchItem, error)
	LookAtBatch(ctx context.Context, batch, active string, first int) (store.BatchLook, error)
	UnnotedTasks(ctx context.Context, batch string) (map[string]string, error)
	BatchTasks(ctx context.Context, batch string) ([]workflow.State, error)
}

func decodeState(row store.Batch) (State, error) {
	var state State
	if err := json.Unmarshal(row.State, &state); err != nil {
		return State{}, fmt.Errorf("state of batch %s: %w: %w", row.ID, store.ErrUnreadable, err)
	}
	return state, nil
}

// looked is what a look at the rows and the tasks of a batch has found.
type looked struct {
	canary int
	now    time.Time
	counts Counts
	// changed are the items that are not as they are stored: their tasks have
	// ended, or were made and not noted.
	changed []store.BatchItem
	// adopted says that there are tasks that were made and not noted. The next look
	// finds those that have ended, so that their items are seen to run before they end.
	adopted bool
	// active are the items with a task that has not ended.
	active []store.BatchItem
	// ended is the highest store.BatchItem.Ended.
	ended int64
	// took is the sum of the times that ended items took, and timed how many these are.
	took  time.Duration
	timed int
}

// look compares the items with their tasks. Nothing is changed by it. With adopt
// it looks for tasks that were made and not noted.
func look(ctx context.Context, s Reader, state State, adopt bool, now time.Time) (*looked, error) {
	l := &looked{canary: state.Options.Canary, now: now}
	var adopted []adoption
	if adopt {
		var err error
		if adopted, err = unnoted(ctx, s, state); err != nil {
			return nil, err
		}
	}
	rows, err := s.LookAtBatch(ctx, state.ID, string(ItemRunning), l.canary)
	if err != nil {
		return nil, err
	}
	l.ended = rows.LastEnded
	for _, c := range rows.Counts {
		l.counts.add(ItemState(c.State), c.All-c.First, false)
		l.counts.add(ItemState(c.State), c.First, true)
		l.took, l.timed = l.took+c.Time, l.timed+c.Timed
	}
	for _, item := range rows.Active {
		l.follow(item)
	}
	for _, a := range adopted {
		l.move(a.item, a.was, ItemRunning)
		l.adopted, l.changed = true, append(l.changed, a.item)
		l.run(a.item)
	}
	return l, nil
}

// follow takes notice of the task of an item that is running.
func (l *looked) follow(item store.BatchItem) {
	switch {
	case item.TaskStatus.Terminal() && !item.Finishing:
		detail := ""
		if item.TaskStatus != workflow.TaskSucceeded {
			detail = excerpt(item.Explanation, 500)
		}
		l.end(item, ItemState(item.TaskStatus), detail, item.TaskUpdated)
	case item.TaskStatus == "": // removed, so it had ended
		l.end(item, ItemCancelled, "its task was removed before its end was noted", l.now)
	default:
		l.run(item)
	}
}

// run notes that an item has a task that has not ended.
func (l *looked) run(item store.BatchItem) {
	if item.AwaitsPerson {
		l.counts.Running--
		l.counts.Waiting++
	}
	l.active = append(l.active, item)
}

// end notes that an item has ended.
func (l *looked) end(item store.BatchItem, as ItemState, detail string, at time.Time) {
	l.move(item, ItemState(item.State), as)
	l.ended++
	item.State, item.Detail, item.EndedAt, item.Ended = string(as), detail, at, l.ended
	l.changed = append(l.changed, item)
}

// move counts an item in another state.
func (l *looked) move(item store.BatchItem, from, to ItemState) {
	first := item.Number <= l.canary
	l.counts.add(from, -1, first)
	l.counts.add(to, 1, first)
}

func (c *Counts) add(state ItemState, n int, first bool) {
	canary := 0
	if first {
		canary = n
	}
	switch state {
	case ItemPending:
		c.Pending += n
		c.CanaryPending += canary
	case ItemRunning:
		c.Running += n
		c.CanaryActive += canary
	case ItemSucceeded:
		c.Succeeded += n
	case ItemFailed:
		c.Failed += n
		c.CanaryFailed += canary
	case ItemCancelled:
		c.Cancelled += n
	}
}

// awaitsPerson is as store.BatchItem.AwaitsPerson.
func awaitsPerson(s workflow.State) bool {
	return s.Status == workflow.TaskPaused || s.Status == workflow.TaskWaiting && !s.WaitingSince.IsZero()
}
