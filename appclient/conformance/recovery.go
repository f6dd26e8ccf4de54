package conformance

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func recoveryScenarios() []scenario {
	return []scenario{
		{"sync when idle and mid-turn", nil, syncState},
		{"disconnect cancels the turn", turnFinished, disconnect},
		{"disconnect with an approval pending", turnFinished, disconnectApproval},
		{"a second client keeps the turn alive", manyClients, observer},
		{"disconnect fails an external call", manyClients, disconnectExternal},
	}
}

func syncState(e *env) {
	s, held, release := e.held(e.dial())
	if err := s.Sync(e.ctx); err != nil {
		e.Fatal(err)
	}
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: `x [[tool:hold:{"to":"x"}]] [[say:ok]]`})
	if err != nil {
		e.Fatal(err)
	}
	e.receive("the tool", held)
	if err := s.Sync(e.ctx); err != nil {
		e.Fatal(err)
	}
	e.equal("loop status after a sync", s.LoopStatus().Status, appclient.LoopStatusName("EXECUTING_CLIENT_SIDE_TOOL"))
	release()
	if r, err := turn.Wait(e.ctx); err != nil || !r.OK() {
		e.Errorf("turn: %v, %v", r, err)
	}
}

// lost closes a client and waits for its turn's error.
func (e *env) lost(c *appclient.Client, turn *appclient.RunningTurn) {
	e.Helper()
	if err := c.Close(); err != nil && !errors.Is(err, appclient.ErrConnectionLost) {
		e.Fatal(err)
	}
	if _, err := turn.Wait(e.ctx); !errors.Is(err, appclient.ErrConnectionLost) {
		e.Errorf("turn of a closed client: %v, want ErrConnectionLost", err)
	}
}

// reconnect begins the runtime again on a new connection. One that comes before the server has noticed the end of
// the old connection keeps the turn alive: it is closed, too, and another one tries.
func (e *env) reconnect(s *appclient.Session) (*appclient.Client, *appclient.Session) {
	e.Helper()
	for {
		c := e.dial()
		s = e.start(c, again(s))
		if err := s.Sync(e.ctx); err != nil {
			e.Fatal(err)
		}
		if s.LoopStatus().Idle() {
			return c, s
		}
		if err := c.Close(); err != nil && !errors.Is(err, appclient.ErrConnectionLost) {
			e.Fatal(err)
		}
	}
}

func disconnect(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	turn := e.running(s, appclient.Turn{Text: "x [[slow:200:50]]", ClientMessageID: "lost-1"}, "the first text", isDelta(appclient.DeltaAssistant))
	e.lost(c, turn)
	c, s = e.reconnect(s)
	e.equal("idle", s.LoopStatus().Idle(), true)
	e.equal("inputs with the id", count(e.messages(c, s), "lost-1"), 1)
	e.text(e.say(s, "next [[say:next ok]]").Text, "next ok")
	// The partial text of the cancelled turn is gone once the next turn has begun.
	var kinds []string
	for _, m := range e.messages(c, s) {
		kinds = append(kinds, m.Type)
	}
	e.equal("messages", len(kinds), 3)
}

func disconnectApproval(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{Mode: appclient.ModeStandard})
	asked := make(chan struct{})
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: "x " + e.write("p.txt", "1") + " [[say:never]]", Approve: func(ctx context.Context, _ appclient.ApprovalRequest) (appclient.Decision, error) {
		close(asked)
		<-ctx.Done()
		return appclient.Decision{}, context.Cause(ctx)
	}})
	if err != nil {
		e.Fatal(err)
	}
	e.receive("the approval request", asked)
	e.lost(c, turn)
	c, s = e.reconnect(s)
	e.equal("pending approvals", len(s.DeviceStatus().Pending), 0)
	e.text(e.say(s, "next [[say:next ok]]").Text, "next ok")
	e.noFile("p.txt")
	found := false
	for _, m := range e.messages(c, s) {
		found = found || m.Type == "tool_return_message" && m.Status == "error"
	}
	e.equal("the call was closed with an error", found, true)
}

func observer(e *env) {
	worker, watcher := e.dial(), e.dial()
	s := e.start(worker, appclient.RuntimeStart{})
	e.start(watcher, again(s))
	sub := watcher.Frames()
	defer sub.Close()
	turn := e.running(s, appclient.Turn{Text: "x [[slow:20:50]]", ClientMessageID: "kept-1"}, "the first text", isDelta(appclient.DeltaAssistant))
	e.lost(worker, turn)
	var end struct {
		StopReason appclient.StopReason `json:"stop_reason"`
	}
	if err := e.awaitEnd(sub).Decode(&end); err != nil {
		e.Fatal(err)
	}
	e.equal("stop reason", end.StopReason, appclient.StopEndTurn)
	messages := e.messages(watcher, s)
	e.equal("messages", len(messages), 2)
	e.contains("stored text", messages[1].Text, "w0 w1 ")
	e.contains("stored text", messages[1].Text, "w19")
}

func disconnectExternal(e *env) {
	worker, cut := e.dialCuttable()
	watcher := e.dial()
	s, held, _ := e.held(worker)
	sub := watcher.Frames()
	defer sub.Close()
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: `x [[tool:hold:{"to":"x"}]] [[say:went on]]`})
	if err != nil {
		e.Fatal(err)
	}
	e.receive("the tool", held)
	e.start(watcher, again(s))
	// Without a farewell: Close would answer the open call first.
	cut()
	if _, err := turn.Wait(e.ctx); !errors.Is(err, appclient.ErrConnectionLost) {
		e.Errorf("turn: %v, want ErrConnectionLost", err)
	}
	e.awaitEnd(sub)
	messages := e.messages(watcher, s)
	e.equal("messages", len(messages), 4)
	e.contains("result of the call", messages[2].Text, "External tool execution error: ")
	e.text(messages[3].Text, "went on")
}

// dialCuttable is dial with a way to cut the network connection under the client.
func (e *env) dialCuttable() (c *appclient.Client, cut func()) {
	e.Helper()
	var mu sync.Mutex
	var conns []net.Conn
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			conns = append(conns, conn)
		}
		return conn, err
	}}
	e.Cleanup(transport.CloseIdleConnections)
	return e.dialWith(&http.Client{Transport: transport}), func() {
		mu.Lock()
		defer mu.Unlock()
		for _, conn := range conns {
			_ = conn.Close() // the client may have closed it already
		}
	}
}
