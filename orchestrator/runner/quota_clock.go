package runner

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// quotaClocks name a time of day as people do, perhaps with a day and a zone:
// "resets 3am (America/New_York)", "resets at 15:30 UTC", "resets Oct 9, 5pm
// (UTC)", "try again tomorrow at 9:00 AM". What is in parentheses after the
// time, and capital letters there, are a zone.
var quotaClocks = regexp.MustCompile(`(?i)\b(?:resets?|resetting|renews?|available|again)(?: again)?(?: at| on| after| by)*\s+` +
	`(?:((?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.? ([0-3]?[0-9])(?:st|nd|rd|th)?,?(?: at)?\s+)?` +
	`(?:(today|tomorrow),?(?: at)?\s+)?` +
	`(?:([01]?[0-9])(?::([0-5][0-9]))?\s?([ap])\.?m\b\.?|([01]?[0-9]|2[0-3]):([0-5][0-9])\b)` +
	`(?:\s*\(([^()]{1,40})\)|\s+(?-i:([A-Z]{2,5}(?:[+-][0-9]{1,2}(?::?[0-5][0-9])?)?)\b))?`)

// clockTimes lists the moments that the text names by their time of day: the next
// such time, in the zone that is named or else in that of now. A zone that is not
// known makes the time unknown, since it could be any.
func clockTimes(text string, now time.Time) []time.Time {
	var times []time.Time
	for _, m := range quotaClocks.FindAllStringSubmatch(text, -1) {
		zone, known := namedZone(m[9]+m[10], now.Location())
		hour, minute := digits(m[4]+m[7]), digits(m[5]+m[8])
		if m[6] != "" {
			known = known && hour >= 1 && hour <= 12
			hour %= 12
			if strings.EqualFold(m[6], "p") {
				hour += 12
			}
		}
		if !known {
			continue
		}
		year, month, day := now.In(zone).Date()
		switch {
		case m[1] != "":
			named, err := time.Parse("Jan", strings.ToUpper(m[1][:1])+strings.ToLower(m[1][1:3]))
			if err != nil {
				continue
			}
			at := time.Date(year, named.Month(), digits(m[2]), hour, minute, 0, 0, zone)
			if now.Sub(at) > maxQuotaPast {
				at = time.Date(year+1, named.Month(), digits(m[2]), hour, minute, 0, 0, zone)
			}
			times = append(times, at)
		case strings.EqualFold(m[3], "tomorrow"):
			times = append(times, time.Date(year, month, day+1, hour, minute, 0, 0, zone))
		default:
			times = append(times, nextClock(now.In(zone), hour, minute))
		}
	}
	return times
}

// nextClock is the next moment after now at which clocks in its zone show a time
// of day. Where the clocks are put back they show it twice; where they are put
// forward they may pass over it, and it is as late as it would have been.
func nextClock(now time.Time, hour, minute int) time.Time {
	year, month, day := now.Date()
	for ahead := 0; ; ahead++ {
		at := time.Date(year, month, day+ahead, hour, minute, 0, 0, now.Location())
		// Of two times that are shown as the same one, Date returns either. Clocks
		// are put back by an hour, or by half of one.
		for _, other := range []time.Duration{-time.Hour, -30 * time.Minute, 0, 30 * time.Minute, time.Hour} {
			if t := at.Add(other); t.After(now) && (other == 0 || t.Hour() == hour && t.Minute() == minute) {
				return t
			}
		}
	}
}

// offset is a zone by its distance from UTC.
var offset = regexp.MustCompile(`^(?i:UTC|GMT)\s?([+-])([0-9]{1,2})(?::?([0-5][0-9]))?$`)

// namedZone finds a zone by its name, such as Europe/Berlin, UTC or GMT+2;
// without a name it is otherwise.
func namedZone(name string, otherwise *time.Location) (zone *time.Location, known bool) {
	name = strings.TrimSpace(name)
	if m := offset.FindStringSubmatch(name); m != nil {
		seconds := digits(m[2])*3600 + digits(m[3])*60
		if m[1] == "-" {
			seconds = -seconds
		}
		return time.FixedZone(name, seconds), true
	}
	switch strings.ToUpper(name) {
	case "":
		return otherwise, true
	case "UTC", "GMT", "Z":
		return time.UTC, true
	case "LOCAL", "LOCAL TIME", "YOUR TIME":
		return otherwise, true
	}
	zone, err := time.LoadLocation(name)
	return zone, err == nil
}

// digits reads a number of one or two digits; none is 0.
func digits(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}
