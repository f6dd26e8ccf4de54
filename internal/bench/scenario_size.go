package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// measureSize measures whether a task costs the same however many are kept.
func measureSize(ctx context.Context, b *bench) error {
	sizes, l := []int{1, 1000, 100_000}, load{tasks: 200, parallel: 16}
	if b.quick {
		sizes, l = []int{1, 500}, load{tasks: 32, parallel: 16}
	}
	for _, n := range sizes {
		full, err := b.newDataDir()
		if err != nil {
			return err
		}
		if err := b.filled(ctx, full, n, ended); err != nil {
			return err
		}
		for range max(1, b.rounds/2) {
			dir, err := b.copyDataDir(full)
			if err != nil {
				return err
			}
			if err := b.submitted(ctx, dir, l.tasks); err != nil {
				return err
			}
			r, err := b.daemonOn(ctx, dir, l)
			if err != nil {
				return err
			}
			b.results.add(fmt.Sprintf("Size/kept=%d", n), r.log.Wall/time.Duration(l.tasks), "ms/task",
				percentile(r.log.ToFrame, 50), "p50-ms", r.cpu/time.Duration(l.tasks), "cpu-ms/task")
		}
	}
	return nil
}

// copyDataDir copies a data directory that nobody has open.
func (b *bench) copyDataDir(dir string) (string, error) {
	to, err := b.newDataDir()
	if err != nil {
		return "", err
	}
	return to, os.CopyFS(to, os.DirFS(dir))
}

// measureLists measures lists of many tasks over the API of the daemon.
func measureLists(ctx context.Context, b *bench) (err error) {
	n := 100_000
	if b.quick {
		n = 1000
	}
	dir, err := b.newDataDir()
	if err != nil {
		return err
	}
	if err := b.fillMixed(ctx, dir, n); err != nil {
		return err
	}
	server, err := b.startScripted(ctx, "--delay", "10m")
	if err != nil {
		return err
	}
	defer server.kill()
	d, err := b.startDaemon(ctx, dir, server.url, 1)
	if err != nil {
		return err
	}
	defer d.kill()
	queries := map[string]string{
		"all": "", "state": "state=cancelled", "states": "state=running,waiting", "rare_state": "state=waiting", "team": "team=bench", "other_team": "team=none",
		"team_and_rare_state": "team=bench&state=waiting", "team_and_no_state": "team=bench&state=paused",
		"ended": "state=succeeded,failed,cancelled", "batch": "batch=BATCH", "batch_and_state": "batch=BATCH&state=failed", "schedule": "schedule=nightly", "team_and_state": "team=bench&state=cancelled", "no_match": "team=none&state=running",
		"deep":       "after=" + fmt.Sprintf("A%08d", n/10),
		"deep_state": "state=cancelled&after=" + fmt.Sprintf("A%08d", n/10), "deep_team": "team=bench&after=" + fmt.Sprintf("A%08d", n/10),
	}
	for range b.rounds {
		for name, query := range queries {
			if err := b.timeList(ctx, d, fmt.Sprintf("List/tasks=%d/filter=%s", n, name), "/v1/tasks?limit=100&"+query); err != nil {
				return err
			}
		}
		if err := b.timeList(ctx, d, fmt.Sprintf("List/tasks=%d/filter=by_end_of_id", n), fmt.Sprintf("/v1/tasks/%08d", n/2)); err != nil {
			return err
		}
	}
	return nil
}

// timeList times a request a few times.
func (b *bench) timeList(ctx context.Context, d *daemon, name, path string) error {
	const times = 5
	path = strings.TrimSuffix(path, "&")
	var most, sum time.Duration
	for range times {
		begin := time.Now()
		if err := d.ask(ctx, path, nil); err != nil {
			return err
		}
		took := time.Since(begin)
		most, sum = max(most, took), sum+took
	}
	b.results.add(name, sum/times, "ms", most, "max-ms")
	return nil
}

// fillMixed makes a data directory with tasks in several states: most have ended,
// some come from a batch or a schedule, and a few wait.
func (b *bench) fillMixed(ctx context.Context, dir string, n int) error {
	k, err := b.fill(ctx, dir)
	if err != nil {
		return err
	}
	return errors.Join(
		k.tasks(ctx, "A", n*8/10, "", "", ended), k.tasks(ctx, "B", n/10, "BATCH", "", ended), k.tasks(ctx, "C", n/20, "", "nightly", ended),
		k.tasks(ctx, "D", n/20, "", "", backingOff), k.close(),
	)
}
