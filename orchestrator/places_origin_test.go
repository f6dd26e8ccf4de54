//go:build unix

package orchestrator

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ended submits a task and waits until its workspace is finished.
func ended(t *testing.T, e *engine.Engine, team *workflow.Team) workflow.State {
	t.Helper()
	state, _, err := e.Submit(t.Context(), engine.Submission{Input: map[string]any{"goal": "Mend it"}, Team: team})
	if err != nil {
		t.Fatal(err)
	}
	if state, err = e.Wait(t.Context(), state.Task); err != nil {
		t.Fatal(err)
	}
	return state
}

// TestRetryInTheSameWorktree: a task that goes on finds the worktree of the one
// before, which had been removed, with everything in it, and cleans it up again.
func TestRetryInTheSameWorktree(t *testing.T) {
	repo, s := newRepository(t), openData(t)
	var seen []string
	e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{during: func(req engine.TurnRequest) {
		text, err := os.ReadFile(filepath.Join(req.Workspace, "notes.log")) // which git ignores
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
		seen = append(seen, string(text))
		if err := os.WriteFile(filepath.Join(req.Workspace, "notes.log"), append(text, 'x'), 0o600); err != nil {
			t.Error(err)
		}
	}})
	first := ended(t, e, parseTeam(t, "  worktree: {repo: "+repo+"}\n  cleanup: always\n"))
	if !first.Place.Removed {
		t.Fatalf("%+v", first.Place)
	}
	for n := 1; n <= 2; n++ {
		again, err := e.Retry(t.Context(), first.Task, 1)
		if err != nil {
			t.Fatal(err)
		}
		if again, err = e.Wait(t.Context(), again.Task); err != nil {
			t.Fatal(err)
		}
		if again.Status != workflow.TaskSucceeded || again.Workspace != first.Workspace || again.GitBranch != first.GitBranch || !again.Place.Removed || again.Place.Of != first.Task {
			t.Fatalf("%s: %+v in %s", again.Status, again.Place, again.Workspace)
		}
		if n == 1 && seen[1] != "x" {
			t.Errorf("the second one found %q", seen[1])
		}
		if notes := git(t, repo, "show", again.Place.SavedRef+":notes.log"); notes != "xx" {
			t.Errorf("saved of the retry: %q", notes)
		}
	}
	if list := git(t, repo, "worktree", "list"); strings.Count(list, "\n") != 0 {
		t.Errorf("git knows of\n%s", list)
	}
}

// TestForkHasAWorktreeOfItsOwn: it begins with what the other one holds, be it
// there or removed, on another branch, and changes nothing of it.
func TestForkHasAWorktreeOfItsOwn(t *testing.T) {
	for _, cleanup := range []string{"always", "never"} {
		t.Run(cleanup, func(t *testing.T) {
			repo, s := newRepository(t), openData(t)
			e, _ := newTestEngine(t, s, newPlaces(s.Dir(), true), writer{during: func(req engine.TurnRequest) {
				file := filepath.Join(req.Workspace, "notes.log")
				text, err := os.ReadFile(file)
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Error(err)
				}
				if err := os.WriteFile(file, append(text, 'x'), 0o600); err != nil {
					t.Error(err)
				}
			}})
			first := ended(t, e, parseTeam(t, "  worktree: {repo: "+repo+"}\n  cleanup: "+cleanup+"\n"))
			forked, _, err := e.Fork(t.Context(), engine.Fork{Task: first.Task})
			if err != nil {
				t.Fatal(err)
			}
			if forked, err = e.Wait(t.Context(), forked.Task); err != nil {
				t.Fatal(err)
			}
			if forked.Status != workflow.TaskSucceeded || forked.Workspace == first.Workspace || forked.GitBranch != "team/"+forked.Task {
				t.Fatalf("%s: %+v in %s: %+v", forked.Status, forked.Place, forked.Workspace, forked.Result)
			}
			notes := func(state workflow.State) string {
				if state.Place.Removed {
					return git(t, repo, "show", state.Place.SavedRef+":notes.log")
				}
				text, err := os.ReadFile(filepath.Join(state.Workspace, "notes.log"))
				if err != nil {
					t.Error(err)
				}
				return string(text)
			}
			if notes(first) != "x" || notes(forked) != "xx" {
				t.Errorf("notes %q and %q", notes(first), notes(forked))
			}
			if git(t, repo, "rev-parse", "team/"+forked.Task) == "" {
				t.Error("the fork has no branch")
			}
		})
	}
}
