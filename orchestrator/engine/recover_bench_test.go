package engine

import (
	"context"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// inFlight is how many tasks BenchmarkRecovery finds with a turn that was sent.
const inFlight = 10_000

// BenchmarkRecovery measures the start of a daemon that finds tasks in flight:
// from opening the data directory until every one of them is claimed again and
// its turn is queued to be reconciled.
func BenchmarkRecovery(b *testing.B) {
	dir := b.TempDir()
	storeInFlight(b, dir, inFlight)
	var opened, claimed time.Duration
	for b.Loop() {
		begin := time.Now()
		s := openUnverified(b, dir)
		opened += time.Since(begin)
		e := newEngine(s, &fake{server: newServer(), reconcile: func(ctx context.Context, _ TurnRequest) (workflow.TurnReconciled, error) {
			<-ctx.Done()
			return workflow.TurnReconciled{}, context.Cause(ctx)
		}})
		ctx, end := context.WithCancel(b.Context())
		if err := e.start(ctx, end, nil); err != nil {
			b.Fatal(err)
		}
		if err := e.recoverTasks(ctx); err != nil {
			b.Fatal(err)
		}
		claimed += time.Since(begin)
		e.mu.Lock()
		known := len(e.known)
		e.mu.Unlock()
		if known != inFlight {
			b.Fatalf("%d turns are known, want %d", known, inFlight)
		}
		b.StopTimer()
		end()
		if err := e.stop(nil); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(opened.Seconds()/float64(b.N), "s/open")
	b.ReportMetric(claimed.Seconds()/float64(b.N), "s/claimed")
}
