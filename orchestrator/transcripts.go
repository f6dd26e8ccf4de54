package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TranscriptOptions say what is kept of the streams of turns, in the directory
// transcripts of the data directory. The zero value keeps them with the default limits.
type TranscriptOptions struct {
	Off bool
	// MaxPerTurn bounds what is kept of one attempt, MaxTotal of all together, in
	// bytes on the disk.
	MaxPerTurn, MaxTotal int64
}

// openTranscripts is nil where none are kept.
func openTranscripts(o TranscriptOptions, dataDir string, log zerolog.Logger) (*transcript.Files, error) {
	if o.Off {
		return nil, nil //nolint:nilnil // that none are kept is no error
	}
	return transcript.New(transcript.Options{Dir: filepath.Join(dataDir, transcript.DirName), MaxPerTurn: o.MaxPerTurn, MaxTotal: o.MaxTotal, Log: log})
}

// TaskReader is where Transcript looks tasks up.
type TaskReader interface {
	Task(ctx context.Context, task string) (workflow.State, error)
	Dir() string
}

// Transcript tells what was kept of a task's turns; see transcript.Stream. The task
// is named by its ID or any unique beginning or end of it. Errors: transcript.ErrNone,
// store.ErrNotFound, those of tell and alive, and the end of ctx.
func Transcript(ctx context.Context, s TaskReader, task string, sel transcript.Selection, tell func(transcript.Record) error, alive func() error) error {
	state, err := s.Task(ctx, task)
	if err != nil {
		return err
	}
	err = transcript.Stream(ctx, filepath.Join(s.Dir(), transcript.DirName), state.Task, sel, taskOver{s, state.Task}, tell, alive)
	if errors.Is(err, transcript.ErrNone) {
		return fmt.Errorf("task %s: %w", state.Task, err)
	}
	return err
}

// taskOver knows when nothing more comes of a task.
type taskOver struct {
	TaskReader
	task string
}

// Over implements transcript.Source.
func (s taskOver) Over(ctx context.Context, sel transcript.Selection) (bool, error) {
	state, err := s.Task(ctx, s.task)
	if err != nil {
		return errors.Is(err, store.ErrNotFound), err
	}
	if state.Status.Terminal() || sel.Turn == 0 {
		return state.Status.Terminal(), nil
	}
	if sel.Turn > state.LastTurn {
		return false, nil // it is still to come
	}
	return !slices.ContainsFunc(state.Turns, func(t workflow.Turn) bool {
		return t.ID == sel.Turn && (sel.Attempt == 0 || t.Attempt <= sel.Attempt)
	}), nil
}

// Transcript implements api.Service.
func (d *Daemon) Transcript(ctx context.Context, task string, sel transcript.Selection, tell func(transcript.Record) error, alive func() error) error {
	return Transcript(ctx, d.store, task, sel, tell, alive)
}

// removeTranscripts removes those that are older than the configuration keeps them.
func (d *Daemon) removeTranscripts(now time.Time) error {
	keep := d.live.Load().config.Retention.Transcripts
	if keep <= 0 {
		return nil
	}
	removed, err := transcript.RemoveBefore(filepath.Join(d.store.Dir(), transcript.DirName), now.Add(-keep), d.transcripts)
	if removed > 0 {
		d.log.Info().Int("transcripts", removed).Msg("removed transcripts whose time is over")
	}
	return err
}
