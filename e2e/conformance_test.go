//go:build e2e

package e2e

import (
	"path/filepath"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient/conformance"
)

// TestConformance runs the scenarios that the scripted App Server passes in
// appclient/conformance against the real one.
func TestConformance(t *testing.T) {
	t.Parallel()
	model := startModel(t, nil)
	server := startAppServer(t, environment(t, model))
	conformance.Run(t, func(t *testing.T) conformance.Target {
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return conformance.Target{
			URL: server.url, Model: modelHandle, Dir: dir,
			ModelRequests: func() int { return len(model.Requests()) },
			Supports:      conformance.Everything(),
		}
	})
}
