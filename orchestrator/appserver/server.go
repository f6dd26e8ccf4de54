package appserver

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// ErrStopped is returned once Stop was called.
var ErrStopped = errors.New("the App Server was stopped")

// Server is a running App Server that is started again whenever it exits, or
// hangs. Its
// methods may be called from any goroutine.
type Server struct {
	opts      Options
	file      string
	version   Version
	env       []string
	private   string // directory that holds cwd and tokenFile
	cwd       string
	token     string
	tokenFile string

	wg      sync.WaitGroup
	stopped context.CancelFunc
	hurry   chan struct{} // closed when the grace of stopping is cut short
	done    chan struct{} // closed when everything has ended
	rush    sync.Once

	mu       sync.Mutex
	url      string        // empty while the server is not ready
	err      error         // why it is not ready
	changed  chan struct{} // closed and replaced whenever url or err change
	ended    bool
	started  time.Time
	restarts int
	cleanup  error
}

// Start finds the installed App Server, starts it and returns when it is
// ready. ctx bounds the start alone. Errors: ErrNotInstalled; a server that
// exits or does not become ready, with the last lines that it printed.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s := &Server{
		opts: opts.withDefaults(), token: rand.Text(),
		hurry: make(chan struct{}), done: make(chan struct{}), changed: make(chan struct{}),
	}
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	first, err := s.start(ctx)
	if err != nil {
		s.wg.Wait()
		return nil, errors.Join(err, s.removeDir())
	}
	s.set(first, nil)
	s.opts.Log.Info().Str("version", s.version.String()).Str("url", first.url).Msg("App Server is ready")
	// ctx bounds the start; the server runs until Stop.
	life, stopped := context.WithCancel(context.WithoutCancel(ctx))
	s.stopped = stopped
	go s.supervise(life, first)
	return s, nil
}

// prepare finds out all that is the same for every start.
func (s *Server) prepare(ctx context.Context) (err error) {
	if s.file, err = s.opts.find(); err != nil {
		return err
	}
	if s.opts.Home, err = makeHome(s.opts.Home); err != nil {
		return err
	}
	s.env = s.opts.environment(os.Environ())
	if err := s.makeDir(ctx); err != nil {
		return err
	}
	text, err := command(ctx, s.file, s.cwd, s.env, "--version")
	if err != nil {
		return fmt.Errorf("find out the App Server's version: %w", err)
	}
	if s.version, err = parseVersion(text); err != nil {
		return fmt.Errorf("find out the App Server's version: %w", err)
	}
	if !s.version.supported() {
		return fmt.Errorf("letta %s has no App Server; 0.27.9 is the first that has: update it with `npm install -g @letta-ai/letta-code`", s.version)
	}
	if s.version.needsBackendSetting() {
		if _, err := command(ctx, s.file, s.cwd, s.env, "backend", s.opts.Backend); err != nil {
			return fmt.Errorf("choose the App Server's backend: %w", err)
		}
	}
	return nil
}

// makeDir makes the server's own directory, and ends what an earlier one left there.
func (s *Server) makeDir(ctx context.Context) (err error) {
	if s.opts.Dir == "" {
		s.private, err = os.MkdirTemp("", "orchestrator-appserver-")
	} else {
		s.private, err = filepath.Abs(s.opts.Dir)
	}
	if err != nil {
		return fmt.Errorf("make the App Server's directory: %w", err)
	}
	// The server works in an empty directory: it is where tools run whose own directory does not exist.
	s.cwd, s.tokenFile = filepath.Join(s.private, "cwd"), filepath.Join(s.private, "token")
	if err := endLeftover(ctx, s.pidFile(), s.tokenFile); err != nil {
		return err
	}
	if err := s.removeDir(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.cwd, 0o700); err != nil {
		return fmt.Errorf("make the App Server's directory: %w", err)
	}
	if err := os.WriteFile(s.tokenFile, []byte(s.token), 0o600); err != nil {
		return fmt.Errorf("write the App Server's token: %w", err)
	}
	return nil
}

func (s *Server) pidFile() string { return filepath.Join(s.private, "pid") }

func (s *Server) removeDir() error {
	if s.private == "" {
		return nil
	}
	if err := os.RemoveAll(s.private); err != nil {
		return fmt.Errorf("remove the App Server's directory: %w", err)
	}
	return nil
}

