package runner

import (
	"regexp"
	"strings"
	"time"
)

// quotaClocks name a time of day as people do, perhaps with a day and a zone:
// "resets 3am (America/New_York)", "resets at 15:30", "resets Oct 9, 5pm (UTC)".
var quotaClocks = regexp.MustCompile(`(?i)\b(?:resets?|resetting|renews?|available|again)(?: again)?(?: at| on)*\s+` +
	`(?:((?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*)\.? ([0-3]?[0-9])(?:st|nd|rd|th)?,?(?: at)?\s+)?` +
	`(?:([01]?[0-9])(?::([0-5][0-9]))?\s?([ap])\.?m\b\.?|([01]?[0-9]|2[0-3]):([0-5][0-9])\b)` +
	`(?:\s*\(([a-z_]+(?:/[a-z0-9_+-]+){0,2})\)|\s+(utc|gmt)\b)?`)

// clockTimes lists the moments that the text names by their time of day: the next
// such time, in the zone that is named or else in that of now.
func clockTimes(text string, now time.Time) []time.Time {
	var times []time.Time
	for _, m := range quotaClocks.FindAllStringSubmatch(text, -1) {
		zone := now.Location()
		if name := m[8] + m[9]; name != "" {
			loaded, err := time.LoadLocation(name)
			if strings.EqualFold(name, "gmt") || strings.EqualFold(name, "utc") {
				loaded, err = time.UTC, nil
			}
			if err != nil {
				continue
			}
			zone = loaded
		}
		hour, minute := digits(m[3]+m[6]), digits(m[4]+m[7])
		if m[5] != "" {
			if hour < 1 || hour > 12 {
				continue
			}
			hour %= 12
			if strings.EqualFold(m[5], "p") {
				hour += 12
			}
		}
		year, month, day := now.In(zone).Date()
		if m[1] == "" {
			at := time.Date(year, month, day, hour, minute, 0, 0, zone)
			if !at.After(now) {
				at = time.Date(year, month, day+1, hour, minute, 0, 0, zone)
			}
			times = append(times, at)
			continue
		}
		named, err := time.Parse("Jan", strings.ToUpper(m[1][:1])+strings.ToLower(m[1][1:3]))
		if err != nil {
			continue
		}
		at := time.Date(year, named.Month(), digits(m[2]), hour, minute, 0, 0, zone)
		if now.Sub(at) > maxQuotaPast {
			at = time.Date(year+1, named.Month(), digits(m[2]), hour, minute, 0, 0, zone)
		}
		times = append(times, at)
	}
	return times
}

// digits reads a number of one or two digits.
func digits(s string) int {
	n := 0
	for _, c := range s {
		n = n*10 + int(c-'0')
	}
	return n
}
