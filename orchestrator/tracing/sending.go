package tracing

import (
	"context"
	"sync"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// maxQueue is how many spans wait to be sent, at most. What comes while so many
// wait is dropped: neither a receiver that is down nor one that is slow may slow
// the daemon.
const maxQueue = 8192

// sending counts what waits to be sent, and tells once when that does not work.
type sending struct {
	log zerolog.Logger

	mu      sync.Mutex
	waiting int
	dropped int
	trouble bool
}

// take is false when too much waits already.
func (s *sending) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting < maxQueue {
		s.waiting++
		return true
	}
	if s.dropped++; s.dropped == 1 {
		s.log.Warn().Int("waiting", s.waiting).Msg("traces come faster than they can be sent: some are dropped")
	}
	return false
}

// sent notes how sending some spans went.
func (s *sending) sent(n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting -= n
	switch {
	case err != nil && !s.trouble:
		s.trouble = true
		s.log.Warn().Err(err).Msg("traces cannot be sent: they are dropped until that works; tasks go on")
	case err != nil:
		s.log.Debug().Err(err).Msg("traces still cannot be sent")
	case s.trouble || s.dropped > 0 && s.waiting == 0:
		s.log.Info().Int("dropped", s.dropped).Msg("traces are sent again")
		s.trouble, s.dropped = false, 0
	}
	if err != nil {
		s.dropped += n
	}
}

// bounded gives spans to the next processor while not too many wait.
type bounded struct {
	sdktrace.SpanProcessor
	sending *sending
}

// OnEnd implements sdktrace.SpanProcessor.
func (b bounded) OnEnd(span sdktrace.ReadOnlySpan) {
	if b.sending.take() {
		b.SpanProcessor.OnEnd(span)
	}
}

// counted counts what an exporter has sent. Its errors are told here, and nowhere else.
type counted struct {
	sdktrace.SpanExporter
	sending *sending
	// givenUp is closed when nothing may take time any more.
	givenUp <-chan struct{}
}

// ExportSpans implements sdktrace.SpanExporter.
func (c counted) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	over := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		select {
		case <-c.givenUp:
			cancel()
		case <-over:
		}
	})
	defer watching.Wait()
	defer close(over)
	c.sending.sent(len(spans), c.SpanExporter.ExportSpans(ctx, spans))
	return nil
}
