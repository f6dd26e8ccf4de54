package store

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// holdLockEnv makes the test binary hold a data directory instead of running tests.
const holdLockEnv = "ORCHESTRATOR_TEST_HOLD_LOCK"

func TestMain(m *testing.M) {
	if dir := os.Getenv(holdLockEnv); dir != "" {
		holdLock(dir)
		return
	}
	goleak.VerifyTestMain(m)
}
