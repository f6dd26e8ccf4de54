package schedule

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // time zones must be known on machines that have no list of them

	"github.com/netresearch/go-cron"
)

// searchYears is how far Next looks. Of what can happen at all, 29 February on a
// given day of the week is rarest: every 28 years, and once in 40 around 2100.
const searchYears = 50

// leastEvery is the shortest @every.
const leastEvery = time.Second

// maxOffset is more than any two clocks of the world ever differed from UTC.
const maxOffset = 26 * time.Hour

var (
	// ErrCron means that the text of a schedule is wrong.
	ErrCron = errors.New("not a schedule")
	// ErrTimeZone means that a time zone is not known.
	ErrTimeZone = errors.New("not a time zone")
)

// Timetable is the times of a schedule. The zero Timetable is not usable; it is
// immutable and may be used concurrently.
type Timetable struct {
	every time.Duration      // @every; zero for cron
	wall  *cron.SpecSchedule // in UTC: what clocks show, whatever the zone
	zone  *time.Location
}

// Compile reads cron, which has five fields, or six with the seconds first, or is
// one of @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually and
// "@every DURATION". zone is a name of the IANA list; empty is UTC. Errors:
// ErrCron, also for what never happens, and ErrTimeZone.
func Compile(text, zone string) (Timetable, error) {
	location, err := loadZone(zone)
	if err != nil {
		return Timetable{}, err
	}
	t := Timetable{zone: location}
	if duration, ok := strings.CutPrefix(text, "@every "); ok {
		t.every, err = parseEvery(strings.TrimSpace(duration))
		return t, err
	}
	if t.wall, err = parseCron(text); err != nil {
		return Timetable{}, err
	}
	if t.wall.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Timetable{}, fmt.Errorf("%w: %q never happens: no month has such a day", ErrCron, text)
	}
	return t, nil
}

// CheckCron reports what is wrong with the text of a schedule. Errors: ErrCron.
func CheckCron(text string) error {
	_, err := Compile(text, "")
	return err
}

// CheckTimeZone reports what is wrong with the name of a time zone. Errors: ErrTimeZone.
func CheckTimeZone(zone string) error {
	_, err := loadZone(zone)
	return err
}

func loadZone(zone string) (*time.Location, error) {
	if zone == "Local" { // another on every machine, and nothing that a person can look up
		return nil, fmt.Errorf("%w: %q: name the zone, for example Europe/Berlin", ErrTimeZone, zone)
	}
	location, err := time.LoadLocation(cmp.Or(zone, "UTC"))
	if err != nil {
		return nil, fmt.Errorf("%w: %q is not in the IANA list: write for example Europe/Berlin, America/New_York or UTC", ErrTimeZone, zone)
	}
	return location, nil
}

func parseEvery(text string) (time.Duration, error) {
	every, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w: @every %s: write a number and a unit, as in @every 30s, @every 90m or @every 1h30m", ErrCron, text)
	case every < leastEvery || every%time.Second != 0:
		return 0, fmt.Errorf("%w: @every %s: it must be whole seconds, at least %s", ErrCron, text, leastEvery)
	}
	return every, nil
}

func parseCron(text string) (*cron.SpecSchedule, error) {
	switch fields := len(strings.Fields(text)); {
	case strings.TrimSpace(text) != text || text == "":
		return nil, fmt.Errorf("%w: it is empty, or has spaces around it", ErrCron)
	case strings.HasPrefix(text, "TZ=") || strings.HasPrefix(text, "CRON_TZ="):
		return nil, fmt.Errorf("%w: write the time zone in time_zone, and not in the schedule", ErrCron)
	case strings.HasPrefix(text, "@every"):
		return nil, fmt.Errorf("%w: write, for example:  @every 90m", ErrCron)
	case !strings.HasPrefix(text, "@") && fields != 5 && fields != 6:
		return nil, fmt.Errorf("%w: %q has %d fields: write five (minute, hour, day of the month, month, day of the week), or six with the seconds first", ErrCron, text, fields)
	}
	// As in crontab(5), a day is meant by either of its two fields where both are given.
	parser, err := cron.TryNewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.Extended | cron.DowOrDom)
	if err != nil {
		return nil, fmt.Errorf("set up the parser of schedules: %w", err)
	}
	// In UTC every time of the clock exists once: what clocks that are changed make
	// of it is decided here, in instant.
	parsed, err := parser.WithMaxSearchYears(searchYears).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrCron, text, err)
	}
	wall, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return nil, fmt.Errorf("%w: %q is of a kind that is not known", ErrCron, text)
	}
	if wall.Second == 0 || wall.Minute == 0 || wall.Hour == 0 || wall.Month == 0 { // a lone comma; Next would search long
		return nil, fmt.Errorf("%w: %q: a field is empty", ErrCron, text)
	}
	wall.Location = time.UTC
	return wall, nil
}

// Zone is the time zone of the schedule.
func (t Timetable) Zone() *time.Location { return t.zone }

// Next returns the first time after another one, in the zone of the schedule. The
// times of @every are counted from anchor, which nothing else looks at. It never
// returns the zero time, and calls in a row give times that increase strictly.
//
// A time that clocks skip when they are put forward happens once at the end of
// the gap, however many such times the schedule has in it. A time that they show
// twice when they are put back happens the first time only.
func (t Timetable) Next(anchor, after time.Time) time.Time {
	if t.every > 0 {
		return onGrid(anchor, after, t.every).Add(t.every).In(t.zone)
	}
	for clock := t.clock(after); ; {
		clock = t.wall.Next(clock)
		if at := t.instant(clock); at.After(after) {
			return at
		}
	}
}

// Prev returns the last time before another one; see Next.
func (t Timetable) Prev(anchor, before time.Time) time.Time {
	if t.every > 0 {
		return onGrid(anchor, before.Add(-1), t.every).In(t.zone)
	}
	// Clocks may have shown later times already, if they were put back since.
	clock := t.clock(before)
	for _, near := range []time.Time{before.Add(-maxOffset), before.Add(maxOffset)} {
		_, offset := near.In(t.zone).Zone()
		if shown := before.UTC().Add(time.Duration(offset) * time.Second); shown.After(clock) {
			clock = shown
		}
	}
	for clock = clock.Add(time.Second); ; {
		clock = t.wall.Prev(clock)
		if at := t.instant(clock); at.Before(before) {
			return at
		}
	}
}

// onGrid is the last time at or before at that is a whole number of steps from anchor.
func onGrid(anchor, at time.Time, step time.Duration) time.Time {
	past := at.Sub(anchor) % step
	if past < 0 {
		past += step
	}
	return at.Add(-past)
}

// clock is what clocks show at an instant, written as if it were UTC.
func (t Timetable) clock(at time.Time) time.Time {
	_, offset := at.In(t.zone).Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// instant is when clocks show a time first, and the end of the gap where they
// never do. It looks at the periods between changes of the clocks, in order.
func (t Timetable) instant(clock time.Time) time.Time {
	for at := clock.Add(-maxOffset).In(t.zone); ; {
		start, end := at.ZoneBounds()
		_, offset := at.Zone()
		shown := clock.Add(-time.Duration(offset) * time.Second).In(t.zone)
		switch {
		case !end.IsZero() && !shown.Before(end):
			at = end
		case !start.IsZero() && shown.Before(start):
			return start
		default:
			return shown
		}
	}
}
