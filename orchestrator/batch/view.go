package batch

import (
	"context"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// View is a batch as people see it.
type View struct {
	State
	Counts Counts `json:"counts"`
	// Left is an estimate of the time until all items have ended; 0 is not known.
	Left time.Duration `json:"left,omitempty"`
	// LastEnded counts the ends of items so far: see ItemFilter.EndedAfter.
	LastEnded int64 `json:"last_ended"`
}

// Settled reports whether nothing more happens before a person does something,
// gates of tasks included.
func (v View) Settled() bool {
	return v.Counts.Running == 0 && (v.Status != Running || v.Counts.Pending == 0 && v.Counts.Waiting > 0)
}

// ItemView is an item as people see it.
type ItemView struct {
	Number int       `json:"number"`
	Key    string    `json:"key"`
	Label  string    `json:"label"`
	Origin string    `json:"origin,omitempty"`
	State  ItemState `json:"state"`
	// TaskState is that of its task; empty where there is none any more, or not yet.
	TaskState workflow.TaskState `json:"task_state,omitempty"`
	// Waits says that its task waits for a person.
	Waits   bool   `json:"waits,omitempty"`
	Attempt int    `json:"attempt"`
	Task    string `json:"task,omitempty"`
	// Earlier are the tasks of the attempts before.
	Earlier []string `json:"earlier,omitempty"`
	// Detail says why it has ended, where no task says it.
	Detail  string    `json:"detail,omitempty"`
	Started time.Time `json:"started,omitzero"`
	EndedAt time.Time `json:"ended_at,omitzero"`
	// Ended is the place of the item in the order of the ends; 0 before.
	Ended int64 `json:"ended,omitempty"`
}

// ReadView reads a batch, which is named as in store.Batch. Errors:
// store.ErrBatchNotFound, store.ErrAmbiguous, store.ErrStorage.
func ReadView(ctx context.Context, s Reader, batch string, now time.Time) (View, error) {
	row, err := s.Batch(ctx, batch)
	if err != nil {
		return View{}, err
	}
	return viewOf(ctx, s, row, now)
}

// ReadViews reads batches, the newest first. Errors: store.ErrStorage.
func ReadViews(ctx context.Context, s Reader, f store.BatchFilter, now time.Time) ([]View, error) {
	rows, err := s.Batches(ctx, f)
	if err != nil {
		return nil, err
	}
	views := make([]View, 0, len(rows))
	for _, row := range rows {
		view, err := viewOf(ctx, s, row, now)
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, nil
}

func viewOf(ctx context.Context, s Reader, row store.Batch, now time.Time) (View, error) {
	state, err := decodeState(row)
	if err != nil {
		return View{}, err
	}
	l, err := look(ctx, s, state, false, now)
	if err != nil {
		return View{}, err
	}
	view := View{State: state, Counts: l.counts, LastEnded: l.ended - int64(len(l.changed))}
	if state.Status == Running && l.timed > 0 {
		view.Left = timeLeft(l.counts, state.Options.MaxParallel, l.took/time.Duration(l.timed))
	}
	return view, nil
}

// timeLeft is how long the items that are left take, if each takes as long as
// those before: half of it is left of each that is running.
func timeLeft(c Counts, parallel int, each time.Duration) time.Duration {
	lines := max(1, min(parallel, c.Pending+c.Running))
	return time.Duration((float64(c.Pending) + float64(c.Running)/2) / float64(lines) * float64(each))
}

// Items reads items of a batch, named by its whole ID. Errors: store.ErrStorage.
func Items(ctx context.Context, s Reader, batch string, f store.ItemFilter) ([]ItemView, error) {
	rows, err := s.BatchItems(ctx, batch, f)
	if err != nil {
		return nil, err
	}
	views := make([]ItemView, len(rows))
	for i, row := range rows {
		views[i] = itemView(row)
	}
	return views, nil
}

func itemView(row store.BatchItem) ItemView {
	return ItemView{
		Number: row.Number, Key: row.Key, Label: row.Label, Origin: row.Origin, State: ItemState(row.State), TaskState: row.TaskStatus,
		Waits:   row.AwaitsPerson && ItemState(row.State) == ItemRunning,
		Attempt: row.Attempt, Task: row.Task, Earlier: row.Earlier, Detail: row.Detail, Started: row.Started, EndedAt: row.EndedAt, Ended: row.Ended,
	}
}
