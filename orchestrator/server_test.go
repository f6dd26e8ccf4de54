package orchestrator

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// openOne opens the only App Server of some options.
func openOne(t *testing.T, o Options) (*server, error) {
	list, err := openServers(t.Context(), o.appServers(), o.DataDir, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

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
		s, err := openOne(t, Options{AppServer: address, Token: appclient.StaticToken("secret")})
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
		_, err := openOne(t, Options{AppServer: address})
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
	s, err := openOne(t, Options{AppServer: AppServerScripted + file})
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
		if _, err := openOne(t, Options{AppServer: bad}); err == nil {
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
		if _, err := openOne(t, c.options); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is in %v", name, err)
		}
	}
}

// The name under which conversations are stored does not depend on the order of
// the configuration, and is the one of a server that is the only one where it can be.
func TestServerNames(t *testing.T) {
	url := AppServer{Name: "big", Address: "wss://host:4500/"}
	for name, c := range map[string]struct {
		list []AppServer
		want []string
	}{
		"the only managed one": {[]AppServer{url, {Name: "main", Address: AppServerManaged, LettaHome: "/home/a"}}, []string{"wss://host:4500", "managed"}},
		"several managed ones": {
			[]AppServer{{Name: "a", Address: AppServerManaged, LettaHome: "/home/a"}, {Name: "b", Address: AppServerManaged}},
			[]string{"managed:a", "managed"},
		},
		"the same script twice": {
			[]AppServer{{Name: "a", Address: "scripted:/s.yaml"}, {Name: "b", Address: "scripted:/s.yaml"}},
			[]string{"scripted:/s.yaml", "scripted:/s.yaml#b"},
		},
	} {
		if got, err := serverNames(c.list); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v; want %q", name, got, err, c.want)
		}
	}
	for name, list := range map[string][]AppServer{
		"the same address": {url, {Name: "same", Address: "wss://host:4500"}},
		"the same home":    {{Name: "a", Address: AppServerManaged}, {Name: "b", Address: AppServerManaged}},
	} {
		if got, err := serverNames(list); !errors.Is(err, ErrAppServer) {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
	}
}

// Servers that see different files are refused, and those that were started already end.
func TestServersThatSeeOtherFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "script.yaml")
	if err := os.WriteFile(file, []byte("version: 1\nagents:\n  a:\n    turns:\n      - - say: hi\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := openServers(t.Context(), []AppServer{{Name: "near", Address: AppServerScripted + file}, {Name: "far", Address: "wss://host"}}, t.TempDir(), zerolog.Nop())
	if !errors.Is(err, ErrAppServer) || !strings.Contains(err.Error(), "near runs on this machine and far on another one") {
		t.Errorf("got %v", err)
	}
}
