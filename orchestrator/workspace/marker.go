package workspace

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// markerName is a file in the git directory of a worktree, out of the way of
// those who work in it, that says whose it is.
const markerName = "orchestrator.json"

type marker struct {
	Task string `json:"task"`
	// Base is the commit that the branch began at.
	Base   string `json:"base"`
	Branch string `json:"branch"`
	// Common is the directory that all worktrees of the repository share.
	Common string `json:"common"`
}

func readMarker(gitDir string) (marker, error) {
	var m marker
	data, err := os.ReadFile(filepath.Join(gitDir, markerName))
	if err != nil {
		return m, fmt.Errorf("read whose worktree it is: %w", err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("read whose worktree it is from %s: %w", filepath.Join(gitDir, markerName), err)
	}
	return m, nil
}

// writeMarker also tells git that the worktree is in use: with its lock, `git
// worktree prune` leaves it alone where its disk is away for a while.
func writeMarker(gitDir string, m marker) error {
	data, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("write whose worktree it is: %w", err)
	}
	if err := os.WriteFile(filepath.Join(gitDir, "locked"), []byte("in use by task "+m.Task+" of the orchestrator\n"), 0o600); err != nil {
		return fmt.Errorf("lock the worktree: %w", err)
	}
	return replaceFile(filepath.Join(gitDir, markerName), data)
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = f.Write(data)
	return finishFile(f, path, err)
}

// finishFile closes a temporary file, and gives it its name unless err is set.
func finishFile(f *os.File, path string, err error) error {
	for _, step := range []func() error{f.Sync, f.Close} {
		if stepErr := step(); err == nil {
			err = stepErr
		}
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // best effort: the first error says more
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
