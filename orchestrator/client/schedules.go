package client

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// Schedules are all schedules, each with so many fires to come.
func (d *Daemon) Schedules(ctx context.Context, upcoming int) ([]schedule.View, error) {
	next := int64(upcoming)
	list, err := ask(ctx, d, func(ctx context.Context) (*ListSchedulesResponse, error) {
		return d.api.ListSchedulesWithResponse(ctx, &ListSchedulesParams{Next: &next})
	}, func(r *ListSchedulesResponse) *api.ScheduleList { return r.JSON200 })
	return list.Schedules, err
}

// Schedule is one of them.
func (d *Daemon) Schedule(ctx context.Context, name string, upcoming int) (schedule.View, error) {
	next := int64(upcoming)
	return ask(ctx, d, func(ctx context.Context) (*GetScheduleResponse, error) {
		return d.api.GetScheduleWithResponse(ctx, name, &GetScheduleParams{Next: &next})
	}, func(r *GetScheduleResponse) *schedule.View { return r.JSON200 })
}

// Fires are the last fires of a schedule, the newest first.
func (d *Daemon) Fires(ctx context.Context, name string, limit int) ([]schedule.FireView, error) {
	most := int64(limit)
	list, err := ask(ctx, d, func(ctx context.Context) (*ListFiresResponse, error) {
		return d.api.ListFiresWithResponse(ctx, name, &ListFiresParams{Limit: &most})
	}, func(r *ListFiresResponse) *api.FireList { return r.JSON200 })
	return list.Fires, err
}

// RunSchedule makes a schedule fire now; with a key, at most once.
func (d *Daemon) RunSchedule(ctx context.Context, name, key, by string) (schedule.FireView, error) {
	return ask(ctx, d, func(ctx context.Context) (*RunScheduleResponse, error) {
		return d.api.RunScheduleWithResponse(ctx, name, &RunScheduleParams{IdempotencyKey: given(key)}, api.ByRequest{By: by})
	}, func(r *RunScheduleResponse) *schedule.FireView { return r.JSON200 })
}

// EnableSchedule lets a schedule fire, or no more.
func (d *Daemon) EnableSchedule(ctx context.Context, name string, enabled bool) (schedule.View, error) {
	if enabled {
		return ask(ctx, d, func(ctx context.Context) (*EnableScheduleResponse, error) {
			return d.api.EnableScheduleWithResponse(ctx, name)
		},
			func(r *EnableScheduleResponse) *schedule.View { return r.JSON200 })
	}
	return ask(ctx, d, func(ctx context.Context) (*DisableScheduleResponse, error) {
		return d.api.DisableScheduleWithResponse(ctx, name)
	},
		func(r *DisableScheduleResponse) *schedule.View { return r.JSON200 })
}

// Notifications are the last notifications, or those that were given up.
func (d *Daemon) Notifications(ctx context.Context, failed bool, limit int) ([]notify.View, error) {
	most := int64(limit)
	list, err := ask(ctx, d, func(ctx context.Context) (*ListNotificationsResponse, error) {
		return d.api.ListNotificationsWithResponse(ctx, &ListNotificationsParams{Failed: &failed, Limit: &most})
	}, func(r *ListNotificationsResponse) *api.NotificationList { return r.JSON200 })
	return list.Notifications, err
}

// TestNotifications tells a target, or all, that this is a test.
func (d *Daemon) TestNotifications(ctx context.Context, target string) ([]notify.View, error) {
	list, err := ask(ctx, d, func(ctx context.Context) (*TestNotificationsResponse, error) {
		return d.api.TestNotificationsWithResponse(ctx, api.TestNotificationsRequest{Target: target})
	}, func(r *TestNotificationsResponse) *api.NotificationList { return r.JSON200 })
	return list.Notifications, err
}
