package conformance

import (
	"context"
	"errors"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func followScenarios() []scenario {
	return []scenario{
		{"a followed turn outlives its connection", manyClients, followed},
		{"a followed turn is left alone", manyClients, leftAlone},
		{"a followed turn with an approval is taken over", manyClients, takenOver},
		{"tools are bound to who served them when the turn began", manyClients, toolsOfATurn},
		{"a turn that is taken over can be aborted", manyClients, abortedAfterTakeOver},
	}
}

// followed begins a turn on one connection and follows it on another.
func (e *env) followed(start appclient.RuntimeStart, turn appclient.Turn, until func(appclient.Event) bool) (ours, theirs *appclient.RunningTurn, watcher *appclient.Session, cut func()) {
	e.Helper()
	worker, cut := e.dialCuttable()
	s := e.start(worker, start)
	same := again(s)
	same.Mode = start.Mode
	watcher = e.start(e.dial(), same)
	ours, err := watcher.FollowTurn(e.ctx, appclient.Turn{ClientMessageID: turn.ClientMessageID})
	if err != nil {
		e.Fatal(err)
	}
	return ours, e.running(s, turn, "what is waited for", until), watcher, cut
}

func followed(e *env) {
	ours, theirs, _, cut := e.followed(appclient.RuntimeStart{}, appclient.Turn{Text: "x [[slow:20:50]]", ClientMessageID: "followed-1"}, isDelta(appclient.DeltaAssistant))
	cut()
	if _, err := theirs.Wait(e.ctx); !errors.Is(err, appclient.ErrConnectionLost) {
		e.Errorf("turn of the lost connection: %v", err)
	}
	r, err := ours.Wait(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.contains("text", r.Text, "w0 w1 ")
	e.contains("text", r.Text, "w19")
	e.equal("requests", r.Usage.Requests, 1)
}

// The end of the context ends the following alone.
func leftAlone(e *env) {
	ctx, cancel := context.WithCancel(e.ctx)
	worker := e.dial()
	s := e.start(worker, appclient.RuntimeStart{})
	watcher := e.start(e.dial(), again(s))
	ours, err := watcher.FollowTurn(ctx, appclient.Turn{ClientMessageID: "left-1"})
	if err != nil {
		e.Fatal(err)
	}
	theirs := e.running(s, appclient.Turn{Text: "x [[slow:10:50]]", ClientMessageID: "left-1"}, "the first text", isDelta(appclient.DeltaAssistant))
	cancel()
	if _, err := ours.Wait(e.ctx); !errors.Is(err, appclient.ErrNotFollowed) || !errors.Is(err, context.Canceled) {
		e.Errorf("followed turn: %v, want ErrNotFollowed", err)
	}
	if r, err := theirs.Wait(e.ctx); err != nil || !r.OK() {
		e.Errorf("turn: %+v, %v", r, err)
	}
}

func takenOver(e *env) {
	asked := make(chan struct{}, 1)
	turn := appclient.Turn{
		Text: "x " + e.write("over.txt", "1") + " [[say:written]]", ClientMessageID: "over-1",
		Approve: func(ctx context.Context, _ appclient.ApprovalRequest) (appclient.Decision, error) {
			asked <- struct{}{}
			<-ctx.Done()
			return appclient.Decision{}, context.Cause(ctx)
		},
	}
	ours, theirs, watcher, cut := e.followed(appclient.RuntimeStart{Mode: appclient.ModeStandard}, turn, func(ev appclient.Event) bool {
		return ev.Frame.Type == appclient.TypeControlRequest
	})
	e.receive("the approval request", asked)
	cut()
	if _, err := theirs.Wait(e.ctx); !errors.Is(err, appclient.ErrConnectionLost) {
		e.Errorf("turn of the lost connection: %v", err)
	}
	if err := watcher.Sync(e.ctx); err != nil {
		e.Fatal(err)
	}
	ours.TakeOver(appclient.Turn{Approve: always(appclient.Allow())})
	r, err := ours.Wait(e.ctx)
	if err != nil || !r.OK() {
		e.Fatalf("turn: %+v, %v", r, err)
	}
	e.text(r.Text, "written")
	e.equal("approvals", len(r.Approvals), 1)
	e.file("over.txt", "1")
}

// The server asks the connection that served a tool when the turn began, and no
// other one: what is registered during the turn counts from the next turn on.
func toolsOfATurn(e *env) {
	called := make(chan struct{}, 1)
	held := tool("hold", func(ctx context.Context, _ appclient.ToolCall) (appclient.ToolResult, error) {
		called <- struct{}{}
		<-ctx.Done()
		return appclient.ToolResult{}, context.Cause(ctx)
	})
	ours, _, watcher, cut := e.followed(appclient.RuntimeStart{Tools: []appclient.Tool{held}},
		appclient.Turn{Text: `x [[tool:hold:{"to":"x"}]] [[slow:20:100]] [[tool:hold:{"to":"y"}]]`, ClientMessageID: "tools-1"},
		func(ev appclient.Event) bool { return ev.Kind == appclient.EventToolCall })
	e.receive("the tool", called)
	start := again(watcher)
	start.Tools = []appclient.Tool{tool("hold", nil)}
	cut()
	e.start(watcher.Client(), start)
	ours.TakeOver(appclient.Turn{})
	r, err := ours.Wait(e.ctx)
	if err != nil || !r.OK() {
		e.Fatalf("turn: %+v, %v", r, err)
	}
	e.contains("result of the first call", e.use(r, 0).Output, "External tool execution error: ")
	e.contains("result of the second call", e.use(r, 1).Output, "External tool execution error: External tool controller is not connected")
	r = e.say(watcher, `x [[tool:hold:{"to":"z"}]]`)
	e.contains("result in the next turn", e.use(r, 0).Output, `hold got {"to":"z"}`)
}

func abortedAfterTakeOver(e *env) {
	ours, _, _, cut := e.followed(appclient.RuntimeStart{}, appclient.Turn{Text: "x [[slow:400:50]]", ClientMessageID: "aborted-1"}, isDelta(appclient.DeltaAssistant))
	cut()
	ours.TakeOver(appclient.Turn{})
	if err := ours.Abort(e.ctx); err != nil {
		e.Fatal(err)
	}
	r, err := ours.Wait(e.ctx)
	if r == nil || r.StopReason != appclient.StopCancelled {
		e.Errorf("turn: %+v, %v", r, err)
	}
}
