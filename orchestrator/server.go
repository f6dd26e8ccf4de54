package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/appserver"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
)

// ErrAppServer says that Options.AppServer is no address, or names a script with mistakes.
var ErrAppServer = errors.New("cannot be used as App Server")

// ErrNotInstalled says that a managed App Server was asked for and there is none.
var ErrNotInstalled = appserver.ErrNotInstalled

// ErrNotStarted says that the installed App Server was started and did not become ready.
var ErrNotStarted = errors.New("the App Server does not start")

// server is the App Server of an orchestrator. Its name is also what
// Options.AppServer takes, so that a task can be resumed on the server that it
// was on.
type server struct {
	runner.Server
	// token is nil when none is needed.
	token appclient.TokenSource
	stop  func(ctx context.Context) error
	// local says that the server shares our file system.
	local bool
}

// endpoint is a server at an address that does not change.
type endpoint struct{ name, address string }

// Name implements runner.Server.
func (e endpoint) Name() string { return e.name }

// URL implements runner.Server.
func (e endpoint) URL(context.Context) (string, error) { return e.address, nil }

// openServer starts or names the App Server that the options choose.
func openServer(ctx context.Context, o Options) (*server, error) {
	script, scripted := strings.CutPrefix(o.AppServer, AppServerScripted)
	managed := o.AppServer == "" || o.AppServer == AppServerManaged
	switch {
	case o.AppServer == AppServerNone:
		return &server{Server: endpoint{name: AppServerNone}, local: true, stop: func(context.Context) error { return nil }}, nil
	case (scripted || managed) && o.TokenFile != "":
		return nil, fmt.Errorf("%w: %s: a token file is for an App Server that is given by its URL", ErrTokenFile, o.TokenFile)
	case scripted:
		return scriptedServer(ctx, script)
	case managed:
		return managedServer(ctx, o)
	}
	return remoteServer(ctx, o)
}

// managedServer keeps its files in the data directory, which is locked: no
// other orchestrator uses them.
func managedServer(ctx context.Context, o Options) (*server, error) {
	s, err := appserver.Start(ctx, appserver.Options{
		Name: AppServerManaged, Command: o.LettaCommand, Home: o.LettaHome, Dir: filepath.Join(o.DataDir, "appserver"), Log: o.Log,
	})
	if err != nil {
		if errors.Is(err, ErrNotInstalled) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	managed := &server{Server: s, stop: s.Stop, local: true}
	// Versions that cannot demand a token have an empty one, which is none.
	if token, err := s.Token(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("read the token of the App Server: %w", err), s.Stop(ctx))
	} else if token != "" {
		managed.token = s
	}
	return managed, nil
}

// scriptedServer serves a script in this process. Its agents and conversations end with it.
func scriptedServer(ctx context.Context, file string) (*server, error) {
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
	name := AppServerScripted + file
	if abs, err := filepath.Abs(file); err == nil {
		name = AppServerScripted + abs
	}
	return &server{Server: endpoint{name, s.URL()}, local: true, stop: func(context.Context) error { return s.Close() }}, nil
}

func remoteServer(ctx context.Context, o Options) (*server, error) {
	u, err := url.Parse(o.AppServer)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, fmt.Errorf("%q: %w: it is %q, ws://HOST:PORT, or %sFILE", redact(o.AppServer, u), ErrAppServer, AppServerManaged, AppServerScripted)
	}
	switch u.Scheme {
	case "ws", "wss", "http", "https":
	default:
		return nil, fmt.Errorf("%q: %w: the address begins with ws, wss, http or https", o.AppServer, ErrAppServer)
	}
	s := &server{
		Server: endpoint{u.Scheme + "://" + u.Host + strings.TrimRight(u.Path, "/"), o.AppServer},
		token:  o.Token, local: loopback(u.Hostname()), stop: func(context.Context) error { return nil },
	}
	if s.token == nil && o.TokenFile != "" {
		s.token = appclient.TokenFile(o.TokenFile)
		if _, err := s.token.Token(ctx); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTokenFile, err)
		}
	}
	return s, nil
}

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

// loopback says whether a host is this machine. A tunnel to another machine
// looks the same; the App Server then reports the directory as it sees it.
func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
