package transcript

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"time"
)

// enqueue notes that there is something to write. t.mu is held, and f.mu must not be.
func (f *Files) enqueue(t *turn) {
	f.queueMu.Lock()
	defer f.queueMu.Unlock()
	f.dirty = append(f.dirty, t)
}

// wake tells the writer, without waiting for it.
func wake(channel chan struct{}) {
	select {
	case channel <- struct{}{}:
	default:
	}
}

// run writes until Close is called, and then what is left.
func (f *Files) run() {
	defer close(f.done)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	together := time.NewTimer(soon)
	defer together.Stop()
	waits := true
	for {
		select {
		case <-f.stop:
			f.write()
			return
		case <-ticker.C:
		case <-f.blocks:
		case <-f.awaited:
			if !waits {
				waits = true
				together.Reset(soon)
			}
			continue
		case <-together.C:
			waits = false
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
	slices.SortStableFunc(dirty, func(a, b *turn) int { return cmp.Compare(a.key.task, b.key.task) })
	for _, t := range dirty {
		lines, lost := t.take()
		f.writeTurn(t, lines, lost)
		runtime.Gosched() // nobody waits for it, and others have something to do
		f.mu.Lock()
		f.forget(t)
		f.mu.Unlock()
	}
	f.closeFile()
	if f.counted && (f.total > f.o.MaxTotal || f.full) && !time.Now().Before(f.again) {
		f.makeRoom()
	}
}

// writeTurn adds a block of a turn to the file of its task.
func (f *Files) writeTurn(t *turn, lines []byte, lost loss) {
	if t.over.Load() {
		f.leaveOut(t, lines, lost)
		return
	}
	records, bytes := countLines(lines)+lost.records, int64(len(lines))+lost.bytes
	if records == 0 {
		return
	}
	if lost.records > 0 {
		lines = lost.record(t.key.attempt).append(lines) // it came when these were there already
	}
	if t.failed {
		lines = append(t.missing.record(t.key.attempt).append(nil), lines...)
	}
	err := f.appendBlock(t, lines)
	var full *limitError
	switch {
	case err == nil:
		t.failed, t.missing = false, loss{}
	case errors.As(err, &full):
		t.limit = full.Error()
		t.over.Store(true)
		f.leaveOut(t, lines, loss{})
	default:
		t.missing.add(records, bytes, err.Error())
		if !t.failed {
			t.failed = true
			f.o.Log.Warn().Err(err).Str("task", t.key.task).Int("turn", t.key.turn).Int("attempt", t.key.number).Msg("a part of the transcript is lost; the turn goes on")
		}
	}
}

// limitError says that nothing may be added any more.
type limitError struct {
	what string
	most int64
}

func (e *limitError) Error() string { return fmt.Sprintf("%s longer than %d bytes", e.what, e.most) }

// leaveOut counts what is over a limit. The end of an attempt is written all the
// same, with what is missing before it.
func (f *Files) leaveOut(t *turn, lines []byte, lost loss) {
	t.cut.add(countLines(lines)+lost.records, int64(len(lines))+lost.bytes, t.limit)
	end := lastEnd(lines)
	if end == nil {
		return
	}
	t.cut.records, t.cut.bytes = t.cut.records-1, t.cut.bytes-int64(len(end))
	last := append(t.cut.record(t.key.attempt).append(nil), end...)
	t.cut = loss{}
	if err := f.appendBlock(t, last); err != nil {
		f.o.Log.Warn().Err(err).Str("task", t.key.task).Int("turn", t.key.turn).Int("attempt", t.key.number).Msg("the end of the transcript is lost")
	}
}
