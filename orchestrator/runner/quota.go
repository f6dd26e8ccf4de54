package runner

import (
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// maxQuotaText bounds how much of an error is searched, in bytes.
	maxQuotaText = 64 << 10
	// A time further away than these is none of a quota.
	maxQuotaAhead = 400 * 24 * time.Hour
	maxQuotaPast  = 24 * time.Hour

	// Pieces of the patterns below. between is what stands between a name and its
	// value in JSON and in headers.
	part     = `[0-9]+(?:\.[0-9]+)?\s*(?:milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)`
	duration = `(?:about |approximately |another )?(` + part + `(?:[\s,]*(?:and )?` + part + `)*)\b`
	number   = `([0-9]+(?:\.[0-9]+)?)\b`
	stamp    = `([0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?(?:\.[0-9]+)?(?:\s?(?:Z|UTC|GMT)|[+-][0-9]{2}:?[0-9]{2})?)`
	epoch    = `([0-9]{10,13})(?:\.[0-9]+)?\b`
	between  = `["']?\s*[:=]\s*["'\[]*\s*`
)

// quotaReset finds out when the model's provider takes requests again: the
// latest time that the error of the failed turn names. It is zero where the
// error does not speak of a quota or a limit of requests, or names no time.
//
// App Servers pass on the body of the provider's answer as text, in JSON
// within JSON, and none of its headers. What is recognised is what providers
// write there: "try again in 6m12s" (OpenAI, Groq), "retry after 26 seconds"
// (Azure), retryDelay and "retry in 34.07s" (Google), resets_at and
// resets_in_seconds (ChatGPT plans), "limit reached|1760000000" and "resets 3am
// (Europe/Berlin)" (Claude plans),
// and headers that gateways copy into the body (Retry-After, …-ratelimit-…reset).
func quotaReset(finished workflow.TurnFinished, now time.Time) time.Time {
	switch finished.Reason {
	case workflow.ReasonLLMAPIError, workflow.ReasonError, workflow.ReasonInsufficientCredits:
	default:
		return time.Time{}
	}
	text := flatten(finished.Error[:min(len(finished.Error), maxQuotaText)])
	if !quotaWords.MatchString(text) {
		return time.Time{}
	}
	var latest time.Time
	for _, at := range quotaTimes(text, now) {
		if at.After(latest) && at.Sub(now) <= maxQuotaAhead && now.Sub(at) <= maxQuotaPast {
			latest = at
		}
	}
	return latest
}

var (
	quotaWords = regexp.MustCompile(`(?i)\b429\b|rate[ _-]?limit|quota|resource[ _]exhausted|too many requests|(?:usage|request|token|session|weekly|daily|hour) limit|limit[ _](?:reached|exceeded)|(?:hit|reached|exceeded) your (?:[a-z0-9-]+ )?limit|usage_limit|insufficient_(?:credits|funds)`)

	escapes = regexp.MustCompile(`\\+[nrt]`)

	// quotaWaits and quotaDelays name a time from now on with its unit.
	quotaWaits  = regexp.MustCompile(`(?i)\b(?:try|retry|retrying|available|resets?|resetting|renews?|refreshes|wait|again|request)\b(?: again)?(?: in| after| for| at least)*\s+` + duration)
	quotaDelays = regexp.MustCompile(`(?i)\b(?:retry-?_?delay|quota_?reset_?delay|retry[-_]after|[a-z-]*ratelimit[a-z-]*reset[a-z-]*|reset_in|resets_in|reset_after)` + between + duration)
	// quotaSeconds name a number of seconds.
	quotaSeconds = regexp.MustCompile(`(?i)\b(?:retry[-_]after(?:[-_]seconds)?|retry_in_seconds|resets?_in_seconds|resets?_after_seconds|seconds_until_reset|resets?_after|resets?_in)` + between + number + `\s*(?:["',}\];]|$|\s)`)
	// quotaMillis name a number of milliseconds.
	quotaMillis = regexp.MustCompile(`(?i)\bretry[-_]after[-_]ms` + between + number)
	// quotaStamps and quotaEpochs name a moment.
	quotaStamps = regexp.MustCompile(`(?i)\b(?:reset[a-z_-]*|retry[-_]after|[a-z-]*ratelimit[a-z-]*reset[a-z-]*|available|again|until|renews?)(?: again)?(?:` + between + `|(?: at| on| after| until)*\s+)` + stamp)
	quotaEpochs = regexp.MustCompile(`(?i)(?:\b(?:reset[a-z_-]*|[a-z-]*ratelimit[a-z-]*reset[a-z-]*|available|again|until)(?: again)?(?:` + between + `|(?: at| on| after| until)*\s+)|limit reached\|)` + epoch)
	// quotaDates name a moment as HTTP does.
	quotaDates = regexp.MustCompile(`(?i)\bretry[-_]after` + between + `((?:mon|tue|wed|thu|fri|sat|sun)[a-z]*, [0-9]{2} [a-z]{3} [0-9]{4} [0-9:]{8} GMT)`)

	durationParts = regexp.MustCompile(`(?i)([0-9]+(?:\.[0-9]+)?)\s*(milliseconds?|ms|seconds?|secs?|s|minutes?|mins?|m|hours?|hrs?|h|days?|d)`)
)

