package schedule

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestKilledAtEveryWrite stops the driver before and after each of its writes, the
// submission of a task and its cancellation included, and starts another one: every
// fire is there once, and has one task.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, overlap := range workflow.Overlaps() {
		t.Run(overlap, func(t *testing.T) {
			t.Parallel()
			writes := 0
			fireOnce(t, overlap, 0, false, &writes)
			if writes < 6 {
				t.Fatalf("only %d writes", writes)
			}
			for at := 1; at <= writes; at++ {
				for _, after := range []bool{false, true} {
					t.Run(fmt.Sprint(at, after), func(t *testing.T) { fireOnce(t, overlap, at, after, nil) })
				}
			}
		})
	}
}

// fireOnce has a schedule fire twice, the first task still running at the second
// time, with a driver that is killed at one of its writes.
func fireOnce(t *testing.T, overlap string, at int, after bool, writes *int) {
	t.Helper()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		spec := hourly(func(s *Spec) { s.Overlap, s.Missed, s.Jitter = overlap, workflow.MissedAll, time.Minute })
		w.faults.set(at, after)
		killed := 0
		revive := func() {
			select {
			case err := <-w.ended:
				if !errors.Is(err, errKilled) {
					t.Fatalf("the driver ended: %v", err)
				}
				killed++
				w.ended <- nil
				w.faults.set(0, false)
				w.start(spec)
			default:
			}
		}
		w.start(spec)
		if at == 1 {
			revive()
			w.faults.set(0, false)
			w.start(spec)
			killed++
		}
		for range 3 {
			w.pass(35 * time.Minute)
			revive()
		}
		w.pass(10 * time.Minute)
		revive()
		if writes != nil {
			*writes = w.faults.count()
		}
		if killed == 0 && at > 0 {
			t.Error("the driver was not killed")
		}
		second := map[string]string{workflow.OverlapSkip: "skipped", workflow.OverlapQueue: "queued"}[overlap]
		wantTasks, wantOpen := 1, 1
		if second == "" {
			second, wantTasks = "submitted", 2
			if overlap == workflow.OverlapAllow {
				wantOpen = 2
			}
		}
		w.expect("hourly", "01 01:00:00 submitted", "01 02:00:00 "+second)
		if got, open := len(w.tasks("hourly")), len(w.open("hourly")); got != wantTasks || open != wantOpen {
			t.Errorf("%d tasks, %d of them open; want %d and %d", got, open, wantTasks, wantOpen)
		}
	})
}
