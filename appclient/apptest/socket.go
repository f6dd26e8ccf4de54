package apptest

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// socket is one websocket connection. Frames wait in a queue, so that whoever sends never blocks.
type socket struct {
	process    *process
	ws         *websocket.Conn
	channel    string
	connection atomic.Int64
	ctx        context.Context
	cancel     context.CancelFunc
	attached   chan struct{} // closed when a waiting stream socket found its control socket

	mu    sync.Mutex
	queue []outgoing
	wake  chan struct{}
}

// outgoing is a frame, or a mark in the queue of frames.
type outgoing struct {
	data    []byte
	reached chan struct{} // closed when the frames before it have been written
}

func newSocket(p *process, channel string) *socket {
	so := &socket{process: p, channel: channel, wake: make(chan struct{}, 1), attached: make(chan struct{})}
	so.ctx, so.cancel = context.WithCancel(p.ctx)
	return so
}

// cut ends the connection without a close frame.
func (so *socket) cut() {
	so.cancel()
	_ = so.ws.CloseNow() // that it is closed already is fine
}

func (so *socket) enqueue(data []byte) {
	so.process.server.record(Frame{Connection: int(so.connection.Load()), Channel: so.channel, Data: data})
	so.mu.Lock()
	so.queue = append(so.queue, outgoing{data: data})
	full := len(so.queue) > so.process.server.opts.MaxQueuedFrames
	so.mu.Unlock()
	if full {
		so.cancel() // a slow reader is cut; the write loop closes the connection
		return
	}
	so.signal()
}

// onWire tells Options.Wire of a frame.
func (so *socket) onWire(data []byte, fromClient bool) {
	if wire := so.process.server.opts.Wire; wire != nil {
		wire(Frame{Connection: int(so.connection.Load()), Channel: so.channel, FromClient: fromClient, Data: data}, time.Now())
	}
}

func (so *socket) signal() {
	select {
	case so.wake <- struct{}{}:
	default:
	}
}

// flush waits until what is queued has been written: a pong does not overtake frames.
func (so *socket) flush() {
	reached := make(chan struct{})
	so.mu.Lock()
	so.queue = append(so.queue, outgoing{reached: reached})
	so.mu.Unlock()
	so.signal()
	select {
	case <-reached:
	case <-so.ctx.Done():
	}
}

func (so *socket) writeLoop() {
	defer so.cut()
	for {
		select {
		case <-so.wake:
		case <-so.ctx.Done():
			return
		}
		so.process.gate.wait(so.ctx)
		so.mu.Lock()
		batch := so.queue
		so.queue = nil
		so.mu.Unlock()
		for _, out := range batch {
			if out.reached != nil {
				close(out.reached)
				continue
			}
			so.onWire(out.data, false)
			if err := so.ws.Write(so.ctx, websocket.MessageText, out.data); err != nil {
				return // the read loop ends too and tells the session
			}
		}
	}
}

// readLoop hands on frames, text or binary, until the connection ends.
func (so *socket) readLoop(handle func([]byte)) {
	for {
		_, data, err := so.ws.Read(so.ctx)
		if err != nil {
			return
		}
		so.onWire(data, true)
		so.process.gate.wait(so.ctx)
		so.process.server.record(Frame{Connection: int(so.connection.Load()), Channel: so.channel, FromClient: true, Data: data})
		handle(data)
	}
}

// pingLoop cuts a connection that does not answer pings within three intervals.
func (so *socket) pingLoop(interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-so.ctx.Done():
			return
		case <-ticker.C:
		}
		so.process.gate.wait(so.ctx)
		ctx, cancel := context.WithTimeout(so.ctx, 3*interval)
		err := so.ws.Ping(ctx)
		cancel()
		if err != nil {
			so.cut()
			return
		}
	}
}

// waitForControl waits for a control socket; without one it closes this stream socket.
func (so *socket) waitForControl() bool {
	timer := time.NewTimer(5 * time.Second)
	defer timer.Stop()
	p := so.process
	select {
	case <-so.attached:
		return true
	case <-so.ctx.Done():
	case <-timer.C:
	}
	p.mu.Lock()
	attached := p.pending != so
	if !attached {
		p.pending = nil
	}
	p.mu.Unlock()
	if attached {
		return true
	}
	_ = so.ws.Close(websocket.StatusPolicyViolation, "control channel did not connect")
	return false
}
