package main

import (
	"context"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// scheduleReader is where commands read schedules and notifications: a daemon, or a data directory.
type scheduleReader interface {
	Schedules(ctx context.Context, upcoming int) ([]schedule.View, error)
	Schedule(ctx context.Context, name string, upcoming int) (schedule.View, error)
	Fires(ctx context.Context, name string, limit int) ([]schedule.FireView, error)
	Notifications(ctx context.Context, failed bool, limit int) ([]notify.View, error)
	Close() error
}

// openSchedules opens where schedules are read.
func (a *app) openSchedules(ctx context.Context, where place) (scheduleReader, error) {
	d, err := a.daemon(ctx, where)
	switch {
	case err != nil:
		return nil, err
	case d != nil:
		return d, nil
	}
	s, err := openReader(ctx, where.dataDir)
	if err != nil {
		return nil, err
	}
	return storedSchedules{s}, nil
}

// storedSchedules are those of a data directory that no daemon serves.
type storedSchedules struct{ *store.Store }

// Schedules implements scheduleReader.
func (s storedSchedules) Schedules(ctx context.Context, upcoming int) ([]schedule.View, error) {
	return schedule.List(ctx, s.Store, time.Now(), upcoming)
}

// Schedule implements scheduleReader.
func (s storedSchedules) Schedule(ctx context.Context, name string, upcoming int) (schedule.View, error) {
	return schedule.Show(ctx, s.Store, name, time.Now(), upcoming)
}

// Fires implements scheduleReader.
func (s storedSchedules) Fires(ctx context.Context, name string, limit int) ([]schedule.FireView, error) {
	return schedule.History(ctx, s.Store, name, limit)
}

// Notifications implements scheduleReader.
func (s storedSchedules) Notifications(ctx context.Context, failed bool, limit int) ([]notify.View, error) {
	return notify.List(ctx, s.Store, failed, limit)
}
