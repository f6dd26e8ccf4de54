package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// zones have changes of an hour, of half an hour, at midnight, of the other
// hemisphere, none, and one that has Ramadan.
var zones = []string{
	"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kathmandu", "America/Santiago", "Africa/Casablanca", "Asia/Beirut", "America/Nuuk",
}

// field is one field of cron: its text, and what it matches.
type cronField struct {
	text string
	star bool
	set  map[int]bool
}

func genField(least, most int) *rapid.Generator[cronField] {
	return rapid.Custom(func(t *rapid.T) cronField {
		f := cronField{set: map[int]bool{}}
		add := func(from, to, step int) {
			for i := from; i <= to; i += step {
				f.set[i] = true
			}
		}
		switch rapid.IntRange(0, 5).Draw(t, "form") {
		case 0, 1:
			f.text, f.star = "*", true
			add(least, most, 1)
		case 2:
			step := rapid.IntRange(2, (most-least)/2+1).Draw(t, "step")
			f.text = fmt.Sprintf("*/%d", step)
			add(least, most, step)
		case 3:
			from := rapid.IntRange(least, most-1).Draw(t, "from")
			to := rapid.IntRange(from+1, most).Draw(t, "to")
			f.text = fmt.Sprintf("%d-%d", from, to)
			add(from, to, 1)
		default:
			values := rapid.SliceOfNDistinct(rapid.IntRange(least, most), 1, 3, rapid.ID).Draw(t, "values")
			texts := make([]string, len(values))
			for i, v := range values {
				texts[i] = fmt.Sprint(v)
				f.set[v] = true
			}
			f.text = strings.Join(texts, ",")
		}
		return f
	})
}

// cronSpec is five fields.
type cronSpec struct{ minute, hour, day, month, weekday cronField }

func (c cronSpec) String() string {
	return strings.Join([]string{c.minute.text, c.hour.text, c.day.text, c.month.text, c.weekday.text}, " ")
}

// matches asks what a clock shows, one field after the other.
func (c cronSpec) matches(clock time.Time) bool {
	day, weekday := c.day.set[clock.Day()], c.weekday.set[int(clock.Weekday())]
	either := day && weekday
	if !c.day.star && !c.weekday.star {
		either = day || weekday
	}
	return c.minute.set[clock.Minute()] && c.hour.set[clock.Hour()] && c.month.set[int(clock.Month())] && either
}

// reference walks through an interval minute by minute and looks at the clock: a
// time that it shows again is not counted, and when it jumps, the minutes that it
// left out count as one at the moment of the jump.
func reference(c cronSpec, zone *time.Location, from, to time.Time) []time.Time {
	var out []time.Time
	var shown time.Time
	for at := from.Add(-48 * time.Hour); !at.After(to); at = at.Add(time.Minute) {
		local := at.In(zone)
		clock := time.Date(local.Year(), local.Month(), local.Day(), local.Hour(), local.Minute(), 0, 0, time.UTC)
		if shown.IsZero() {
			shown = clock.Add(-time.Minute)
		}
		fires := false
		for shown.Before(clock) {
			shown = shown.Add(time.Minute)
			fires = fires || c.matches(shown)
		}
		if fires && at.After(from) {
			out = append(out, at)
		}
	}
	return out
}

func TestTimesAreThoseOfTheReference(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		c := cronSpec{
			genField(0, 59).Draw(t, "minute"), genField(0, 23).Draw(t, "hour"), genField(1, 28).Draw(t, "day"),
			genField(1, 12).Draw(t, "month"), genField(0, 6).Draw(t, "weekday"),
		}
		for d := 29; d <= 31 && c.day.star; d++ {
			c.day.set[d] = true
		}
		if step := 0; strings.HasPrefix(c.day.text, "*/") {
			fmt.Sscanf(c.day.text, "*/%d", &step)
			for d := 1; d <= 31; d += step {
				c.day.set[d] = true
			}
		}
		name := rapid.SampledFrom(zones).Draw(t, "zone")
		times, err := Compile(c.String(), name)
		if err != nil {
			t.Fatal(err)
		}
		// Most days are near a change of the clocks.
		from := time.Date(2026, 1, 1, 0, 0, 0, 0, times.Zone()).AddDate(0, 0, rapid.IntRange(0, 730).Draw(t, "day"))
		if _, change := from.ZoneBounds(); !change.IsZero() && rapid.IntRange(0, 3).Draw(t, "near") > 0 {
			from = change.Add(-time.Duration(rapid.IntRange(-600, 1500).Draw(t, "minutes before")) * time.Minute)
		}
		from = from.UTC().Truncate(time.Minute)
		to := from.Add(60 * time.Hour)
		want := reference(c, times.Zone(), from, to)
		var got []time.Time
		for at := times.Next(from, from); !at.After(to); at = times.Next(from, at) {
			got = append(got, at.UTC())
		}
		if !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Fatalf("%s in %s after %s:\ngot  %v\nwant %v", c, name, from, got, want)
		}
		for i := 1; i < len(got); i++ {
			if !got[i].After(got[i-1]) {
				t.Fatalf("%s in %s: %s comes after %s", c, name, got[i], got[i-1])
			}
			if back := times.Prev(from, got[i]); !back.Equal(got[i-1]) {
				t.Fatalf("%s in %s: the last before %s is %s, want %s", c, name, got[i], back, got[i-1])
			}
		}
	})
}
