package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func abortScenarios() []scenario {
	return []scenario{
		{"abort mid-stream", nil, abortStream},
		{"abort mid-tool", nil, abortTool},
		{"abort with an approval pending", nil, abortApproval},
		{"abort with an external call open", nil, abortExternal},
		{"abort when idle", nil, abortIdle},
		{"abort while the model is silent", turnFinished, abortSilent},
		{"deadline of the caller", nil, deadline},
	}
}

// cancelled aborts a turn that must end soon, and then uses the conversation again.
func (e *env) cancelled(s *appclient.Session, turn *appclient.RunningTurn) *appclient.TurnResult {
	e.Helper()
	if err := turn.Abort(e.ctx); err != nil {
		e.Fatalf("abort: %v", err)
	}
	r, err := turn.Wait(e.ctx)
	if r == nil {
		e.Fatalf("no result: %v", err)
	}
	e.equal("stop reason", r.StopReason, appclient.StopCancelled)
	next := e.say(s, "after [[say:after abort ok]]")
	e.text(next.Text, "after abort ok")
	if e.target.Supports.TurnFinished {
		e.equal("disposition after an abort", next.Disposition, appclient.DispositionQueued)
	}
	return r
}

func abortStream(e *env) {
	s := e.session()
	turn := e.running(s, appclient.Turn{Text: "x [[slow:200:50]]"}, "the first text", isDelta(appclient.DeltaAssistant))
	r := e.cancelled(s, turn)
	e.contains("text so far", r.Text, "w0 ")
}

func abortTool(e *env) {
	s := e.session()
	turn := e.running(s, appclient.Turn{Text: `x [[tool:Bash:{"command":"tail -f /dev/null","description":"d"}]] [[say:never]]`}, "the tool", isDelta(appclient.DeltaToolStart))
	r := e.cancelled(s, turn)
	if e.target.Supports.TurnFinished {
		e.equal("status", e.use(r, 0).Status, "error")
		e.contains("output", e.use(r, 0).Output, "Interrupted by user")
	}
}

func abortApproval(e *env) {
	s := e.standard()
	asked := make(chan struct{})
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: "x " + e.write("z.txt", "1") + " [[say:never]]", Approve: func(ctx context.Context, _ appclient.ApprovalRequest) (appclient.Decision, error) {
		close(asked)
		<-ctx.Done()
		return appclient.Decision{}, context.Cause(ctx)
	}})
	if err != nil {
		e.Fatal(err)
	}
	select {
	case <-asked:
	case <-e.ctx.Done():
		e.Fatal("nothing was asked")
	}
	e.cancelled(s, turn)
	e.noFile("z.txt")
}

func abortExternal(e *env) {
	called := make(chan struct{})
	s := e.session(tool("handoff", func(ctx context.Context, _ appclient.ToolCall) (appclient.ToolResult, error) {
		close(called)
		<-ctx.Done()
		return appclient.ToolResult{}, context.Cause(ctx)
	}))
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: `x [[tool:handoff:{"to":"b"}]] [[say:never]]`})
	if err != nil {
		e.Fatal(err)
	}
	select {
	case <-called:
	case <-e.ctx.Done():
		e.Fatal("the tool was not called")
	}
	e.cancelled(s, turn)
}

func abortIdle(e *env) {
	active, err := e.session().Abort(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.equal("active", active, false)
}

// abortSilent: the server acknowledges the abort, but the conversation stays blocked; others do not.
func abortSilent(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	turn := e.running(s, appclient.Turn{Text: "x [[hang]]", AbortGrace: 500 * time.Millisecond}, "the model request", func(ev appclient.Event) bool {
		return ev.LoopStatus != nil && ev.LoopStatus.Status == "PROCESSING_API_RESPONSE"
	})
	if err := turn.Abort(e.ctx); !errors.Is(err, appclient.ErrAbortTimeout) {
		e.Fatalf("abort: %v, want ErrAbortTimeout", err)
	}
	var ack accepted
	e.request(c, input(s, "blocked", "y [[say:no]]"), &ack)
	e.equal("disposition while blocked", ack.Disposition, "queued")
	e.say(e.start(c, appclient.RuntimeStart{AgentID: s.Runtime().AgentID}), "z [[say:others go on]]")
}

func deadline(e *env) {
	s := e.session()
	ctx, cancel := context.WithTimeout(e.ctx, 500*time.Millisecond)
	defer cancel()
	r, err := s.RunTurn(ctx, appclient.Turn{Text: "x [[slow:200:50]]"})
	if !errors.Is(err, context.DeadlineExceeded) {
		e.Fatalf("run turn: %v, want the deadline", err)
	}
	e.equal("stop reason", r.StopReason, appclient.StopCancelled)
	e.text(e.say(s, "after [[say:still usable]]").Text, "still usable")
}
