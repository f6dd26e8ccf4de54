package apptest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"time"
)

// closeLimit bounds Close: a tool or a client that does not let go is left behind after it.
const closeLimit = 10 * time.Second

// Server is a scripted App Server. Its methods may be called from any goroutine.
type Server struct {
	opts     Options
	version  version
	features features
	store    *store

	lifecycle sync.Mutex // serialises Start, Stop, Restart and Close
	mu        sync.Mutex // guards what follows
	process   *process
	address   string
	played    map[string]int // turns played, by agent or agent and conversation
	asked     []AskedTurn
	frames    []Frame
	errs      []error
	requests  int
	gone      int           // clients that have disconnected
	changed   chan struct{} // closed and replaced when asked, requests, gone or errs change
}

// AskedTurn is a turn that a client asked for and that the server began.
type AskedTurn struct {
	// Agent is the agent's name.
	Agent string
	// AgentID and ConversationID are its runtime.
	AgentID        string
	ConversationID string
	// ClientMessageIDs are the ids of the inputs that it consumes; none for a turn the server began itself.
	ClientMessageIDs []string
	// Text is the message.
	Text string
	// Mode and WorkingDirectory are those in force.
	Mode             string
	WorkingDirectory string
	// At is when it began.
	At time.Time
}

// Frame is one frame on the wire, kept with Options.RecordFrames.
type Frame struct {
	// Connection counts clients from 1; Channel is "", "control" or "stream".
	Connection int
	Channel    string
	// FromClient is the direction.
	FromClient bool
	// Data are the bytes.
	Data []byte
}

// New checks the options; nothing runs before [Server.Start].
func New(opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	v, err := parseVersion(opts.Version)
	if err != nil {
		return nil, err
	}
	return &Server{
		opts: opts, version: v, features: v.features(), store: newStore(opts.Now),
		played: map[string]int{}, changed: make(chan struct{}),
	}, nil
}

// Start listens and serves until Stop, Close or the end of ctx. It returns once clients can connect.
func (s *Server) Start(ctx context.Context) error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	s.mu.Lock()
	running, address := s.process != nil, s.address
	s.mu.Unlock()
	if running {
		return errors.New("apptest: server is already started")
	}
	ln := s.opts.Listener
	if ln == nil || address != "" {
		if address == "" {
			address = s.opts.Listen
		}
		var err error
		if ln, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address); err != nil {
			return fmt.Errorf("apptest: listen: %w", err)
		}
	}
	p := newProcess(ctx, s, ln)
	s.mu.Lock()
	s.process, s.address = p, ln.Addr().String()
	s.mu.Unlock()
	p.start()
	return nil
}

// URL is the address for clients, such as ws://127.0.0.1:4500/ws; empty before Start.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.address == "" {
		return ""
	}
	return "ws://" + s.address + "/ws"
}

// Stop ends the server as SIGKILL does: sockets are cut without a close frame, turns vanish without
// turn_finished, the port is closed. Start brings it back at the same address with what it had stored.
// It returns when everything that the server started has ended, or with an error after 10 seconds.
func (s *Server) Stop() error {
	s.lifecycle.Lock()
	defer s.lifecycle.Unlock()
	return s.stop()
}

func (s *Server) stop() error {
	s.mu.Lock()
	p := s.process
	s.process = nil
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.stop()
}

// Restart is Stop and Start.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	return s.Start(ctx)
}

// Close ends the server. It may be called often and is bounded in time.
func (s *Server) Close() error { return s.Stop() }

// DropConnections cuts every client's sockets without a close frame and returns how many clients there
// were. Turns that no other client follows are cancelled.
func (s *Server) DropConnections() int {
	p := s.current()
	if p == nil {
		return 0
	}
	return p.dropSessions(nil)
}

// Pause stops reading and writing on all sockets, present and future, as on a link that silently lost its
// peer; turns go on. Resume ends it.
func (s *Server) Pause() {
	if p := s.current(); p != nil {
		p.gate.close()
	}
}

// Resume ends Pause.
func (s *Server) Resume() {
	if p := s.current(); p != nil {
		p.gate.open()
	}
}

// Connections returns how many clients are connected.
func (s *Server) Connections() int {
	p := s.current()
	if p == nil {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// Turns returns the turns asked for so far, oldest first, over all restarts.
func (s *Server) Turns() []AskedTurn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// ModelRequests returns how many requests would have gone to a model so far, over all restarts.
func (s *Server) ModelRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

// Frames returns the frames so far, in the order in which the server read or queued them. It is empty
// without Options.RecordFrames.
func (s *Server) Frames() []Frame {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.frames)
}

// Err returns what went against the script so far: messages that were not as expected, turns the script
// does not have, tools nobody registered. Nil means none.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}

// WaitForTurns returns when n turns have been asked for, or with ctx's error.
func (s *Server) WaitForTurns(ctx context.Context, n int) error {
	return s.waitFor(ctx, func() bool { return len(s.asked) >= n })
}

// WaitForModelRequests returns when n model requests have begun, or with ctx's error.
func (s *Server) WaitForModelRequests(ctx context.Context, n int) error {
	return s.waitFor(ctx, func() bool { return s.requests >= n })
}

// WaitForDisconnections returns when n clients have gone, over all restarts, and what
// the server does about that is done, or with ctx's error.
func (s *Server) WaitForDisconnections(ctx context.Context, n int) error {
	return s.waitFor(ctx, func() bool { return s.gone >= n })
}

// waitFor waits for a condition over what mu guards.
func (s *Server) waitFor(ctx context.Context, condition func() bool) error {
	for {
		s.mu.Lock()
		ok, changed := condition(), s.changed
		s.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("apptest: wait: %w", context.Cause(ctx))
		}
	}
}

func (s *Server) current() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.process
}

// update changes what mu guards and wakes those who wait for it.
func (s *Server) update(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) reportError(err error) {
	s.update(func() { s.errs = append(s.errs, err) })
}

func (s *Server) record(f Frame) {
	if !s.opts.RecordFrames {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frames = append(s.frames, f)
}
