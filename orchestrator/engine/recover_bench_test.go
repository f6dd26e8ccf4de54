package engine

import (
	"context"
	"fmt"
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

// storeInFlight stores n tasks whose first turn was sent.
func storeInFlight(b *testing.B, dir string, n int) {
	b.Helper()
	s := openUnverified(b, dir)
	team := parse(b, chain)
	at := time.Now().UTC().Truncate(time.Microsecond)
	if err := s.SaveRevision(b.Context(), team, at); err != nil {
		b.Fatal(err)
	}
	input, err := team.BindInput(map[string]any{"goal": "x"})
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		task := fmt.Sprintf("task-%05d", i)
		var state workflow.State
		var event workflow.Event
		var effects []workflow.Effect
		for _, body := range []workflow.EventBody{
			workflow.TaskSubmitted{Task: task, Team: team.Name, Revision: team.Revision, Input: input},
			workflow.TaskClaimed{},
			workflow.TurnSending{Turn: 1, Attempt: 1, ClientMessageID: task + ".1.1", Runtime: workflow.Runtime{Server: "s", AgentID: "a", ConversationID: task}},
			workflow.TurnAccepted{Turn: 1, Attempt: 1, Disposition: "started"},
		} {
			event = workflow.Event{At: at, Body: body}
			if state, effects, err = workflow.Decide(team, state, event); err != nil {
				b.Fatal(err)
			}
		}
		// Only the state is read when a daemon starts: the events before it are left out.
		if _, _, err := s.Create(b.Context(), state, event, effects, ""); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}
