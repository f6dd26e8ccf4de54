package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
)

const (
	// retentionInterval is how often tasks whose time is over are looked for.
	retentionInterval = time.Hour
	// retentionPage is how many are looked up at once; each is removed in a transaction of its own.
	retentionPage = 100
)

// keepRetention removes tasks whose time is over, at the start, after every
// reload, and every hour, until ctx ends. What goes wrong is shown by health,
// and tried again.
func (d *Daemon) keepRetention(ctx context.Context) {
	timer := time.NewTicker(retentionInterval)
	defer timer.Stop()
	for {
		err := errors.Join(d.removeEnded(ctx, time.Now()), d.removeTranscripts(time.Now()))
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			d.retentionTrouble.Store(&err)
			d.log.Error().Err(err).Msg("tasks whose time is over cannot be removed; it is tried again")
		default:
			d.retentionTrouble.Store(nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-d.reloaded:
		}
	}
}

// removeEnded removes the tasks that ended longer ago than the configuration keeps them.
func (d *Daemon) removeEnded(ctx context.Context, now time.Time) error {
	keep := d.live.Load().config.Retention.Tasks
	if keep <= 0 {
		return nil
	}
	before, count := now.Add(-keep), 0
	for {
		tasks, err := d.store.EndedBefore(ctx, before, retentionPage)
		if err != nil {
			return err
		}
		removedOfPage := 0
		for _, task := range tasks {
			if err := d.removeOwnDirectories(ctx, task, before); err != nil {
				return err
			}
			removed, err := d.store.RemoveTask(ctx, task, before, now)
			if errors.Is(err, store.ErrNotFound) || errors.Is(err, store.ErrNotEnded) {
				continue // somebody was faster, or goes on with it
			}
			if err != nil {
				return err
			}
			removedOfPage++
			count += len(removed)
		}
		if removedOfPage == 0 {
			break
		}
	}
	if count > 0 {
		d.log.Info().Int("tasks", count).Time("ended_before", before).Msg("removed tasks whose time is over")
	}
	return errors.Join(d.removeOrphans(ctx), d.removeEmptyDirectories(ctx))
}

// removeOrphans removes the long outputs and the transcripts of tasks that are
// gone. They are removed after their task, so that what is left by a crash in
// between is found here.
func (d *Daemon) removeOrphans(ctx context.Context) error {
	return errors.Join(
		d.removeOrphansIn(ctx, store.OutputsName, "outputs", fs.DirEntry.Name),
		d.removeOrphansIn(ctx, transcript.DirName, "transcripts", transcript.TaskOf),
	)
}

// removeOrphansIn looks through a directory; taskOf says whose an entry is.
func (d *Daemon) removeOrphansIn(ctx context.Context, name, what string, taskOf func(fs.DirEntry) string) error {
	dir := filepath.Join(d.store.Dir(), name)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for %s of removed tasks: %w", what, err)
	}
	for _, entry := range entries {
		known, err := d.store.Has(ctx, taskOf(entry))
		if err != nil {
			return err
		}
		if known {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, entry.Name())); err != nil {
			return fmt.Errorf("remove the %s of a removed task: %w", what, err)
		}
	}
	return nil
}
