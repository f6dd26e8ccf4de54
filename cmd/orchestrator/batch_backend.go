package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// batchReader is where commands read batches. They are named by their ID, any
// unique beginning or end of it, their name or their key.
type batchReader interface {
	Batches(ctx context.Context, f store.BatchFilter) ([]batch.View, error)
	Batch(ctx context.Context, id string) (batch.View, error)
	BatchItems(ctx context.Context, id string, f store.ItemFilter) ([]batch.ItemView, error)
	BatchReport(ctx context.Context, id string) (batch.Report, error)
	Close() error
}

// batchBackend is where commands change them, too.
type batchBackend interface {
	batchReader
	CreateBatch(ctx context.Context, sub batchSubmission) (view batch.View, created bool, err error)
	ChangeBatch(ctx context.Context, id string, verb batch.Verb, by string) (batch.View, error)
}

// batchSubmission is a batch to be made.
type batchSubmission struct {
	batch.Submission
	// teamName is set where the team is one of the daemon's.
	teamName string
}

// batchReader opens what the batches of a place can be read from.
func (a *app) batchReader(ctx context.Context, p place) (batchReader, error) {
	d, err := a.daemon(ctx, p)
	if err != nil {
		return nil, err
	}
	if d != nil {
		return daemonBatches{d}, nil
	}
	s, err := openReader(ctx, p.dataDir)
	if err != nil {
		return nil, err
	}
	return storedBatches{s}, nil
}

// storedBatches reads a data directory.
type storedBatches struct{ s *store.Store }

// Close implements batchReader.
func (b storedBatches) Close() error { return b.s.Close() }

// Batches implements batchReader.
func (b storedBatches) Batches(ctx context.Context, f store.BatchFilter) ([]batch.View, error) {
	return batch.ReadViews(ctx, b.s, f, time.Now())
}

// Batch implements batchReader.
func (b storedBatches) Batch(ctx context.Context, id string) (batch.View, error) {
	return batch.ReadView(ctx, b.s, id, time.Now())
}

// BatchItems implements batchReader.
func (b storedBatches) BatchItems(ctx context.Context, id string, f store.ItemFilter) ([]batch.ItemView, error) {
	row, err := b.s.Batch(ctx, id)
	if err != nil {
		return nil, err
	}
	return batch.Items(ctx, b.s, row.ID, f)
}

// BatchReport implements batchReader.
func (b storedBatches) BatchReport(ctx context.Context, id string) (batch.Report, error) {
	return batch.ReadReport(ctx, b.s, id, time.Now())
}

// localBatches changes a data directory that is open for this process alone.
type localBatches struct {
	storedBatches
	o *orchestrator.Orchestrator
}

func newLocalBatches(o *orchestrator.Orchestrator) localBatches {
	return localBatches{storedBatches{o.Store()}, o}
}

// Close implements batchReader.
func (b localBatches) Close() error { return b.o.Close(context.Background()) }

// CreateBatch implements batchBackend.
func (b localBatches) CreateBatch(ctx context.Context, sub batchSubmission) (batch.View, bool, error) {
	return b.o.Batches().Create(ctx, sub.Submission)
}

// ChangeBatch implements batchBackend.
func (b localBatches) ChangeBatch(ctx context.Context, id string, verb batch.Verb, by string) (batch.View, error) {
	return b.o.Batches().Change(ctx, id, verb, by)
}

// daemonBatches has the daemon do it.
type daemonBatches struct{ *daemonBackend }

// CreateBatch implements batchBackend.
func (d daemonBatches) CreateBatch(ctx context.Context, sub batchSubmission) (batch.View, bool, error) {
	o := sub.Options
	r := api.CreateBatchRequest{
		Team: sub.teamName, Name: sub.Name, GoOn: sub.GoOn,
		MaxParallel: o.MaxParallel, Canary: o.Canary, StopWhenFailed: o.StopWhenFailed.String(), Priority: o.Priority,
	}
	if sub.teamName == "" {
		r.File, r.Source = sub.Team.File, string(sub.Team.Source)
		for name, text := range sub.Team.Sources {
			if r.Sources == nil {
				r.Sources = map[string]string{}
			}
			r.Sources[name] = string(text)
		}
	}
	for _, item := range sub.Items {
		r.Items = append(r.Items, api.BatchItemRequest{Key: item.Key, Label: item.Label, Origin: item.Origin, Input: item.Input})
	}
	made, err := d.daemonBackend.CreateBatch(ctx, r, sub.Key)
	return made.Batch, made.Created, err
}

// directoriesOf finds the directories that patterns fit, as whole paths without symbolic links.
func directoriesOf(patterns []string) ([]string, error) {
	var all []string
	for _, pattern := range patterns {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("--dirs %q is no pattern: %w", pattern, err)
		}
		count := len(all)
		for _, path := range found {
			if info, err := os.Stat(path); err != nil || !info.IsDir() {
				continue
			}
			real, err := orchestrator.ResolveWorkspace(path)
			if err != nil {
				return nil, err
			}
			if !slices.Contains(all, real) {
				all = append(all, real)
			}
		}
		if len(all) == count {
			return nil, fmt.Errorf("--dirs %q fits no directory", pattern)
		}
	}
	return all, nil
}

// readLimited reads a file, and one byte more than it may have.
func readLimited(file string, stdin io.Reader, most int) (data []byte, err error) {
	in := stdin
	if file != "-" {
		opened, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("read the items: %w", err)
		}
		defer func() { err = errors.Join(err, opened.Close()) }()
		in = opened
	}
	if data, err = io.ReadAll(io.LimitReader(in, int64(most)+1)); err != nil {
		return nil, fmt.Errorf("read the items: %w", err)
	}
	return data, nil
}

// placesForDaemon refuses relative paths, which would be relative to the working
// directory of the daemon; on this machine they are made absolute where an input is the whole path.
func placesForDaemon(team *workflow.Team, items []batch.Item, sameMachine bool) error {
	var problems workflow.Problems
	for _, item := range items {
		s := submission{team: team, input: item.Input}
		if err := s.placeForDaemon(sameMachine); err != nil {
			problems = append(problems, workflow.Problem{File: item.Origin, Message: err.Error()})
		}
		if len(problems) == 20 {
			break
		}
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}
