package orchestrator

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestResolveWorkspace(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	real, link, file := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := errors.Join(os.Mkdir(real, 0o700), os.Symlink(real, link), os.WriteFile(file, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	if got, err := ResolveWorkspace(link); err != nil || got != real {
		t.Errorf("got %s, %v", got, err)
	}
	t.Chdir(dir)
	if got, err := ResolveWorkspace("real"); err != nil || got != real {
		t.Errorf("got %s, %v", got, err)
	}
	for _, bad := range []string{file, filepath.Join(dir, "none")} {
		if _, err := ResolveWorkspace(bad); !errors.Is(err, ErrWorkspace) {
			t.Errorf("%s: got %v", bad, err)
		}
	}
	// The error is about the directory that was named, and not the first part of it that is missing.
	deep := filepath.Join(dir, "none", "deeper")
	_, err = ResolveWorkspace(deep)
	if missing, ok := errors.AsType[*fs.PathError](err); !ok || missing.Path != deep || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

func TestATaskWithoutWorkspaceGetsItsOwn(t *testing.T) {
	data := t.TempDir()
	source := "version: 1\nname: t\nagents:\n  a: {prompt: P.}\nstart: a\nhandoffs:\n  - {from: a, on: end_turn, to: succeeded}\n  - {from: \"*\", on: \"*\", to: failed}\n"
	team, err := workflow.Parse("t.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	place, err := newPlaces(data, true).Make(t.Context(), engine.PlaceRequest{Task: "T1", Team: team})
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(place.Directory); err != nil || len(entries) != 0 || filepath.Base(place.Directory) != "T1" || place.GitBranch != "" {
		t.Errorf("%+v: %v, %v", place, entries, err)
	}
}

func TestATaskGetsAWorktree(t *testing.T) {
	repo, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"init", "-q"}, {"commit", "-q", "--allow-empty", "-m", "first"}} {
		cmd := exec.Command("git", append([]string{"-C", repo, "-c", "user.name=P", "-c", "user.email=p@example.org"}, args...)...)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v: %s", args, err, out)
		}
	}
	source := "version: 1\nname: t\ninputs:\n  base: {}\nworkspace:\n  worktree: {repo: ., base: \"{{ .input.base }}\"}\nagents:\n  a: {prompt: P.}\n" +
		"start: a\nhandoffs:\n  - {from: a, on: end_turn, to: succeeded}\n  - {from: \"*\", on: \"*\", to: failed}\n"
	team, err := workflow.Parse("t.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(repo)
	places, data := newPlaces(filepath.Join(t.TempDir(), "data"), true), map[string]any{"base": ""}
	workspace := func(task string, input map[string]any) (engine.Place, error) {
		return places.Make(t.Context(), engine.PlaceRequest{Task: task, Team: team, Input: input})
	}
	first, err := workspace("T1", data)
	if err != nil || first.GitBranch != "team/T1" || filepath.Base(first.Directory) != "T1" {
		t.Fatalf("got %+v, %v", first, err)
	}
	if _, err := os.Stat(filepath.Join(first.Directory, ".git")); err != nil {
		t.Error(err)
	}
	if again, err := workspace("T1", data); err != nil || again != first {
		t.Errorf("again: got %+v, %v", again, err)
	}
	_, err = workspace("T2", map[string]any{"base": "trunk"})
	if told, ok := errors.AsType[*WorktreeError](err); !ok || told.Fix == "" {
		t.Errorf("an unknown base: got %v", err)
	}
}
