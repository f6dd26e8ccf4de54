package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// longestSleep bounds how late it is noticed that the clock was set or that the
	// machine slept: timers do not run by the clock on the wall.
	longestSleep = time.Minute
	// retryWait is how long a pass that failed waits for the next.
	retryWait = 15 * time.Second
	// defaultKeep is how many fires of a schedule are kept.
	defaultKeep = 1000
)

// Store is what the Driver needs of a store; *store.Store implements it.
type Store interface {
	SetSchedules(ctx context.Context, specs []store.ScheduleSpec, at time.Time) error
	EnableSchedule(ctx context.Context, name string, enabled bool, at time.Time) (store.Schedule, error)
	Schedules(ctx context.Context) ([]store.Schedule, error)
	Schedule(ctx context.Context, name string) (store.Schedule, error)
	PlanFires(ctx context.Context, name string, fires []store.Fire, considered time.Time, keep int) error
	AddFire(ctx context.Context, f store.Fire) (got store.Fire, added bool, err error)
	DecideFire(ctx context.Context, f store.Fire) error
	OpenFires(ctx context.Context) ([]store.Fire, error)
	Fires(ctx context.Context, schedule string, limit int) ([]store.Fire, error)
	ByKey(ctx context.Context, key string) (workflow.State, error)
	List(ctx context.Context, f store.Filter) ([]workflow.State, error)
}

// Request is a task that a fire asks for.
type Request struct {
	// Key is the idempotency key: the same key must never make a second task.
	Key string
	// Schedule, Team, Input and Priority are those of the Spec.
	Schedule, Team string
	Input          map[string]any
	Priority       int
}

// Tasks is who makes the tasks of fires, and ends them.
type Tasks interface {
	// Submit makes a task and returns its ID. An error for which it is worth trying
	// again is store.ErrUnavailable, engine.ErrStopped or the end of ctx; with every
	// other one the fire has failed.
	Submit(ctx context.Context, r Request) (task string, err error)
	// Cancel ends a task; one that has ended already is workflow.ErrTerminal.
	Cancel(ctx context.Context, task, by string) error
	// Subscribe delivers what happens to all tasks.
	Subscribe() *engine.Subscription
}

// Options are the parts of a Driver. Store, Tasks and Clock are required.
type Options struct {
	Store Store
	Tasks Tasks
	Clock engine.Clock
	Log   zerolog.Logger
	// Keep is how many fires of each schedule are kept; default 1000.
	Keep int
	// Fired is told of every fire that was decided; nil is not called.
	Fired func(f store.Fire)
}

// Driver writes down the fires of all schedules when their times come, and
// submits their tasks. Its methods may be called concurrently.
type Driver struct {
	o    Options
	wake chan struct{} // holds one token when there is something to look at

	mu       sync.Mutex // one pass at a time
	compiled map[string]compiled
}

// compiled is a schedule as it can be computed with, by its name.
type compiled struct {
	hash  string
	spec  Spec
	times Timetable
}

// New returns a driver that does nothing until Run is called.
func New(o Options) *Driver {
	if o.Store == nil || o.Tasks == nil || o.Clock == nil {
		panic("schedule.New: Options.Store, Options.Tasks and Options.Clock are required")
	}
	o.Keep = cmp.Or(max(o.Keep, 0), defaultKeep)
	return &Driver{o: o, wake: make(chan struct{}, 1), compiled: map[string]compiled{}}
}

// Set makes these the schedules that there are, also after a reload: what is known
// of a schedule with the same name is kept. When any of them is wrong, nothing is
// changed. Errors: those of Spec.Validate, store.ErrStorage.
func (d *Driver) Set(ctx context.Context, specs []Spec) error {
	rows, err := rowsOf(specs)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.o.Store.SetSchedules(ctx, rows, d.now().Truncate(time.Second)); err != nil {
		return err
	}
	d.Wake()
	return nil
}

func rowsOf(specs []Spec) ([]store.ScheduleSpec, error) {
	var errs []error
	seen := map[string]string{}
	rows := make([]store.ScheduleSpec, 0, len(specs))
	for _, spec := range specs {
		if other, twice := seen[spec.Name]; twice {
			errs = append(errs, fmt.Errorf("schedule %s is in %s and in %s: choose another name for one of them", spec.Name, other, spec.Source))
			continue
		}
		seen[spec.Name] = spec.Source
		if err := spec.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("schedule %s of %s: %w", spec.Name, spec.Source, err))
			continue
		}
		text, hash, err := spec.encode()
		errs = append(errs, err)
		rows = append(rows, store.ScheduleSpec{
			Name: spec.Name, Spec: text, Hash: hash, Times: spec.TimeZone + " " + spec.Cron, Source: spec.Source, Enabled: !spec.Disabled,
		})
	}
	return rows, errors.Join(errs...)
}

