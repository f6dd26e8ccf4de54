package transcript

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Earlier versions wrote a file for each attempt, DIR/TASK/TURN.ATTEMPT.jsonl.zst,
// whose name says what the headers in it do not. Those that are there are told and
// removed like all others; nothing is written to them.

// earlierLayout is that of the file of an attempt: a header has the length and the
// checksum of its block.
func earlierLayout(of attempt) layout {
	return layout{mark: [8]byte{0x5e, 0x2a, 0x4d, 0x18, 8}, size: 16, parse: func(header []byte) (head, bool) {
		h := head{of: of, length: int64(binary.LittleEndian.Uint32(header[8:])), sum: binary.LittleEndian.Uint32(header[12:])}
		return h, h.length <= maxBlock
	}}
}

// earlierAttempt reads the name of a file.
func earlierAttempt(name string) (attempt, bool) {
	base, ok := strings.CutSuffix(name, suffix)
	turn, number, dot := strings.Cut(base, ".")
	t, err := strconv.Atoi(turn)
	n, err2 := strconv.Atoi(number)
	return attempt{t, n}, ok && dot && err == nil && err2 == nil && t > 0 && n > 0
}

// earlierFiles are those of a task.
func earlierFiles(dir, task string) (map[string]layout, error) {
	entries, err := os.ReadDir(filepath.Join(dir, task))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list the transcripts of task %s: %w", task, err)
	}
	files := map[string]layout{}
	for _, entry := range entries {
		if of, ok := earlierAttempt(entry.Name()); ok {
			files[filepath.Join(dir, task, entry.Name())] = earlierLayout(of)
		}
	}
	return files, nil
}
