package store

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// replayed is the first schema whose journals this version writes in the same way.
const replayed = 2

// dumps are the stores in testdata that earlier versions of the program wrote, by
// the number of their schema.
func dumps(t *testing.T) map[int]string {
	t.Helper()
	files, err := filepath.Glob("testdata/schema*.sql")
	if err != nil {
		t.Fatal(err)
	}
	out := map[int]string{}
	for _, file := range files {
		n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "schema"), ".sql"))
		if err != nil {
			t.Fatal(err)
		}
		out[n] = file
	}
	for n := range 3 {
		if out[n+1] == "" {
			t.Errorf("no store of schema %d", n+1)
		}
	}
	return out
}

// restored makes a store from a dump.
func restored(t *testing.T, dump string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	script, err := os.ReadFile(dump)
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, FileName))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.ExecContext(t.Context(), string(script))
	if closing := db.Close(); err != nil || closing != nil {
		t.Fatal(err, closing)
	}
	return dir
}

// rowsOf reads what every version has had, as it is stored.
func rowsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, FileName)+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	out := map[string]string{}
	for table, columns := range map[string]string{
		"tasks":     "id || ' ' || team || ' ' || revision || ' ' || status || ' ' || version || ' ' || created || ' ' || updated || ' ' || COALESCE(wake_at, '') || state",
		"events":    "task || ' ' || seq || ' ' || at || ' ' || type || event || effects",
		"runtimes":  "server || ' ' || agent_id || ' ' || conversation_id || ' ' || COALESCE(active_task, '') || ' ' || COALESCE(active_turn, '')",
		"revisions": "hash || source",
	} {
		var text sql.NullString
		row := db.QueryRowContext(t.Context(), "SELECT group_concat(line, char(10)) FROM (SELECT "+columns+" AS line FROM "+table+" ORDER BY 1)")
		if err := row.Scan(&text); err != nil {
			t.Fatal(err)
		}
		out[table] = text.String
	}
	return out
}

// whole checks a store that was brought up to date.
func whole(t *testing.T, dir string, schema int, before map[string]string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	s, err := OpenReader(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
		t.Errorf("schema %d: what was stored has changed:\n%s", schema, diff)
	}
	if err := s.CheckFile(ctx); err != nil {
		t.Error(err)
	}
	ids, err := s.TaskIDs(ctx)
	if err != nil || len(ids) < 4 {
		t.Fatalf("schema %d: tasks %v, %v", schema, ids, err)
	}
	for _, id := range ids {
		if _, err := s.VerifyTask(ctx, id); err != nil && schema >= replayed {
			t.Errorf("schema %d: %v", schema, err)
		}
		if _, err := s.Task(ctx, id); err != nil {
			t.Errorf("schema %d: %v", schema, err)
		}
	}
}

// A store of every earlier version is brought up to date, with all that it holds.
func TestStoreOfEveryEarlierSchema(t *testing.T) {
	for schema, dump := range dumps(t) {
		dir := restored(t, dump)
		before := rowsOf(t, dir)
		for range 2 { // the second time there is nothing to do
			s := open(t, dir)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			whole(t, dir, schema, before)
		}
	}
}

// The last migration can be taken back, with all that is stored.
func TestLastMigrationGoesBack(t *testing.T) {
	for schema, dump := range dumps(t) {
		dir := restored(t, dump)
		s := open(t, dir)
		before, used := rowsOf(t, dir), usedIn(t, s)
		p, err := provider(s.writes)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Down(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(before, rowsOf(t, dir)); diff != "" {
			t.Errorf("schema %d: what was stored has changed:\n%s", schema, diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		if diff := cmp.Diff(used, usedIn(t, s)); diff != "" {
			t.Errorf("schema %d: what is counted has changed:\n%s", schema, diff)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		whole(t, dir, schema, before)
	}
}

func usedIn(t *testing.T, s *Store) []UsageSum {
	t.Helper()
	sums, err := s.Usage(t.Context(), UsageFilter{By: UsageByTask})
	if err != nil || len(sums) == 0 {
		t.Fatalf("%+v, %v", sums, err)
	}
	return sums
}
