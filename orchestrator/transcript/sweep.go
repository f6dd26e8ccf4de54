package transcript

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// kept is a file of a transcript.
type kept struct {
	path     string
	size     int64
	modified time.Time
}

// all lists the files of transcripts, the oldest first.
func all(dir string) ([]kept, error) {
	var files []kept
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || entry.IsDir() {
			return err
		}
		if _, ok := infoOf(entry.Name()); !ok {
			return nil
		}
		info, err := entry.Info()
		if err == nil {
			files = append(files, kept{path, info.Size(), info.ModTime()})
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the transcripts: %w", err)
	}
	slices.SortFunc(files, func(a, b kept) int { return cmp.Or(a.modified.Compare(b.modified), cmp.Compare(a.path, b.path)) })
	return files, nil
}

// RemoveBefore removes the transcripts that were last written before a time, and
// returns how many that are.
func RemoveBefore(dir string, before time.Time) (int, error) {
	files, err := all(dir)
	removed := 0
	for _, f := range files {
		if !f.modified.Before(before) {
			break
		}
		if failure := f.remove(); failure != nil {
			err = errors.Join(err, failure)
			continue
		}
		removed++
	}
	return removed, err
}

// remove removes a file, and its directory where that is empty then.
func (k kept) remove() error {
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a transcript: %w", err)
	}
	_ = os.Remove(filepath.Dir(k.path)) // others may be in it
	return nil
}

// count finds out how much there is.
func (f *Files) count() {
	files, err := all(f.o.Dir)
	if err != nil {
		f.o.Log.Warn().Err(err).Msg("the size of the transcripts is not known")
	}
	f.total, f.counted = 0, true
	for _, k := range files {
		f.total += k.size
	}
}

// makeRoom removes the oldest transcripts, down to nine tenths of the limit. Those
// of turns that run are the youngest, and stay.
func (f *Files) makeRoom() {
	files, err := all(f.o.Dir)
	if err != nil {
		f.o.Log.Warn().Err(err).Msg("no room can be made for transcripts")
		return
	}
	f.total = 0
	for _, k := range files {
		f.total += k.size
	}
	removed := 0
	for _, k := range files {
		if f.total <= f.o.MaxTotal*9/10 {
			break
		}
		if f.isOpen(k.path) {
			continue
		}
		if err := k.remove(); err != nil {
			f.o.Log.Warn().Err(err).Msg("no room can be made for transcripts")
			continue
		}
		f.total -= k.size
		removed++
	}
	f.o.Log.Info().Int("transcripts", removed).Int64("bytes", f.total).Msg("removed the oldest transcripts: they took more than max_total")
}

// isOpen says whether a turn is still being written.
func (f *Files) isOpen(path string) bool {
	info, _ := infoOf(filepath.Base(path))
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.turns[key{filepath.Base(filepath.Dir(path)), info.Turn, info.Attempt}] != nil
}
