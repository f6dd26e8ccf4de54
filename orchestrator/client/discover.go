package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// DiscoveryFile is the name of the file in a data directory that says where its
// daemon listens.
const DiscoveryFile = "daemon.json"

// Discovery is what that file holds.
type Discovery struct {
	URL     string `json:"url"`
	PID     int    `json:"pid"`
	Version string `json:"version"`
}

// ErrNoDaemon means that no daemon serves a data directory.
var ErrNoDaemon = errors.New("no daemon serves the data directory")

// discoverTimeout bounds the question whether a daemon is there.
const discoverTimeout = 5 * time.Second

// Discover makes a client of the daemon that serves a data directory. A file that a
// killed daemon has left is not taken for one. Errors: ErrNoDaemon.
func Discover(ctx context.Context, dataDir string, o Options) (*Daemon, error) {
	data, err := os.ReadFile(filepath.Join(dataDir, DiscoveryFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoDaemon
	}
	if err != nil {
		return nil, fmt.Errorf("look for a daemon: %w", err)
	}
	var found Discovery
	if err := json.Unmarshal(data, &found); err != nil {
		return nil, fmt.Errorf("%w: %s cannot be read: %w", ErrNoDaemon, filepath.Join(dataDir, DiscoveryFile), err)
	}
	d, err := Open(found.URL, o)
	if err != nil {
		return nil, fmt.Errorf("look for a daemon: %s: %w", filepath.Join(dataDir, DiscoveryFile), err)
	}
	ctx, cancel := context.WithTimeout(ctx, discoverTimeout)
	defer cancel()
	_, err = d.Health(ctx)
	if gone(err) {
		d.Close()
		return nil, fmt.Errorf("%w: %w", ErrNoDaemon, err)
	}
	// Whatever else is wrong, such as the token, is told by the request that is meant.
	return d, nil
}

// gone reports whether nobody listens where a daemon did.
func gone(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, fs.ErrNotExist)
}
