package engine

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

func TestSameKeyGivesTheSameTask(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(s, &fake{server: newServer()})
	run(t, e)
	team := parse(t, chain)
	submission := func(change func(*Submission)) Submission {
		sub := Submission{Team: team, Input: map[string]any{"goal": "go", "n": 12345678}, Workspace: "/w", Key: "nightly"}
		change(&sub)
		return sub
	}
	first, created, err := e.Submit(t.Context(), submission(func(*Submission) {}))
	if err != nil || !created {
		t.Fatal(created, err)
	}
	e.wait(t, first.Task) // the key is kept when the task has ended
	for name, tt := range map[string]struct {
		change  func(*Submission)
		differs []string
	}{
		"the same":             {func(*Submission) {}, nil},
		"no workspace named":   {func(s *Submission) { s.Workspace = "" }, nil},
		"another revision":     {func(s *Submission) { s.Team = parse(t, chain+"# mended\n") }, nil},
		"another input":        {func(s *Submission) { s.Input["n"] = 7 }, []string{"input n"}},
		"an input less":        {func(s *Submission) { delete(s.Input, "goal") }, []string{"input goal"}},
		"another type":         {func(s *Submission) { s.Input["n"] = "12345678" }, []string{"input n"}},
		"another workspace":    {func(s *Submission) { s.Workspace = "/x" }, []string{"workspace"}},
		"another team":         {func(s *Submission) { s.Team, s.Input = parse(t, single), nil }, []string{"team"}},
		"workspace and inputs": {func(s *Submission) { s.Workspace, s.Input["n"] = "/x", 1.5 }, []string{"workspace", "input n"}},
	} {
		t.Run(name, func(t *testing.T) {
			state, created, err := e.Submit(t.Context(), submission(tt.change))
			if state.Task != first.Task || created {
				t.Errorf("task %s, created %v", state.Task, created)
			}
			taken, is := errors.AsType[*KeyError](err)
			switch {
			case tt.differs == nil && err != nil:
				t.Error(err)
			case tt.differs != nil && (!is || !errors.Is(err, ErrKeyTaken) || !slices.Equal(taken.Differs, tt.differs) || !strings.Contains(err.Error(), first.Task)):
				t.Errorf("got %v, want that %v differs", err, tt.differs)
			}
		})
	}
}

// Many at once with one key, half of them with other input: one task, and all
// that differ are told.
func TestKeyIsRaced(t *testing.T) {
	s := openStore(t, t.TempDir())
	e := newEngine(s, &fake{server: newServer()})
	team := parse(t, single)
	var mu sync.Mutex
	tasks, made, refused := map[string]bool{}, 0, 0
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			workspace := []string{"/w", "/x"}[i%2]
			state, created, err := e.Submit(t.Context(), Submission{Team: team, Workspace: workspace, Key: "k"})
			mu.Lock()
			defer mu.Unlock()
			if created {
				made++
			}
			if errors.Is(err, ErrKeyTaken) {
				refused++
			} else if err != nil {
				t.Error(err)
			}
			tasks[state.Task] = true
		})
	}
	all.Wait()
	if len(tasks) != 1 || made != 1 || refused != 8 {
		t.Errorf("tasks %v, %d made, %d refused", tasks, made, refused)
	}
}
