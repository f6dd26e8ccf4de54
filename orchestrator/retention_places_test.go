package orchestrator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// TestRetentionOfDirectories: the directory that a task was given of its own goes
// with it where its team says so, or nothing is in it; nobody else's ever does.
func TestRetentionOfDirectories(t *testing.T) {
	d := serving(t, DaemonOptions{})
	updates := d.Subscribe("")
	defer updates.Close()
	theirs := t.TempDir()
	run := func(name, workspace, command, given string) string {
		t.Helper()
		source := strings.Replace(checkTeam(name), "checks:", workspace+"checks:", 1)
		source = strings.Replace(source, "run: \"true\"", "run: "+command, 1)
		if !strings.Contains(source, command) {
			t.Fatalf("the team does not run %s:\n%s", command, source)
		}
		state, _, err := d.Submit(t.Context(), api.Submission{Source: []byte(source), Workspace: given})
		if err != nil {
			t.Fatal(err)
		}
		for {
			if u := <-updates.Updates(); u.Record != nil && u.Task == state.Task && u.Record.State.Status.Terminal() {
				return u.Record.State.Workspace
			}
		}
	}
	const always, onSuccess = "workspace: {cleanup: always}\n", "workspace: {cleanup: on_success}\n"
	gone := []string{
		run("always", always, "touch written", ""),
		run("failed", always, "sh -c 'touch written; exit 1'", ""),
		run("succeeded", onSuccess, "touch written", ""),
		run("empty", "", "test -d .", ""),
	}
	kept := []string{
		run("never", "", "touch written", ""),
		run("lost", onSuccess, "sh -c 'touch written; exit 1'", ""),
		run("theirs", always, "touch written", theirs),
	}
	busy := run("busy", always, "touch written", "")
	retried, err := d.Retry(t.Context(), filepath.Base(busy), 1)
	if err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended; {
		u := <-updates.Updates()
		ended = u.Record != nil && u.Task == retried.Task && u.Record.State.Status.Terminal()
	}
	orphan := filepath.Join(d.store.Dir(), workspacesName, "01ORPHAN")
	if err := os.MkdirAll(filepath.Join(orphan, "written"), 0o700); err != nil {
		t.Fatal(err)
	}
	kept = append(kept, orphan, busy) // whose retry was there when its own time was over
	for _, directory := range append(append([]string{busy}, gone...), kept...) {
		if _, err := os.Stat(directory); err != nil {
			t.Fatalf("before: %v", err)
		}
	}
	live := *d.live.Load()
	live.config.Retention.Tasks = time.Hour
	d.live.Store(&live)
	if err := d.removeEnded(t.Context(), time.Now().Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for _, directory := range gone {
		if _, err := os.Stat(directory); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is there: %v", directory, err)
		}
	}
	for _, directory := range kept {
		if entries, err := os.ReadDir(directory); err != nil || len(entries) != 1 {
			t.Errorf("%s has %d entries, %v", directory, len(entries), err)
		}
	}
	// The retry went with the others, and may have gone after the task whose directory it had.
	if list, err := d.List(t.Context(), store.Filter{Children: true}); err != nil || len(list) != 0 {
		t.Errorf("%d tasks are left, %v", len(list), err)
	}
}
