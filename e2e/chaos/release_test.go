//go:build faults

package chaos

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// TestReleaseCannotKillItself: the hook is in this binary, and not in the one
// that people run.
func TestReleaseCannotKillItself(t *testing.T) {
	t.Parallel()
	release := filepath.Join(t.TempDir(), "orchestrator")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", release, "../../cmd/orchestrator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for file, want := range map[string]bool{release: false, program: true} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if has := bytes.Contains(data, []byte(store.FaultVariable)); has != want {
			t.Errorf("%s names %s: %v, want %v", file, store.FaultVariable, has, want)
		}
	}
}
