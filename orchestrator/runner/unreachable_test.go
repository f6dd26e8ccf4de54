package runner

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// awayServer cannot be reached, and notes when it was tried.
type awayServer struct {
	mu    sync.Mutex
	tried []time.Time
}

func (s *awayServer) Name() string { return "away" }

func (s *awayServer) URL(context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tried = append(s.tried, time.Now())
	return "", errors.New("no route to host")
}

// However many turns wait for an App Server that is away, it is tried by one of them
// at a time, at most every few seconds, and not at the same times by all daemons.
func TestAwayForAnHour(t *testing.T) {
	rhythm := map[time.Duration]bool{}
	for _, waiters := range []int{1, 40} {
		synctest.Test(t, func(t *testing.T) {
			s := &awayServer{}
			c := newConnection(Options{Server: s, ConnectTimeout: time.Minute, RequestTimeout: 10 * time.Second, Log: zerolog.Nop()})
			begun := time.Now()
			var waiting sync.WaitGroup
			for range waiters {
				waiting.Go(func() {
					for time.Since(begun) < time.Hour {
						if _, err := c.get(t.Context()); !errors.Is(err, appclient.ErrConnectionLost) {
							t.Errorf("get: %v", err)
						}
						<-time.After(time.Second) // as the engine, which waits up to a minute
					}
				})
			}
			waiting.Wait()
			if err := c.close(); err != nil {
				t.Error(err)
			}
			// Every minute begins with short waits: 0.1, 0.2, 0.4, 0.8, 1.6, 3.2 and then 5 s, each a fifth shorter at least.
			if n := len(s.tried); n < 60*10 || n > 60*22 {
				t.Errorf("%d waiters: tried %d times in an hour", waiters, n)
			}
			longest := time.Duration(0)
			for i, at := range s.tried[1:] {
				wait := at.Sub(s.tried[i])
				if wait < 80*time.Millisecond {
					t.Errorf("%d waiters: tried again after %v", waiters, wait)
				}
				longest = max(longest, wait)
				rhythm[wait] = true
			}
			if longest > 7*time.Second {
				t.Errorf("%d waiters: not tried for %v", waiters, longest)
			}
		})
	}
	if len(rhythm) < 500 {
		t.Errorf("only %d different waits: there is no jitter", len(rhythm))
	}
}
