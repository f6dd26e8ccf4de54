package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// formatElapsed writes a duration as people read it: 0.4s, 12s, 2m10s, 1h04m.
func formatElapsed(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < 10*time.Second:
		tenths := d.Round(100 * time.Millisecond)
		if tenths%time.Second == 0 {
			return strconv.Itoa(int(tenths/time.Second)) + "s"
		}
		return strconv.FormatFloat(tenths.Seconds(), 'f', 1, 64) + "s"
	}
	d = d.Round(time.Second)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}

// formatCount writes a number of tokens: 950, 3.1k, 31k, 1.2M.
func formatCount(n int64) string {
	switch {
	case n < 1000:
		return strconv.FormatInt(n, 10)
	case n < 999_950: // what is above rounds up to a million
		return scaled(float64(n)/1e3, "k")
	}
	return scaled(float64(n)/1e6, "M")
}

func scaled(v float64, unit string) string {
	s := strconv.FormatFloat(v, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0") + unit
}

// plural writes "1 turn", "3 turns".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if strings.HasSuffix(noun, "ch") {
		noun += "e"
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// formatTime writes an exact time; local time where the reader is.
func formatTime(t time.Time, loc *time.Location) string {
	if t.IsZero() {
		return "-"
	}
	return t.In(loc).Format("2006-01-02 15:04:05.000 -07:00")
}

// formatClock writes a time of the coming hours where the reader is, with the
// day where it is another one.
func formatClock(t time.Time) string { return clockText(t, time.Now(), time.Local) }

func clockText(t, now time.Time, loc *time.Location) string {
	t, now = t.In(loc), now.In(loc)
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// until is a deadline in parentheses; empty where there is none.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " (until " + formatClock(t) + ")"
}

// shortRevision is enough of a team's hash to tell revisions apart.
func shortRevision(rev string) string { return rev[:min(len(rev), 8)] }
