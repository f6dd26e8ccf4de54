package transcript

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	// blockSize is written without waiting, and maxOpen ends a text that comes in pieces.
	blockSize = 64 << 10
	maxOpen   = 16 << 10
	// maxHeldOfTurn and maxHeld bound what waits in memory for one turn, and for all.
	maxHeldOfTurn = 1 << 20
	maxHeld       = 32 << 20
	// maxRecord bounds each text of a record.
	maxRecord = 512 << 10
	// closeTimeout is how long Close waits for a disk.
	closeTimeout = 5 * time.Second
)

// Options configure Files. Dir is required.
type Options struct {
	// Dir is made when it is needed, for its owner alone.
	Dir string
	// MaxPerTurn bounds the file of one attempt, MaxTotal all of them, in bytes;
	// zero is the default. Of what is over MaxTotal the oldest is removed.
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
	o     Options
	held  atomic.Int64 // bytes in memory
	woken chan struct{}
	// flushes are answered when all that waited is written, or lost.
	flushes chan chan struct{}
	stop    chan struct{}
	done    chan struct{}

	mu     sync.Mutex // is taken before that of a turn
	turns  map[key]*turn
	closed bool

	queueMu sync.Mutex // is taken after all others
	dirty   []*turn

	encoder *encoder
	buffer  []byte
	// total is what is on the disk, once it is counted; it belongs to the writer.
	total   int64
	counted bool
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
		o: o, encoder: encoder, turns: map[key]*turn{},
		woken: make(chan struct{}, 1), flushes: make(chan chan struct{}), stop: make(chan struct{}), done: make(chan struct{}),
	}
	go f.run()
	return f, nil
}

// Begin implements engine.Transcripts.
func (f *Files) Begin(start engine.TranscriptStart) engine.Transcript {
	k := key{start.Task, start.Turn, start.Attempt}
	f.mu.Lock()
	t := f.turns[k]
	if t == nil {
		t = &turn{files: f, key: k}
		if !f.closed {
			f.turns[k] = t
		}
	}
	t.users++
	f.mu.Unlock()
	t.add(Record{
		Type: Begin, Node: start.Node, Kind: start.Kind, Server: start.Runtime.Server, Model: start.Model,
		Agent: start.Runtime.AgentID, Conversation: start.Runtime.ConversationID,
	})
	if start.Prompt != "" {
		t.add(Record{Type: Prompt, Text: start.Prompt})
	}
	return t
}

func (f *Files) release(t *turn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	t.users--
	f.forget(t)
}

// forget drops a turn that nobody adds to and of which all is written. f.mu is held.
func (f *Files) forget(t *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.users <= 0 && !t.queued {
		delete(f.turns, t.key)
	}
}

// enqueue notes that there is something to write. t.mu is held, and f.mu must not be.
func (f *Files) enqueue(t *turn) {
	f.queueMu.Lock()
	defer f.queueMu.Unlock()
	f.dirty = append(f.dirty, t)
}

func (f *Files) wake() {
	select {
	case f.woken <- struct{}{}:
	default:
	}
}

// run writes until Close is called, and then what is left.
func (f *Files) run() {
	defer close(f.done)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-f.stop:
			f.write()
			return
		case <-ticker.C:
		case <-f.woken:
		case written := <-f.flushes:
			f.write()
			close(written)
			continue
		}
		f.write()
	}
}

// write writes what waits, turn by turn.
func (f *Files) write() {
	f.queueMu.Lock()
	dirty := f.dirty
	f.dirty = nil
	f.queueMu.Unlock()
	for _, t := range dirty {
		lines, lost := t.take()
		f.writeTurn(t, lines, lost)
		runtime.Gosched() // nobody waits for it, and others have something to do
		f.mu.Lock()
		f.forget(t)
		f.mu.Unlock()
	}
	if f.counted && f.total > f.o.MaxTotal {
		f.makeRoom()
	}
}

