package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func compile(t *testing.T, text, zone string) Timetable {
	t.Helper()
	times, err := Compile(text, zone)
	if err != nil {
		t.Fatal(err)
	}
	return times
}

// TestNext says when schedules fire, above all where clocks are changed. Times are
// with their offset from UTC, so that the two 02:30 of a night can be told apart.
func TestNext(t *testing.T) {
	t.Parallel()
	const berlin, newYork, lordHowe = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
	for _, test := range []struct{ name, cron, zone, after, want string }{
		{"five fields", "30 2 * * *", "", "2026-01-01T00:00:00Z", "2026-01-01T02:30:00Z 2026-01-02T02:30:00Z"},
		{"six fields", "15 30 2 * * *", "", "2026-01-01T00:00:00Z", "2026-01-01T02:30:15Z 2026-01-02T02:30:15Z"},
		{"not the time itself", "30 2 * * *", "", "2026-01-01T02:30:00Z", "2026-01-02T02:30:00Z"},
		{"a part of a second before", "30 2 * * *", "", "2026-01-01T02:29:59.9Z", "2026-01-01T02:30:00Z"},
		{"a name", "@weekly", "", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z 2026-01-11T00:00:00Z"},
		{"leap day", "0 12 29 2 *", "", "2026-01-01T00:00:00Z", "2028-02-29T12:00:00Z 2032-02-29T12:00:00Z"},
		{"leap day over 2100", "0 12 29 2 *", "", "2096-03-01T00:00:00Z", "2104-02-29T12:00:00Z"},
		{"end of the year", "59 59 23 31 12 *", "", "2026-12-31T23:59:58Z", "2026-12-31T23:59:59Z 2027-12-31T23:59:59Z"},
		{"beginning of the year", "0 0 1 1 *", berlin, "2026-12-31T22:59:59Z", "2027-01-01T00:00:00+01:00"},
		{"last day of the month", "0 0 L * *", "", "2028-01-31T12:00:00Z", "2028-02-29T00:00:00Z 2028-03-31T00:00:00Z"},
		{"third Friday", "0 0 * * FRI#3", "", "2026-01-01T00:00:00Z", "2026-01-16T00:00:00Z 2026-02-20T00:00:00Z"},
		{"either of both days", "0 0 13 * FRI", "", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z 2026-03-13T00:00:00Z 2026-03-20T00:00:00Z 2026-03-27T00:00:00Z 2026-04-03T00:00:00Z 2026-04-10T00:00:00Z 2026-04-13T00:00:00Z"},

		{"Berlin, forward, in the gap", "30 2 * * *", berlin, "2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00 2026-03-30T02:30:00+02:00"},
		{"Berlin, forward, many in the gap", "*/10 2 * * *", berlin, "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00 2026-03-30T02:00:00+02:00"},
		{"Berlin, forward, in the gap and at its end", "30 2,3 * * *", berlin, "2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00 2026-03-29T03:30:00+02:00"},
		{"Berlin, forward, every hour", "0 * * * *", berlin, "2026-03-29T00:30:00+01:00", "2026-03-29T01:00:00+01:00 2026-03-29T03:00:00+02:00 2026-03-29T04:00:00+02:00"},
		{"Berlin, back, twice", "30 2 * * *", berlin, "2026-10-24T12:00:00+02:00", "2026-10-25T02:30:00+02:00 2026-10-26T02:30:00+01:00"},
		{"Berlin, back, from between", "30 2 * * *", berlin, "2026-10-25T02:15:00+01:00", "2026-10-26T02:30:00+01:00"},
		{"Berlin, back, every hour", "0 * * * *", berlin, "2026-10-25T01:30:00+02:00", "2026-10-25T02:00:00+02:00 2026-10-25T03:00:00+01:00"},
		{"New York, forward", "30 2 * * *", newYork, "2026-03-07T12:00:00-05:00", "2026-03-08T03:00:00-04:00 2026-03-09T02:30:00-04:00"},
		{"New York, back", "30 1 * * *", newYork, "2026-10-31T12:00:00-04:00", "2026-11-01T01:30:00-04:00 2026-11-02T01:30:00-05:00"},
		{"Lord Howe, forward by 30 minutes", "15 2 * * *", lordHowe, "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00 2026-10-05T02:15:00+11:00"},
		{"Lord Howe, forward, after the gap", "30 2 * * *", lordHowe, "2026-10-03T12:00:00+10:30", "2026-10-04T02:30:00+11:00 2026-10-05T02:30:00+11:00"},
		{"Lord Howe, back by 30 minutes", "*/15 1 * * *", lordHowe, "2026-04-05T01:00:00+11:00", "2026-04-05T01:15:00+11:00 2026-04-05T01:30:00+11:00 2026-04-05T01:45:00+11:00 2026-04-06T01:00:00+10:30"},
		{"a day that was left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00-10:00", "2011-12-31T00:00:00+14:00 2012-12-30T12:00:00+14:00"},

		{"every, counted from the beginning", "@every 90m", "", "2026-01-01T00:00:00Z", "2026-01-01T01:00:07Z 2026-01-01T02:30:07Z"},
		{"every, over a change of the clocks", "@every 1h", berlin, "2026-10-25T02:15:00+02:00", "2026-10-25T02:30:07+02:00 2026-10-25T02:30:07+01:00 2026-10-25T03:30:07+01:00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			times := compile(t, test.cron, test.zone)
			anchor := parse(t, "2025-12-31T23:30:07Z")
			after := parse(t, test.after)
			var previous time.Time
			for _, want := range strings.Fields(test.want) {
				got := times.Next(anchor, after)
				if got.Format(time.RFC3339Nano) != want {
					t.Fatalf("after %s: got %s, want %s", after, got.Format(time.RFC3339Nano), want)
				}
				if back := times.Prev(anchor, got.Add(1)); !back.Equal(got) {
					t.Errorf("the last before %s is %s", got.Add(1), back)
				}
				if back := times.Prev(anchor, got); !previous.IsZero() && !back.Equal(previous) {
					t.Errorf("the last before %s is %s, not %s", got, back, previous)
				}
				after, previous = got, got
			}
		})
	}
}

func parse(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		cron, zone string
		want       error
		says       string
	}{
		{"0 0 30 2 *", "", ErrCron, "never happens"},
		{"0 0 31 4,6,9,11 *", "", ErrCron, "never happens"},
		{"* * * *", "", ErrCron, "has 4 fields"},
		{"* * * * * * *", "", ErrCron, "has 7 fields"},
		{"60 * * * *", "", ErrCron, "60"},
		{", * * * *", "", ErrCron, "empty"},
		{"", "", ErrCron, "empty"},
		{" @daily", "", ErrCron, "spaces"},
		{"@reboot", "", ErrCron, "@reboot"},
		{"@every", "", ErrCron, "@every 90m"},
		{"@every 90", "", ErrCron, "unit"},
		{"@every 1ms", "", ErrCron, "at least 1s"},
		{"@every 1500ms", "", ErrCron, "whole seconds"},
		{"@every -1h", "", ErrCron, "at least 1s"},
		{"TZ=Europe/Berlin 0 2 * * *", "", ErrCron, "time_zone"},
		{"H * * * *", "", ErrCron, ""},
		{"0 2 * * *", "Mars/Olympus", ErrTimeZone, "IANA"},
		{"0 2 * * *", "Local", ErrTimeZone, "name the zone"},
		{"0 2 * * *", "../../etc/passwd", ErrTimeZone, "IANA"},
	} {
		_, err := Compile(test.cron, test.zone)
		if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%q in %q: got %v", test.cron, test.zone, err)
		}
	}
}

// TestEveryKeepsItsGrid: a restart, a later look, or a clock that was set back
// before the schedule was made do not move the times.
func TestEveryKeepsItsGrid(t *testing.T) {
	t.Parallel()
	times := compile(t, "@every 7m", "")
	anchor := parse(t, "2026-01-01T00:00:07Z")
	for _, after := range []string{"2026-01-01T00:00:07Z", "2026-06-01T13:14:15.5Z", "2025-12-01T00:00:00Z"} {
		got := times.Next(anchor, parse(t, after))
		if off := got.Sub(anchor) % (7 * time.Minute); off != 0 || !got.After(parse(t, after)) || got.Sub(parse(t, after)) > 7*time.Minute {
			t.Errorf("after %s: %s is %s off", after, got, off)
		}
	}
}
