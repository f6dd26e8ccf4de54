package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// ErrNone means that no transcript is kept of what is asked for.
var ErrNone = errors.New("no transcript is kept")

// reader reads what is kept of a task, also while it is written.
type reader struct {
	dir, task string
	sources   map[string]*source // by path
	decoder   *decoder           // once it is needed
}

// source is a file that is read, and how far its blocks are known.
type source struct {
	file    *os.File
	layout  layout
	earlier bool
	end     int64   // of the last block that is known
	last    attempt // that it belongs to
	rest    piece   // what is behind it
}

// block is a part of one of the files.
type block struct {
	piece
	source *source
}

func newReader(dir, task string) *reader {
	return &reader{dir: dir, task: task, sources: map[string]*source{}}
}

// open opens what has come to be there.
func (r *reader) open() error {
	if !isTask(r.task) {
		return nil
	}
	files, err := earlierFiles(r.dir, r.task)
	if err != nil {
		return err
	}
	now := fileOf(r.dir, r.task)
	files[now] = current
	for path, layout := range files {
		if r.sources[path] != nil {
			continue
		}
		file, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open a transcript: %w", err)
		}
		r.sources[path] = &source{file: file, layout: layout, earlier: path != now}
	}
	return nil
}

// more returns the blocks that have come since the last call, attempt by attempt.
func (r *reader) more(wanted func(attempt) bool) ([]block, error) {
	if err := r.open(); err != nil {
		return nil, err
	}
	var blocks []block
	for _, s := range r.sources {
		rest, err := s.layout.scan(s.file, s.end, s.last, func(p piece) {
			s.end, s.last = p.at+p.size, p.of
			if wanted(p.of) {
				blocks = append(blocks, block{p, s})
			}
		})
		if err != nil {
			return nil, err
		}
		s.rest = rest
	}
	slices.SortFunc(blocks, block.compare)
	return blocks, nil
}

// compare orders blocks by attempt, and then as they were written.
func (b block) compare(other block) int {
	switch {
	case b.of != other.of:
		return b.of.compare(other.of)
	case b.source.earlier != other.source.earlier:
		if b.source.earlier {
			return -1
		}
		return 1
	case b.at < other.at:
		return -1
	case b.at > other.at:
		return 1
	}
	return 0
}

// rests are what the files end with that is no whole block, and whose attempt is known.
func (r *reader) rests(wanted func(attempt) bool) []block {
	var rests []block
	for _, s := range r.sources {
		if s.rest.size > 0 && s.rest.of != (attempt{}) && wanted(s.rest.of) {
			rests = append(rests, block{s.rest, s})
		}
	}
	slices.SortFunc(rests, block.compare)
	return rests
}

// tell tells the records of a block. What is damaged becomes a Cut that says so.
func (r *reader) tell(b block, tell func(Record) error) error {
	if r.decoder == nil {
		var err error
		if r.decoder, err = newDecoder(); err != nil {
			return err
		}
	}
	lines, err := r.decoder.lines(b.source.file, b.piece)
	if errors.Is(err, errDamaged) {
		return tell(b.cut("the file is damaged here", b.size))
	}
	if err != nil {
		return err
	}
	for line := range bytes.Lines(lines) {
		record := Record{}
		if err := json.Unmarshal(line, &record); err != nil {
			record = b.cut("a line cannot be read", int64(len(line)))
		}
		record.Turn, record.Attempt = b.of.turn, b.of.number
		if err := tell(record); err != nil {
			return err
		}
	}
	return nil
}

func (p piece) cut(why string, size int64) Record {
	return Record{Type: Cut, Turn: p.of.turn, Attempt: p.of.number, Text: why, Bytes: size}
}

func (r *reader) close() {
	if r.decoder != nil {
		r.decoder.zstd.Close()
	}
	for _, s := range r.sources {
		_ = s.file.Close() // it was only read
	}
}
