package batch

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func start(n int, o Options) State {
	if o.MaxParallel == 0 {
		o.MaxParallel = 2
	}
	return State{ID: "B", Status: Running, Options: o, Items: n}
}

func with(s State, change func(*State)) State {
	change(&s)
	return s
}

func TestDecide(t *testing.T) {
	percent := func(p float64) Options { return Options{StopWhenFailed: Threshold{Percent: p}} }
	canary := Options{Canary: 2}
	passed := with(start(10, canary), func(s *State) { s.CanaryPassed = true })
	paused := with(start(10, Options{}), func(s *State) { s.Status = Paused })
	for _, c := range []struct {
		name   string
		state  State
		counts Counts
		verb   Verb
		status Status
		work   Work
		note   string
	}{
		{"begins as many as there is room for", start(10, Options{}), Counts{Pending: 10}, Look, Running, Work{Start: 2}, ""},
		{"fills up", start(10, Options{}), Counts{Pending: 8, Running: 1, Succeeded: 1}, Look, Running, Work{Start: 1}, ""},
		{"does not count what waits for a person", start(10, Options{}), Counts{Pending: 7, Running: 1, Waiting: 2}, Look, Running, Work{Start: 1}, ""},
		{"begins nothing where more run than may", start(10, Options{}), Counts{Pending: 7, Running: 3}, Look, Running, Work{}, ""},
		{"begins no more than there are", start(3, Options{MaxParallel: 9}), Counts{Pending: 1, Running: 2}, Look, Running, Work{Start: 1}, ""},
		{"is done when all have ended", start(3, Options{}), Counts{Succeeded: 1, Failed: 1, Cancelled: 1}, Look, Done, Work{}, ""},
		{"is not done while one waits", start(3, Options{}), Counts{Succeeded: 2, Waiting: 1}, Look, Running, Work{}, ""},

		{"goes on below the threshold", start(10, percent(20)), Counts{Pending: 8, Failed: 1, Succeeded: 1}, Look, Running, Work{Start: 2}, ""},
		{"stops at the threshold", start(10, percent(20)), Counts{Pending: 7, Running: 1, Failed: 2}, Look, Stopped, Work{}, "2 of 10 items failed, and stop_when_failed is 20%"},
		{"rounds the threshold up", start(7, percent(20)), Counts{Pending: 6, Failed: 1}, Look, Running, Work{Start: 2}, ""},
		{"stops at a number", start(10, Options{StopWhenFailed: Threshold{Count: 1}}), Counts{Pending: 9, Failed: 1}, Look, Stopped, Work{}, "stop_when_failed is 1"},
		{"does not stop where nothing is left to begin", start(2, percent(20)), Counts{Running: 1, Failed: 1}, Look, Running, Work{}, ""},
		{"counts cancelled items as no failures", start(10, percent(20)), Counts{Pending: 5, Cancelled: 5}, Look, Running, Work{Start: 2}, ""},
		{"accepts what has failed when it is resumed", with(start(10, percent(20)), func(s *State) { s.Status = Stopped }), Counts{Pending: 8, Failed: 2}, Resume, Running, Work{Start: 2}, ""},
		{
			"stops again at as many more", with(start(10, percent(20)), func(s *State) { s.AcceptedFailures = 2 }), Counts{Pending: 6, Failed: 4}, Look, Stopped, Work{},
			"2 of 10 items failed since 2 were accepted",
		},
		{"is done although it was stopped", with(start(2, Options{}), func(s *State) { s.Status = Stopped }), Counts{Failed: 2}, Look, Done, Work{}, ""},

		{"runs the canary first", start(10, Options{Canary: 2, MaxParallel: 5}), Counts{Pending: 10, CanaryPending: 2}, Look, Running, Work{Start: 2}, ""},
		{"waits for all of the canary", start(10, canary), Counts{Pending: 8, Running: 1, Succeeded: 1, CanaryActive: 1}, Look, Running, Work{}, ""},
		{"waits for a gate of the canary", start(10, canary), Counts{Pending: 8, Waiting: 1, Succeeded: 1, CanaryActive: 1}, Look, Running, Work{}, ""},
		{
			"asks after the canary", start(10, canary), Counts{Pending: 8, Succeeded: 1, Failed: 1, CanaryFailed: 1}, Look, WaitingForCanary, Work{},
			"the first 2 items ended, 1 of them without failing: go on with the other 8?",
		},
		{"goes on after the canary", with(start(10, canary), func(s *State) { s.Status = WaitingForCanary }), Counts{Pending: 8, Succeeded: 2}, Continue, Running, Work{Start: 2}, ""},
		{"asks once", passed, Counts{Pending: 8, Succeeded: 2}, Look, Running, Work{Start: 2}, ""},
		{"asks rather than to stop", start(10, Options{Canary: 2, StopWhenFailed: Threshold{Count: 1}}), Counts{Pending: 8, Failed: 2, CanaryFailed: 2}, Look, WaitingForCanary, Work{}, "0 of them"},
		{
			"accepts the failures of the canary", with(start(10, Options{Canary: 2, StopWhenFailed: Threshold{Count: 1}}), func(s *State) { s.Status = WaitingForCanary }),
			Counts{Pending: 8, Failed: 2, CanaryFailed: 2}, Continue, Running, Work{Start: 2}, "",
		},
		{"does not ask about nothing", start(2, canary), Counts{Pending: 2, CanaryPending: 2}, Look, Running, Work{Start: 2}, ""},
		{"stops after the canary", with(start(10, canary), func(s *State) { s.Status = WaitingForCanary }), Counts{Pending: 8, Succeeded: 2}, Stop, Stopped, Work{}, "after its first items"},
		{
			"asks again when it is resumed", with(start(10, canary), func(s *State) { s.Status = Paused }), Counts{Pending: 8, Succeeded: 2}, Resume, WaitingForCanary, Work{}, "the first 2 items",
		},

		{"pauses", start(10, Options{}), Counts{Pending: 9, Running: 1}, Pause, Paused, Work{}, ""},
		{"begins nothing while it is paused", paused, Counts{Pending: 10}, Look, Paused, Work{}, ""},
		{"is done although it was paused", paused, Counts{Succeeded: 10}, Look, Done, Work{}, ""},
		{"resumes", paused, Counts{Pending: 10}, Resume, Running, Work{Start: 2}, ""},
		{"cancels what is open", start(10, Options{}), Counts{Pending: 9, Running: 1}, Cancel, Cancelled, Work{CancelItems: true}, ""},
		{"cancels what was open", with(start(10, Options{}), func(s *State) { s.Status = Cancelled }), Counts{Running: 1, Cancelled: 9}, Look, Cancelled, Work{CancelItems: true}, ""},
		{"has nothing more to cancel", with(start(10, Options{}), func(s *State) { s.Status = Cancelled }), Counts{Cancelled: 10}, Look, Cancelled, Work{}, ""},

		{"tries failed items again", with(start(3, Options{}), func(s *State) { s.Status = Done }), Counts{Succeeded: 1, Failed: 2}, RetryFailed, Running, Work{Start: 2, RetryItems: true}, "tried again"},
		{"tries again while it is paused", paused, Counts{Pending: 8, Failed: 2}, RetryFailed, Paused, Work{RetryItems: true}, ""},
		{
			"tries the canary again", with(start(10, canary), func(s *State) { s.Status = WaitingForCanary }), Counts{Pending: 8, Succeeded: 1, Failed: 1, CanaryFailed: 1}, RetryFailed,
			Running, Work{Start: 1, RetryItems: true}, "",
		},
		{
			"forgets what was accepted", with(start(10, percent(10)), func(s *State) { s.Status, s.AcceptedFailures = Stopped, 3 }), Counts{Pending: 6, Failed: 4}, RetryFailed,
			Running, Work{Start: 2, RetryItems: true}, "",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := with(c.state, func(*State) {})
			at := time.Unix(9, 0)
			got, work, err := Decide(c.state, c.counts, Event{At: at, Verb: c.verb, By: "ann"})
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != c.status || work != c.work || !strings.Contains(got.Note, c.note) {
				t.Errorf("got %s, %+v, %q; want %s, %+v, %q", got.Status, work, got.Note, c.status, c.work, c.note)
			}
			if diff := cmp.Diff(before, c.state); diff != "" {
				t.Errorf("the old state was changed: %s", diff)
			}
			if c.verb == Look && c.status == c.state.Status && !cmp.Equal(got, c.state) {
				t.Errorf("a look that changes nothing gives another state: %s", cmp.Diff(c.state, got))
			}
			if got.Status.Terminal() != !got.Ended.IsZero() && c.state.Status != Cancelled {
				t.Errorf("%s, and ended at %s", got.Status, got.Ended)
			}
			again, _, err := Decide(got, c.counts, Event{At: at.Add(1), Verb: Look})
			if !work.RetryItems && (err != nil || !cmp.Equal(again, got)) {
				t.Errorf("another look at the same changes it: %v, %s", err, cmp.Diff(got, again))
			}
		})
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		status Status
		verb   Verb
		detail string
	}{
		{Running, Resume, "it is running"},
		{Running, Continue, "does not ask"},
		{Running, RetryFailed, "none of its items has failed"},
		{WaitingForCanary, Resume, "continue it, or stop it"},
		{Paused, Pause, "paused already"},
		{Stopped, Stop, "stopped already"},
		{Done, Cancel, "retry-failed tries"},
		{Cancelled, Resume, "new batch"},
		{Cancelled, RetryFailed, "new batch"},
		{Running, "fly", "no such request"},
	} {
		s := with(start(3, Options{}), func(s *State) { s.Status = c.status })
		got, work, err := Decide(s, Counts{Pending: 3}, Event{Verb: c.verb})
		refused, ok := errors.AsType[*RefusedError](err)
		if !ok || !errors.Is(err, ErrRefused) || !strings.Contains(refused.Detail, c.detail) {
			t.Errorf("%s of a batch that is %s: %v, want %q", c.verb, c.status, err, c.detail)
		}
		if !cmp.Equal(got, s) || work != (Work{}) {
			t.Errorf("%s of a batch that is %s changes it", c.verb, c.status)
		}
	}
}

