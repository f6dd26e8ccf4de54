package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// reader is where commands read tasks: a data directory, or the daemon that has
// it open. Tasks are named by their ID, or any unique beginning or end of it.
// Its errors are those of store, whichever it is.
type reader interface {
	List(ctx context.Context, f store.Filter) ([]workflow.State, error)
	Task(ctx context.Context, task string) (workflow.State, error)
	// Children are the tasks that a task has started.
	Children(ctx context.Context, task string) ([]workflow.State, error)
	// Look is the state of a task, its journal after an event, and its children.
	Look(ctx context.Context, task string, after int64) (workflow.State, []store.Record, []workflow.State, error)
	// Story is everything that is stored about a task.
	Story(ctx context.Context, task string) (taskStory, error)
	// Transcript tells what is kept of a task's turns.
	Transcript(ctx context.Context, task string, s transcript.Selection, tell func(transcript.Record) error) error
	// UsageReport says what turns have used, in at most limit rows; 0 is all.
	UsageReport(ctx context.Context, f store.UsageFilter, limit int) (api.UsageReport, error)
	// Waiting are the tasks that people are asked something by.
	Waiting(ctx context.Context) ([]workflow.State, error)
	// Follow tells what is committed, until ctx ends.
	Follow(ctx context.Context, o followOptions) journalEvents
	// URL is that of the daemon; empty for a data directory.
	URL() string
	Close() error
}

// backend is where commands change tasks, too.
type backend interface {
	reader
	Submit(ctx context.Context, sub submission) (workflow.State, bool, error)
	Cancel(ctx context.Context, task, by string) (workflow.State, error)
	Pause(ctx context.Context, task, by string) (workflow.State, error)
	Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error)
	// Publish publishes the result of a task again after that failed.
	Publish(ctx context.Context, task, by string) (workflow.State, error)
	Retry(ctx context.Context, task string, turn int) (workflow.State, error)
	Fork(ctx context.Context, f engine.Fork) (workflow.State, bool, error)
	AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error)
	AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error)
}

// submission is a task to be made.
type submission struct {
	// team is read from a file, or from the daemon: then name is set as well.
	team *workflow.Team
	name string
	// given are the inputs as they were given, and input what Team.BindInput made of them.
	given, input map[string]any
	workspace    string
	key          string
	priority     int
	trace        *workflow.TraceContext
}

// reader opens what the tasks of a place can be read from, also while a run or a daemon has them.
func (a *app) reader(ctx context.Context, p place) (reader, error) {
	d, err := a.daemon(ctx, p)
	if err != nil {
		return nil, err
	}
	if d != nil {
		return d, nil
	}
	s, err := openReader(ctx, p.dataDir)
	if err != nil {
		return nil, err
	}
	return localReader{s}, nil
}

// backend opens what the tasks of a place can be changed in. Without a daemon
// nobody else may have the data directory open, and it is not made.
func (a *app) backend(ctx context.Context, p place) (backend, error) {
	d, err := a.daemon(ctx, p)
	if err != nil {
		return nil, err
	}
	if d != nil {
		return d, nil
	}
	dir, err := existingDataDir(ctx, p.dataDir)
	if err != nil {
		return nil, err
	}
	o, err := orchestrator.Open(ctx, dir, a.log)
	if err != nil {
		return nil, err
	}
	return newLocalBackend(o), nil
}

// submitter is backend for what makes tasks. create says that the data directory may be made for it.
func (a *app) submitter(ctx context.Context, p place, create bool) (backend, error) {
	d, err := a.daemon(ctx, p)
	if err != nil {
		return nil, err
	}
	if d != nil {
		return d, nil
	}
	choose := existingDataDir
	if create {
		choose = func(_ context.Context, dir string) (string, error) { return chooseDataDir(dir) }
	}
	dir, err := choose(ctx, p.dataDir)
	if err != nil {
		return nil, err
	}
	o, err := orchestrator.New(ctx, orchestrator.Options{DataDir: dir, AppServer: orchestrator.AppServerNone, Version: buildVersion(), Log: a.log})
	if err != nil {
		return nil, err
	}
	return newLocalBackend(o), nil
}

// existingDataDir refuses a directory that has no store, and does not make one.
func existingDataDir(ctx context.Context, dataDir string) (string, error) {
	s, err := openReader(ctx, dataDir)
	if err != nil {
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	return chooseDataDir(dataDir)
}

// daemon finds the daemon of a place: the one that is named, else the one that
// serves the data directory. nil is none.
func (a *app) daemon(ctx context.Context, p place) (*daemonBackend, error) {
	if p.daemon != "" && p.dataDir != "" {
		return nil, usage(errors.New("--daemon and --data-dir name two places: leave one out"))
	}
	// A file that cannot be read must not look like a daemon that is not there.
	if _, err := daemonToken(ctx); err != nil {
		return nil, usage(fmt.Errorf("$%s: %w", tokenFileVariable, err))
	}
	options := client.Options{Token: func() (string, error) { return daemonToken(context.WithoutCancel(ctx)) }}
	address := p.daemon
	if p.dataDir == "" { // a directory that is named counts more than the environment
		address = cmp.Or(address, os.Getenv(daemonVariable))
	}
	if address != "" {
		d, err := client.Open(address, options)
		if err != nil {
			return nil, usage(err)
		}
		return &daemonBackend{Daemon: d, patience: a.patience}, nil
	}
	dir, err := chooseDataDir(p.dataDir)
	if err != nil {
		return nil, err
	}
	d, err := client.Discover(ctx, dir, options)
	if errors.Is(err, client.ErrNoDaemon) {
		return nil, nil //nolint:nilnil // that there is none is no error
	}
	if err != nil {
		return nil, err
	}
	return &daemonBackend{Daemon: d, patience: a.patience}, nil
}

// errNoDaemon says that a command works through a daemon alone.
var errNoDaemon = errors.New("no daemon serves the data directory")

// needDaemon is daemon for what does not work without one.
func (a *app) needDaemon(ctx context.Context, p place) (*daemonBackend, error) {
	d, err := a.daemon(ctx, p)
	if err != nil || d != nil {
		return d, err
	}
	dir, err := chooseDataDir(p.dataDir)
	if err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w %s", errNoDaemon, dir)
}
