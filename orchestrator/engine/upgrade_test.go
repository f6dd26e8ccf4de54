package engine

import (
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"testing"

	_ "modernc.org/sqlite" // the driver of the dump

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Tasks that the version of schema 1 left unfinished go on: one that was never
// started, one in the middle of a turn, and one that waited for a time.
func TestTasksOfSchema1GoOn(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("../store/testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, store.FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), string(script))
	if closing := db.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	s, f := openUnverified(t, dir), &fake{server: newServer()}
	f.server.sent["01RUNS.2.1"] = 1 // it had arrived
	e := newEngine(s, f)
	run(t, e)
	for _, task := range []string{"01QUEUED", "01RUNS", "01WAITS"} {
		if state := e.wait(t, task); state.Status != workflow.TaskSucceeded || state.Nodes["b"].Output != "by b" {
			t.Errorf("%s: %+v, %+v", task, state.Result, state.Nodes["b"])
		}
	}
	slices.Sort(f.server.order)
	if want := []string{"a", "b", "b", "c", "c", "c"}; !slices.Equal(f.server.order, want) {
		t.Errorf("inputs of %v, want %v", f.server.order, want)
	}
}
