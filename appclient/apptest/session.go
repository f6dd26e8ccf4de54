package apptest

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// session is one client: one socket, or a control and a stream socket.
type session struct {
	process *process
	id      int
	ctx     context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	control *socket
	stream  *socket // nil on the single transport and while none is attached
	seq     int
	last    outFrame // for duplicates
	calls   map[string]*externalCall
	scopes  map[*agentRuntime]struct{}
}

type outFrame struct {
	socket *socket
	data   []byte
}

// onStream are the events that go to a stream socket when there is one.
func onStream(kind string) bool {
	switch kind {
	case "stream_delta", "update_device_status", "update_loop_status", "update_queue", "update_subagent_state", "turn_finished":
		return true
	}
	return false
}

// serveSocket runs a socket until it ends.
func (p *process) serveSocket(so *socket) {
	ws := so.ws
	if !p.spawn(so.writeLoop) {
		_ = ws.CloseNow() // the process is ending; the client sees an abnormal closure either way
		return
	}
	defer so.cut()
	if so.channel == "stream" {
		p.serveStream(so)
		return
	}
	s, reason := p.openSession(so)
	if reason != "" {
		_ = ws.Close(websocket.StatusPolicyViolation, reason) // a failed close is the client's own end
		return
	}
	defer p.endSession(s)
	if !p.spawn(func() { so.pingLoop(p.server.opts.PingInterval) }) {
		return
	}
	so.readLoop(func(data []byte) { s.handle(data) })
}

// openSession starts the client's session, or says why it cannot.
func (p *process) openSession(so *socket) (*session, string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	split := p.server.opts.Transport == TransportSplit
	if split && p.control != nil {
		return nil, "control channel already connected"
	}
	p.nextID++
	s := &session{process: p, id: p.nextID, control: so, calls: map[string]*externalCall{}, scopes: map[*agentRuntime]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(p.ctx)
	so.connection.Store(int64(s.id))
	p.sessions[s] = struct{}{}
	if split {
		p.control = s
		if p.pending != nil {
			p.pending.connection.Store(int64(s.id))
			s.stream = p.pending
			close(p.pending.attached)
			p.pending = nil
		}
	}
	return s, ""
}

// serveStream attaches a stream socket to the control socket, for which it waits 5 s.
func (p *process) serveStream(so *socket) {
	p.mu.Lock()
	s := p.control
	switch {
	case s == nil && p.pending != nil:
		p.mu.Unlock()
		_ = so.ws.Close(websocket.StatusPolicyViolation, "stream channel already pending")
		return
	case s == nil:
		p.pending = so
		p.mu.Unlock()
		if !so.waitForControl() {
			return
		}
		p.mu.Lock()
		s = p.control
		p.mu.Unlock()
	default:
		p.mu.Unlock()
		if !s.attach(so) {
			_ = so.ws.Close(websocket.StatusPolicyViolation, "stream channel already connected")
			return
		}
	}
	if !p.spawn(func() { so.pingLoop(p.server.opts.PingInterval) }) {
		return
	}
	so.readLoop(func([]byte) {}) // commands are read only from control
	if s != nil {
		p.streamLost(s, so)
	}
}

func (s *session) attach(so *socket) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stream != nil {
		return false
	}
	so.connection.Store(int64(s.id))
	s.stream = so
	return true
}

// streamLost falls back to control on a June server and ends the client on later ones.
func (p *process) streamLost(s *session, so *socket) {
	s.mu.Lock()
	if s.stream == so {
		s.stream = nil
	}
	s.mu.Unlock()
	if p.server.version.atLeast(29, 0) {
		s.cut()
	}
}

// endSession forgets a client whose control socket has ended.
func (p *process) endSession(s *session) {
	s.cancel()
	p.mu.Lock()
	delete(p.sessions, s)
	if p.control == s {
		p.control = nil
	}
	p.mu.Unlock()
	s.mu.Lock()
	stream, scopes := s.stream, s.scopes
	s.stream, s.scopes = nil, nil
	s.mu.Unlock()
	if stream != nil {
		stream.cut()
	}
	for rt := range scopes {
		rt.unsubscribe(s)
	}
	p.server.update(func() { p.server.gone++ })
}

// cut ends the client's sockets without a close frame.
func (s *session) cut() {
	s.mu.Lock()
	control, stream := s.control, s.stream
	s.mu.Unlock()
	if stream != nil {
		stream.cut()
	}
	control.cut()
}

// answer sends a frame without envelope to the control socket.
func (s *session) answer(v any) {
	data := mustJSON(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.enqueue(s.control, data)
}

// event sends a frame with envelope; body is a JSON object without its closing brace.
func (s *session) event(kind string, body, runtime []byte, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	data := make([]byte, 0, len(body)+len(runtime)+160)
	data = append(data, body...)
	data = append(data, `,"runtime":`...)
	data = append(data, runtime...)
	data = append(data, `,"event_seq":`...)
	data = strconv.AppendInt(data, int64(s.seq), 10)
	data = append(data, `,"emitted_at":"`...)
	data = at.UTC().AppendFormat(data, wireTime)
	data = append(data, `","idempotency_key":"`...)
	data = append(data, kind...)
	data = append(data, ':')
	data = strconv.AppendInt(data, int64(s.seq), 10)
	data = append(data, ':')
	data = append(data, newUUID()...)
	data = append(data, `"}`...)
	so := s.control
	if s.stream != nil && onStream(kind) {
		so = s.stream
	}
	s.enqueue(so, data)
}

// duplicate sends the last frame n times more.
func (s *session) duplicate(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		if s.last.socket != nil {
			s.enqueue(s.last.socket, s.last.data)
		}
	}
}

// enqueue is called with mu held, so that the order on the wire is the order of event_seq.
func (s *session) enqueue(so *socket, data []byte) {
	s.last = outFrame{socket: so, data: data}
	so.enqueue(data)
}

// wireTime is the server's timestamp format.
const wireTime = "2006-01-02T15:04:05.000Z"

func newUUID() []byte {
	const digits = "0123456789abcdef"
	hi, lo := rand.Uint64(), rand.Uint64()
	hi = hi&^0xf000 | 0x4000
	lo = lo&^(0xc000<<48) | 0x8000<<48
	out := make([]byte, 0, 36)
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			out = append(out, '-')
		}
		n := hi
		if i >= 16 {
			n = lo
		}
		out = append(out, digits[n>>(60-4*(i%16))&0xf])
	}
	return out
}

// mustJSON encodes the package's own types, which cannot fail; a value of a script that cannot be encoded
// becomes null rather than ending the server.
func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return data
}
