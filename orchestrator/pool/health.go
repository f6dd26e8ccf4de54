package pool

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
)

// The waits between attempts to reach a server.
const (
	firstRetry = 500 * time.Millisecond
	lastRetry  = 30 * time.Second
)

func newRetries() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval = firstRetry, lastRetry
	b.Reset()
	return b
}

// errConnecting is why a server is not up of which nothing else is known yet.
var errConnecting = errors.New("connecting to it")

// saw notes what the end of a run says of the health of its server. It is true
// when the server gets nothing before it can be reached again.
func (p *Pool) saw(s *server, err error) bool {
	_, unreachable := errors.AsType[*engine.UnreachableError](err)
	_, outOfTouch := errors.AsType[*engine.UnknownOutcomeError](err)
	switch {
	case err == nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		s.retries.Reset()
	case unreachable, outOfTouch, errors.Is(err, appclient.ErrConnectionLost):
		// Contact may be made again in a moment. Until it is, others are better off elsewhere.
		p.lost(s, err)
		return true
	}
	return false
}

// lost gives a server nothing more before it can be reached again, and has
// somebody find out when that is.
func (p *Pool) lost(s *server, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose(s, err)
}

// lose is lost with p.mu held.
func (p *Pool) lose(s *server, err error) {
	if p.closed || s.down != nil {
		return
	}
	s.down, s.downSince = err, p.clock.Now()
	p.log.Warn().Err(err).Str("server", s.Name).Msg("contact with the App Server is lost: it gets nothing until it can be reached")
	p.wg.Go(func() { p.await(s) })
}

// watchProcess takes a server for lost whose process is not up. p.mu is held.
func (p *Pool) watchProcess(s *server) {
	if s.Process == nil || s.down != nil {
		return
	}
	if trouble := s.Process.Trouble(); trouble != nil {
		p.lose(s, trouble)
	}
}

// await tries to reach a server until that works, or the pool is closed.
func (p *Pool) await(s *server) {
	for p.life.Err() == nil {
		info, err := s.Runner.Check(p.life)
		p.mu.Lock()
		if err == nil && (s.Process == nil || s.Process.Trouble() == nil) {
			if !errors.Is(s.down, errConnecting) {
				p.log.Info().Str("server", s.Name).Dur("after", p.clock.Now().Sub(s.downSince)).Msg("the App Server can be reached again")
			}
			s.down, s.downSince, s.version = nil, time.Time{}, info.Version
			room := p.room
			p.mu.Unlock()
			room()
			return
		}
		if err != nil {
			if errors.Is(s.down, errConnecting) {
				p.log.Warn().Err(err).Str("server", s.Name).Msg("the App Server cannot be reached: it gets nothing until it can be")
			}
			s.down = err
		}
		wait := s.retries.NextBackOff()
		p.mu.Unlock()
		if !p.sleep(p.life, wait) {
			return
		}
	}
}

// sleep is false when ctx ended first.
func (p *Pool) sleep(ctx context.Context, d time.Duration) bool {
	timer := p.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return true
	case <-ctx.Done():
		return false
	}
}
