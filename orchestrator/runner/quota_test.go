package runner

import (
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestQuotaReset(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 20, 12, 0, 0, 0, time.UTC)
	none := time.Duration(-1)
	// As App Server 0.30.28 passes on a body.
	wrapped := "{\n  \"error\": {\n    \"error\": {\n      \"type\": \"llm_error\",\n      \"message\": \"429: {\\\"message\\\":\\\"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30000, Used 29000, Requested 2000. Please try again in 2s. Visit https://platform.openai.com/account/rate-limits to learn more.\\\",\\\"type\\\":\\\"tokens\\\",\\\"code\\\":\\\"rate_limit_exceeded\\\"}\"\n    }\n  }\n}"
	google := `429: {"error":{"code":429,"message":"You exceeded your current quota, please check your plan. \n* Quota exceeded for metric: x, limit: 15\nPlease retry in 34.074824224s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}`
	for name, test := range map[string]struct {
		text string
		want time.Duration // from now; none is no time
	}{
		"OpenAI":                    {wrapped, 2 * time.Second},
		"OpenAI minutes":            {"Rate limit reached for requests. Please try again in 6m0s.", 6 * time.Minute},
		"OpenAI hours":              {"Rate limit reached. Please try again in 1h2m3.5s.", time.Hour + 2*time.Minute + 3500*time.Millisecond},
		"OpenAI milliseconds":       {"Rate limit reached for gpt-4. Please try again in 120ms.", 120 * time.Millisecond},
		"ChatGPT plan":              {`429 {"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1787227200,"resets_in_seconds":1200}}`, 1200 * time.Second},
		"ChatGPT plan in seconds":   {`{"type":"usage_limit_reached","resets_in_seconds": 1234}`, 1234 * time.Second},
		"Groq":                      {"Rate limit reached for model `llama` on tokens per day (TPD): Limit 100000, Used 99980. Please try again in 7m12.5s.", 7*time.Minute + 12500*time.Millisecond},
		"Azure":                     {"Requests to the ChatCompletions_Create Operation have exceeded token rate limit. Please retry after 26 seconds.", 26 * time.Second},
		"Google":                    {google, 34074824224 * time.Nanosecond},
		"Google delay":              {`{\"status\":\"RESOURCE_EXHAUSTED\",\"details\":[{\"retryDelay\": \"51s\"}]}`, 51 * time.Second},
		"Google metadata":           {`{"reason":"QUOTA_EXHAUSTED","metadata":{"quotaResetDelay":"2h10m5.2s","quotaResetTimeStamp":"2026-08-20T13:00:00Z"}}`, 2*time.Hour + 10*time.Minute + 5200*time.Millisecond},
		"Anthropic header":          {`429 rate_limit_error; anthropic-ratelimit-tokens-reset: 2026-08-20T12:01:30Z`, 90 * time.Second},
		"Claude plan":               {"Claude AI usage limit reached|1787229000", 30 * time.Minute},
		"header seconds":            {"429 Too Many Requests\nRetry-After: 30\n", 30 * time.Second},
		"header in JSON":            {`429 {"headers":{"retry-after":"45","x":"y"}}`, 45 * time.Second},
		"header date":               {"429 Too Many Requests, Retry-After: Thu, 20 Aug 2026 12:10:00 GMT", 10 * time.Minute},
		"header milliseconds":       {"429, retry-after-ms: 1500", 1500 * time.Millisecond},
		"header of OpenAI":          {"429 x-ratelimit-reset-requests: 1m30s, x-ratelimit-reset-tokens: 20s", 90 * time.Second},
		"OpenRouter":                {`Rate limit exceeded: free-models-per-day {"metadata":{"headers":{"X-RateLimit-Limit":"50","X-RateLimit-Remaining":"0","X-RateLimit-Reset":"1787234400000"}}}`, 120 * time.Minute},
		"fraction":                  {`{"code":429,"retry_after":12.5}`, 12500 * time.Millisecond},
		"spelled":                   {"Quota exhausted. Try again in about 2 hours and 3 minutes.", 123 * time.Minute},
		"days":                      {"You have reached your weekly limit, which resets in 3 days.", 72 * time.Hour},
		"resets at":                 {"Daily quota used up; resets at 2026-08-21 00:00 UTC", 12 * time.Hour},
		"zone":                      {"Rate limit reached, try again at 2026-08-20T15:00:00+02:00.", time.Hour},
		"epoch":                     {"rate limit reset: 1787227260", 1 * time.Minute},
		"just over":                 {"rate limit, resets at 2026-08-20T11:59:58Z", -2 * time.Second},
		"wait":                      {"Too many requests: please wait 20 seconds before you go on", 20 * time.Second},
		"usage limit":               {"You have hit your usage limit. Try again in 2 days 3 hours.", 51 * time.Hour},
		"time of day":               {"You've hit your limit · resets 3pm (UTC)", 3 * time.Hour},
		"time of day tomorrow":      {"You've hit your limit · resets 3am", 15 * time.Hour},
		"time of day with minutes":  {"5-hour limit reached ∙ resets at 12:30 PM", 30 * time.Minute},
		"time of day in a zone":     {"Claude usage limit reached. Your limit resets 9am (America/New_York).", time.Hour},
		"24 hours":                  {"quota used up, resets at 13:45 UTC", 105 * time.Minute},
		"no-break space":            {"You've hit your limit · resets 3:15\u202fPM (UTC)", 3*time.Hour + 15*time.Minute},
		"escaped space":             {`{"error":"limit reached, resets 3:15\u202fPM (UTC)"}`, 3*time.Hour + 15*time.Minute},
		"tomorrow":                  {"usage limit reached, try again tomorrow at 2:30 PM", 26*time.Hour + 30*time.Minute},
		"today":                     {"usage limit reached, available again today at 2:30 p.m.", 150 * time.Minute},
		"an offset":                 {"limit reached, resets at 3:00 PM (UTC+2)", time.Hour},
		"an offset without ()":      {"limit reached, resets at 15:00 GMT-05:30", 8*time.Hour + 30*time.Minute},
		"zones of daylight":         {"limit reached, resets at 9am PDT", none},
		"a word after it":           {"limit reached, resets at 9pm. Upgrade for more", 9 * time.Hour},
		"this very minute":          {"limit reached, resets at 12pm", 24 * time.Hour},
		"midnight":                  {"daily limit, resets at 12am", 12 * time.Hour},
		"a day":                     {"You've hit your weekly limit · resets Aug 23, 5pm (Europe/Berlin)", 75 * time.Hour},
		"a day next year":           {"Weekly limit reached, resets on January 2nd at 12pm (UTC)", 135 * 24 * time.Hour},
		"a zone that is not known":  {"usage limit, resets 3am (Mars/Olympus)", none},
		"13 o'clock":                {"usage limit, resets 13pm", none},
		"no time":                   {"429: scripted failure 429", none},
		"no time with numbers":      {"Rate limit reached for gpt-4o on tokens per min (TPM): Limit 30000, Requested 45000.", none},
		"no quota":                  {"503 Service Unavailable, try again in 20s", none},
		"a number with 429 in it":   {"request 14290 failed, try again in 20s", none},
		"a year far away":           {"quota resets at 2099-01-01T00:00:00Z", none},
		"a time long ago":           {"quota resets at 2001-01-01T00:00:00Z", none},
		"more than can be counted":  {"rate limit: try again in 99999999999999999999999999s", none},
		"a limit of another kind":   {"maximum context length is 8192 tokens, retry with fewer", none},
		"insufficient without time": {"You exceeded your current quota, please check your plan and billing details.", none},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, reason := range []workflow.Reason{workflow.ReasonLLMAPIError, workflow.ReasonError, workflow.ReasonInsufficientCredits} {
				got := quotaReset(workflow.TurnFinished{Reason: reason, Error: test.text}, now)
				if test.want == none {
					if !got.IsZero() {
						t.Errorf("%s: %v from now, want no time", reason, got.Sub(now))
					}
				} else if got.Sub(now) != test.want {
					t.Errorf("%s: %v from now (%v), want %v", reason, got.Sub(now), got, test.want)
				}
			}
			for _, reason := range []workflow.Reason{workflow.ReasonEndTurn, workflow.ReasonStalled, workflow.ReasonTurnTimeout, workflow.ReasonCancelled, workflow.ReasonBudgetExceeded} {
				if got := quotaReset(workflow.TurnFinished{Reason: reason, Error: test.text}, now); !got.IsZero() {
					t.Errorf("%s waits for %v", reason, got)
				}
			}
		})
	}
}

