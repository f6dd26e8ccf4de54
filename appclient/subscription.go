package appclient

import (
	"context"
	"io"
)

// Subscription receives every incoming frame from the moment it was made.
// Falling behind by more than Config.QueueLimit ends it with ErrSlowConsumer and harms nobody else.
type Subscription struct {
	client *Client
	queue  *queue[Frame]
	wants  func(Frame) bool // nil: all
}

// Next waits for the next frame. After the last one it returns io.EOF when the
// subscription was closed, ErrSlowConsumer, or the error of the connection.
func (s *Subscription) Next(ctx context.Context) (Frame, error) { return s.queue.next(ctx) }

// Close ends the subscription. It may be called more than once.
func (s *Subscription) Close() {
	s.client.unsubscribe(s)
	s.queue.close(io.EOF)
}
