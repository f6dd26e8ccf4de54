package store

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"
)

const lockFile = "lock"

// lockOwner is the content of the lock file. It only informs: the lock itself
// is the operating system's, and ends with the process that holds it.
type lockOwner struct {
	PID     int    `json:"pid"`
	Command string `json:"command"`
}

// lock takes the data directory. The lock file is never removed: a process
// that waits for a removed file would hold a lock that nobody else sees.
func lock(dir, command string) (*flock.Flock, error) {
	path := filepath.Join(dir, lockFile)
	held := flock.New(path, flock.SetPermissions(0o600))
	ok, err := held.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock the data directory %s: %w", dir, err)
	}
	if !ok {
		owner := readOwner(path)
		return nil, &LockedError{Dir: dir, PID: owner.PID, Command: owner.Command}
	}
	content, err := json.Marshal(lockOwner{PID: os.Getpid(), Command: command})
	if err == nil {
		err = os.WriteFile(path, append(content, '\n'), 0o600)
	}
	if err != nil {
		_ = held.Unlock() // the error to report is the first one
		return nil, fmt.Errorf("write the lock file of %s: %w", dir, err)
	}
	return held, nil
}

// readOwner returns the zero lockOwner for a file that cannot be read or is
// half written: the directory is locked all the same.
func readOwner(path string) lockOwner {
	var owner lockOwner
	content, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(content, &owner) != nil {
		return lockOwner{}
	}
	return owner
}