func TestWhoChangedIt(t *testing.T) {
	s := with(start(2, Options{Canary: 1}), func(s *State) { s.Status = Paused })
	got, _, err := Decide(s, Counts{Pending: 1, Succeeded: 1}, Event{Verb: Resume, By: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	want := []Change{{To: Running, By: "ann"}, {To: WaitingForCanary, Note: got.Note}}
	if diff := cmp.Diff(want, got.Changes); diff != "" {
		t.Error(diff)
	}
}

func TestThreshold(t *testing.T) {
	for text, want := range map[string]Threshold{
		"": {}, "20%": {Percent: 20}, " 0.5 % ": {Percent: 0.5}, "100%": {Percent: 100}, "3": {Count: 3},
	} {
		got, err := ParseThreshold(text)
		if err != nil || got != want {
			t.Errorf("%q is %+v, %v; want %+v", text, got, err, want)
		}
		if back, err := ParseThreshold(got.String()); err != nil || back != got {
			t.Errorf("%q is written as %q, which is %+v, %v", text, got, back, err)
		}
	}
	for _, text := range []string{"0", "-1", "0%", "101%", "NaN%", "x", "1.5", "%"} {
		if got, err := ParseThreshold(text); err == nil {
			t.Errorf("%q is accepted as %+v", text, got)
		}
	}
	for _, c := range []struct {
		t           Threshold
		items, want int
	}{{Threshold{Percent: 20}, 200, 40}, {Threshold{Percent: 1}, 5, 1}, {Threshold{Percent: 10}, 30, 3}, {Threshold{Count: 7}, 3, 7}, {Threshold{}, 3, 0}} {
		if got := c.t.of(c.items); got != c.want {
			t.Errorf("%s of %d is %d, want %d", c.t, c.items, got, c.want)
		}
	}
}
