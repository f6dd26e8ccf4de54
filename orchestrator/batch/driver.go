package batch

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// retryAfter is how long a Driver waits before it looks again at a batch of
// which the store or the engine did not take a step.
const retryAfter = 5 * time.Second

// Store is what a Driver needs of a store; *store.Store implements it.
type Store interface {
	Reader
	SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error
	Revision(ctx context.Context, hash string) (store.Revision, error)
	CreateBatch(ctx context.Context, b store.Batch, items []store.BatchItem, goOn bool) (store.Batch, bool, error)
	CommitBatch(ctx context.Context, prev int64, b store.Batch, items []store.BatchItem, notices []store.Notice) error
	SetBatchItems(ctx context.Context, batch string, items []store.BatchItem) error
}

// Tasks is what a Driver needs of an engine; *engine.Engine implements it.
type Tasks interface {
	// Submit makes a task, once for a key.
	Submit(ctx context.Context, sub engine.Submission) (state workflow.State, created bool, err error)
	Cancel(ctx context.Context, task, by string) (workflow.State, error)
	Subscribe(task string) *engine.Subscription
}

// DriverOptions are the parts of a Driver. Store and Tasks are required.
type DriverOptions struct {
	Store Store
	Tasks Tasks
	Log   zerolog.Logger
	// Now is the clock; default that of the machine.
	Now func() time.Time
	// IDs makes the ID of a new batch; default a ULID.
	IDs func() string
	// Changed is called after the status of a batch has changed, with the change as
	// the last of State.Changes; nil is not called. It must not block.
	Changed func(State)
}

// Driver brings batches on. Its methods may be called concurrently; requests
// work without Run, which alone begins items.
type Driver struct {
	o DriverOptions

	mu    sync.Mutex
	locks map[string]*sync.Mutex
	teams map[string]*workflow.Team
	// noted are the batches whose tasks have been looked for since the start.
	noted map[string]bool
	// due are batches to be looked at.
	due  map[string]bool
	wake chan struct{}
}

// NewDriver returns a Driver that begins no items until Run.
func NewDriver(o DriverOptions) *Driver {
	if o.Store == nil || o.Tasks == nil {
		panic("batch.NewDriver: DriverOptions.Store and DriverOptions.Tasks are required")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.IDs == nil {
		o.IDs = func() string { return ulid.Make().String() }
	}
	return &Driver{
		o: o, locks: map[string]*sync.Mutex{}, teams: map[string]*workflow.Team{}, noted: map[string]bool{},
		due: map[string]bool{}, wake: make(chan struct{}, 1),
	}
}

func (d *Driver) now() time.Time { return d.o.Now().UTC().Truncate(time.Microsecond) }

// lock serialises the decisions on one batch.
func (d *Driver) lock(id string) (unlock func()) {
	d.mu.Lock()
	one := d.locks[id]
	if one == nil {
		one = &sync.Mutex{}
		d.locks[id] = one
	}
	d.mu.Unlock()
	one.Lock()
	return one.Unlock
}

// remind makes Run look at batches.
func (d *Driver) remind(ids ...string) {
	d.mu.Lock()
	for _, id := range ids {
		d.due[id] = true
	}
	d.mu.Unlock()
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// takeDue returns the batches to be looked at; with only, those alone.
func (d *Driver) takeDue(only []string) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	due := slices.Sorted(maps.Keys(d.due))
	clear(d.due)
	if len(only) == 0 {
		return due
	}
	return slices.DeleteFunc(due, func(id string) bool { return !slices.Contains(only, id) })
}

// Run brings all batches on until ctx ends, or with only those. It looks at the
// rows and at the tasks, so that it does not matter what was missed before. It
// returns nil when ctx ended or the engine has stopped.
func (d *Driver) Run(ctx context.Context, only ...string) error {
	updates := d.o.Tasks.Subscribe("").WithoutProgress()
	defer func() { updates.Close() }()
	retry := time.NewTimer(0) // looks at everything that is open
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-retry.C:
			if err := d.remindOpen(ctx); err != nil {
				d.o.Log.Warn().Err(err).Msg("the batches cannot be read; trying again")
				retry.Reset(retryAfter)
			}
		case <-d.wake:
		case u, ok := <-updates.Updates():
			if !ok {
				if errors.Is(updates.Err(), engine.ErrStopped) {
					return nil
				}
				updates.Close()
				updates = d.o.Tasks.Subscribe("").WithoutProgress()
				retry.Reset(0) // updates were missed
				continue
			}
			d.notice(u, retry)
		}
		d.noticeMore(updates, retry)
		for _, id := range d.takeDue(only) {
			if err := d.step(ctx, id, Event{Verb: Look}, true); err != nil && ctx.Err() == nil && !errors.Is(err, engine.ErrStopped) {
				d.o.Log.Warn().Err(err).Str("batch", id).Msg("the batch could not be brought on; trying again")
				retry.Reset(retryAfter)
			}
		}
	}
}

// noticeMore takes what has come meanwhile, so that one look does for all of it.
func (d *Driver) noticeMore(updates *engine.Subscription, retry *time.Timer) {
	for {
		select {
		case u, ok := <-updates.Updates():
			if !ok {
				return // Run finds it closed
			}
			d.notice(u, retry)
		default:
			return
		}
	}
}

// notice says which batch an update is about. Only what may free a place counts.
func (d *Driver) notice(u engine.Update, retry *time.Timer) {
	switch {
	case u.Storage != nil:
		retry.Reset(0)
	case u.Record == nil || u.Record.State.Batch == "":
	case u.Record.State.Status.Terminal(), u.Record.State.Status == workflow.TaskWaiting, u.Record.State.Status == workflow.TaskPaused:
		d.mu.Lock()
		d.due[u.Record.State.Batch] = true
		d.mu.Unlock()
	}
}

func (d *Driver) remindOpen(ctx context.Context) error {
	after := ""
	for {
		page, err := d.o.Store.Batches(ctx, store.BatchFilter{Open: true, Limit: 500, After: after})
		if err != nil {
			return err
		}
		for _, b := range page {
			d.remind(b.ID)
			after = b.ID
		}
		if len(page) < 500 {
			return nil
		}
	}
}

// team is a pinned revision.
func (d *Driver) team(ctx context.Context, revision string) (*workflow.Team, error) {
	d.mu.Lock()
	team := d.teams[revision]
	d.mu.Unlock()
	if team != nil {
		return team, nil
	}
	r, err := d.o.Store.Revision(ctx, revision)
	if err != nil {
		return nil, err
	}
	if team, err = workflow.Parse(r.File, r.Source, workflow.ParseOptions{Load: workflow.LoadSources(r.File, r.Sources)}); err != nil {
		return nil, fmt.Errorf("team %s, revision %s, is no longer valid: %w", r.Name, revision, err)
	}
	d.mu.Lock()
	d.teams[revision] = team
	d.mu.Unlock()
	return team, nil
}
