package orchestrator

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// servers are the App Servers of an orchestrator.
type servers []*server

// openServers starts or names all App Servers, at once: a managed one takes seconds.
// Errors: those of openServer; ErrAppServer where they do not go together.
func openServers(ctx context.Context, list []AppServer, dataDir string, log zerolog.Logger) (servers, error) {
	names, err := serverNames(list)
	if err != nil {
		return nil, err
	}
	opened := make(servers, len(list))
	// The first error ends the other starts: ctx bounds nothing else.
	starting, ctx := errgroup.WithContext(ctx)
	for i, of := range list {
		starting.Go(func() (err error) {
			if opened[i], err = openServer(ctx, of, names[i], serverDir(dataDir, names[i]), log); err != nil && len(list) > 1 {
				err = fmt.Errorf("open the App Server %s: %w", of.Name, err)
			}
			return err
		})
	}
	err = starting.Wait()
	if err == nil {
		err = opened.together()
	}
	if err != nil {
		return nil, errors.Join(err, opened.stop(context.WithoutCancel(ctx)))
	}
	return opened, nil
}

// serverNames are the names under which conversations on the servers are stored.
// That of a managed one is its HOME's, in which its agents live: "managed" for the
// only one, and for the one without a home of its own.
func serverNames(list []AppServer) ([]string, error) {
	managed := 0
	for _, of := range list {
		if of.Address == AppServerManaged {
			managed++
		}
	}
	names := make([]string, len(list))
	by := map[string]string{}
	for i, of := range list {
		script, scripted := strings.CutPrefix(of.Address, AppServerScripted)
		switch {
		case of.Address == AppServerManaged && (managed == 1 || of.LettaHome == ""):
			names[i] = AppServerManaged
		case of.Address == AppServerManaged:
			names[i] = AppServerManaged + ":" + of.Name
		case scripted:
			names[i] = of.Address
			if abs, err := filepath.Abs(script); err == nil {
				names[i] = AppServerScripted + abs
			}
			if by[names[i]] != "" { // each plays the script for itself
				names[i] += "#" + of.Name
			}
		default:
			names[i] = of.Address
			if u, err := url.Parse(of.Address); err == nil {
				names[i] = remoteName(u)
			}
		}
		if other := by[names[i]]; other != "" {
			return nil, fmt.Errorf("%w: %s and %s are the same server", ErrAppServer, other, of.Name)
		}
		by[names[i]] = of.Name
	}
	return names, nil
}

// serverDir is where the files of a managed server are.
func serverDir(dataDir, name string) string {
	if _, own, ok := strings.Cut(name, ":"); ok {
		return filepath.Join(dataDir, "appserver-"+url.PathEscape(own))
	}
	return filepath.Join(dataDir, "appserver")
}

// together refuses servers of which some see our files and some do not: where a
// task works is chosen before its servers are.
func (l servers) together() error {
	for _, s := range l {
		if s.local != l[0].local {
			near, far := l[0], s
			if s.local {
				near, far = far, near
			}
			return fmt.Errorf("%w: %s runs on this machine and %s on another one, which does not see the same files: give each an orchestrator of its own", ErrAppServer, near.of.Name, far.of.Name)
		}
	}
	return nil
}

// local says that the servers share our file system.
func (l servers) local() bool { return len(l) == 0 || l[0].local }

// stop ends those that run here. ctx bounds how long that may take.
func (l servers) stop(ctx context.Context) error {
	errs := make([]error, len(l))
	var stopping errgroup.Group
	for i, s := range l {
		if s != nil {
			stopping.Go(func() error {
				errs[i] = s.stop(ctx)
				return nil
			})
		}
	}
	return errors.Join(append(errs, stopping.Wait())...)
}

// pool makes what runs turns on the servers.
func (l servers) pool(ctx context.Context, s *store.Store, options Options, base runner.Options) (*pool.Pool, error) {
	conversations, err := s.Conversations(ctx)
	if err != nil {
		return nil, err
	}
	of := pool.Options{Registry: s, Conversations: conversations, Log: options.Log}
	for _, server := range l {
		with := base
		with.Server, with.Token, with.Transport, with.Local = server.Server, server.token, server.of.Transport, server.local
		of.Servers = append(of.Servers, pool.Server{
			Name: server.Name(), Title: server.of.Name, Kind: server.kind, URL: server.address(), Local: server.local,
			Runner: runner.New(with), MaxTurns: server.limit(), Process: server.process,
		})
	}
	p, err := pool.New(of)
	if err != nil {
		for _, s := range of.Servers {
			err = errors.Join(err, s.Runner.Close())
		}
		return nil, err
	}
	return p, nil
}

// limit is how many turns run on the server at once.
func (s *server) limit() int {
	if s.of.MaxTurns > 0 {
		return s.of.MaxTurns
	}
	return defaultTurns
}

// address is that of a server that is given by its URL, without what may be secret.
func (s *server) address() string {
	if s.kind != kindURL {
		return ""
	}
	return s.Name()
}

// turns is how many turns run at once on all servers.
func (l servers) turns() int {
	all := 0
	for _, s := range l {
		all += s.limit()
	}
	return all
}
