//go:build faults

package store

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// killedAt runs the test binary, which kills itself at a point. It is false when
// the binary came to its end first.
func killedAt(t *testing.T, point string, env ...string) bool {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), append(env, FaultVariable+"="+point)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err = cmd.Run()
	if err == nil {
		return false
	}
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%s: %v: %s", point, err, &stderr)
	}
	return true
}

// everyPoint calls try with every point of what the test binary does until it
// comes to its end.
func everyPoint(t *testing.T, try func(point string) bool) (kills int) {
	t.Helper()
	for n := 1; n < 1000; n++ {
		for _, place := range []string{"before", "middle", "during:0", "during:300", "during:2000", "after"} {
			if !try(fmt.Sprint(n, ":", place)) {
				return kills
			}
			kills++
		}
	}
	t.Error("there is no end of it")
	return kills
}

// A process that is killed while it brings a store up to date loses nothing, and the
// next one goes on with it.
func TestKilledAtEveryStepOfAMigration(t *testing.T) {
	t.Parallel()
	for schema, dump := range dumps(t) {
		t.Run(fmt.Sprint(schema), func(t *testing.T) {
			t.Parallel()
			kills := everyPoint(t, func(point string) bool {
				dir := restored(t, dump)
				before := rowsOf(t, dir)
				killed := killedAt(t, point, openEnv+"="+dir)
				if got := rowsOf(t, dir); got["events"] != before["events"] || got["tasks"] != before["tasks"] {
					t.Errorf("%s: it is not what it was", point)
				}
				s := open(t, dir)
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				whole(t, dir, schema, before)
				return killed
			})
			if t.Logf("%d kills", kills); kills < 10 {
				t.Errorf("only %d kills", kills)
			}
		})
	}
}

// A process that is killed while it makes a new store leaves one that can be opened.
func TestKilledWhileAStoreIsMade(t *testing.T) {
	t.Parallel()
	kills := everyPoint(t, func(point string) bool {
		dir := t.TempDir()
		killed := killedAt(t, point, openEnv+"="+dir)
		s := open(t, dir)
		if list, err := s.List(t.Context(), Filter{}); err != nil || len(list) != 0 {
			t.Errorf("%s: %v, %v", point, list, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		return killed
	})
	if t.Logf("%d kills", kills); kills < 20 {
		t.Errorf("only %d kills", kills)
	}
}

// A backup is whole, or it is not there; what a killed one leaves is removed by the next.
func TestKilledAtEveryStepOfABackup(t *testing.T) {
	t.Parallel()
	dir := restored(t, "testdata/schema3.sql")
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	before := rowsOf(t, dir)
	put(t, filepath.Join(dir, OutputsName, "A", "1.1"), strings.Repeat("x", 1<<20))
	put(t, filepath.Join(dir, workspacesName, "A", "file"), "an agent's work")
	var whole0, none int
	kills := everyPoint(t, func(point string) bool {
		parent := t.TempDir()
		to := filepath.Join(parent, "monday")
		killed := killedAt(t, point, openEnv+"="+dir, backupEnv+"="+to)
		if _, err := os.Lstat(to); err == nil {
			whole0++
		} else {
			none++
			if _, err := Backup(t.Context(), dir, to, BackupOptions{Workspaces: true}); err != nil {
				t.Errorf("%s: the next backup: %v", point, err)
			}
		}
		whole(t, to, 3, before)
		if _, ok := files(t, to)[filepath.Join(workspacesName, "A", "file")]; !ok {
			t.Errorf("%s: the backup has no workspace", point)
		}
		if left, err := os.ReadDir(parent); err != nil || len(left) != 1 {
			t.Errorf("%s: left %v, %v", point, left, err)
		}
		return killed
	})
	if t.Logf("%d kills, %d backups whole, %d not there", kills, whole0, none); whole0 < 2 || none < 10 {
		t.Errorf("%d kills, %d backups whole, %d not there", kills, whole0, none)
	}
}