// supervise keeps a server running until ctx ends.
func (s *Server) supervise(ctx context.Context, running *process) {
	defer close(s.done)
	defer s.finish()
	delays := newRestartDelays(s.opts.RestartDelay, s.opts.MaxRestartDelay)
	up := time.Now()
	for {
		watched := running
		s.wg.Go(func() { s.watchHealth(ctx, watched, s.opts.HangTimeout) })
		select {
		case <-ctx.Done():
			s.shutDown(running)
			return
		case <-running.exited:
		}
		failure := running.ending(s.opts.HangTimeout)
		lasted := time.Since(up)
		for running = nil; running == nil; {
			s.set(nil, failure)
			delay := delays.next(lasted)
			s.opts.Log.Warn().Err(failure).Dur("up", lasted).Dur("delay", delay).Msg("App Server is started again")
			if !sleep(ctx, delay) {
				return
			}
			running, failure = s.start(ctx)
			lasted = 0
		}
		up = time.Now()
		s.mu.Lock()
		s.restarts++
		s.mu.Unlock()
		s.set(running, nil)
		s.opts.Log.Info().Str("url", running.url).Int("restarts", s.Restarts()).Msg("App Server is ready again")
	}
}

// shutDown stops the process, at once when Stop is in a hurry.
func (s *Server) shutDown(p *process) {
	gone := make(chan struct{})
	s.wg.Go(func() {
		select {
		case <-s.hurry:
			// Whether it worked shows in whether the process exits.
			_ = kill(p.cmd)
		case <-gone:
		}
	})
	p.stop(s.opts.StopGrace)
	close(gone)
}

// finish is the last thing that happens.
func (s *Server) finish() {
	s.wg.Wait()
	err := s.removeDir()
	s.mu.Lock()
	s.ended, s.cleanup = true, err
	s.mu.Unlock()
	s.set(nil, ErrStopped)
}

// set publishes what the server is now.
func (s *Server) set(p *process, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.url, s.err = "", err
	if p != nil {
		s.url, s.started = p.url, p.started
	}
	close(s.changed)
	s.changed = make(chan struct{})
}

// Stop stops the server: it is asked to exit and killed after the grace, or
// at once when ctx ends. It returns when nothing of it runs any more, and may
// be called more than once. Turns that run on the server are lost.
func (s *Server) Stop(ctx context.Context) error {
	s.stopped()
	select {
	case <-s.done:
	case <-ctx.Done():
		s.rush.Do(func() { close(s.hurry) })
		<-s.done
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cleanup
}

// Name is the server's name in records.
func (s *Server) Name() string { return s.opts.Name }

// Version is the version of the installed App Server.
func (s *Server) Version() Version { return s.version }

// Restarts counts how often the server came up again.
func (s *Server) Restarts() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.restarts
}

// Started is when the process that serves now was started, or served last. What
// the server kept in memory is not older.
func (s *Server) Started() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.started
}

// URL returns the server's address, such as ws://127.0.0.1:4500, and waits for
// it while the server is being started again. The address may change with every
// restart. Errors: ErrStopped; the end of ctx, with why the server is not up.
func (s *Server) URL(ctx context.Context) (string, error) {
	for {
		s.mu.Lock()
		url, err, ended, changed := s.url, s.err, s.ended, s.changed
		s.mu.Unlock()
		switch {
		case ended:
			return "", ErrStopped
		case url != "":
			return url, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if err == nil {
				return "", fmt.Errorf("wait for the App Server: %w", context.Cause(ctx))
			}
			return "", fmt.Errorf("wait for the App Server: %w: %w", context.Cause(ctx), err)
		}
	}
}

// Trouble is why the server is not up now; nil when it is, as far as is known.
func (s *Server) Trouble() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.url != "":
		return nil
	case s.err != nil:
		return s.err
	}
	return errStarting
}

// errStarting is why a server is not up of which nothing else is known.
var errStarting = errors.New("the App Server is being started")

// Token returns the token that the server demands; empty when the version cannot demand one.
func (s *Server) Token(context.Context) (string, error) {
	if !s.version.takesToken() {
		return "", nil
	}
	return s.token, nil
}

// String names the server without its token.
func (s *Server) String() string {
	return "App Server " + s.version.String() + " (" + s.opts.Name + ")"
}

// GoString is String: the token must not be printed.
func (s *Server) GoString() string { return s.String() }
