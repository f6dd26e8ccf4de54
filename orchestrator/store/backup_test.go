package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// files lists what is below a directory, with its contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if target, err := os.Readlink(path); err == nil {
			out[name] = "-> " + target
			return nil
		}
		content, err := os.ReadFile(path)
		if name == FileName {
			content = nil
		}
		out[name] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func put(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Transcripts are copied where that is wanted, also those of earlier versions.
func TestBackupOfTranscripts(t *testing.T) {
	s := opened(t)
	create(t, s, "A", 1)
	for _, name := range []string{"A.jsonl.zst", "A.3.a.jsonl.zst", "A/1.1.jsonl.zst", "A/2.1.jsonl.zst"} {
		put(t, filepath.Join(s.Dir(), transcriptsName, name), name)
	}
	for _, all := range []bool{false, true} {
		to := filepath.Join(t.TempDir(), "copy")
		got, err := Backup(t.Context(), s.Dir(), to, BackupOptions{Transcripts: all})
		if want := (BackupResult{Tasks: 1, Events: 1, Transcripts: 2}); err != nil || got != want {
			t.Errorf("got %+v, want %+v; %v", got, want, err)
		}
		want := map[string]string{FileName: ""}
		if all {
			for _, name := range []string{"A.jsonl.zst", "A.3.a.jsonl.zst", "A/1.1.jsonl.zst", "A/2.1.jsonl.zst"} {
				want["transcripts/"+name] = name
			}
		}
		if diff := cmp.Diff(want, files(t, to)); diff != "" {
			t.Errorf("the copy (-want +got):\n%s", diff)
		}
	}
}

func TestBackup(t *testing.T) {
	s := opened(t)
	dir := s.Dir()
	create(t, s, "A", 1)
	create(t, s, "B", 2)
	put(t, filepath.Join(dir, "outputs", "A", "1.1.txt"), "long")
	put(t, filepath.Join(dir, "outputs", "A", ".new-1"), "half")
	put(t, filepath.Join(dir, "prices.yaml"), "prices")
	put(t, filepath.Join(dir, "appserver", "token"), "secret")
	put(t, filepath.Join(dir, "workspaces", "A", "main.go"), "work")
	if err := os.Symlink("main.go", filepath.Join(dir, "workspaces", "A", "link")); err != nil {
		t.Fatal(err)
	}
	for _, workspaces := range []bool{false, true} {
		to := filepath.Join(t.TempDir(), "copy")
		got, err := Backup(t.Context(), dir, to, BackupOptions{Workspaces: workspaces})
		if err != nil {
			t.Fatal(err)
		}
		if want := (BackupResult{Tasks: 2, Events: 2, Files: 1, Workspaces: 1}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		want := map[string]string{FileName: "", "outputs/A/1.1.txt": "long", "prices.yaml": "prices"}
		if workspaces {
			want["workspaces/A/main.go"], want["workspaces/A/link"] = "work", "-> main.go"
		}
		if diff := cmp.Diff(want, files(t, to)); diff != "" {
			t.Errorf("the copy (-want +got):\n%s", diff)
		}
		copied := open(t, to)
		for _, id := range []string{"A", "B"} {
			if state, err := copied.Task(t.Context(), id); err != nil || state.Status != workflow.TaskQueued {
				t.Errorf("task %s: %+v, %v", id, state, err)
			}
		}
		if info, err := os.Stat(filepath.Join(to, FileName)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the copy: %v, %v", info, err)
		}
		if info, err := os.Stat(to); err != nil || info.Mode().Perm() != 0o700 {
			t.Errorf("mode of the directory: %v, %v", info, err)
		}
	}
}

func TestBackupChangesNothingWhereItFails(t *testing.T) {
	s := opened(t)
	parent := t.TempDir()
	put(t, filepath.Join(parent, "file"), "mine")
	for name, tt := range map[string]struct {
		dir, to string
		want    error
	}{
		"a file is there": {s.Dir(), filepath.Join(parent, "file"), ErrBackupExists},
		"no store":        {parent, filepath.Join(parent, "x"), ErrNoStore},
		"no parent":       {s.Dir(), filepath.Join(parent, "no", "x"), os.ErrNotExist},
	} {
		if _, err := Backup(t.Context(), tt.dir, tt.to, BackupOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Backup(ctx, s.Dir(), filepath.Join(parent, "x"), BackupOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if diff := cmp.Diff(map[string]string{"file": "mine"}, files(t, parent)); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// A backup is one instant of a store that is being written: every task of it has
// as many events as its version says.
func TestBackupWhileItIsWritten(t *testing.T) {
	s := opened(t)
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	begun := make(chan bool, 2)
	for w := range 2 {
		state := create(t, s, fmt.Sprintf("W%d", w), w)
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := step(t, s, &state, workflow.TaskClaimed{}, func(next *workflow.State) {
					next.Input = map[string]any{"goal": strings.Repeat("x", n%5000)}
				}); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				if n == 3 {
					begun <- true
				}
			}
		})
	}
	<-begun
	for range 5 {
		to := filepath.Join(t.TempDir(), "copy")
		if _, err := Backup(t.Context(), s.Dir(), to, BackupOptions{}); err != nil {
			t.Fatal(err)
		}
		copied := open(t, to)
		for w := range 2 {
			id := fmt.Sprintf("W%d", w)
			state, err := copied.Task(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			events, err := copied.Events(t.Context(), id, 0)
			if err != nil || int64(len(events)) != state.Version {
				t.Errorf("%d events of %s at version %d, %v", len(events), id, state.Version, err)
			}
		}
	}
	cancel()
	writers.Wait()
}

// An earlier version's store is copied as it is, and brought up to date when it is opened.
func TestBackupOfAnEarlierVersion(t *testing.T) {
	to := filepath.Join(t.TempDir(), "copy")
	made, err := Backup(t.Context(), schema1(t), to, BackupOptions{})
	if err != nil || made.Tasks != 4 {
		t.Fatalf("%+v, %v", made, err)
	}
	if list, err := open(t, to).List(t.Context(), Filter{}); err != nil || len(list) != 4 {
		t.Errorf("%d tasks, %v", len(list), err)
	}
}
