package conformance_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
)

// BenchmarkConcurrentTurns runs turns of 20 chunks at once over one connection, each on a conversation of its own.
// More idle conversations than turns show whether the work per frame grows with the number of conversations.
func BenchmarkConcurrentTurns(b *testing.B) {
	for _, size := range []struct{ turns, idle int }{{10, 0}, {10, 1000}, {1000, 0}} {
		b.Run(fmt.Sprintf("turns=%d/idle=%d", size.turns, size.idle), func(b *testing.B) {
			sessions := concurrentSessions(b, size.turns+size.idle)
			b.ResetTimer()
			for b.Loop() {
				var turns sync.WaitGroup
				for _, session := range sessions[:size.turns] {
					turns.Go(func() {
						r, err := session.RunTurn(b.Context(), appclient.Turn{Text: "[[slow:20:0]]", StartTimeout: time.Minute})
						if err != nil || !r.OK() {
							b.Errorf("%v, %v", r, err)
						}
					})
				}
				turns.Wait()
			}
			b.ReportMetric(float64(b.N*size.turns)/b.Elapsed().Seconds(), "turns/s")
		})
	}
}

func concurrentSessions(b *testing.B, n int) []*appclient.Session {
	b.Helper()
	s, err := apptest.New(apptest.Options{MaxQueuedFrames: 1 << 20})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	})
	c, err := appclient.Dial(b.Context(), appclient.Config{URL: s.URL()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = c.Close() })
	first, err := c.StartRuntime(b.Context(), appclient.RuntimeStart{CreateAgent: &appclient.AgentCreation{}})
	if err != nil {
		b.Fatal(err)
	}
	sessions := []*appclient.Session{first}
	for len(sessions) < n {
		session, err := c.StartRuntime(b.Context(), appclient.RuntimeStart{AgentID: first.Runtime().AgentID})
		if err != nil {
			b.Fatal(err)
		}
		sessions = append(sessions, session)
	}
	return sessions
}
