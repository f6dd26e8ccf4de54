package orchestrator

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DiscoveryFile is the name of the file in the data directory that says where
// the daemon of the directory listens.
const DiscoveryFile = "daemon.json"

// Discovery is what DiscoveryFile holds. The file may be left behind by a daemon
// that was killed: it counts when the daemon answers.
type Discovery struct {
	// URL is unix:///path, http://host:port or https://host:port.
	URL     string `json:"url"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// writeDiscovery writes the file whole or not at all: a client may read it at any time.
func writeDiscovery(dataDir string, d Discovery) error {
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("write %s: %w", DiscoveryFile, err)
	}
	// Nobody else writes it: the data directory is locked.
	path := filepath.Join(dataDir, DiscoveryFile)
	temporary := path + ".new"
	if err := os.WriteFile(temporary, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write where the daemon listens: %w", err)
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("write where the daemon listens: %w", err)
	}
	return nil
}

func removeDiscovery(dataDir string) error {
	err := os.Remove(filepath.Join(dataDir, DiscoveryFile))
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return fmt.Errorf("remove where the daemon listened: %w", err)
}
