package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// code is what SQLite's errors look like.
type code int

func (c code) Error() string { return fmt.Sprintf("sqlite error %d", int(c)) }
func (c code) Code() int     { return int(c) }

func TestKindsOfFailures(t *testing.T) {
	for name, tt := range map[string]struct {
		err                  error
		unavailable, damaged bool
		remedy               string
	}{
		"full":               {code(13), true, false, "free disk space"},
		"short write":        {code(10 | 3<<8), true, false, "check the disk"},
		"read-only":          {code(8 | 6<<8), true, false, "may be written"},
		"cannot open":        {code(14), true, false, "may be written"},
		"busy":               {code(5), true, false, "another program"},
		"no memory":          {code(7), true, false, "free memory"},
		"corrupt":            {code(11 | 1<<8), false, true, "put a backup in its place"},
		"no database":        {code(26), false, true, "put a backup in its place"},
		"corrupt filesystem": {code(10 | 33<<8), false, true, "put a backup in its place"},
		"constraint":         {code(19), false, false, ""},
		"wrong SQL":          {code(1), false, false, ""},
		"no space":           {&fs.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}, true, false, "free disk space"},
		"too large":          {syscall.EFBIG, true, false, "free disk space"},
		"quota":              {syscall.EDQUOT, true, false, "free disk space"},
		"failing disk":       {syscall.EIO, true, false, "check the disk"},
		"no permission":      {fs.ErrPermission, true, false, "may be written"},
		"found by a check":   {fmt.Errorf("x: %w", &damageError{"Tree 3"}), false, true, "put a backup in its place"},
		"a defect":           {errors.New("what"), false, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			err := fmt.Errorf("commit: %w", &StorageError{Op: "commit", Dir: "/data", Err: tt.err})
			if !errors.Is(err, ErrStorage) || errors.Is(err, ErrUnavailable) != tt.unavailable || errors.Is(err, ErrDamaged) != tt.damaged {
				t.Errorf("unavailable %v, damaged %v", errors.Is(err, ErrUnavailable), errors.Is(err, ErrDamaged))
			}
			failure, _ := errors.AsType[*StorageError](err)
			if got := failure.Remedy(); !strings.Contains(got, tt.remedy) || tt.remedy == "" && got != "" || !strings.Contains(err.Error(), got) {
				t.Errorf("remedy %q", got)
			}
		})
	}
}

// TestProbeTellsWhenThereIsRoom uses SQLite's own limit of the file.
func TestProbeTellsWhenThereIsRoom(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	limit := func(pages int) {
		if _, err := s.writes.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
			t.Fatal(err)
		}
	}
	limit(1) // it becomes what the file has
	long := func(n *workflow.State) { n.Input = map[string]any{"goal": strings.Repeat("x", 1<<20)} }
	if err := step(t, s, &state, workflow.TaskClaimed{}, long); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("commit: %v", err)
	}
	limit(1 << 20)
	if err := s.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if err := step(t, s, &state, workflow.TaskClaimed{}, long); err != nil {
		t.Error(err)
	}
	left, err := filepath.Glob(filepath.Join(s.Dir(), ".probe-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

func TestProbeWrites(t *testing.T) {
	s := opened(t)
	if _, err := s.writes.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(s.file() + "-wal")
	if err != nil || info.Size() == 0 {
		t.Errorf("nothing was written to the log of the file: %v, %v", info, err)
	}
}

func TestCheckAtTheStartIsBounded(t *testing.T) {
	dir := t.TempDir()
	for _, limit := range []time.Duration{0, time.Nanosecond} {
		s, err := Open(t.Context(), Options{Dir: dir, CheckTime: limit})
		if err != nil {
			t.Fatal(err)
		}
		if s.CheckedInPart() != (limit != 0) {
			t.Errorf("limit %s: checked in part: %v", limit, s.CheckedInPart())
		}
		if err := s.CheckFile(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ctx, Options{Dir: dir}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
