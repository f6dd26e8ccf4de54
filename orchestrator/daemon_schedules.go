package orchestrator

import (
	"context"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// scheduledTasks makes the tasks of schedules, of the teams of the teams directory.
type scheduledTasks struct{ d *Daemon }

// Submit implements schedule.Tasks.
func (s scheduledTasks) Submit(ctx context.Context, r schedule.Request) (task string, err error) {
	team, err := s.d.live.Load().teams.team(r.Team)
	if err != nil {
		return "", err
	}
	input, err := team.BindInput(r.Input)
	if err != nil {
		return "", err
	}
	state, _, err := s.d.engine.Submit(ctx, engine.Submission{Team: team, Input: input, Key: r.Key, Schedule: r.Schedule, Priority: r.Priority})
	return state.Task, err
}

// Cancel implements schedule.Tasks.
func (s scheduledTasks) Cancel(ctx context.Context, task, by string) error {
	_, err := s.d.engine.Cancel(ctx, task, by)
	return err
}

// Subscribe implements schedule.Tasks.
func (s scheduledTasks) Subscribe() *engine.Subscription {
	return s.d.engine.Subscribe("").WithoutProgress()
}

// specs are the schedules of team files. Those of a file with mistakes stay as
// they were with its team.
func (all teamFiles) specs() []schedule.Spec {
	var specs []schedule.Spec
	for _, t := range all {
		if t.Team != nil {
			specs = append(specs, schedule.OfTeam(t.Team)...)
		}
	}
	return specs
}

// specs are the schedules of the configuration and of the team files.
func (p prepared) specs() []schedule.Spec {
	return append(slices.Clone(p.config.Schedules), p.teams.specs()...)
}

// now is the time by which schedules go.
func (d *Daemon) now() time.Time { return d.clock.Now() }

// Schedules implements api.Service.
func (d *Daemon) Schedules(ctx context.Context, upcoming int) ([]schedule.View, error) {
	return schedule.List(ctx, d.store, d.now(), upcoming)
}

// Schedule implements api.Service.
func (d *Daemon) Schedule(ctx context.Context, name string, upcoming int) (schedule.View, error) {
	return schedule.Show(ctx, d.store, name, d.now(), upcoming)
}

// Fires implements api.Service.
func (d *Daemon) Fires(ctx context.Context, name string, limit int) ([]schedule.FireView, error) {
	return schedule.History(ctx, d.store, name, limit)
}

// RunSchedule implements api.Service.
func (d *Daemon) RunSchedule(ctx context.Context, name, key, by string) (schedule.FireView, error) {
	fire, err := d.schedules.RunNow(ctx, name, key, by)
	if err != nil {
		return schedule.FireView{}, err
	}
	return schedule.ViewFire(ctx, d.store, fire)
}

// EnableSchedule implements api.Service.
func (d *Daemon) EnableSchedule(ctx context.Context, name string, enabled bool) (schedule.View, error) {
	if err := d.schedules.Enable(ctx, name, enabled); err != nil {
		return schedule.View{}, err
	}
	return d.Schedule(ctx, name, 5)
}

// Notifications implements api.Service.
func (d *Daemon) Notifications(ctx context.Context, failed bool, limit int) ([]notify.View, error) {
	return notify.List(ctx, d.store, failed, limit)
}

// TestNotifications implements api.Service.
func (d *Daemon) TestNotifications(ctx context.Context, target string) ([]notify.View, error) {
	tried, err := d.notifier.Test(ctx, target)
	views := make([]notify.View, len(tried))
	for i, n := range tried {
		views[i] = notify.ViewOf(n)
	}
	return views, err
}
