package appclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"
)

// Client is one connection to an App Server, over one socket or two.
type Client struct {
	cfg       Config
	info      ServerInfo
	transport Transport // set while dialling

	ctx    context.Context // ends with the connection; its cause is Err
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup // readers, writer, pingers, handlers

	sockets []*socket
	outbox  chan *outgoing
	lastID  atomic.Int64
	gaps    atomic.Int64
	// acks is set once an input_accepted was seen, for servers that do not tell their version.
	acks atomic.Bool

	// dispatchMu makes the frames of two sockets one stream.
	dispatchMu sync.Mutex
	seq        sequence

	mu       sync.Mutex
	pending  map[string]*pendingRequest
	runtimes map[Runtime]*runtimeState
	// retired holds the runtimes of closed sessions that served tools, the oldest first in retiredOrder.
	retired      map[Runtime]bool
	retiredOrder []Runtime

	subMu       sync.Mutex
	subscribers []*Subscription
	subsEnded   error
	onFrameErr  error
	onFrameDone chan struct{}

	closeOnce sync.Once
	closed    chan struct{}
}

// socket is one open websocket.
type socket struct {
	channel Channel
	conn    *websocket.Conn
	frames  atomic.Bool // whether any frame came
}

// pendingRequest waits for the answer that carries its id.
type pendingRequest struct {
	answer chan Frame  // takes one
	hook   func(Frame) // called on the reader's goroutine before the answer is handed over
}

func newClient(cfg Config, info ServerInfo) *Client {
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &Client{
		cfg: cfg, info: info, ctx: ctx, cancel: cancel,
		outbox: make(chan *outgoing), pending: make(map[string]*pendingRequest), runtimes: make(map[Runtime]*runtimeState), retired: make(map[Runtime]bool),
		onFrameDone: make(chan struct{}), closed: make(chan struct{}),
	}
	if cfg.OnFrame == nil {
		close(c.onFrameDone)
	} else {
		subscription := c.Frames()
		subscription.wants = cfg.Wants
		go c.observe(subscription)
	}
	return c
}

// observe calls OnFrame. Close waits for it, but not for ever: the callback is the caller's.
func (c *Client) observe(subscription *Subscription) {
	defer close(c.onFrameDone)
	for {
		frame, err := subscription.Next(context.Background())
		if err != nil {
			if errors.Is(err, ErrSlowConsumer) {
				c.subMu.Lock()
				c.onFrameErr = err
				c.subMu.Unlock()
			}
			return
		}
		c.cfg.OnFrame(frame)
	}
}

// OnFrameErr is ErrSlowConsumer when Config.OnFrame fell behind and is called no more.
func (c *Client) OnFrameErr() error {
	c.subMu.Lock()
	defer c.subMu.Unlock()
	return c.onFrameErr
}

// Info is what the server said about itself when the client connected.
func (c *Client) Info() ServerInfo { return c.info }

// Transport is TransportSingle or TransportSplit.
func (c *Client) Transport() Transport { return c.transport }

// Done is closed when the connection has ended.
func (c *Client) Done() <-chan struct{} { return c.ctx.Done() }

// Err is nil while the connection lives, then an ErrConnectionLost; after Close also an ErrClosed.
func (c *Client) Err() error { return context.Cause(c.ctx) }

// Gaps is how many events are missing, by their sequence numbers. It stays 0
// unless the server or a proxy lost frames; Session.Sync then shows the state.
func (c *Client) Gaps() int64 { return c.gaps.Load() }

// acknowledges says whether the server answers inputs that carry a request id.
func (c *Client) acknowledges() bool {
	return atLeast(c.info.Version, 0, 30, 3) || c.acks.Load()
}

// Frames subscribes to every frame that arrives from now on.
func (c *Client) Frames() *Subscription {
	s := &Subscription{client: c, queue: newQueue[Frame](c.cfg.QueueLimit)}
	c.subMu.Lock()
	defer c.subMu.Unlock()
	if c.subsEnded != nil {
		s.queue.close(c.subsEnded)
		return s
	}
	c.subscribers = append(slices.Clip(c.subscribers), s) // a copy: publish ranges over the old slice without the lock
	return s
}

func (c *Client) unsubscribe(s *Subscription) {
	c.subMu.Lock()
	defer c.subMu.Unlock()
	c.subscribers = slices.DeleteFunc(slices.Clone(c.subscribers), func(other *Subscription) bool { return other == s })
}

// publish hands a frame to every subscriber.
func (c *Client) publish(frame Frame) {
	c.subMu.Lock()
	subscribers := c.subscribers
	c.subMu.Unlock()
	for _, s := range subscribers {
		if s.wants != nil && !s.wants(frame) {
			continue
		}
		s.queue.push(frame, int64(len(frame.Raw)))
	}
}

// endSubscriptions ends every subscription after the frames that are queued.
func (c *Client) endSubscriptions(err error) {
	c.subMu.Lock()
	defer c.subMu.Unlock()
	c.subsEnded = err
	for _, s := range c.subscribers {
		s.queue.close(err)
	}
	c.subscribers = nil
}

// Request sends a command and waits for the frame that carries its request_id.
// command is a JSON object in any form that encoding/json takes, or
// json.RawMessage; a request_id is added when there is none. Success is not checked.
func (c *Client) Request(ctx context.Context, command any) (Frame, error) {
	return c.request(ctx, command, nil)
}

func (c *Client) request(ctx context.Context, command any, hook func(Frame)) (Frame, error) {
	flight, err := c.begin(ctx, command, hook)
	if err != nil {
		return Frame{}, err
	}
	return flight.wait(ctx)
}

