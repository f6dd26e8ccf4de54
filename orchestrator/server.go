package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/appserver"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
)

// ErrAppServer says that Options.AppServer is no address, or names a script with mistakes.
var ErrAppServer = errors.New("cannot be used as App Server")

// ErrNotInstalled says that a managed App Server was asked for and there is none.
var ErrNotInstalled = appserver.ErrNotInstalled

// ErrNotStarted says that the installed App Server was started and did not become ready.
var ErrNotStarted = errors.New("the App Server does not start")

// server is an App Server of an orchestrator. Its name, under which conversations
// are stored, is also what Options.AppServer takes, so that a task can be resumed
// on the server that it was on.
type server struct {
	runner.Server
	of AppServer
	// kind is one of the kinds of api.Server.
	kind string
	// token is nil when none is needed.
	token appclient.TokenSource
	stop  func(ctx context.Context) error
	// local says that the server shares our file system.
	local bool
	// process is nil unless the server is managed.
	process pool.Process
}

// The kinds of App Servers, as the API names them.
const (
	kindManaged  = "managed"
	kindURL      = "url"
	kindScripted = "scripted"
)

// endpoint is a server at an address that does not change.
type endpoint struct{ name, address string }

// Name implements runner.Server.
func (e endpoint) Name() string { return e.name }

// URL implements runner.Server.
func (e endpoint) URL(context.Context) (string, error) { return e.address, nil }

// openServer starts or names an App Server. name is the one that its conversations
// are stored under; empty where its address is. dir is for the files of a managed one.
func openServer(ctx context.Context, of AppServer, name, dir string, log zerolog.Logger) (*server, error) {
	script, scripted := strings.CutPrefix(of.Address, AppServerScripted)
	managed := of.Address == AppServerManaged
	var s *server
	var err error
	switch {
	case (scripted || managed) && of.TokenFile != "":
		return nil, fmt.Errorf("%w: %s: a token file is for an App Server that is given by its URL", ErrTokenFile, of.TokenFile)
	case scripted:
		s, err = scriptedServer(ctx, name, script)
	case managed:
		s, err = managedServer(ctx, of, name, dir, log)
	default:
		s, err = remoteServer(ctx, of)
	}
	if s != nil {
		s.of = of
	}
	return s, err
}

// managedServer keeps its files in a directory within the data directory, which is
// locked: no other orchestrator uses them.
func managedServer(ctx context.Context, of AppServer, name, dir string, log zerolog.Logger) (*server, error) {
	s, err := appserver.Start(ctx, appserver.Options{Name: name, Command: of.LettaCommand, Home: of.LettaHome, Dir: dir, Log: log})
	if err != nil {
		if errors.Is(err, ErrNotInstalled) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	managed := &server{Server: s, kind: kindManaged, stop: s.Stop, local: true, process: process{s}}
	// Versions that cannot demand a token have an empty one, which is none.
	if token, err := s.Token(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read the token of the App Server: %w", err), s.Stop(ctx))
	} else if token != "" {
		managed.token = s
	}
	return managed, nil
}

// process tells the pool of a managed server.
type process struct{ *appserver.Server }

// Version implements pool.Process.
func (p process) Version() string { return p.Server.Version().String() }

// scriptedServer serves a script in this process. Its agents and conversations end with it.
func scriptedServer(ctx context.Context, name, file string) (*server, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: read its script: %w", ErrAppServer, err)
	}
	script, err := apptest.ParseScript(file, data)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w:\n%w", AppServerScripted, file, ErrAppServer, err)
	}
	s, err := apptest.New(apptest.Options{Script: script, Exec: true})
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w:\n%w", AppServerScripted, file, ErrAppServer, err)
	}
	// The server ends by Close and not with ctx: the turns that run are aborted first.
	if err := s.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, fmt.Errorf("start the scripted App Server: %w", err)
	}
	return &server{Server: endpoint{name, s.URL()}, kind: kindScripted, local: true, stop: func(context.Context) error { return s.Close() }}, nil
}

func remoteServer(ctx context.Context, of AppServer) (*server, error) {
	u, err := url.Parse(of.Address)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%q: %w: it is %q, ws://HOST:PORT, or %sFILE", redact(of.Address, u), ErrAppServer, AppServerManaged, AppServerScripted)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return nil, fmt.Errorf("%q: %w: the address begins with ws, wss, http or https", of.Address, ErrAppServer)
	}
	s := &server{
		Server: endpoint{remoteName(u), of.Address},
		kind:   kindURL, token: of.Token, local: config.AppServer{URL: of.Address}.SeesOurFiles(), stop: func(context.Context) error { return nil },
	}
	if s.token == nil && of.TokenFile != "" {
		s.token = appclient.TokenFile(of.TokenFile)
		if _, err := s.token.Token(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTokenFile, err)
		}
	}
	return s, nil
}

// remoteName is the name of a server at an address.
func remoteName(u *url.URL) string { return u.Scheme + "://" + u.Host + strings.TrimRight(u.Path, "/") }

// redact keeps what is no secret of an address: a user or query may hold one.
func redact(address string, u *url.URL) string {
	if u == nil {
		return "(not a URL)"
	}
	if u.User != nil || u.RawQuery != "" {
		return u.Scheme + "://" + u.Host
	}
	return address
}
