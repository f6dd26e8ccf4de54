package schedule

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestClocksAreChanged runs a driver over both changes of the clocks of a year in
// three zones. It is killed when it has submitted the task of that night and has
// not written so; the next one must neither lose nor double it.
func TestClocksAreChanged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ zone, cron, start, want string }{
		{"Europe/Berlin", "30 2 * * *", "2026-03-28T12:00:00Z", "29 01:00:00"},
		{"Europe/Berlin", "30 2 * * *", "2026-10-24T12:00:00Z", "25 00:30:00"},
		{"America/New_York", "30 2 * * *", "2026-03-07T18:00:00Z", "08 07:00:00"},
		{"America/New_York", "30 1 * * *", "2026-10-31T18:00:00Z", "01 05:30:00"},
		{"Australia/Lord_Howe", "15 2 * * *", "2026-10-03T06:00:00Z", "03 15:30:00"},
		{"Australia/Lord_Howe", "45 1 * * *", "2026-04-04T06:00:00Z", "04 14:45:00"},
	} {
		t.Run(test.zone+" "+test.want, func(t *testing.T) {
			t.Parallel()
			inBubble(t, test.start, func(t *testing.T, w *world) {
				spec := Spec{Name: "n", Team: "maintenance", Cron: test.cron, TimeZone: test.zone, Overlap: workflow.OverlapAllow, Source: "test"}
				w.start(spec)
				w.faults.set(2, true) // the second write of the fire is its task
				for range 20 {
					w.pass(time.Hour)
					select {
					case err := <-w.ended:
						if !errors.Is(err, errKilled) {
							t.Fatal(err)
						}
						w.ended <- nil
						w.expect("n", test.want+" due")
						w.faults.set(0, false)
						w.start(spec)
					default:
					}
				}
				w.expect("n", test.want+" submitted")
				if got := len(w.tasks("n")); got != 1 {
					t.Errorf("%d tasks", got)
				}
			})
		})
	}
}
