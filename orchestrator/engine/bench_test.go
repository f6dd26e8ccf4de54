package engine

import (
	"context"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// BenchmarkTask measures whole tasks of three turns on a runner that answers
// at once: 12 commits and 3 saved runtimes each, one task after the other.
func BenchmarkTask(b *testing.B) {
	e := newEngine(openStore(b, b.TempDir()), &fake{server: newServer()})
	run(b, e)
	team := parse(b, chain)
	for b.Loop() {
		e.wait(b, e.mustSubmit(b, team))
	}
}

// BenchmarkHandoff measures the time from the end of one turn to the begin of
// the next one.
func BenchmarkHandoff(b *testing.B) {
	var ended time.Time
	var spent time.Duration
	handoffs := 0
	f := runnerFunc(func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name != "a" {
			spent += time.Since(ended)
			handoffs++
		}
		finished := endTurn(req)
		ended = time.Now()
		return finished, nil
	})
	e := newEngine(openStore(b, b.TempDir()), f)
	run(b, e)
	team := parse(b, chain)
	for b.Loop() {
		e.wait(b, e.mustSubmit(b, team))
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(handoffs), "µs/handoff")
}
