package conformance

import (
	"fmt"
	"strings"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func turnScenarios() []scenario {
	return []scenario{
		{"plain turn", nil, plainTurn},
		{"reasoning", nil, reasoning},
		{"empty answer", nil, emptyAnswer},
		{"output limit", nil, outputLimit},
		{"large text", nil, largeText},
		{"several turns of a conversation", nil, severalTurns},
		{"many turns at once", nil, manyTurns},
		{"parts as content", nil, contentParts},
	}
}

func plainTurn(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	r := e.turn(s, appclient.Turn{Text: "Hello [[say:hello big world]]", ClientMessageID: "plain-1"})
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.text(r.Text, "hello big world")
	e.equal("error", r.Error, "")
	e.equal("requests", r.Usage.Requests, 1)
	e.equal("runs", len(r.Runs), 1)
	e.equal("completion tokens", r.Usage.CompletionTokens, int64(5))
	if r.Usage.PromptTokens <= 0 || r.Usage.TotalTokens < r.Usage.PromptTokens+r.Usage.CompletionTokens {
		e.Errorf("usage is %+v", r.Usage)
	}
	if e.target.Supports.TurnFinished {
		e.equal("disposition", r.Disposition, appclient.DispositionStarted)
		e.equal("run", r.RunID, r.Runs[0].ID)
	}
	e.equal("gaps", c.Gaps(), int64(0))
	if e.target.Supports.MessageIDs {
		e.equal("stored inputs", count(e.messages(c, s), "plain-1"), 1)
	}
	if n := e.target.ModelRequests; n != nil && n() < 1 {
		e.Error("the model was not asked")
	}
}

func reasoning(e *env) {
	r := e.say(e.session(), "x [[reason:let me think]] [[say:done]]")
	e.equal("reasoning", strings.TrimSpace(r.Runs[0].Reasoning), "let me think")
	e.text(r.Text, "done")
}

func emptyAnswer(e *env) {
	r := e.say(e.session(), "x [[empty]]")
	e.equal("text", r.Text, "")
	e.equal("messages of the run", len(r.Runs[0].Messages), 0)
}

func outputLimit(e *env) {
	s := e.session()
	r := e.turn(s, appclient.Turn{Text: "x [[length]]"})
	e.equal("stop reason", r.StopReason, appclient.StopMaxTokens)
	e.text(r.Text, "truncated out")
	e.contains("error", r.Error, "max_tokens_exceeded")
	e.text(e.say(s, "y [[say:and on]]").Text, "and on")
}

func largeText(e *env) {
	r := e.say(e.session(), "x [[big:200]]")
	e.equal("length", len(r.Text), 200*1001)
}

func severalTurns(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	for i := range 3 {
		want := fmt.Sprintf("answer %d", i)
		e.text(e.say(s, "x [[say:"+want+"]]").Text, want)
	}
	e.equal("messages", len(e.messages(c, s)), 6)
}

func manyTurns(e *env) {
	const n = 20
	c := e.dial()
	first := e.start(c, appclient.RuntimeStart{})
	sessions := []*appclient.Session{first}
	for len(sessions) < n {
		sessions = append(sessions, e.start(c, appclient.RuntimeStart{AgentID: first.Runtime().AgentID}))
	}
	var wg sync.WaitGroup
	for i, s := range sessions {
		wg.Go(func() {
			want := fmt.Sprintf("answer of %d", i)
			r, err := s.RunTurn(e.ctx, appclient.Turn{Text: "x [[delay:100]] [[say:" + want + "]]"})
			if err != nil {
				e.Errorf("turn %d: %v", i, err)
				return
			}
			e.text(r.Text, want)
		})
	}
	wg.Wait()
}

func contentParts(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	r := e.turn(s, appclient.Turn{Content: []appclient.ContentPart{{Type: "text", Text: "first part"}, {Type: "text", Text: "[[say:both read]]"}}})
	e.text(r.Text, "both read")
	e.contains("stored text", e.messages(c, s)[0].Text, "first part")
}
