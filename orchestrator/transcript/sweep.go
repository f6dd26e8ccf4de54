package transcript

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// again is how long it takes until room is looked for once more where none could be made.
const again = time.Minute

// kept is a file of transcripts.
type kept struct {
	path, task string
	earlier    bool // it is that of one attempt
	size       int64
	modified   time.Time
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
		k := kept{path: path}
		if parent := filepath.Dir(path); parent != filepath.Clean(dir) {
			_, k.earlier = earlierAttempt(entry.Name())
			k.task = filepath.Base(parent)
		} else {
			k.task, _ = strings.CutSuffix(entry.Name(), suffix)
		}
		if !k.earlier && fileOf(dir, k.task) != path {
			return nil // it is no transcript
		}
		info, err := entry.Info()
		if err == nil {
			k.size, k.modified = info.Size(), info.ModTime()
			files = append(files, k)
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

// RemoveBefore removes the transcripts of tasks none of which was written since a
// time, and returns how many files that are. Those that writing, which may be nil,
// has open stay.
func RemoveBefore(dir string, before time.Time, writing *Files) (int, error) {
	files, err := all(dir)
	removed := 0
	for _, f := range files {
		if !f.modified.Before(before) {
			break
		}
		if info, gone := os.Lstat(f.path); writing.isOpen(f.task) || gone == nil && !info.ModTime().Before(before) {
			continue // the task goes on, or went on meanwhile
		}
		if failure := f.remove(); failure != nil {
			err = errors.Join(err, failure)
			continue
		}
		removed++
	}
	return removed, err
}

// remove removes a file, and the directory of its task where that is empty then.
func (k kept) remove() error {
	if err := os.Remove(k.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a transcript: %w", err)
	}
	if k.earlier {
		_ = os.Remove(filepath.Dir(k.path)) // others may be in it
	}
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
// of tasks that have an attempt open stay. Where these alone are too much, nothing
// but the ends of attempts is added until there is room: one task may run for ever.
func (f *Files) makeRoom() {
	files, err := all(f.o.Dir)
	if err != nil {
		f.o.Log.Warn().Err(err).Msg("no room can be made for transcripts")
		f.again = time.Now().Add(again)
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
		if f.isOpen(k.task) {
			continue
		}
		if err := k.remove(); err != nil {
			f.o.Log.Warn().Err(err).Msg("no room can be made for transcripts")
			continue
		}
		f.total -= k.size
		removed++
	}
	if removed > 0 {
		f.o.Log.Info().Int("transcripts", removed).Int64("bytes", f.total).Msg("removed the oldest transcripts: they took more than max_total")
	}
	was := f.full
	if f.full = f.total > f.o.MaxTotal; f.full {
		f.again = time.Now().Add(again)
		if !was {
			f.o.Log.Warn().Int64("bytes", f.total).Msg("the transcripts of tasks that run take more than max_total: no more is kept until there is room")
		}
	}
}
