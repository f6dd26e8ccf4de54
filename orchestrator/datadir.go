package orchestrator

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// DataDirVariable names the environment variable that chooses the data directory.
const DataDirVariable = "ORCHESTRATOR_DATA_DIR"

// DefaultDataDir is where tasks are kept when nothing else is said:
// $ORCHESTRATOR_DATA_DIR, else $XDG_STATE_HOME/orchestrator, else
// ~/.local/state/orchestrator.
func DefaultDataDir() (string, error) { return dataDir(os.Getenv, os.UserHomeDir) }

func dataDir(getenv func(string) string, home func() (string, error)) (string, error) {
	if dir := getenv(DataDirVariable); dir != "" {
		return dir, nil
	}
	// The XDG specification says that a relative path is to be ignored.
	if dir := getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "orchestrator"), nil
	}
	dir, err := home()
	if err != nil {
		return "", fmt.Errorf("find a data directory: %w", errors.Join(err, ErrNoDataDir))
	}
	return filepath.Join(dir, ".local", "state", "orchestrator"), nil
}

// ErrNoDataDir says that no data directory was named and there is no home directory.
var ErrNoDataDir = errors.New("no data directory was named and the user has no home directory: set " + DataDirVariable)
