package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// carryOut decides the open fires whose time has come, in order. It returns when
// the next one is due; zero means none.
func (d *Driver) carryOut(ctx context.Context, known map[string]entry, now time.Time) (time.Time, error) {
	open, err := d.o.Store.OpenFires(ctx)
	if err != nil {
		return time.Time{}, err
	}
	waiting := countQueued(open)
	for _, f := range open {
		if f.Due.After(now) {
			return f.Due, nil // they are in order
		}
		if _, err := d.decide(ctx, known[f.Schedule], f, waiting, now); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// queues counts the fires that wait, by schedule.
type queues struct{ waiting map[string]int }

func countQueued(open []store.Fire) *queues {
	q := &queues{waiting: map[string]int{}}
	for _, f := range open {
		if f.State == store.FireQueued {
			q.waiting[f.Schedule]++
		}
	}
	return q
}

// decide carries out one fire whose time has come, writes down what became of it
// and returns it so. d.mu is held. An error is one of the store, or one that passes.
func (d *Driver) decide(ctx context.Context, e entry, f store.Fire, q *queues, now time.Time) (store.Fire, error) {
	before := f.State
	state, task, reason, err := d.outcome(ctx, e, f, q)
	if err != nil {
		return f, err
	}
	if state == store.FireQueued && before == store.FireQueued {
		return f, nil
	}
	switch {
	case state == store.FireQueued:
		q.waiting[f.Schedule]++
	case before == store.FireQueued:
		q.waiting[f.Schedule]--
	}
	f.State, f.Task, f.Decided = state, task, now
	f.Reason = joinReasons(f.Reason, reason)
	if err := d.o.Store.DecideFire(ctx, f); err != nil {
		return f, err
	}
	if d.o.Fired != nil {
		d.o.Fired(f)
	}
	log := d.o.Log.Info()
	if state == store.FireFailed {
		log = d.o.Log.Error()
	}
	log.Str("schedule", f.Schedule).Time("scheduled", f.Scheduled).Str("state", string(state)).Str("task", task).Str("reason", f.Reason).Msg("a schedule fired")
	return f, nil
}

// outcome finds out what becomes of a fire, and does it.
func (d *Driver) outcome(ctx context.Context, e entry, f store.Fire, q *queues) (state store.FireState, task, reason string, err error) {
	// Whoever was stopped before this was written down may have submitted it.
	switch made, err := d.o.Store.ByKey(ctx, f.Key); {
	case err == nil:
		return store.FireSubmitted, made.Task, "", nil
	case errors.Is(err, store.ErrRemoved):
		return store.FireSkipped, "", "its task was submitted before, and has been removed since", nil
	case !errors.Is(err, store.ErrNotFound):
		return "", "", "", err
	}
	manual := f.By != ""
	switch {
	case e.err != nil:
		return store.FireFailed, "", "the schedule cannot be read: " + e.err.Error(), nil //nolint:nilerr // that is what becomes of it
	case e.row.Removed:
		return store.FireSkipped, "", "no file has the schedule any more", nil
	case !e.row.Enabled && !manual:
		return store.FireSkipped, "", "the schedule is disabled", nil
	}
	if !manual && e.spec.Overlap != workflow.OverlapAllow {
		state, reason, err := d.overlap(ctx, e.spec, f, q)
		if state != "" || err != nil {
			return state, "", reason, err
		}
	}
	task, err = d.o.Tasks.Submit(ctx, Request{Key: f.Key, Schedule: f.Schedule, Team: e.spec.Team, Input: e.spec.Input, Priority: e.spec.Priority})
	switch {
	case err == nil:
		return store.FireSubmitted, task, "", nil
	case temporary(err) || errors.Is(err, store.ErrStorage):
		return "", "", "", err
	}
	return store.FireFailed, "", err.Error(), nil
}

// overlap says what the tasks that have not ended make of a fire; an empty state
// lets it be submitted.
func (d *Driver) overlap(ctx context.Context, spec Spec, f store.Fire, q *queues) (store.FireState, string, error) {
	running, err := d.o.Store.List(ctx, store.Filter{Schedule: f.Schedule, Status: open()})
	if err != nil || len(running) == 0 {
		return "", "", err
	}
	oldest := running[len(running)-1].Task
	switch spec.Overlap {
	case workflow.OverlapCancelPrevious:
		for _, task := range running {
			err := d.o.Tasks.Cancel(ctx, task.Task, "schedule "+f.Schedule)
			switch {
			case err == nil || errors.Is(err, workflow.ErrTerminal):
			case temporary(err):
				return "", "", err
			default: // nothing says that it will end
				return store.FireFailed, fmt.Sprintf("task %s cannot be cancelled: %s", task.Task, err), nil
			}
		}
		return "", "", nil
	case workflow.OverlapQueue:
		if limit := orDefault(spec.QueueCap); f.State != store.FireQueued && q.waiting[f.Schedule] >= limit {
			return store.FireSkipped, fmt.Sprintf("task %s has not ended, and %d fires wait already, as many as queue_cap allows", oldest, limit), nil
		}
		return store.FireQueued, "waits until task " + oldest + " has ended", nil
	}
	return store.FireSkipped, "task " + oldest + " has not ended", nil
}

func open() []workflow.TaskState {
	return []workflow.TaskState{workflow.TaskQueued, workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused}
}

// joinReasons adds what happened to what was known before.
func joinReasons(before, now string) string {
	switch {
	case before == "":
		return now
	case now == "":
		return before
	}
	return before + "; " + now
}
