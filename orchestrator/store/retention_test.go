package store

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// end ends a task at a time.
func end(t *testing.T, s *Store, state *workflow.State, seconds int) {
	t.Helper()
	if err := step(t, s, state, workflow.CancelRequested{By: "test"}, func(n *workflow.State) {
		n.Status, n.Updated = workflow.TaskCancelled, at(seconds)
	}); err != nil {
		t.Fatal(err)
	}
}

func TestRemovalOfTasksThatEnded(t *testing.T) {
	s := opened(t)
	var states []workflow.State
	for i, id := range []string{"OLD", "YOUNG", "OPEN", "PARENT"} {
		states = append(states, create(t, s, id, i))
	}
	child, event := queued("PARENT.1.1", 5)
	child.Parent = &workflow.Parent{Task: "PARENT", Turn: 1, Attempt: 1}
	if _, _, err := s.Create(t.Context(), child, event, nil, ""); err != nil {
		t.Fatal(err)
	}
	end(t, s, &states[0], 10)
	end(t, s, &states[1], 100)
	end(t, s, &states[3], 11)
	list := func(want ...string) {
		t.Helper()
		if got, err := s.EndedBefore(t.Context(), at(50), 10); err != nil || !slices.Equal(got, want) {
			t.Errorf("ended: %v, %v; want %v", got, err, want)
		}
	}
	list("OLD") // what PARENT started goes on
	end(t, s, &child, 60)
	list("OLD") // and has ended too late
	for id, want := range map[string]error{"OPEN": ErrNotEnded, "YOUNG": ErrNotEnded, "PARENT": ErrNotEnded, "PARENT.1.1": ErrNotFound, "NONE": ErrNotFound} {
		if removed, err := s.RemoveTask(t.Context(), id, at(50), at(1000)); !errors.Is(err, want) || len(removed) > 0 {
			t.Errorf("%s: removed %v, %v", id, removed, err)
		}
	}
	removed, err := s.RemoveTask(t.Context(), "PARENT", at(70), at(1000))
	if err != nil || !slices.Equal(removed, []string{"PARENT", "PARENT.1.1"}) {
		t.Errorf("removed %v, %v", removed, err)
	}
	for _, id := range removed {
		if _, err := s.Task(t.Context(), id); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s is there: %v", id, err)
		}
		if records, err := s.Events(t.Context(), id, 0); err != nil || len(records) > 0 {
			t.Errorf("%d events of %s, %v", len(records), id, err)
		}
	}
	if err := s.CheckFile(t.Context()); err != nil {
		t.Error(err)
	}
}

// A task whose worktree is still to be saved or removed stays; a lock that it has left goes with it.
func TestRemovalWaitsForTheWorkspace(t *testing.T) {
	s := opened(t)
	state := create(t, s, "TREE", 1)
	if _, err := s.writes.ExecContext(t.Context(), "INSERT INTO workspace_locks VALUES ('TREE', '/w', 'exclusive', 'TREE')"); err != nil {
		t.Fatal(err)
	}
	finish := func(status workflow.PlaceStatus, seconds int) {
		t.Helper()
		if err := step(t, s, &state, workflow.WorkspaceFinished{}, func(n *workflow.State) {
			n.Status, n.Place, n.Updated = workflow.TaskCancelled, workflow.Place{Kind: workflow.PlaceWorktree, Status: status}, at(seconds)
		}); err != nil {
			t.Fatal(err)
		}
	}
	finish(workflow.PlaceSaved, 2)
	if _, err := s.RemoveTask(t.Context(), "TREE", at(50), at(60)); !errors.Is(err, ErrNotEnded) {
		t.Errorf("its worktree is not finished: %v", err)
	}
	finish(workflow.PlaceFinished, 3)
	if _, err := s.RemoveTask(t.Context(), "TREE", at(50), at(60)); err != nil {
		t.Error(err)
	}
}

// A key never starts a second task, even when nothing but the key is left of the first.
func TestTheKeyOfARemovedTaskIsTaken(t *testing.T) {
	s := opened(t)
	team := team()
	if err := s.SaveRevision(t.Context(), team, at(0)); err != nil {
		t.Fatal(err)
	}
	state, event := queued("KEYED", 1)
	if _, _, err := s.Create(t.Context(), state, event, nil, "k"); err != nil {
		t.Fatal(err)
	}
	end(t, s, &state, 2)
	if _, err := s.RemoveTask(t.Context(), "KEYED", at(3), at(4)); err != nil {
		t.Fatal(err)
	}
	again, event := queued("AGAIN", 5)
	_, created, err := s.Create(t.Context(), again, event, nil, "k")
	gone, ok := errors.AsType[*RemovedError](err)
	if created || !ok || gone.Task != "KEYED" || gone.Status != workflow.TaskCancelled || !gone.Ended.Equal(at(2)) || !gone.Removed.Equal(at(4)) || !errors.Is(err, ErrRemoved) {
		t.Errorf("created %v, %v", created, err)
	}
	if _, err := s.ByKey(t.Context(), "k"); !errors.Is(err, ErrRemoved) {
		t.Errorf("by key: %v", err)
	}
	if _, err := s.Task(t.Context(), "AGAIN"); !errors.Is(err, ErrNotFound) {
		t.Errorf("the second task is there: %v", err)
	}
	if _, err := s.ByKey(t.Context(), "other"); !errors.Is(err, ErrNotFound) || errors.Is(err, ErrRemoved) {
		t.Errorf("a key that nobody had: %v", err)
	}
}

// A conversation that is held, or shared, stays when the task that started it is gone.
func TestRemovalKeepsConversationsInUse(t *testing.T) {
	s := opened(t)
	first := create(t, s, "FIRST", 1)
	for _, name := range []string{"own", "shared"} {
		rt := Runtime{Runtime: workflow.Runtime{Server: "s", AgentID: name, ConversationID: name}, Task: "FIRST", Raw: []byte("{}")}
		if err := s.SaveRuntime(t.Context(), rt, at(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.writes.ExecContext(t.Context(), "INSERT INTO shared_conversations VALUES ('t', 'a', 's', 'shared', 'shared')"); err != nil {
		t.Fatal(err)
	}
	end(t, s, &first, 2)
	if _, err := s.RemoveTask(t.Context(), "FIRST", at(3), at(4)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Runtimes(t.Context(), RuntimeFilter{})
	if err != nil || len(rows) != 1 || rows[0].AgentID != "shared" {
		t.Errorf("conversations %+v, %v", rows, err)
	}
}

// The query uses the index of ended tasks, so that it is quick among many.
func TestEndedBeforeUsesItsIndex(t *testing.T) {
	s := opened(t)
	var id, parent, unused int
	var detail string
	row := s.reads.QueryRowContext(t.Context(), "EXPLAIN QUERY PLAN "+endedBefore, 10, micros(time.Now()))
	if err := row.Scan(&id, &parent, &unused, &detail); err != nil || !slices.Contains([]string{"SEARCH t USING INDEX tasks_by_end (updated<?)"}, detail) {
		t.Errorf("%q, %v", detail, err)
	}
}
