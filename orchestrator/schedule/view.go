package schedule

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// View is a schedule as people see it.
type View struct {
	Name string `json:"name"`
	Team string `json:"team"`
	// Cron, TimeZone, Overlap, Missed, Jitter, Priority and Input are as in Spec, with the defaults filled in.
	Cron     string         `json:"cron"`
	TimeZone string         `json:"time_zone"`
	Overlap  string         `json:"overlap"`
	Missed   string         `json:"missed"`
	Jitter   string         `json:"jitter,omitempty"`
	Priority int            `json:"priority,omitempty"`
	Input    map[string]any `json:"input,omitempty"`
	// Source is the file that has it.
	Source string `json:"source,omitempty"`
	// Enabled says that it fires; Removed that no file has it any more.
	Enabled bool      `json:"enabled"`
	Removed bool      `json:"removed,omitempty"`
	Created time.Time `json:"created"`
	// Next are the fires to come; none where it is disabled or removed.
	Next []Upcoming `json:"next,omitempty"`
	// Last is what became of the last fire; nil when it never fired.
	Last *FireView `json:"last,omitempty"`
	// Problem says why it cannot be computed with; empty when it can.
	Problem string `json:"problem,omitempty"`
}

// Upcoming is a fire to come.
type Upcoming struct {
	// Scheduled is its time, in the zone of the schedule, and Due when it is carried out.
	Scheduled time.Time `json:"scheduled"`
	Due       time.Time `json:"due"`
}

// FireView is a fire as people see it.
type FireView struct {
	Key       string          `json:"key"`
	Schedule  string          `json:"schedule"`
	Scheduled time.Time       `json:"scheduled"`
	Due       time.Time       `json:"due"`
	State     store.FireState `json:"state"`
	Reason    string          `json:"reason,omitempty"`
	// Task is the task that was submitted, and Status what has become of it; the
	// status is empty where the task is not kept any more.
	Task   string             `json:"task,omitempty"`
	Status workflow.TaskState `json:"status,omitempty"`
	// By is who asked for it.
	By      string    `json:"by,omitempty"`
	Decided time.Time `json:"decided,omitzero"`
}

// UnknownError says that there is no schedule of a name. It is a store.ErrNotFound.
type UnknownError struct {
	Name string
	// Known are the names that there are.
	Known []string
}

// Error implements error.
func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("there is no schedule %q: the daemon has none; write some in a team file or in its configuration", e.Name)
	}
	return fmt.Sprintf("there is no schedule %q; there are: %s", e.Name, strings.Join(e.Known, ", "))
}

// Is makes errors.Is(err, store.ErrNotFound) true.
func (e *UnknownError) Is(target error) bool { return target == store.ErrNotFound }

// unknown makes an UnknownError of store.ErrNotFound.
func unknown(ctx context.Context, in interface {
	Schedules(ctx context.Context) ([]store.Schedule, error)
}, name string, err error,
) error {
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	rows, failed := in.Schedules(ctx)
	if failed != nil {
		return failed
	}
	e := &UnknownError{Name: name}
	for _, row := range rows {
		e.Known = append(e.Known, row.Name)
	}
	return e
}

// Reading is what lists of schedules need of a store; *store.Store implements it.
type Reading interface {
	Schedules(ctx context.Context) ([]store.Schedule, error)
	Schedule(ctx context.Context, name string) (store.Schedule, error)
	Fires(ctx context.Context, schedule string, limit int) ([]store.Fire, error)
	Task(ctx context.Context, id string) (workflow.State, error)
}

// List shows all schedules, each with so many fires to come. It works without a
// Driver, also on a store that is open for reading only. Errors: store.ErrStorage.
func List(ctx context.Context, in Reading, now time.Time, upcoming int) ([]View, error) {
	rows, err := in.Schedules(ctx)
	if err != nil {
		return nil, err
	}
	views := make([]View, len(rows))
	for i, row := range rows {
		if views[i], err = viewOf(ctx, in, row, now, upcoming); err != nil {
			return nil, err
		}
	}
	return views, nil
}

// Show shows one schedule with so many fires to come. Errors: *UnknownError, store.ErrStorage.
func Show(ctx context.Context, in Reading, name string, now time.Time, upcoming int) (View, error) {
	row, err := in.Schedule(ctx, name)
	if err != nil {
		return View{}, unknown(ctx, in, name, err)
	}
	return viewOf(ctx, in, row, now, upcoming)
}

// History shows what became of the last fires of a schedule, the newest first; 0
// means 100. Errors: *UnknownError, store.ErrStorage.
func History(ctx context.Context, in Reading, name string, limit int) ([]FireView, error) {
	if _, err := in.Schedule(ctx, name); err != nil {
		return nil, unknown(ctx, in, name, err)
	}
	fires, err := in.Fires(ctx, name, limit)
	if err != nil {
		return nil, err
	}
	views := make([]FireView, len(fires))
	for i, f := range fires {
		if views[i], err = ViewFire(ctx, in, f); err != nil {
			return nil, err
		}
	}
	return views, nil
}

func viewOf(ctx context.Context, in Reading, row store.Schedule, now time.Time, upcoming int) (View, error) {
	v := View{Name: row.Name, Source: row.Source, Enabled: row.Enabled && !row.Removed, Removed: row.Removed, Created: row.Created}
	c, err := compileRow(row)
	if err != nil {
		v.Problem = err.Error()
	}
	s := c.spec
	v.Team, v.Cron, v.TimeZone, v.Input, v.Priority = s.Team, s.Cron, cmp.Or(s.TimeZone, "UTC"), s.Input, s.Priority
	v.Overlap, v.Missed = cmp.Or(s.Overlap, workflow.OverlapSkip), cmp.Or(s.Missed, workflow.MissedSkip)
	if s.Jitter > 0 {
		v.Jitter = s.Jitter.String()
	}
	if err == nil && v.Enabled {
		v.Next = NextFires(s, c.times, row.Created, now, upcoming)
	}
	last, err := in.Fires(ctx, row.Name, 1)
	if err != nil || len(last) == 0 {
		return v, err
	}
	view, err := ViewFire(ctx, in, last[0])
	v.Last = &view
	return v, err
}

// NextFires are the next fires of a schedule that was made at anchor.
func NextFires(s Spec, times Timetable, anchor, after time.Time, count int) []Upcoming {
	var next []Upcoming
	for range count {
		after = times.Next(anchor, after)
		next = append(next, Upcoming{Scheduled: after, Due: due(Key(s.Name, after), after, s.Jitter)})
	}
	return next
}

// ViewFire shows a fire with what has become of its task. Errors: store.ErrStorage.
func ViewFire(ctx context.Context, in Reading, f store.Fire) (FireView, error) {
	v := FireView{Key: f.Key, Schedule: f.Schedule, Scheduled: f.Scheduled, Due: f.Due, State: f.State, Reason: f.Reason, Task: f.Task, By: f.By, Decided: f.Decided}
	if f.Task == "" {
		return v, nil
	}
	task, err := in.Task(ctx, f.Task)
	switch {
	case err == nil:
		v.Status = task.Status
	case !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrUnreadable):
		return v, err
	}
	return v, nil
}

// decode reads the schedule that a row keeps.
func decode(row store.Schedule) (Spec, error) {
	var spec Spec
	if err := json.Unmarshal(row.Spec, &spec); err != nil {
		return Spec{}, fmt.Errorf("read schedule %s: %w: %w", row.Name, store.ErrUnreadable, err)
	}
	spec.Source = row.Source
	return spec, nil
}
