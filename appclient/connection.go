//nolint:contextcheck // the goroutines of a connection outlive the call that started them, and end with the client
package appclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/coder/websocket"
)

// attach starts reading from a socket and returns when the server has answered
// a ping on it. A server that is busy closes before it answers.
func (c *Client) attach(ctx context.Context, channel Channel, conn *websocket.Conn) error {
	s := &socket{channel: channel, conn: conn}
	c.mu.Lock()
	c.sockets = append(c.sockets, s)
	first := len(c.sockets) == 1
	c.mu.Unlock()
	c.wg.Go(func() { c.read(s) })
	if first {
		c.wg.Go(func() { c.write(s) }) // commands go to the first socket alone
	}
	if err := conn.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("the socket opened but the server does not answer on it: %w", err)
		}
		// The reader knows the close code; it ends the client as soon as it meets it.
		select {
		case <-c.ctx.Done():
			return c.Err()
		case <-ctx.Done():
			return err
		}
	}
	if err := c.Err(); err != nil {
		return err
	}
	c.wg.Go(func() { c.ping(s) })
	return nil
}

// keptBuffer is the largest buffer that is kept for the next frame, in bytes.
const keptBuffer = 1 << 20

// read takes frames from one socket until it ends, and never waits for a consumer:
// the server cuts clients that read slowly.
func (c *Client) read(s *socket) {
	var buffer bytes.Buffer
	for {
		buffer.Reset()
		_, message, err := s.conn.Reader(context.Background())
		if err == nil {
			_, err = buffer.ReadFrom(message)
		}
		if err != nil {
			c.end(lostError(s.channel, err, s.frames.Load()))
			return
		}
		s.frames.Store(true)
		frame := DecodeFrame(s.channel, bytes.Clone(buffer.Bytes())) // no longer than it is: frames are kept
		if buffer.Cap() > keptBuffer {
			buffer = bytes.Buffer{}
		}
		frame.ReceivedAt = time.Now()
		c.dispatch(frame)
	}
}

// ping finds out whether the other side is alive. Data frames are no measure:
// there are none while a model thinks.
func (c *Client) ping(s *socket) {
	ticker := time.NewTicker(c.cfg.PingInterval)
	defer ticker.Stop()
	for {
		select {
		case <-c.ctx.Done():
			return
		case <-ticker.C:
		}
		ctx, cancel := context.WithTimeout(c.ctx, c.cfg.PingTimeout)
		err := s.conn.Ping(ctx)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			c.end(fmt.Errorf("%w: no answer to a ping within %v", ErrConnectionLost, c.cfg.PingTimeout))
			return
		}
		if err != nil {
			return // the reader meets the same end and tells why
		}
	}
}

// catchUp returns when every frame that the server had sent before the call has been taken in. With one socket that
// is so already. With two, the answer on the control socket may overtake the state on the stream socket, which a
// ping follows: the pong comes after what was sent before it, and the reader takes in one thing after the other.
func (c *Client) catchUp(ctx context.Context) error {
	if c.transport != TransportSplit {
		return nil
	}
	c.mu.Lock()
	stream := c.sockets[len(c.sockets)-1]
	c.mu.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.RequestTimeout, fmt.Errorf("%w (waited %v)", ErrRequestTimeout, c.cfg.RequestTimeout))
	defer cancel()
	if err := stream.conn.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("read the stream channel up to now: %w", context.Cause(ctx))
		}
		// The reader meets the same end and knows the close code.
		select {
		case <-c.ctx.Done():
			return c.Err()
		case <-ctx.Done():
			return fmt.Errorf("read the stream channel up to now: %w", err)
		}
	}
	return nil
}

// outgoing is one frame on its way to the writer.
type outgoing struct {
	data []byte
	done chan error // takes one
}

// write sends frames one after the other. A goroutine of its own lets a caller
// give up without the half-written frame ending the connection.
func (c *Client) write(s *socket) {
	for {
		select {
		case <-c.ctx.Done():
			return
		case out := <-c.outbox:
			ctx, cancel := context.WithTimeout(context.Background(), c.cfg.RequestTimeout)
			err := s.conn.Write(ctx, websocket.MessageText, out.data)
			cancel()
			if err != nil {
				err = lostError(s.channel, err, s.frames.Load())
				c.end(err)
			}
			out.done <- err
		}
	}
}

// Send sends one frame as it is. When ctx ends while the frame is being
// written, it may still be sent.
func (c *Client) Send(ctx context.Context, raw []byte) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	out := &outgoing{data: raw, done: make(chan error, 1)}
	select {
	case c.outbox <- out:
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.ctx.Done():
		return c.Err()
	}
	select {
	case err := <-out.done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sequence checks that the events of a connection are numbered without a gap.
type sequence struct {
	last int64
	// early holds numbers that came before their predecessors, which happens
	// when two sockets carry one numbering.
	early map[int64]bool
	split bool
	// keys are the idempotency keys of the latest events.
	keys [256]string
}

// repeated reports whether an event has come already, and remembers it.
func (s *sequence) repeated(n int64, key string) bool {
	if key == "" {
		return false
	}
	at := n % int64(len(s.keys))
	again := s.keys[at] == key
	s.keys[at] = key
	return again
}

// maxEarly is how many events one of two sockets may be ahead of the other.
const maxEarly = 512

// next takes in a number and returns how many are missing before it.
func (s *sequence) next(n int64) int64 {
	switch {
	case n <= s.last:
		return 0
	case n == s.last+1:
		s.last = n
	case !s.split:
		gap := n - s.last - 1
		s.last = n
		return gap
	default:
		if s.early == nil {
			s.early = make(map[int64]bool)
		}
		if s.early[n] = true; len(s.early) <= maxEarly {
			return 0
		}
		// The missing ones will not come any more: go on at the lowest that did.
		lowest := n
		for early := range s.early {
			lowest = min(lowest, early)
		}
		gap := lowest - s.last - 1
		s.last = lowest - 1
		s.advance()
		return gap
	}
	s.advance()
	return 0
}

func (s *sequence) advance() {
	for s.early[s.last+1] {
		s.last++
		delete(s.early, s.last)
	}
}
