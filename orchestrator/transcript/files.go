package transcript

import (
	"cmp"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// The default limits, in bytes on the disk.
const (
	DefaultMaxPerTurn = 16 << 20
	DefaultMaxTotal   = 10 << 30
)

const (
	// interval is how long a record waits at most, but for the time that the disk takes.
	interval = 500 * time.Millisecond
	// soon is how long what people wait for waits, so that what ends together is written together.
	soon = 50 * time.Millisecond
	// blockSize is written without waiting for interval, and maxOpen ends a text that comes in pieces.
	blockSize = 64 << 10
	maxOpen   = 16 << 10
	// maxHeldOfTurn and maxHeld bound what waits in memory for one turn, and for all.
	maxHeldOfTurn = 1 << 20
	maxHeld       = 32 << 20
	// maxRecord bounds each text of a record.
	maxRecord = 512 << 10
	// maxIdle is how many files are still known that no attempt is open of, so that the
	// next turn of a task with many does not look through its file again.
	maxIdle = 256
	// closeTimeout is how long Close waits for a disk.
	closeTimeout = 5 * time.Second
)

// Options configure Files. Dir is required.
type Options struct {
	// Dir is made when it is needed, for its owner alone.
	Dir string
	// MaxPerTurn bounds what is kept of one attempt, MaxTotal of all together, in
	// bytes on the disk; zero is the default. Of what is over MaxTotal the oldest is
	// removed.
	MaxPerTurn, MaxTotal int64
	Log                  zerolog.Logger

	// Tests replace these.
	open      func(name string) (file, error)
	maxRecord int
	maxHeld   int64
}

// file is what of an os.File is needed to add to one.
type file interface {
	Write(p []byte) (int, error)
	ReadAt(p []byte, off int64) (int, error)
	Truncate(size int64) error
	Close() error
	Stat() (os.FileInfo, error)
}

// Files writes transcripts. Its methods may be called concurrently.
type Files struct {
	o    Options
	held atomic.Int64 // bytes in memory
	// blocks is sent to when there is a whole block to write, and awaited when there
	// is something that people wait for.
	blocks, awaited chan struct{}
	// flushes are answered when all that waited is written, or lost.
	flushes chan chan struct{}
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex // is taken before that of a turn
	turns  map[key]*turn
	tasks  map[string]*taskFile // those of turns, and idle ones
	idle   []string             // tasks as they became so, the first of them maxIdle ago at most
	closed bool

	queueMu sync.Mutex // is taken after all others
	dirty   []*turn

	// What follows belongs to the writer.
	encoder *encoder
	buffer  []byte
	// out is the file that is open, and outOf whose it is; nil between passes.
	out   file
	outOf *taskFile
	// total is what is on the disk, once it is counted.
	total   int64
	counted bool
	// full says that there is too much although all was removed that may be, which
	// is tried again at that time.
	full  bool
	again time.Time
}

var _ engine.Transcripts = (*Files)(nil)

// New starts the goroutine that writes. Close must be called.
func New(o Options) (*Files, error) {
	o.MaxPerTurn, o.MaxTotal = cmp.Or(o.MaxPerTurn, DefaultMaxPerTurn), cmp.Or(o.MaxTotal, DefaultMaxTotal)
	o.maxRecord, o.maxHeld = cmp.Or(o.maxRecord, maxRecord), cmp.Or(o.maxHeld, maxHeld)
	if o.open == nil {
		o.open = func(name string) (file, error) { return os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600) }
	}
	encoder, err := newEncoder()
	if err != nil {
		return nil, err
	}
	f := &Files{
		o: o, encoder: encoder, turns: map[key]*turn{}, tasks: map[string]*taskFile{},
		blocks: make(chan struct{}, 1), awaited: make(chan struct{}, 1), flushes: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go f.run()
	return f, nil
}

// Close writes what waits and ends the writing; records that come later are
// dropped. It is bounded in time and may be called again.
func (f *Files) Close() error {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		close(f.stop)
	}
	f.mu.Unlock()
	timeout := time.NewTimer(closeTimeout)
	defer timeout.Stop()
	select {
	case <-f.done:
		return nil
	case <-timeout.C:
		return fmt.Errorf("end the transcripts: the disk does not take them within %s", closeTimeout)
	}
}
