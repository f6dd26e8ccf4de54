package pool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// ErrUnknownServer says that there is no App Server with a name.
var ErrUnknownServer = errors.New("there is no such App Server")

// usualTurns is what a server without a limit is taken to hold when it is
// compared with others.
const usualTurns = 16

// Pool is several App Servers. Its methods may be called concurrently.
type Pool struct {
	registry Registry
	clock    engine.Clock
	log      zerolog.Logger
	names    []string
	// life ends with the pool, and with it what wg counts.
	life context.Context
	end  context.CancelFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	servers map[string]*server
	agents  map[string]string // servers of agents that team files name by their IDs
	room    func()
}

// server is one of them. All that changes is guarded by Pool.mu.
type server struct {
	Server
	running       int
	conversations int
	// down is why the server cannot be reached; nil when it can, as far as is known.
	down      error
	downSince time.Time
	// retries are the waits between attempts to reach it. They go on over a server
	// that can be reached and does no turn.
	retries  *backoff.ExponentialBackOff
	draining time.Time // since when; zero when it is not
	version  string
}

var (
	_ engine.TurnRunner = (*Pool)(nil)
	_ engine.Servers    = (*Pool)(nil)
)

// New makes a pool. Where it has several servers, it begins to find out which of
// them can be reached; none gets anything before. Close must be called.
func New(o Options) (*Pool, error) {
	if len(o.Servers) == 0 || o.Registry == nil {
		return nil, errors.New("make a pool of App Servers: Options.Servers and Options.Registry are required")
	}
	p := &Pool{registry: o.Registry, clock: o.Clock, log: o.Log, servers: map[string]*server{}, agents: map[string]string{}, room: func() {}}
	if p.clock == nil {
		p.clock = engine.SystemClock()
	}
	p.life, p.end = context.WithCancel(context.Background())
	for _, s := range o.Servers {
		if p.servers[s.Name] != nil {
			return nil, fmt.Errorf("make a pool of App Servers: two are called %q", s.Name)
		}
		p.servers[s.Name] = &server{Server: s, conversations: o.Conversations[s.Name], retries: newRetries()}
		p.names = append(p.names, s.Name)
	}
	if len(p.names) > 1 { // one alone is connected to when it is needed
		for _, s := range p.servers {
			s.down, s.downSince = errConnecting, p.clock.Now()
			p.wg.Go(func() { p.await(s) })
		}
	}
	return p, nil
}

// Close closes the runners, and waits for all that the pool has started. It may be called again.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.end()
	errs := make([]error, len(p.names))
	var closing sync.WaitGroup
	for i, name := range p.names {
		closing.Go(func() { errs[i] = p.servers[name].Runner.Close() })
	}
	closing.Wait()
	p.wg.Wait()
	return errors.Join(errs...)
}

// Servers tells how the servers are doing, in the order of the options.
func (p *Pool) Servers() []Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Status, len(p.names))
	for i, name := range p.names {
		list[i] = p.servers[name].status()
	}
	return list
}

func (s *server) status() Status {
	out := Status{
		Name: s.Name, Title: s.Title, Kind: s.Kind, URL: s.URL, State: StateReady, Version: s.version,
		Running: s.running, Limit: s.MaxTurns, Conversations: s.conversations, Local: s.Local,
	}
	var trouble error
	if s.Process != nil {
		trouble = s.Process.Trouble()
		out.Version, out.Restarts = cmp.Or(s.Process.Version(), out.Version), s.Process.Restarts()
	}
	switch {
	case trouble != nil:
		out.State, out.Since, out.Detail = StateStarting, s.downSince, trouble.Error()
	case errors.Is(s.down, errConnecting):
		out.State, out.Since, out.Detail = StateStarting, s.downSince, s.down.Error()
	case s.down != nil:
		out.State, out.Since, out.Detail = StateUnreachable, s.downSince, s.down.Error()
	case !s.draining.IsZero():
		out.State, out.Since = StateDraining, s.draining
	}
	return out
}

// up reports whether turns can be sent to the server, as far as is known.
func (s *server) up() bool {
	return s.down == nil && (s.Process == nil || s.Process.Trouble() == nil)
}

func (s *server) full() bool { return s.MaxTurns > 0 && s.running >= s.MaxTurns }

// open reports whether something can begin on the server.
func (s *server) open() bool { return s.up() && !s.full() && s.draining.IsZero() }

// Drain gives a server nothing new: turns that run there go on to their ends, and
// those whose conversations live there wait for Resume. Errors: ErrUnknownServer.
func (p *Pool) Drain(name string) error { return p.setDraining(name, p.clock.Now()) }

// Resume ends what Drain began. Errors: ErrUnknownServer.
func (p *Pool) Resume(name string) error { return p.setDraining(name, time.Time{}) }

// SetMaxTurns changes how many turns run on a server at once; 0 is no limit of its
// own. Nothing that runs is stopped. Errors: ErrUnknownServer.
func (p *Pool) SetMaxTurns(name string, turns int) error {
	return p.set(name, func(s *server) { s.MaxTurns = turns })
}

func (p *Pool) setDraining(name string, since time.Time) error {
	return p.set(name, func(s *server) {
		if since.IsZero() || s.draining.IsZero() {
			s.draining = since
		}
	})
}

func (p *Pool) set(name string, change func(s *server)) error {
	p.mu.Lock()
	s, room := p.servers[name], p.room
	if s != nil {
		change(s)
	}
	p.mu.Unlock()
	if s == nil {
		return fmt.Errorf("%w: %q", ErrUnknownServer, name)
	}
	room()
	return nil
}

// Take implements engine.Servers.
func (p *Pool) Take(name string, sent bool) (string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return "", false
	}
	s := p.servers[name]
	switch {
	case name == "":
		if s = p.least(); s == nil {
			return "", false
		}
	case s == nil:
		return name, true // Run says that nobody knows it
	case !s.up() || s.full() || !sent && !s.draining.IsZero(): // what has been sent ends, also while a server is emptied
		p.watchProcess(s)
		return "", false
	}
	s.running++
	return s.Name, true
}

// least is the server that has the least to do; nil where none can begin anything. p.mu is held.
func (p *Pool) least() *server {
	var best *server
	for _, name := range p.names {
		s := p.servers[name]
		if !s.open() {
			p.watchProcess(s)
			continue
		}
		if best == nil || s.before(best) {
			best = s
		}
	}
	return best
}

// before reports whether a server is to be taken rather than another one.
func (s *server) before(o *server) bool {
	return cmp.Or(
		cmp.Compare(s.running*cmp.Or(o.MaxTurns, usualTurns), o.running*cmp.Or(s.MaxTurns, usualTurns)),
		cmp.Compare(s.conversations*cmp.Or(o.MaxTurns, usualTurns), o.conversations*cmp.Or(s.MaxTurns, usualTurns)),
		cmp.Compare(s.Name, o.Name)) < 0
}

// TakeBack implements engine.Servers.
func (p *Pool) TakeBack(name string) { p.change(name, 1) }

// Give implements engine.Servers.
func (p *Pool) Give(name string) { p.change(name, -1) }

func (p *Pool) change(name string, by int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.servers[name]; s != nil {
		s.running += by
	}
}

// HasRoom implements engine.Servers.
func (p *Pool) HasRoom() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed && p.least() != nil
}

// OnRoom implements engine.Servers.
func (p *Pool) OnRoom(room func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.room = room
}

// known returns the names of the servers, sorted.
func (p *Pool) known() []string { return slices.Sorted(slices.Values(p.names)) }
