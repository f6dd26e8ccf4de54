package store

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// schema1 makes a store as the version of schema 1 wrote it: testdata/schema1.sql
// is the dump of a file that it made, with a task in each state.
func schema1(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script, err := os.ReadFile("testdata/schema1.sql")
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := db.ExecContext(t.Context(), string(script)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestStoreOfSchema1IsBroughtUpToDate(t *testing.T) {
	dir := schema1(t)
	if _, err := OpenReader(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "older version") {
		t.Errorf("reader: %v", err)
	}
	for range 2 { // the second time there is nothing to do
		s := open(t, dir)
		list, err := s.List(t.Context(), Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, state := range list {
			records, err := s.Events(t.Context(), state.Task, 0)
			if err != nil || int64(len(records)) != state.Version {
				t.Errorf("%d events of %s at version %d, %v", len(records), state.Task, state.Version, err)
			}
			got = append(got, fmt.Sprint(state.Task, " ", state.Status))
			children, err := s.Children(t.Context(), state.Task)
			if err != nil || len(children) != 0 {
				t.Errorf("children of %s: %v, %v", state.Task, children, err)
			}
		}
		if want := "01QUEUED queued, 01RUNS running, 01WAITS waiting, 01DONE succeeded"; strings.Join(got, ", ") != want {
			t.Errorf("tasks %v, want %s", got, want)
		}
		revision, err := s.Revision(t.Context(), list[0].Revision)
		if err != nil || revision.Sources != nil || !strings.Contains(string(revision.Source), "name: chain") {
			t.Errorf("revision: %+v, %v", revision, err)
		}
		rows, err := s.Runtimes(t.Context(), RuntimeFilter{Active: true})
		if err != nil || len(rows) != 1 || rows[0].Active != (ActiveTurn{Task: "01RUNS", Turn: 2, Attempt: 1}) {
			t.Errorf("held conversations: %+v, %v", rows, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func TestSourcesOfSubTeamsAreKept(t *testing.T) {
	s := opened(t)
	team := team()
	team.Revision, team.Sources = "rev2", map[string][]byte{"a.yaml": []byte("a"), "../b.yaml": []byte("b")}
	if err := s.SaveRevision(t.Context(), team, at(0)); err != nil {
		t.Fatal(err)
	}
	got, err := s.Revision(t.Context(), "rev2")
	if err != nil || len(got.Sources) != 2 || string(got.Sources["../b.yaml"]) != "b" {
		t.Errorf("revision: %+v, %v", got, err)
	}
	if _, err := s.writes.ExecContext(t.Context(), "UPDATE revisions SET sources = 'no JSON' WHERE hash = 'rev2'"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Revision(t.Context(), "rev2"); err == nil || !strings.Contains(err.Error(), "rev2") {
		t.Errorf("damaged: %v", err)
	}
}

// createChild makes a task of another one.
func createChild(t *testing.T, s *Store, id, parent string, seconds int) workflow.State {
	t.Helper()
	state, event := queued(id, seconds)
	state.Parent = &workflow.Parent{Task: parent, Turn: 3, Attempt: 1}
	if _, created, err := s.Create(t.Context(), state, event, nil, ""); err != nil || !created {
		t.Fatalf("create %s: created %v, %v", id, created, err)
	}
	return state
}
