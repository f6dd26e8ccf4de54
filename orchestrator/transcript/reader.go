package transcript

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ErrNone means that no transcript is kept of what is asked for.
var ErrNone = errors.New("no transcript is kept")

const (
	// DirName is the directory, in the data directory, of transcripts.
	DirName = "transcripts"
	suffix  = ".jsonl.zst"
)

// Info is one transcript.
type Info struct {
	Turn, Attempt int
	// Size is what it takes on the disk, in bytes.
	Size     int64
	Modified time.Time
}

func fileOf(dir, task string, turn, attempt int) string {
	return filepath.Join(dir, task, fmt.Sprintf("%d.%d%s", turn, attempt, suffix))
}

// infoOf reads the name of a file.
func infoOf(name string) (Info, bool) {
	base, ok := strings.CutSuffix(name, suffix)
	turn, attempt, dot := strings.Cut(base, ".")
	t, err := strconv.Atoi(turn)
	a, err2 := strconv.Atoi(attempt)
	return Info{Turn: t, Attempt: a}, ok && dot && err == nil && err2 == nil && t > 0 && a > 0
}

// List returns the transcripts of a task (its whole ID) in the order of its turns; nil where there are none.
func List(dir, task string) ([]Info, error) {
	if task == "" || task != filepath.Base(task) || strings.HasPrefix(task, ".") {
		return nil, nil
	}
	entries, err := os.ReadDir(filepath.Join(dir, task))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the transcripts of task %s: %w", task, err)
	}
	var list []Info
	for _, entry := range entries {
		info, ok := infoOf(entry.Name())
		if !ok {
			continue
		}
		file, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list the transcripts of task %s: %w", task, err)
		}
		info.Size, info.Modified = file.Size(), file.ModTime()
		list = append(list, info)
	}
	slices.SortFunc(list, func(a, b Info) int {
		if a.Turn != b.Turn {
			return a.Turn - b.Turn
		}
		return a.Attempt - b.Attempt
	})
	return list, nil
}

// Reader reads one transcript, also while it is written.
type Reader struct {
	file          *os.File
	turn, attempt int
	zstd          *zstd.Decoder
	offset        int64
	lines         []byte // of the block that is read
}

// Open opens the transcript of an attempt. Close must be called. Errors: ErrNone.
func Open(dir, task string, turn, attempt int) (*Reader, error) {
	file, err := os.Open(fileOf(dir, task, turn, attempt))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("turn %d, attempt %d, of task %s: %w", turn, attempt, task, ErrNone)
	}
	if err != nil {
		return nil, fmt.Errorf("open a transcript: %w", err)
	}
	z, err := newDecoder()
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Reader{file: file, turn: turn, attempt: attempt, zstd: z}, nil
}

func newDecoder() (*zstd.Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxBlock), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, fmt.Errorf("make a decompressor: %w", err)
	}
	return z, nil
}

// Close ends the reading.
func (r *Reader) Close() error {
	r.zstd.Close()
	if err := r.file.Close(); err != nil {
		return fmt.Errorf("close a transcript: %w", err)
	}
	return nil
}

// Next returns the next record. What is damaged becomes a Cut that says so. At the
// end of what is written it returns io.EOF, and it may be called again later.
func (r *Reader) Next() (Record, error) {
	for len(r.lines) == 0 {
		frame, next, err := readBlock(r.file, r.offset)
		if err == nil {
			r.lines, err = r.zstd.DecodeAll(frame, nil)
			if err != nil {
				r.lines, err = nil, errDamaged
			}
		}
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errTorn):
			return Record{}, io.EOF
		case errors.Is(err, errDamaged):
			from := r.offset
			at, found, err := nextMark(r.file, r.offset+1)
			if err != nil {
				return Record{}, fmt.Errorf("read a transcript: %w", err)
			}
			if r.offset = at; !found && at == from {
				return Record{}, io.EOF
			}
			return r.cut("the file is damaged here", at-from), nil
		case err != nil:
			return Record{}, fmt.Errorf("read a transcript: %w", err)
		}
		r.offset = next
	}
	line, rest, _ := bytes.Cut(r.lines, []byte("\n"))
	r.lines = rest
	record := Record{}
	if err := json.Unmarshal(line, &record); err != nil {
		return r.cut("a line cannot be read", int64(len(line))), nil //nolint:nilerr // the record says it
	}
	record.Turn, record.Attempt = r.turn, r.attempt
	return record, nil
}

func (r *Reader) cut(why string, size int64) Record {
	return Record{Type: Cut, Turn: r.turn, Attempt: r.attempt, Text: why, Bytes: size}
}

// Torn is how many bytes are there behind what Next has read to the end: of a
// block that is being written, or that never will be.
func (r *Reader) Torn() int64 {
	info, err := r.file.Stat()
	if err != nil {
		return 0
	}
	return max(0, info.Size()-r.offset)
}