// Wake makes the driver look at everything again.
func (d *Driver) Wake() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// Run carries the schedules out until ctx ends; then it returns nil. While the
// store is unavailable it waits. Errors: store.ErrStorage when the store failed for good.
func (d *Driver) Run(ctx context.Context) error {
	ended := d.o.Tasks.Subscribe()
	defer func() { ended.Close() }()
	for {
		wait, err := d.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return nil // it was asked to end
		case temporary(err):
			d.o.Log.Warn().Err(err).Msg("the schedules wait: it is tried again")
			wait = retryWait
		case err != nil:
			return fmt.Errorf("carry out the schedules: %w", err)
		}
		timer := d.o.Clock.NewTimer(wait)
		if !d.await(ctx, timer, ended) {
			ended.Close()
			ended = d.o.Tasks.Subscribe() // it was too slow: the next pass looks at everything
		}
		timer.Stop()
		if errors.Is(ended.Err(), engine.ErrStopped) {
			return nil
		}
	}
}

// await returns when there is something to look at; false means that the
// subscription has ended.
func (d *Driver) await(ctx context.Context, timer engine.Timer, ended *engine.Subscription) bool {
	for {
		select {
		case <-ctx.Done():
			return true
		case <-timer.C():
			return true
		case <-d.wake:
			return true
		case update, open := <-ended.Updates():
			if !open {
				return false
			}
			if r := update.Record; r != nil && r.State.Schedule != "" && r.State.Status.Terminal() {
				return true // a fire may wait for it
			}
		}
	}
}

// temporary reports whether an error is one that passes.
func temporary(err error) bool {
	return errors.Is(err, store.ErrUnavailable) || errors.Is(err, engine.ErrStopped) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// pass does all that the time and the rows of the store ask for, and returns how
// long there is nothing more to do. It may be stopped anywhere, and then does the
// same again: fires are written by key, and their tasks have that key.
func (d *Driver) pass(ctx context.Context) (time.Duration, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	rows, err := d.o.Store.Schedules(ctx)
	if err != nil {
		return 0, err
	}
	next := now.Add(longestSleep)
	known := map[string]entry{}
	for _, row := range rows {
		e := d.entry(row)
		known[row.Name] = e
		if !e.active() {
			continue
		}
		p := plan(e.spec, e.times, row.Created, row.Considered, now)
		if len(p.Fires) > 0 || row.Considered.After(now) {
			if err := d.o.Store.PlanFires(ctx, row.Name, p.Fires, p.Considered, d.o.Keep); err != nil {
				return 0, err
			}
		}
		next = earlier(next, e.times.Next(row.Created, now))
	}
	waiting, err := d.carryOut(ctx, known, now)
	if !waiting.IsZero() {
		next = earlier(next, waiting)
	}
	return max(next.Sub(now), 0), err
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// entry is a schedule in a pass.
type entry struct {
	row store.Schedule
	compiled
	// err says why it cannot be computed with.
	err error
}

func (e entry) active() bool { return e.err == nil && e.row.Enabled && !e.row.Removed }

// entry reads a row. d.mu is held.
func (d *Driver) entry(row store.Schedule) entry {
	c, known := d.compiled[row.Name]
	if !known || c.hash != row.Hash {
		var err error
		if c, err = compileRow(row); err != nil {
			d.o.Log.Error().Err(err).Str("schedule", row.Name).Msg("the schedule cannot be read and does not fire")
			return entry{row: row, err: err}
		}
		d.compiled[row.Name] = c
	}
	return entry{row: row, compiled: c}
}

func compileRow(row store.Schedule) (compiled, error) {
	spec, err := decode(row)
	if err != nil {
		return compiled{}, err
	}
	times, err := Compile(spec.Cron, spec.TimeZone)
	return compiled{hash: row.Hash, spec: spec, times: times}, err
}

// RunNow makes a schedule fire now, whatever its overlap says and also when it is
// disabled. The same key is the same fire; an empty one is a new one. by says who
// asked for it. The fire is returned as it is after it was carried out. Errors:
// *UnknownError, store.ErrStorage.
func (d *Driver) RunNow(ctx context.Context, name, key, by string) (store.Fire, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	row, err := d.o.Store.Schedule(ctx, name)
	if err != nil {
		return store.Fire{}, unknown(ctx, d.o.Store, name, err)
	}
	now := d.now()
	f, _, err := d.o.Store.AddFire(ctx, store.Fire{
		Key: "schedule/" + name + "/run/" + cmp.Or(key, ulid.Make().String()), Schedule: name, Scheduled: now, Due: now,
		State: store.FireDue, Reason: "asked for", By: cmp.Or(by, "somebody"),
	})
	if err != nil || f.State != store.FireDue {
		return f, err
	}
	return d.decide(ctx, d.entry(row), f, &queues{}, now)
}

// Enable lets a schedule fire, or no more. Errors: *UnknownError, store.ErrStorage.
func (d *Driver) Enable(ctx context.Context, name string, enabled bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.o.Store.EnableSchedule(ctx, name, enabled, d.now()); err != nil {
		return unknown(ctx, d.o.Store, name, err)
	}
	d.Wake()
	return nil
}

// now is in UTC, in the precision that the store keeps.
func (d *Driver) now() time.Time { return d.o.Clock.Now().UTC().Truncate(time.Microsecond) }
