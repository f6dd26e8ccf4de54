package transcript

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// taskFile is what is known of the file of a task, while an attempt of it is open
// and for a time after that.
type taskFile struct {
	name string
	open int // attempts; Files.mu guards it

	// What follows belongs to the writer.
	size int64
	// kept is what every attempt has in it, headers included; nil until the file was looked at.
	kept map[attempt]int64
}

// appendBlock adds a block to the file of a task, or leaves the file as it was.
// The file stays open for the next block of the same task.
func (f *Files) appendBlock(t *turn, lines []byte) error {
	f.buffer = f.encoder.block(f.buffer[:0], t.key.attempt, lines)
	if cap(f.buffer) > 1<<20 {
		defer func() { f.buffer = nil }()
	}
	out, err := f.openFile(t.file)
	if err != nil {
		return fmt.Errorf("open the transcript: %w", err)
	}
	if err := f.takeUp(t, out); err != nil {
		return err
	}
	if !t.over.Load() {
		switch {
		case t.file.kept[t.key.attempt]+int64(len(f.buffer)) > f.o.MaxPerTurn:
			return &limitError{"the transcript is", f.o.MaxPerTurn}
		case f.full:
			return &limitError{"all transcripts together are", f.o.MaxTotal}
		}
	}
	return f.add(t.file, out, t.key.attempt, f.buffer)
}

// add writes a block.
func (f *Files) add(to *taskFile, out file, of attempt, block []byte) error {
	n, err := out.Write(block)
	if err != nil {
		// What is there of the block would hide all that comes after it. Where it stays,
		// the size is not what is known, and the file is taken up again.
		return fmt.Errorf("write the transcript: %w", errors.Join(err, out.Truncate(to.size)))
	}
	to.size += int64(n)
	to.kept[of] += int64(n)
	f.total += int64(n)
	return nil
}

// openFile opens the file of a task where it is not the one that is open.
func (f *Files) openFile(to *taskFile) (file, error) {
	if f.out != nil && f.outOf == to {
		return f.out, nil
	}
	f.closeFile()
	out, err := f.o.open(to.name)
	if errors.Is(err, os.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(to.name), 0o700); err != nil {
			return nil, err
		}
		out, err = f.o.open(to.name)
	}
	if err != nil {
		return nil, err
	}
	f.out, f.outOf = out, to
	return out, nil
}

// closeFile closes what is open. Where that fails the file is looked at again
// before something is added to it.
func (f *Files) closeFile() {
	if f.out == nil {
		return
	}
	if err := f.out.Close(); err != nil {
		f.outOf.kept = nil
		f.o.Log.Warn().Err(err).Str("path", f.outOf.name).Msg("close the transcript; a part of it may be lost")
	}
	f.out, f.outOf = nil, nil
}

// takeUp finds out what is in a file that is there already, by its headers, and
// takes away what was being written when the process ended. It does so again
// where the file is another than the one that is known: somebody removed it.
func (f *Files) takeUp(t *turn, out file) error {
	if !f.counted {
		f.count()
	}
	info, err := out.Stat()
	if err != nil {
		return fmt.Errorf("look at the transcript: %w", err)
	}
	to := t.file
	if to.kept != nil && info.Size() == to.size {
		return nil
	}
	kept := map[attempt]int64{}
	rest, err := current.scan(out, 0, attempt{}, func(p piece) {
		if !p.damaged {
			kept[p.of] += p.size
		}
	})
	if err != nil {
		return err
	}
	if rest.size > 0 {
		if err := out.Truncate(rest.at); err != nil {
			return fmt.Errorf("cut the torn end of the transcript off: %w", err)
		}
		f.total -= rest.size
	}
	to.size, to.kept = rest.at, kept
	if rest.size == 0 {
		return nil
	}
	// It is said in the attempt that the torn block is of, or, where not even its
	// header is whole, in the one that goes on.
	of := t.key.attempt
	if rest.length > 0 {
		of = rest.of
	}
	torn := loss{bytes: rest.size, why: "the end of what was written before is torn"}
	return f.add(to, out, of, f.encoder.block(nil, of, torn.record(of).append(nil)))
}
