package store

import (
	"path/filepath"
	"testing"
)

// TestPositionsAreNotReused: where the newest events are removed with their task,
// those that follow come after them all the same: whoever goes on after the last
// position that it saw misses nothing. So it is after a restart, and in a backup.
func TestPositionsAreNotReused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Fatal(err)
	}
	kept := create(t, s, "KEPT", 1)
	gone := create(t, s, "GONE", 2)
	end(t, s, &gone, 10)
	last, err := s.LastPosition(t.Context())
	if err != nil || last != 3 {
		t.Fatalf("the last position is %d, %v", last, err)
	}
	if removed, err := s.RemoveTask(t.Context(), "GONE", at(50), at(1000)); err != nil || len(removed) != 1 {
		t.Fatalf("removed %v, %v", removed, err)
	}
	if now, err := s.LastPosition(t.Context()); err != nil || now != last {
		t.Errorf("after the removal the last position is %d, %v", now, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	end(t, s, &kept, 20)
	create(t, s, "NEXT", 30)
	check := func(s *Store) {
		t.Helper()
		events, err := s.EventsAfter(t.Context(), last, 10)
		if err != nil || len(events) != 2 || events[0].Position != last+1 || events[0].Task != "KEPT" || events[1].Position != last+2 || events[1].Task != "NEXT" {
			t.Errorf("after position %d there are %+v, %v", last, events, err)
		}
	}
	check(s)
	copied := filepath.Join(t.TempDir(), "copy")
	if _, err := Backup(t.Context(), dir, copied, BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	check(open(t, copied))
}
