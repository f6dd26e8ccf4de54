package orchestrator

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func TestRemoteServer(t *testing.T) {
	for address, want := range map[string]struct {
		name  string
		local bool
	}{
		"ws://127.0.0.1:4500":      {"ws://127.0.0.1:4500", true},
		"http://localhost:4500/":   {"http://localhost:4500", true},
		"ws://[::1]:4500/ws":       {"ws://[::1]:4500/ws", true},
		"wss://letta.example.org/": {"wss://letta.example.org", false},
	} {
		s, err := openServer(t.Context(), Options{AppServer: address, Token: appclient.StaticToken("secret")})
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if s.Name() != want.name || s.local != want.local {
			t.Errorf("%s: got %s, local %v", address, s.Name(), s.local)
		}
		if token, err := s.token.Token(t.Context()); err != nil || token != "secret" {
			t.Errorf("%s: token %q, %v", address, token, err)
		}
	}
}

// A mistake in the address is refused, and what may be a secret in it is not repeated.
func TestRemoteServerRefuses(t *testing.T) {
	for _, address := range []string{"mangaed", "ftp://host", "ws://", "ws://u:hunter2@host", "ws://host?token=hunter2", "%zz"} {
		_, err := openServer(t.Context(), Options{AppServer: address})
		if !errors.Is(err, ErrAppServer) {
			t.Errorf("%s: got %v", address, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in %v", address, err)
		}
	}
}

func TestScriptedServerServesUntilStopped(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nagents:\n  a:\n    turns:\n      - - say: hi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := openServer(t.Context(), Options{AppServer: AppServerScripted + file})
	if err != nil {
		t.Fatal(err)
	}
	address, err := s.URL(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := appclient.FetchServerInfo(t.Context(), appclient.Config{URL: address}); err != nil {
		t.Error(err)
	}
	if err := s.stop(context.Background()); err != nil {
		t.Error(err)
	}
	if _, err := appclient.FetchServerInfo(t.Context(), appclient.Config{URL: address}); err == nil {
		t.Error("it still answers")
	}
	for _, bad := range []string{"scripted:/nonexistent.yaml", "scripted:" + filepath.Dir(file)} {
		if _, err := openServer(t.Context(), Options{AppServer: bad}); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

// What the user named wrongly is found before anything is connected or started.
func TestServerMistakesAreFoundAtOnce(t *testing.T) {
	dir := t.TempDir()
	token, program := filepath.Join(dir, "token"), filepath.Join(dir, "letta")
	err := errors.Join(os.WriteFile(token, []byte("hunter2\n"), 0o600), os.WriteFile(program, []byte("#!/bin/sh\nexit 7\n"), 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		options Options
		want    error
	}{
		"no token file":                {Options{AppServer: "ws://127.0.0.1:9", TokenFile: token + ".none"}, ErrTokenFile},
		"a token for a managed server": {Options{AppServer: AppServerManaged, TokenFile: token}, ErrTokenFile},
		"a script that is not there":   {Options{AppServer: AppServerScripted + "none"}, ErrAppServer},
		"a program that fails":         {Options{DataDir: dir, LettaCommand: program}, ErrNotStarted},
		"a program that is not there":  {Options{DataDir: dir, LettaCommand: program + ".none"}, ErrNotInstalled},
	} {
		if _, err := openServer(t.Context(), c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in %v", name, err)
		}
	}
}