// A day with a change of the clocks has 25 hours, or 23.
func TestClockTimesAtAChangeOfTheClocks(t *testing.T) {
	t.Parallel()
	for now, want := range map[string]time.Duration{
		"2026-11-01T04:30:00Z": 3*time.Hour + 30*time.Minute, // 00:30, and 1 o'clock comes twice
		"2026-03-08T05:30:00Z": 90 * time.Minute,             // 00:30, and 2 o'clock does not come
		"2026-08-20T07:00:00Z": 24 * time.Hour,
	} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		got := clockTimes("resets 3am (America/New_York)", at)
		if len(got) != 1 || got[0].Sub(at) != want {
			t.Errorf("at %s: %v, want in %s", now, got, want)
		}
	}
}

// A time that the clocks show twice, or not at all, comes soon and never twice.
func TestNextClock(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		now, clock, zone, want string
	}{
		{"2026-10-24T22:00:00Z", "2:30", "Europe/Berlin", "2026-10-25T00:30:00Z"}, // the first of two
		{"2026-10-25T00:30:00Z", "2:30", "Europe/Berlin", "2026-10-25T01:30:00Z"}, // the second
		{"2026-10-25T01:30:00Z", "2:30", "Europe/Berlin", "2026-10-26T01:30:00Z"}, // over
		{"2026-03-29T00:00:00Z", "2:30", "Europe/Berlin", "2026-03-29T01:30:00Z"}, // passed over: it is 3:30 then
		{"2026-03-29T01:30:00Z", "2:30", "Europe/Berlin", "2026-03-30T00:30:00Z"},
		{"2026-04-04T14:50:00Z", "1:45", "Australia/Lord_Howe", "2026-04-04T15:15:00Z"}, // half an hour is put back
		{"2026-12-31T23:59:59Z", "0:00", "UTC", "2027-01-01T00:00:00Z"},
		{"2026-08-20T21:00:00Z", "6:00", "Asia/Tokyo", "2026-08-21T21:00:00Z"}, // it is 6 o'clock
	} {
		now, err := time.Parse(time.RFC3339, test.now)
		if err != nil {
			t.Fatal(err)
		}
		got := clockTimes("resets "+test.clock+" ("+test.zone+")", now)
		if len(got) != 1 || got[0].UTC().Format(time.RFC3339) != test.want {
			t.Errorf("%s at %s: %v, want %s", test.clock, test.now, got, test.want)
		}
	}
}

// Without a zone the time is the orchestrator's.
func TestClockWithoutAZone(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 8, 20, 12, 0, 0, 0, time.FixedZone("here", 2*3600))
	if got := clockTimes("limit reached, resets 3pm", now); len(got) != 1 || got[0].Sub(now) != 3*time.Hour {
		t.Errorf("%v", got)
	}
}
