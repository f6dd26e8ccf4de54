package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
)

// TranscriptSource is where transcripts are read.
type TranscriptSource interface {
	// Transcript tells what is kept of a task's turns, and calls alive while nothing
	// comes. Errors: transcript.ErrNone, store.ErrNotFound, those of tell and alive.
	Transcript(ctx context.Context, task string, s transcript.Selection, tell func(transcript.Record) error, alive func() error) error
}

func (a *API) registerTranscript() {
	huma.Register(a.huma, huma.Operation{
		OperationID: "get-transcript", Method: http.MethodGet, Path: "/v1/tasks/{task}/transcript", Tags: []string{"tasks"},
		Summary:     "What the turns of a task said and did, as JSON Lines",
		Description: "The transcripts of the task's attempts in their order, one record a line; see docs/transcripts.md. With follow, those of turns that run at the same time come as they are written, and empty lines say that the daemon lives.",
		Responses: map[string]*huma.Response{"200": {
			Description: "JSON Lines.", Content: map[string]*huma.MediaType{"application/x-ndjson": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusServiceUnavailable}, Security: []map[string][]string{{"token": {}}, {}},
	}, func(ctx context.Context, in *struct {
		TaskPath
		Turn    int  `query:"turn" minimum:"1" doc:"Only this turn"`
		Attempt int  `query:"attempt" minimum:"1" doc:"Only this attempt at a turn"`
		Follow  bool `query:"follow" doc:"Wait for what is to come, until the task or the turn is over"`
	},
	) (*huma.StreamResponse, error) {
		if _, err := a.o.Service.Task(ctx, in.Task); err != nil {
			return nil, a.problem(ctx, err)
		}
		select {
		case a.streams <- struct{}{}:
		default:
			return nil, a.problem(ctx, ErrBusy)
		}
		selected := transcript.Selection{Turn: in.Turn, Attempt: in.Attempt, Follow: in.Follow}
		return &huma.StreamResponse{Body: func(hctx huma.Context) { //nolint:contextcheck // it has the context of the request in hctx
			defer func() { <-a.streams }()
			r, w := humago.Unwrap(hctx)
			a.serveTranscript(r.Context(), &lineWriter{eventWriter: eventWriter{w: w, control: http.NewResponseController(w)}, each: in.Follow}, in.Task, selected)
		}}, nil
	})
}

func (a *API) serveTranscript(ctx context.Context, w *lineWriter, task string, s transcript.Selection) {
	if s.Follow {
		if err := w.begin(); err != nil {
			return
		}
	}
	last := time.Now()
	err := a.o.Service.Transcript(ctx, task, s, func(r transcript.Record) error {
		last = time.Now()
		return w.line(r)
	}, func() error {
		if time.Since(last) < a.o.Heartbeat {
			return nil
		}
		last = time.Now()
		return w.alive()
	})
	switch {
	case err == nil:
		_ = w.flush() // the client is gone, or it has it
	case ctx.Err() != nil:
	case !w.begun:
		a.write(w.w, a.problem(ctx, err))
	default:
		a.o.Log.Debug().Err(err).Str("task", task).Msg("a stream of a transcript has ended")
		_ = w.line(transcript.Record{At: time.Now().UTC(), Type: transcript.Cut, Text: "the transcript cannot be read any further: " + err.Error()})
	}
}

// flushAfter is how much of a transcript is sent at once, in bytes.
const flushAfter = 64 << 10

// lineWriter writes JSON Lines.
type lineWriter struct {
	eventWriter
	// each says that every line is sent at once.
	each   bool
	begun  bool
	unsent int
}

func (w *lineWriter) begin() error {
	w.begun = true
	w.w.Header().Set("Content-Type", "application/x-ndjson")
	w.w.Header().Set("X-Accel-Buffering", "no")
	w.w.WriteHeader(http.StatusOK)
	return w.flush()
}

func (w *lineWriter) line(r transcript.Record) error {
	if !w.begun {
		if err := w.begin(); err != nil {
			return err
		}
	}
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode a record: %w", err)
	}
	if _, err := w.w.Write(append(text, '\n')); err != nil {
		return fmt.Errorf("send a record: %w", err)
	}
	if w.unsent += len(text); w.each || w.unsent > flushAfter {
		w.unsent = 0
		return w.flush()
	}
	return nil
}

func (w *lineWriter) alive() error {
	if _, err := w.w.Write([]byte("\n")); err != nil {
		return fmt.Errorf("send a sign of life: %w", err)
	}
	return w.flush()
}