// flatten takes the escapes of JSON within JSON out of a text, and the spaces
// that are none to a pattern: "3\u202fPM" is what some programs write for 3 PM.
func flatten(s string) string {
	s = strings.ReplaceAll(escapes.ReplaceAllString(s, " "), `\`, "")
	return strings.NewReplacer("\u00a0", " ", "\u2009", " ", "\u202f", " ", "u00a0", " ", "u2009", " ", "u202f", " ").Replace(s)
}

// quotaTimes lists all moments that the text names.
func quotaTimes(text string, now time.Time) []time.Time {
	var times []time.Time
	each := func(pattern *regexp.Regexp, add func(value string)) {
		for _, match := range pattern.FindAllStringSubmatch(text, -1) {
			add(strings.TrimSpace(match[1]))
		}
	}
	after := func(unit time.Duration) func(string) {
		return func(value string) {
			if d, ok := scaled(value, unit); ok {
				times = append(times, now.Add(d))
			}
		}
	}
	for _, pattern := range []*regexp.Regexp{quotaWaits, quotaDelays} {
		each(pattern, func(value string) {
			if d, ok := spelledDuration(value); ok {
				times = append(times, now.Add(d))
			}
		})
	}
	each(quotaSeconds, after(time.Second))
	each(quotaMillis, after(time.Millisecond))
	each(quotaStamps, func(value string) {
		if at, ok := parseStamp(value); ok {
			times = append(times, at)
		}
	})
	each(quotaEpochs, func(value string) {
		// A number is at most 13 digits long, and so fits.
		if n, _ := strconv.ParseInt(value, 10, 64); len(value) == 13 {
			times = append(times, time.UnixMilli(n))
		} else {
			times = append(times, time.Unix(n, 0))
		}
	})
	each(quotaDates, func(value string) {
		if at, err := http.ParseTime(value); err == nil {
			times = append(times, at)
		}
	})
	return append(times, clockTimes(text, now)...)
}

// spelledDuration reads "1h2m3.5s", "90 seconds" and "2 hours and 3 minutes".
func spelledDuration(s string) (time.Duration, bool) {
	var sum time.Duration
	for _, part := range durationParts.FindAllStringSubmatch(s, -1) {
		unit := time.Second
		switch word := strings.ToLower(part[2]); {
		case word == "ms" || strings.HasPrefix(word, "milli"):
			unit = time.Millisecond
		case word[0] == 'm':
			unit = time.Minute
		case word[0] == 'h':
			unit = time.Hour
		case word[0] == 'd':
			unit = 24 * time.Hour
		}
		d, ok := scaled(part[1], unit)
		if !ok {
			return 0, false
		}
		sum += d
	}
	return sum, sum > 0 && sum <= maxQuotaAhead
}

// scaled multiplies a number with a unit; ok is false where that is no time to wait.
func scaled(number string, unit time.Duration) (time.Duration, bool) {
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n < 0 || n*float64(unit) > float64(maxQuotaAhead) {
		return 0, false
	}
	return time.Duration(math.Round(n * float64(unit))), true
}

// parseStamp reads RFC 3339 and what is like it; without a zone it is UTC.
func parseStamp(s string) (time.Time, bool) {
	s = strings.ToUpper(strings.TrimSpace(s))
	s = strings.NewReplacer(" UTC", "Z", "UTC", "Z", " GMT", "Z", "GMT", "Z", " Z", "Z").Replace(s)
	s = strings.Replace(s, " ", "T", 1)
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.Parse(layout, s); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}