// writeTurn adds a block to the file of a turn.
func (f *Files) writeTurn(t *turn, lines []byte, lost loss) {
	if t.over.Load() {
		t.leaveOut(f, lines, lost)
		return
	}
	records, bytes := countLines(lines)+lost.records, int64(len(lines))+lost.bytes
	if records == 0 {
		return
	}
	if lost.records > 0 {
		lines = lost.record().append(lines) // it came when these were there already
	}
	if t.failed {
		lines = append(t.missing.record().append(nil), lines...)
	}
	err := f.appendBlock(t, lines)
	var full *limitError
	switch {
	case err == nil:
		t.failed, t.missing = false, loss{}
	case errors.As(err, &full):
		t.over.Store(true)
		t.leaveOut(f, lines, loss{})
	default:
		t.missing.add(records, bytes, err.Error())
		if !t.failed {
			t.failed = true
			f.o.Log.Warn().Err(err).Str("task", t.key.task).Int("turn", t.key.turn).Int("attempt", t.key.attempt).Msg("a part of the transcript is lost; the turn goes on")
		}
	}
}

// limitError says that a file may not grow any more.
type limitError struct{ size int64 }

func (e *limitError) Error() string {
	return fmt.Sprintf("the transcript is longer than %d bytes", e.size)
}

// appendBlock adds a block, or leaves the file as it was.
func (f *Files) appendBlock(t *turn, lines []byte) (err error) {
	f.buffer = f.encoder.block(f.buffer[:0], lines)
	if cap(f.buffer) > 1<<20 {
		defer func() { f.buffer = nil }()
	}
	name := fileOf(f.o.Dir, t.key.task, t.key.turn, t.key.attempt)
	out, err := f.openFile(name)
	if err != nil {
		return fmt.Errorf("open the transcript: %w", err)
	}
	defer func() {
		if closing := out.Close(); err == nil && closing != nil {
			err = fmt.Errorf("close the transcript: %w", closing)
		}
	}()
	if !t.known {
		if err := f.takeUp(t, out); err != nil {
			return err
		}
	}
	if t.size+int64(len(f.buffer)) > f.o.MaxPerTurn {
		return &limitError{f.o.MaxPerTurn}
	}
	n, err := out.Write(f.buffer)
	if err != nil {
		// What is there of the block would hide all that comes after it.
		if back := out.Truncate(t.size); back != nil {
			t.known = false // it is looked for again
			err = errors.Join(err, back)
		}
		return fmt.Errorf("write the transcript: %w", err)
	}
	t.size += int64(n)
	f.total += int64(n)
	return nil
}

func (f *Files) openFile(name string) (file, error) {
	out, err := f.o.open(name)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return nil, err
		}
		return f.o.open(name)
	}
	return out, err
}

// takeUp finds out where a file ends that is there already, and takes away what
// was being written when the process ended.
func (f *Files) takeUp(t *turn, out file) error {
	if !f.counted {
		f.count()
	}
	info, err := out.Stat()
	if err != nil {
		return fmt.Errorf("look at the transcript: %w", err)
	}
	t.size = info.Size()
	if t.size > 0 {
		end, err := wholeSize(out)
		if err != nil {
			return fmt.Errorf("read the transcript: %w", err)
		}
		if end < t.size {
			if err := out.Truncate(end); err != nil {
				return fmt.Errorf("cut the torn end of the transcript off: %w", err)
			}
			torn := loss{bytes: t.size - end, why: "the end of what was written before is torn"}
			t.size = end
			f.buffer = append(f.encoder.block(nil, torn.record().append(nil)), f.buffer...)
		}
	}
	t.known = true
	return nil
}

// leaveOut counts what is over the limit of a file. The end of an attempt is
// written all the same, with what is missing before it.
func (t *turn) leaveOut(f *Files, lines []byte, lost loss) {
	t.cut.add(countLines(lines)+lost.records, int64(len(lines))+lost.bytes, (&limitError{f.o.MaxPerTurn}).Error())
	end := lastEnd(lines)
	if end == nil {
		return
	}
	t.cut.records, t.cut.bytes = t.cut.records-1, t.cut.bytes-int64(len(end))
	last := append(t.cut.record().append(nil), end...)
	t.cut = loss{}
	f.buffer = f.encoder.block(f.buffer[:0], last)
	out, err := f.openFile(fileOf(f.o.Dir, t.key.task, t.key.turn, t.key.attempt))
	if err != nil {
		return
	}
	n, err := out.Write(f.buffer)
	if err != nil {
		err = errors.Join(err, out.Truncate(t.size))
	} else {
		t.size += int64(n)
		f.total += int64(n)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		f.o.Log.Warn().Err(err).Str("task", t.key.task).Int("turn", t.key.turn).Msg("the end of the transcript is lost")
	}
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
