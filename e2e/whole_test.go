//go:build e2e

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// killWhole kills the process group of an App Server with SIGKILL at a moment
// when every record that it keeps below home is whole. The server rewrites its
// records in place, at every piece of an answer; a kill in the middle of one
// leaves an empty file and loses the conversation, which is a case of its own:
// TestConversationLost.
func killWhole(pid int, home string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := syscall.Kill(-pid, syscall.SIGSTOP); err != nil {
			return err
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
			return err
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

// homeOf is the HOME of an environment.
func homeOf(env []string) string {
	home := ""
	for _, v := range env {
		if value, ok := strings.CutPrefix(v, "HOME="); ok {
			home = value
		}
	}
	return home
}

// tear empties the record of every conversation below home that holds text, as a
// kill does that hits the server between truncating and writing it.
func tear(t *testing.T, home, text string) {
	t.Helper()
	transcripts, err := filepath.Glob(filepath.Join(home, ".letta", "lc-local-backend", "conversations", "*", "*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	torn := 0
	for _, transcript := range transcripts {
		if strings.Contains(read(t, transcript), text) {
			write(t, filepath.Join(filepath.Dir(transcript), "conversation.json"), "")
			torn++
		}
	}
	if torn != 1 {
		t.Fatalf("%d conversations of %d hold %q", torn, len(transcripts), text)
	}
}
