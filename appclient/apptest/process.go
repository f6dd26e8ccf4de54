package apptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// process is one life of the server: all that a restart loses.
type process struct {
	server *Server
	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	ln     net.Listener
	http   *http.Server
	gate   gate

	mu       sync.Mutex
	stopped  bool
	nextID   int
	sessions map[*session]struct{}
	control  *session // the one client of the split transport
	pending  *socket  // a stream socket that waits for a control socket
	runtimes map[runtimeID]*agentRuntime
	runs     int
	chunks   int
}

var errStopped = errors.New("server stopped")

func newProcess(ctx context.Context, s *Server, ln net.Listener) *process {
	p := &process{server: s, ln: ln, sessions: map[*session]struct{}{}, runtimes: map[runtimeID]*agentRuntime{}}
	p.ctx, p.cancel = context.WithCancelCause(ctx)
	p.http = &http.Server{Handler: http.HandlerFunc(p.serveHTTP), ReadHeaderTimeout: 10 * time.Second}
	return p
}

func (p *process) start() {
	p.wg.Go(func() { _ = p.http.Serve(p.ln) }) // ends with ErrServerClosed when stop closes the listener
	p.wg.Go(func() {
		<-p.ctx.Done()
		p.gate.open()
		_ = p.http.Close() // its only error is that of closing the listener, which nobody can act on
		p.dropSessions(nil)
	})
}

func (p *process) stop() error {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.cancel(errStopped)
	done := make(chan struct{})
	go func() { p.wg.Wait(); close(done) }()
	timer := time.NewTimer(closeLimit)
	defer timer.Stop()
	select {
	case <-done:
		return nil
	case <-timer.C:
		return fmt.Errorf("apptest: still busy %s after being stopped", closeLimit)
	}
}

// spawn runs f unless the process is stopping; stop waits for it.
func (p *process) spawn(f func()) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.ctx.Err() != nil {
		return false
	}
	p.wg.Go(f)
	return true
}

// enter makes stop wait for the calling goroutine until leave is called; false means the process is stopping.
func (p *process) enter() (leave func(), ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped || p.ctx.Err() != nil {
		return nil, false
	}
	p.wg.Add(1)
	return p.wg.Done, true
}

// dropSessions cuts the given sessions, or all when the list is nil.
func (p *process) dropSessions(list []*session) int {
	if list == nil {
		p.mu.Lock()
		for s := range p.sessions {
			list = append(list, s)
		}
		p.mu.Unlock()
	}
	for _, s := range list {
		s.cut()
	}
	return len(list)
}

// newRun numbers model requests; the numbers begin again with each process, as the real server's do.
func (p *process) newRun() (run string, request int) {
	p.mu.Lock()
	p.runs++
	n := p.runs
	p.mu.Unlock()
	return "local-run-" + strconv.Itoa(n), n
}

func (p *process) newChunkID() string {
	p.mu.Lock()
	p.chunks++
	n := p.chunks
	p.mu.Unlock()
	return "letta-msg-" + strconv.Itoa(n)
}

// runtime returns the runtime of a scope, made on first use.
func (p *process) runtime(id runtimeID) *agentRuntime {
	p.mu.Lock()
	defer p.mu.Unlock()
	rt := p.runtimes[id]
	if rt == nil {
		rt = newAgentRuntime(p, id)
		p.runtimes[id] = rt
	}
	return rt
}

// gate lets goroutines through while it is open.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil while open
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed == nil {
		g.closed = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// wait blocks while the gate is closed; an opened gate or a finished ctx ends it.
func (g *gate) wait(ctx context.Context) {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed == nil {
		return
	}
	select {
	case <-closed:
	case <-ctx.Done():
	}
}
