package orchestrator

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

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
	dir, err := workspaces(data)(t.Context(), "T1", team, nil)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 || filepath.Base(dir) != "T1" {
		t.Errorf("%s: %v, %v", dir, entries, err)
	}
}
