package engine

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	_ "modernc.org/sqlite" // the driver of the dump

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Tasks that a later version left unfinished go on, too, and their journals hold.
func TestTasksOfEarlierSchemasGoOn(t *testing.T) {
	dumps, err := filepath.Glob("../store/testdata/schema*.sql")
	if err != nil || len(dumps) < 3 {
		t.Fatal(dumps, err)
	}
	for _, dump := range dumps {
		if filepath.Base(dump) == "schema1.sql" {
			continue // see below
		}
		s, f := openStore(t, restored(t, dump)), &fake{server: newServer()}
		e := newEngine(s, f, withChecks(&commands{}))
		ids, err := s.TaskIDs(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d := run(t, e)
		ended := map[workflow.TaskState]int{}
		for _, id := range ids {
			state, err := s.Task(t.Context(), id)
			if gate := openGate(state); gate != 0 {
				if _, err := e.AnswerGate(t.Context(), id, gate, false, "ada", ""); err != nil && !errors.Is(err, workflow.ErrStale) {
					t.Error(err) // but it may expire in this moment
				}
			}
			if err == nil && state.Status != workflow.TaskPaused {
				state, err = e.Wait(t.Context(), id)
			}
			if err != nil {
				t.Fatal(err)
			}
			if ended[state.Status]++; state.Status == workflow.TaskFailed && state.Input["goal"] != "fails" && state.Input["goal"] != "gate" {
				t.Errorf("%s: task %s: %+v", dump, id, state.Result)
			}
		}
		if ended[workflow.TaskPaused] != 1 || ended[workflow.TaskFailed] != 2 || ended[workflow.TaskSucceeded] != len(ids)-3 {
			t.Errorf("%s: %v of %d", dump, ended, len(ids))
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	}
}

// restored makes a store from a dump.
func restored(t *testing.T, dump string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script, err := os.ReadFile(dump)
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
	return dir
}

// Tasks that the version of schema 1 left unfinished go on: one that was never
// started, one in the middle of a turn, and one that waited for a time.
func TestTasksOfSchema1GoOn(t *testing.T) {
	s, f := openUnverified(t, restored(t, "../store/testdata/schema1.sql")), &fake{server: newServer()}
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
