package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// nightly fires at 02:00 in Berlin.
func nightly() Spec {
	return Spec{Name: "nightly", Team: "maintenance", Cron: "0 2 * * *", TimeZone: "Europe/Berlin", Input: map[string]any{"goal": "g"}, Overlap: workflow.OverlapAllow, Source: "test"}
}

func hourly(change func(*Spec)) Spec {
	s := Spec{Name: "hourly", Team: "maintenance", Cron: "0 * * * *", Overlap: workflow.OverlapAllow, Source: "test"}
	if change != nil {
		change(&s)
	}
	return s
}

func TestFiresWhileTimePasses(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-03-27T12:00:00Z", func(t *testing.T, w *world) {
		w.start(nightly())
		w.pass(2 * 24 * time.Hour)
		w.expect("nightly", "28 01:00:00 submitted", "29 01:00:00 submitted")
		for _, task := range w.tasks("nightly") {
			if task.Input["goal"] != "g" || task.Schedule != "nightly" {
				t.Errorf("got the task %+v", task)
			}
		}
	})
}

func TestOverlap(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		overlap string
		// fires and tasks that have not ended after three hours in which none ended, and
		// after one that ended then.
		fires, after string
		open         int
		reason       string
	}{
		{"", "submitted skipped skipped", "submitted skipped skipped", 1, "has not ended"},
		{workflow.OverlapSkip, "submitted skipped skipped", "submitted skipped skipped", 1, "has not ended"},
		{workflow.OverlapAllow, "submitted submitted submitted", "submitted submitted submitted", 3, ""},
		{workflow.OverlapCancelPrevious, "submitted submitted submitted", "submitted submitted submitted", 1, ""},
		{workflow.OverlapQueue, "submitted queued skipped", "submitted submitted skipped", 1, "1 fires wait already"},
	} {
		t.Run(test.overlap, func(t *testing.T) {
			t.Parallel()
			inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
				w.start(hourly(func(s *Spec) { s.Overlap, s.QueueCap = test.overlap, 1 }))
				w.pass(3 * time.Hour)
				states := func() string {
					var out []string
					for _, f := range w.fires("hourly") {
						out = append(out, f[strings.LastIndex(f, " ")+1:])
					}
					return strings.Join(out, " ")
				}
				if got := states(); got != test.fires {
					t.Errorf("got %s, want %s", got, test.fires)
				}
				if got := w.lastReason("hourly"); !strings.Contains(got, test.reason) {
					t.Errorf("the reason is %q", got)
				}
				if got := w.finish("hourly"); got != test.open {
					t.Errorf("%d tasks had not ended, want %d", got, test.open)
				}
				if got := states(); got != test.after {
					t.Errorf("after the task ended: got %s, want %s", got, test.after)
				}
			})
		})
	}
}

// TestQueueKeepsItsOrder: those that wait go on by themselves, the oldest first.
func TestQueueKeepsItsOrder(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		w.start(hourly(func(s *Spec) { s.Overlap = workflow.OverlapQueue }))
		w.pass(3 * time.Hour)
		for range 2 {
			w.finish("hourly")
		}
		w.expect("hourly", "01 01:00:00 submitted", "01 02:00:00 submitted", "01 03:00:00 submitted")
		w.finish("hourly")
		w.pass(time.Hour)
		w.expect("hourly", "01 01:00:00 submitted", "01 02:00:00 submitted", "01 03:00:00 submitted", "01 04:00:00 submitted")
	})
}

func TestMissed(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		missed string
		limit  int
		down   time.Duration
		want   []string
		says   string
	}{
		{"", 0, 5 * time.Hour, []string{"01 05:00:00 missed"}, "5 missed fires from 2026-01-01T01:00:00Z to 2026-01-01T05:00:00Z: missed is skip"},
		{workflow.MissedOnce, 0, 5 * time.Hour, []string{"01 05:00:00 submitted"}, "stands for 5 missed fires"},
		{workflow.MissedAll, 0, 3 * time.Hour, []string{"01 01:00:00 submitted", "01 02:00:00 submitted", "01 03:00:00 submitted"}, "carried out late"},
		{workflow.MissedAll, 2, 5 * time.Hour, []string{"01 03:00:00 missed", "01 04:00:00 submitted", "01 05:00:00 submitted"}, "carried out late"},
		{workflow.MissedOnce, 0, 5*time.Hour + 30*time.Minute, []string{"01 05:00:00 missed", "01 06:00:00 submitted"}, ""},
		{workflow.MissedOnce, 0, 20 * time.Minute, nil, ""},
		{workflow.MissedSkip, 0, 10 * 365 * 24 * time.Hour, []string{"30 00:00:00 missed"}, "more than 1000 missed fires until 2035-12-30T00:00:00Z"},
	} {
		for _, stopped := range []bool{true, false} {
			t.Run(fmt.Sprint(test.missed, test.down, stopped), func(t *testing.T) {
				t.Parallel()
				inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
					spec := hourly(func(s *Spec) { s.Missed, s.MissedCap = test.missed, test.limit })
					w.start(spec)
					if stopped {
						if err := w.stop(); err != nil {
							t.Fatal(err)
						}
					}
					w.clock.set(test.down) // or the clock is set forward
					if stopped {
						w.start(spec)
					}
					w.pass(longestSleep)
					w.expect("hourly", test.want...)
					if test.says != "" && !strings.Contains(w.lastReason("hourly"), test.says) {
						t.Errorf("the reason is %q", w.lastReason("hourly"))
					}
				})
			})
		}
	}
}

