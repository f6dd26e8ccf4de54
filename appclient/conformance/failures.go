package conformance

import "github.com/seed-e05a5b32/orchestrator/appclient"

func failureScenarios() []scenario {
	retries := func(f Features) bool { return f.Retries }
	return []scenario{
		{"model fails until the server gives up", retries, modelFails},
		{"model breaks mid-stream until the server gives up", retries, modelBreaks},
		{"model fails once", retries, modelFailsOnce},
	}
}

func modelFails(e *env) {
	s := e.session()
	r := e.turn(s, appclient.Turn{Text: "x [[err:500]]"})
	e.equal("stop reason", r.StopReason, appclient.StopLLMAPIError)
	e.contains("error", r.Error, "scripted failure 500")
	e.equal("text", r.Text, "")
	e.equal("usage reports", r.Usage.Requests, 0)
	// Four runs, with three retries inside each and three between them.
	e.equal("retries", r.Retries, 15)
	e.equal("runs", len(r.Runs), 4)
	// A terminal loop_error follows the end; it must not be taken for the next turn's.
	e.text(e.say(s, "y [[say:back again]]").Text, "back again")
}

func modelBreaks(e *env) {
	s := e.session()
	r := e.turn(s, appclient.Turn{Text: "x [[dropmid]]"})
	e.equal("stop reason", r.StopReason, appclient.StopLLMAPIError)
	e.equal("runs", len(r.Runs), 4)
	e.equal("retries", r.Retries, 3)
	e.text(e.say(s, "y [[say:back again]]").Text, "back again")
}

func modelFailsOnce(e *env) {
	r := e.say(e.session(), "x [[errn:500:1:"+e.dir+"]] [[say:recovered]]")
	e.text(r.Text, "recovered")
	e.equal("retries", r.Retries, 1)
	e.equal("runs", len(r.Runs), 1)
}
