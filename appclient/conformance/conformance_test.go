package conformance_test

import (
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/appclient/conformance"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripted runs the suite against the scripted server in the three forms that it has.
func TestScripted(t *testing.T) {
	t.Parallel()
	everything := conformance.Everything()
	split := conformance.Features{ServerInfo: true, Retries: true, MessageIDs: true}
	for _, server := range []struct {
		version  string
		supports conformance.Features
	}{{apptest.VersionSingle, everything}, {apptest.VersionSplit, split}, {apptest.VersionJune, conformance.Features{}}} {
		t.Run(server.version, func(t *testing.T) {
			t.Parallel()
			conformance.Run(t, func(t *testing.T) conformance.Target {
				t.Helper()
				return open(t, apptest.Options{Version: server.version, Token: "sesame"}, server.supports)
			})
		})
	}
}

func open(t *testing.T, opts apptest.Options, supports conformance.Features) conformance.Target {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	opts.Exec = true
	s, err := apptest.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return conformance.Target{
		URL: s.URL(), Token: appclient.StaticToken(opts.Token), Model: "lmstudio/scripted", Dir: dir, ModelRequests: s.ModelRequests, Supports: supports,
	}
}
