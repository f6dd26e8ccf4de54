package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
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

// openDaemon is the daemon that is named in the environment, or that serves the
// data directory; nil where there is none.
func openDaemon(ctx context.Context, dataDir string) (*client.Daemon, error) {
	options := client.Options{Token: func() (string, error) {
		if file := os.Getenv("ORCHESTRATOR_TOKEN_FILE"); file != "" {
			return appclient.TokenFile(file).Token(ctx)
		}
		return os.Getenv("ORCHESTRATOR_TOKEN"), nil
	}}
	if address := os.Getenv("ORCHESTRATOR_DAEMON"); address != "" && dataDir == "" {
		d, err := client.Open(address, options)
		return d, usage(err)
	}
	dir, err := chooseDataDir(dataDir)
	if err != nil {
		return nil, err
	}
	d, err := client.Discover(ctx, dir, options)
	if errors.Is(err, client.ErrNoDaemon) {
		return nil, nil //nolint:nilnil // no daemon is no error
	}
	return d, err
}

// needDaemonFor is openDaemon for what a daemon alone can do.
func needDaemonFor(ctx context.Context, dataDir, what string) (*client.Daemon, error) {
	d, err := openDaemon(ctx, dataDir)
	if err == nil && d == nil {
		err = errors.New("no daemon serves this data directory, and only a daemon can " + what + ": start one with  orchestrator serve")
	}
	return d, err
}

// openSchedules opens where schedules are read.
func openSchedules(ctx context.Context, dataDir string) (scheduleReader, error) {
	d, err := openDaemon(ctx, dataDir)
	switch {
	case err != nil:
		return nil, err
	case d != nil:
		return daemonSchedules{d}, nil
	}
	s, err := openReader(ctx, dataDir)
	if err != nil {
		return nil, err
	}
	return storedSchedules{s}, nil
}

// daemonSchedules are those of a daemon.
type daemonSchedules struct{ *client.Daemon }

// Close implements scheduleReader.
func (d daemonSchedules) Close() error {
	d.Daemon.Close()
	return nil
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
