//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/internal/realserver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// TestHalfAnAgent: an App Server that is killed while it makes an agent leaves
// half of one, with a directory that is no repository. It lists it and cannot
// start it any more, so that another one is made.
func TestHalfAnAgent(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply { return scriptedmodel.Reply{Text: "done"} })
	env := environment(t, model)
	server := startAppServer(t, env)
	team := teamFile(t, relay)
	run := func() result {
		return orchestrator(t, env, "run", team, "--input", "goal=half.", "--app-server", server.url, "--data-dir", t.TempDir(), "--json")
	}
	if first := run(); first.status != 0 {
		t.Fatalf("status %d\n%s", first.status, first.stderr)
	}
	halves := 0
	err := filepath.WalkDir(realserver.HomeOf(env), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() != ".git" {
			return err
		}
		halves++
		if err := os.RemoveAll(path); err != nil {
			return err
		}
		return fs.SkipDir
	})
	if err != nil || halves == 0 {
		t.Fatalf("%d agents, %v", halves, err)
	}
	if second := run(); second.status != 0 || lastLine(t, second).State != "succeeded" {
		t.Errorf("status %d\n%s\n%s", second.status, second.stdout, second.stderr)
	}
}
