package transcript

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// DirName is the directory, in the data directory, of transcripts.
	DirName = "transcripts"
	suffix  = ".jsonl.zst"
)

// fileOf is the file of a task.
func fileOf(dir, task string) string { return filepath.Join(dir, task+suffix) }

// isTask says whether a name can be that of a task.
func isTask(name string) bool {
	return name != "" && name == filepath.Base(name) && !strings.HasPrefix(name, ".")
}

// TaskOf is the task that an entry of the directory of transcripts belongs to: its
// file, or the directory that earlier versions made for it.
func TaskOf(entry fs.DirEntry) string {
	if entry.IsDir() {
		return entry.Name()
	}
	return strings.TrimSuffix(entry.Name(), suffix)
}

// Info is one transcript.
type Info struct {
	Turn, Attempt int
	// Size is what it takes on the disk, in bytes.
	Size int64
	// Modified is when the file that it is in was last written.
	Modified time.Time
}

// List returns the transcripts of a task (its whole ID) in the order of its turns; nil where there are none.
func List(dir, task string) ([]Info, error) {
	r := newReader(dir, task)
	defer r.close()
	blocks, err := r.more(func(attempt) bool { return true })
	if err != nil {
		return nil, err
	}
	modified := map[*source]time.Time{}
	for _, s := range r.sources {
		info, err := s.file.Stat()
		if err != nil {
			return nil, fmt.Errorf("list the transcripts of task %s: %w", task, err)
		}
		modified[s] = info.ModTime()
	}
	var list []Info
	for _, b := range blocks {
		if n := len(list); n == 0 || (attempt{list[n-1].Turn, list[n-1].Attempt}) != b.of {
			list = append(list, Info{Turn: b.of.turn, Attempt: b.of.number})
		}
		last := &list[len(list)-1]
		last.Modified = slices.MaxFunc([]time.Time{last.Modified, modified[b.source]}, time.Time.Compare)
		if !b.damaged {
			last.Size += b.size
		}
	}
	return list, nil
}
