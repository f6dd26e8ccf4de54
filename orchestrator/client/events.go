package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
)

// FollowOptions say which events are wanted.
type FollowOptions struct {
	// Task is empty for the events of all tasks.
	Task string
	// After is the id after which to begin: of a task the number of the event, of
	// all tasks the position. Begin says that it is given; without it a task is told
	// from its beginning and all tasks from now on.
	After int64
	Begin bool
	// Team and Batch select, of all tasks, those that belong to them.
	Team, Batch string
	// Tree selects, of all tasks, the one with this whole ID and those that it has started.
	Tree string
	// Progress asks for what turns do now, too.
	Progress bool
	// Once ends when all that there is was told.
	Once bool
	// Patience is how long a daemon that does not answer is tried again; 1 minute when zero.
	Patience time.Duration
	// Lost is told when the connection breaks, and with nil when there is a new one; it may be nil.
	Lost func(err error)
	// Connected is called at every new connection, before its first event: what was
	// committed until then and is not asked for is not told. It may be nil.
	Connected func()
}

// Event is one server-sent event: one of its pointers is set.
type Event struct {
	// ID is that of a Record: what FollowOptions.After takes.
	ID       int64
	Record   *Record
	Progress *api.ProgressDocument
	Storage  *api.StorageDocument
}

// maxLine bounds one event, in bytes.
const maxLine = 64 << 20

// Follow yields events until ctx ends or the caller breaks off. A broken
// connection is made again, and goes on after the last record; what turns did
// meanwhile is not told. The last pair may be an error: *UnreachableError when
// the daemon did not answer for Patience, *api.RemoteError, the end of ctx.
func (d *Daemon) Follow(ctx context.Context, o FollowOptions) iter.Seq2[Event, error] {
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	return func(yield func(Event, error) bool) {
		retries := backoff.NewExponentialBackOff()
		retries.InitialInterval, retries.MaxInterval = 100*time.Millisecond, 5*time.Second
		var lost time.Time
		for {
			err := d.followOnce(ctx, &o, func(e Event) bool { return yield(e, nil) }, func() {
				retries.Reset()
				if o.Connected != nil {
					o.Connected()
				}
				if !lost.IsZero() && o.Lost != nil {
					o.Lost(nil)
				}
				lost = time.Time{}
			})
			var refused *api.RemoteError
			switch {
			case errors.Is(err, errBrokenOff):
				return
			case ctx.Err() != nil:
				yield(Event{}, context.Cause(ctx))
				return
			case err == nil && o.Once:
				return
			case errors.As(err, &refused) && refused.Problem.Status != http.StatusServiceUnavailable:
				yield(Event{}, err)
				return
			}
			if lost.IsZero() {
				lost = time.Now()
				if o.Lost != nil {
					o.Lost(err)
				}
			}
			if time.Since(lost) > o.Patience {
				yield(Event{}, err)
				return
			}
			wait := time.NewTimer(retries.NextBackOff())
			select {
			case <-wait.C:
			case <-ctx.Done():
				wait.Stop()
			}
		}
	}
}

// errBrokenOff means that the caller wants no more events.
var errBrokenOff = errors.New("broken off")

// followOnce reads one stream to its end. It moves o on to the last record.
func (d *Daemon) followOnce(ctx context.Context, o *FollowOptions, yield func(Event) bool, connected func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	response, err := d.openStream(ctx, o)
	if err != nil {
		return d.unreachable(ctx, err)
	}
	defer func() { _ = response.Body.Close() }() // it is read to its end, or not wanted any more
	if response.StatusCode != http.StatusOK {
		return d.failure(response.StatusCode, response.Header.Get("Content-Type"), response.Body)
	}
	connected()
	// A stream that says nothing for so long is dead: heartbeats come every 15 s.
	silence := time.AfterFunc(silenceTimeout, cancel)
	defer silence.Stop()
	lines := bufio.NewReaderSize(response.Body, 64<<10)
	var one message
	for {
		line, err := readLine(lines)
		if err != nil {
			if errors.Is(err, io.EOF) {
				if o.Once {
					return nil
				}
				err = io.ErrUnexpectedEOF
			}
			return &UnreachableError{URL: d.url, Err: err}
		}
		silence.Reset(silenceTimeout)
		if !one.add(line) {
			continue
		}
		if one.kind == api.EventBegin && !o.Begin {
			var begin api.BeginDocument
			if err := json.Unmarshal([]byte(one.data.String()), &begin); err != nil {
				return fmt.Errorf("read where the events begin: %w", err)
			}
			o.After, o.Begin = begin.After, true
		}
		event, known, err := one.event()
		one = message{}
		if err != nil {
			return err
		}
		if !known {
			continue // of a newer daemon
		}
		if event.Record != nil {
			o.After, o.Begin = event.ID, true
		}
		if !yield(event) {
			return errBrokenOff
		}
	}
}

// silenceTimeout ends a stream on which nothing comes, not even heartbeats.
const silenceTimeout = time.Minute

func (d *Daemon) openStream(ctx context.Context, o *FollowOptions) (*http.Response, error) {
	follow := !o.Once
	var after *string
	if o.Begin {
		text := strconv.FormatInt(o.After, 10)
		after = &text
	}
	if o.Task != "" {
		return d.api.StreamTaskEvents(ctx, o.Task, &StreamTaskEventsParams{After: after, Progress: &o.Progress, Follow: &follow})
	}
	return d.api.StreamEvents(ctx, &StreamEventsParams{
		After: after, Progress: &o.Progress, Follow: &follow, Team: given(o.Team), Batch: given(o.Batch), Tree: given(o.Tree),
	})
}

// readLine reads a line without its end, and refuses one without end.
func readLine(r *bufio.Reader) (string, error) {
	var whole []byte
	for {
		piece, more, err := r.ReadLine()
		if err != nil {
			return "", err //nolint:wrapcheck // followOnce explains it
		}
		whole = append(whole, piece...)
		if !more {
			return string(whole), nil
		}
		if len(whole) > maxLine {
			return "", fmt.Errorf("an event is longer than %d bytes", maxLine)
		}
	}
}

// message is a server-sent event as it comes, line by line.
type message struct {
	id, kind string
	data     strings.Builder
	some     bool
}

// add reports whether the message is complete.
func (m *message) add(line string) bool {
	if line == "" {
		return m.some
	}
	name, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "id":
		m.id = value
	case "event":
		m.kind = value
	case "data":
		if m.data.Len() > 0 {
			m.data.WriteByte('\n')
		}
		m.data.WriteString(value)
		m.some = true
	}
	return false
}

func (m *message) event() (e Event, known bool, err error) {
	var into any
	switch m.kind {
	case api.EventRecord:
		e.Record = &Record{}
		into = e.Record
		if e.ID, err = strconv.ParseInt(m.id, 10, 64); err != nil {
			return e, false, fmt.Errorf("an event has the id %q: %w", m.id, err)
		}
	case api.EventProgress:
		e.Progress = &api.ProgressDocument{}
		into = e.Progress
	case api.EventStorage:
		e.Storage = &api.StorageDocument{}
		into = e.Storage
	default:
		return e, false, nil
	}
	if err := json.Unmarshal([]byte(m.data.String()), into); err != nil {
		return e, false, fmt.Errorf("read an event: %w", err)
	}
	return e, true, nil
}