// flight is a command that was sent and has no answer yet. wait must be called.
type flight struct {
	client   *Client
	kind, id string
	pending  *pendingRequest
}

// begin sends a command.
func (c *Client) begin(ctx context.Context, command any, hook func(Frame)) (*flight, error) {
	data, kind, id, err := c.prepare(command)
	if err != nil {
		return nil, err
	}
	pending, err := c.expect(id, hook)
	if err != nil {
		return nil, err
	}
	if err := c.Send(ctx, data); err != nil {
		c.forget(id)
		return nil, fmt.Errorf("%s: %w", kind, err)
	}
	return &flight{client: c, kind: kind, id: id, pending: pending}, nil
}

// wait waits for the answer.
func (f *flight) wait(ctx context.Context) (Frame, error) {
	c := f.client
	defer c.forget(f.id)
	timer := time.NewTimer(c.cfg.RequestTimeout)
	defer timer.Stop()
	select {
	case frame := <-f.pending.answer:
		return frame, nil
	case <-ctx.Done():
		return Frame{}, fmt.Errorf("%s: %w", f.kind, context.Cause(ctx))
	case <-timer.C:
		return Frame{}, fmt.Errorf("%s: %w (waited %v)", f.kind, ErrRequestTimeout, c.cfg.RequestTimeout)
	case <-c.ctx.Done():
	}
	// The answer may have arrived together with the end of the connection.
	select {
	case frame := <-f.pending.answer:
		return frame, nil
	default:
		return Frame{}, fmt.Errorf("%s: %w", f.kind, c.Err())
	}
}

// expect registers a request id.
func (c *Client) expect(id string, hook func(Frame)) (*pendingRequest, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending[id] != nil {
		return nil, &ValidationError{"request_id", quoted(id) + " is in use by a request without an answer"}
	}
	pending := &pendingRequest{answer: make(chan Frame, 1), hook: hook}
	c.pending[id] = pending
	return pending, nil
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// prepare encodes a command and makes sure that it has a request id.
func (c *Client) prepare(command any) (data []byte, kind, id string, err error) {
	if fields, ok := command.(map[string]any); ok && fields["request_id"] == nil {
		if kind, _ = fields["type"].(string); kind != "" {
			fields = maps.Clone(fields)
			id = c.nextID()
			fields["request_id"] = id
			if data, err = json.Marshal(fields); err != nil {
				return nil, "", "", fmt.Errorf("encode command: %w", err)
			}
			return data, kind, id, nil
		}
	}
	if data, err = json.Marshal(command); err != nil {
		return nil, "", "", fmt.Errorf("encode command: %w", err)
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil || fields == nil {
		return nil, "", "", &ValidationError{"command", "must be a JSON object"}
	}
	take(fields["type"], &kind)
	if kind == "" {
		return nil, "", "", &ValidationError{"type", "must name the command"}
	}
	if take(fields["request_id"], &id); id != "" {
		return data, kind, id, nil
	}
	id = c.nextID()
	fields["request_id"] = json.RawMessage(quoted(id))
	data, err = json.Marshal(fields)
	return data, kind, id, err
}

// nextID makes an id that is unique on this connection.
func (c *Client) nextID() string { return "req-" + strconv.FormatInt(c.lastID.Add(1), 10) }

// sendCommand encodes and sends without waiting for an answer.
func (c *Client) sendCommand(ctx context.Context, command any) error {
	data, err := json.Marshal(command)
	if err != nil {
		return fmt.Errorf("encode command: %w", err)
	}
	return c.Send(ctx, data)
}

// Close ends the connection: running turns fail with ErrConnectionLost, open
// external tool calls are answered with an error, and every goroutine of the
// client ends. It waits for that, at most 5 s when a callback or tool
// handler does not return. It may be called more than once.
func (c *Client) Close() error {
	c.closeOnce.Do(func() {
		defer close(c.closed)
		c.failOpenCalls()
		c.cancel(fmt.Errorf("%w: %w", ErrConnectionLost, ErrClosed))
		c.sayGoodbye()
		c.end(ErrClosed)
		finished := make(chan struct{})
		go func() {
			c.wg.Wait()
			<-c.onFrameDone
			close(finished)
		}()
		timer := time.NewTimer(closeTimeout)
		defer timer.Stop()
		select {
		case <-finished:
		case <-timer.C:
		}
	})
	<-c.closed
	return nil
}

// sayGoodbye closes the sockets in the proper way, so that what was written
// last is not lost to a reset, and gives up soon.
func (c *Client) sayGoodbye() {
	c.mu.Lock()
	sockets := c.sockets
	c.mu.Unlock()
	var closing sync.WaitGroup
	for _, s := range sockets {
		closing.Go(func() {
			timer := time.AfterFunc(time.Second, func() { _ = s.conn.CloseNow() })
			defer timer.Stop()
			_ = s.conn.Close(websocket.StatusNormalClosure, "")
		})
	}
	closing.Wait()
}

// end ends the connection with err; only the first call counts.
func (c *Client) end(err error) {
	c.cancel(err)
	err = c.Err()
	c.mu.Lock()
	sockets := c.sockets
	c.mu.Unlock()
	for _, s := range sockets {
		// Waiting for the other side's close frame is not worth anything here.
		_ = s.conn.CloseNow()
	}
	if errors.Is(err, ErrClosed) {
		err = io.EOF
	}
	c.endSubscriptions(err)
}
