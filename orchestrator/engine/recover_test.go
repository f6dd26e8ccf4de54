package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// slowReads is a store that takes its time for each task that is read.
type slowReads struct {
	*store.Store
	each time.Duration
}

func (s slowReads) Task(ctx context.Context, id string) (workflow.State, error) {
	<-time.After(s.each)
	return s.Store.Task(ctx, id)
}

// TestTasksAreTakenUpFirst has the turns of an earlier run found out about when
// all tasks are taken up, or where that takes long, after a while.
func TestTasksAreTakenUpFirst(t *testing.T) {
	const tasks = 5
	for each, first := range map[time.Duration]time.Duration{
		100 * time.Millisecond: 500 * time.Millisecond,
		400 * time.Millisecond: 1200 * time.Millisecond,
	} {
		t.Run(each.String(), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				storeInFlight(t, dir, tasks)
				began := time.Now()
				asked := make(chan time.Duration, tasks)
				e := newEngine(slowReads{openUnverified(t, dir), each}, &fake{server: newServer(), reconcile: func(ctx context.Context, _ TurnRequest) (workflow.TurnReconciled, error) {
					asked <- time.Since(began)
					return workflow.TurnReconciled{}, errors.New("not yet")
				}})
				d := run(t, e)
				var times []time.Duration
				for range tasks {
					times = append(times, <-asked)
				}
				if slices.Min(times) != first {
					t.Errorf("asked after %v, want none before %s", times, first)
				}
				if err := d.stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// storeInFlight stores n tasks whose first turn was sent.
func storeInFlight(tb testing.TB, dir string, n int) {
	tb.Helper()
	s := openUnverified(tb, dir)
	team := parse(tb, chain)
	at := time.Now().UTC().Truncate(time.Microsecond)
	if err := s.SaveRevision(tb.Context(), team, at); err != nil {
		tb.Fatal(err)
	}
	input, err := team.BindInput(map[string]any{"goal": "x"})
	if err != nil {
		tb.Fatal(err)
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
				tb.Fatal(err)
			}
		}
		// Only the state is read when a daemon starts: the events before it are left out.
		if _, _, err := s.Create(tb.Context(), state, event, effects, ""); err != nil {
			tb.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		tb.Fatal(err)
	}
}
