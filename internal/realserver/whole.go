//go:build unix

package realserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// wholeTimeout bounds how long a moment is looked for in which all records are whole.
const wholeTimeout = 20 * time.Second

// KillWhole kills the process group of an App Server with SIGKILL at a moment
// when every record that it keeps below home is whole. The server rewrites its
// records in place, at every piece of an answer; a kill in the middle of one
// leaves an empty file and loses the conversation, which is a case of its own.
func KillWhole(pid int, home string) error {
	for deadline := time.Now().Add(wholeTimeout); ; {
		if err := syscall.Kill(-pid, syscall.SIGSTOP); err != nil {
			return fmt.Errorf("stop the App Server: %w", err)
		}
		awaitStopped(pid)
		torn := tornRecord(home)
		if torn == nil {
			return syscall.Kill(-pid, syscall.SIGKILL)
		}
		if time.Now().After(deadline) {
			return errors.Join(torn, syscall.Kill(-pid, syscall.SIGKILL))
		}
		if err := syscall.Kill(-pid, syscall.SIGCONT); err != nil {
			return fmt.Errorf("let the App Server go on: %w", err)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// awaitStopped waits until the stop has reached the process: it may be in a
// system call that ends first. Where there is no /proc it does not wait.
func awaitStopped(pid int) {
	for range 1000 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		_, state, ok := strings.Cut(string(stat), ") ")
		if err != nil || !ok || strings.HasPrefix(state, "T") {
			return
		}
		<-time.After(time.Millisecond)
	}
}

// tornRecord names a record below home that is not whole.
func tornRecord(home string) error {
	return filepath.WalkDir(filepath.Join(home, ".letta"), func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || (err == nil && (entry.IsDir() || filepath.Ext(path) != ".json")) {
			return nil
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && !json.Valid(data) {
			err = fmt.Errorf("%s is torn", path)
		}
		return err
	})
}
