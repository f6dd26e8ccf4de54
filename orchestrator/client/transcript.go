package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
)

// Transcript tells what is kept of a task's turns, and with Follow what comes,
// until nothing more can. Errors: transcript.ErrNone, store.ErrNotFound, *UnreachableError, those of tell.
func (d *Daemon) Transcript(ctx context.Context, task string, s transcript.Selection, tell func(transcript.Record) error) error {
	asked := ctx
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	params := &GetTranscriptParams{Follow: &s.Follow}
	for value, target := range map[**int64]int{&params.Turn: s.Turn, &params.Attempt: s.Attempt} {
		if target > 0 {
			n := int64(target)
			*value = &n
		}
	}
	response, err := d.api.GetTranscript(ctx, task, params)
	if err != nil {
		return d.unreachable(asked, err)
	}
	defer func() { _ = response.Body.Close() }() // it is read to its end, or not wanted any more
	if response.StatusCode != http.StatusOK {
		return d.failure(response.StatusCode, response.Header.Get("Content-Type"), response.Body)
	}
	silence := time.AfterFunc(silenceTimeout, cancel)
	defer silence.Stop()
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	for {
		line, err := readLine(lines)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return d.unreachable(asked, err)
		}
		silence.Reset(silenceTimeout)
		if line == "" {
			continue
		}
		var record transcript.Record
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			return fmt.Errorf("read a record of the transcript: %w", err)
		}
		if err := tell(record); err != nil {
			return err
		}
	}
}
