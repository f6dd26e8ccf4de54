package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// measureStreams measures turns that stream while many watch: 200 turns with 50
// pieces a second each, and 20 readers that get the progress of all of them. One
// reader more reads nothing, and must harm nobody.
func measureStreams(ctx context.Context, b *bench) error {
	turns, readers, chunks := 200, 20, 500
	if b.quick {
		turns, readers, chunks = 10, 3, 50
	}
	for range max(1, b.rounds/3) {
		if err := b.stream(ctx, turns, readers, chunks); err != nil {
			return err
		}
	}
	return nil
}

// chunkPause is the pause of a turn between two pieces: 50 of them a second.
const chunkPause = 20 * time.Millisecond

func (b *bench) stream(ctx context.Context, turns, readers, chunks int) (err error) {
	dir, err := b.newDataDir()
	if err != nil {
		return err
	}
	server, err := b.startScripted(ctx, "--chunks", fmt.Sprint(chunks), "--pause", chunkPause.String())
	if err != nil {
		return err
	}
	defer server.kill()
	d, err := b.startDaemon(ctx, dir, server.url, turns)
	if err != nil {
		return err
	}
	defer d.kill()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var group errgroup.Group
	seen := make([]seenChunks, readers)
	for i := range seen {
		events, err := d.events(watching)
		if err != nil {
			return err
		}
		group.Go(func() error { return seen[i].read(watching, events) })
	}
	slow, err := d.events(watching)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, slow.Close()) }()
	if err := b.submitStreams(ctx, d, turns); err != nil {
		return err
	}
	before, err := d.used()
	if err != nil {
		return err
	}
	log, err := server.await(ctx, 3*time.Minute, func(log serverLog) bool { return log.Turns >= turns })
	if err != nil {
		return err
	}
	after, err := d.used()
	if err != nil {
		return err
	}
	expected := int64(turns * chunks)
	// What is on its way is waited for, until nothing comes any more.
	last := int64(-1)
	err = eventually(ctx, time.Minute, 2*time.Second, func() (bool, error) {
		least, sum := expected, int64(0)
		for i := range seen {
			least, sum = min(least, seen[i].count.Load()), sum+seen[i].count.Load()
		}
		done := least == expected || sum == last
		last = sum
		return done, nil
	})
	stop()
	if err := errors.Join(err, group.Wait()); err != nil {
		return err
	}
	least, most := expected, time.Duration(0)
	for i := range seen {
		least = min(least, seen[i].count.Load())
		most = max(most, time.Duration(seen[i].gap.Load()))
	}
	now, _, err := d.memory()
	if err != nil {
		return err
	}
	b.results.add(fmt.Sprintf("Stream/turns=%d/readers=%d", turns, readers),
		100*float64(least)/float64(expected), "%", float64(expected)/log.Wall.Seconds(), "chunks/s",
		log.Wall, "wall-ms", after-before, "cpu-ms", most, "longest-gap-ms", float64(now)/megabyte, "rss-MB")
	return nil
}

// events begins to read the events of all tasks, with their progress.
func (d *daemon) events(ctx context.Context) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://daemon/v1/events?progress=true", nil)
	if err != nil {
		return nil, err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, errors.Join(errors.New(response.Status), response.Body.Close())
	}
	return response.Body, nil
}

// seenChunks counts the pieces of texts that a reader has got.
type seenChunks struct {
	count atomic.Int64
	gap   atomic.Int64 // the longest time between two of them, in nanoseconds
}

func (s *seenChunks) read(ctx context.Context, events io.ReadCloser) (err error) {
	defer func() {
		if ctx.Err() != nil {
			err = nil // we have enough
		}
	}()
	defer func() { err = errors.Join(err, events.Close()) }()
	lines := bufio.NewReaderSize(events, 1<<20)
	word := []byte("word ")
	var last time.Time
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return err
		}
		if !bytes.HasPrefix(line, []byte("data: ")) || !bytes.Contains(line, []byte(`"kind":"text"`)) {
			continue
		}
		s.count.Add(int64(bytes.Count(line, word)))
		now := time.Now()
		if !last.IsZero() && now.Sub(last) > time.Duration(s.gap.Load()) {
			s.gap.Store(int64(now.Sub(last)))
		}
		last = now
	}
}

// submitStreams submits tasks of a single turn.
func (b *bench) submitStreams(ctx context.Context, d *daemon, n int) error {
	source := fmt.Sprintf(streamTeam, b.dir)
	var group errgroup.Group
	group.SetLimit(16)
	for range n {
		group.Go(func() error { return d.post(ctx, "/v1/tasks", map[string]any{"source": source, "file": "stream.yaml"}) })
	}
	return group.Wait()
}

const streamTeam = `
version: 1
name: stream
workspace: {directory: "%s", parallel_writers: true}
agents:
  writer: {prompt: You write.}
start: writer
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`
