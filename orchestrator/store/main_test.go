package store

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// holdLockEnv makes the test binary hold a data directory instead of running tests.
const holdLockEnv = "ORCHESTRATOR_TEST_HOLD_LOCK"

// openEnv makes the test binary open and close a data directory, and backupEnv
// back it up there, for tests that kill it meanwhile.
const (
	openEnv   = "ORCHESTRATOR_TEST_OPEN"
	backupEnv = "ORCHESTRATOR_TEST_BACKUP"
)

// openOnce does what openEnv and backupEnv say.
func openOnce(dir string) error {
	ctx := context.Background()
	if to := os.Getenv(backupEnv); to != "" {
		_, err := Backup(ctx, dir, to, BackupOptions{Workspaces: true})
		return err
	}
	s, err := Open(ctx, Options{Dir: dir})
	if err != nil {
		return err
	}
	return s.Close()
}

func TestMain(m *testing.M) {
	if dir := os.Getenv(openEnv); dir != "" {
		if err := openOnce(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(holdLockEnv); dir != "" {
		holdLock(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