// TestClockSetBack: no time fires twice, and the schedule goes on all the same.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		w.start(hourly(nil))
		w.pass(3 * time.Hour)
		w.clock.set(-2*time.Hour - 10*time.Minute) // 01:20
		w.pass(time.Hour)
		if got := len(w.tasks("hourly")); got != 3 {
			t.Errorf("%d tasks, want 3", got)
		}
		w.pass(2 * time.Hour) // 04:20
		w.expect("hourly", "01 01:00:00 submitted", "01 02:00:00 submitted", "01 03:00:00 submitted", "01 04:00:00 submitted")
		w.clock.set(10 * 365 * 24 * time.Hour) // a mistake, put right a minute later
		w.pass(time.Minute)
		w.clock.set(-10 * 365 * 24 * time.Hour)
		w.pass(time.Hour)
		if got := w.fires("hourly"); !slices.Contains(got, "01 05:00:00 submitted") {
			t.Errorf("it does not go on: %q", got)
		}
	})
}

func TestJitterIsOfTheFire(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		spec := hourly(func(s *Spec) { s.Jitter = 20 * time.Minute })
		w.start(spec)
		w.pass(30*time.Minute + time.Second)
		w.expect("hourly", "01 01:00:00 due")
		w.start(spec) // a restart computes the same
		w.pass(20 * time.Minute)
		w.expect("hourly", "01 01:00:00 submitted")
		fires, err := w.store.Fires(t.Context(), "hourly", 0)
		if err != nil {
			t.Fatal(err)
		}
		late := fires[0].Due.Sub(fires[0].Scheduled)
		if late <= 0 || late >= 20*time.Minute || !fires[0].Decided.Equal(fires[0].Due) {
			t.Errorf("due %s later, and carried out at %s", late, fires[0].Decided)
		}
		views, err := List(t.Context(), w.store, parse(t, "2026-01-01T00:30:00Z"), 1)
		if err != nil || len(views) != 1 || !views[0].Next[0].Due.Equal(fires[0].Due) {
			t.Errorf("it was shown as %+v (%v)", views, err)
		}
	})
}

func TestEnableAndRunNow(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		w.start(hourly(func(s *Spec) { s.Disabled, s.Overlap, s.Missed = true, workflow.OverlapSkip, workflow.MissedAll }))
		w.pass(2 * time.Hour)
		w.expect("hourly")
		for range 2 {
			f, err := w.driver.RunNow(t.Context(), "hourly", "k", "somebody")
			if err != nil || f.State != store.FireSubmitted || f.Task == "" {
				t.Errorf("got %+v, %v", f, err)
			}
		}
		w.expect("hourly", "01 02:30:00 submitted")
		if err := w.driver.Enable(t.Context(), "hourly", true); err != nil {
			t.Fatal(err)
		}
		w.finish("hourly")
		w.pass(time.Hour) // the time before is not made up for
		w.expect("hourly", "01 02:30:00 submitted", "01 03:00:00 submitted")
		w.start(hourly(func(s *Spec) { s.Disabled, s.Missed = true, workflow.MissedAll })) // what a person said stays
		w.pass(time.Hour)
		w.expect("hourly", "01 02:30:00 submitted", "01 03:00:00 submitted", "01 04:00:00 submitted")
		w.start(hourly(nil))
		w.start(hourly(func(s *Spec) { s.Disabled = true })) // the file says something else now
		w.pass(time.Hour)
		w.expect("hourly", "01 02:30:00 submitted", "01 03:00:00 submitted", "01 04:00:00 submitted")
		if _, err := w.driver.RunNow(t.Context(), "weekly", "", ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if err := w.driver.Enable(t.Context(), "weekly", true); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// TestReload: what changes keeps its history, and what is removed is kept and does not fire.
func TestReload(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T02:30:00Z", func(t *testing.T, w *world) {
		w.start(hourly(nil), nightly())
		w.pass(time.Hour)
		late := hourly(func(s *Spec) { s.Cron, s.Missed = "45 * * * *", workflow.MissedAll })
		w.pass(5 * time.Hour)
		before := w.fires("hourly")
		if err := w.driver.Set(t.Context(), []Spec{late}); err != nil {
			t.Fatal(err)
		}
		w.pass(30 * time.Minute)
		w.expect("hourly", append(before, "01 08:45:00 submitted")...) // and not 03:45 to 07:45
		if err := w.driver.Set(t.Context(), []Spec{{Name: "hourly", Team: "t", Cron: "0 0 30 2 *"}}); !errors.Is(err, ErrCron) {
			t.Errorf("got %v", err)
		}
		if err := w.driver.Set(t.Context(), []Spec{late, late}); err == nil {
			t.Error("a name was taken twice")
		}
		w.pass(3 * time.Hour)
		w.expect("nightly")
		views, err := List(t.Context(), w.store, w.clock.Now(), 5)
		if err != nil || len(views) != 2 || !views[1].Removed || len(views[1].Next) != 0 || len(views[0].Next) != 5 || views[0].Last == nil || views[0].Last.Status != workflow.TaskQueued {
			t.Errorf("got %+v, %v", views, err)
		}
		if got := len(w.fires("hourly")); got > 20 {
			t.Errorf("%d fires are kept", got)
		}
	})
}

func TestSubmitFails(t *testing.T) {
	t.Parallel()
	inBubble(t, "2026-01-01T00:30:00Z", func(t *testing.T, w *world) {
		w.submit.Store(new(errors.New("there is no team maintenance")))
		w.start(hourly(nil))
		w.pass(time.Hour)
		w.expect("hourly", "01 01:00:00 failed")
		w.submit.Store(new(fmt.Errorf("no: %w", store.ErrUnavailable)))
		w.pass(time.Hour)
		w.expect("hourly", "01 01:00:00 failed", "01 02:00:00 due")
		w.submit.Store(nil)
		w.pass(time.Minute)
		w.expect("hourly", "01 01:00:00 failed", "01 02:00:00 submitted")
	})
}
