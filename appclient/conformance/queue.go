package conformance

import (
	"context"
	"errors"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func queueScenarios() []scenario {
	return []scenario{
		{"second turn on a busy conversation", nil, busy},
		{"queued inputs are merged", turnFinished, merged},
		{"queued input joins the running turn", turnFinished, joined},
		{"queued input is removed", turnFinished, removed},
		{"the same input twice", turnFinished, duplicate},
	}
}

// held is a session whose turns can be held in an external tool: [[tool:hold:{"to":"x"}]].
func (e *env) held(c *appclient.Client) (s *appclient.Session, held <-chan struct{}, release func()) {
	e.Helper()
	entered, let := make(chan struct{}, 1), make(chan struct{})
	s = e.start(c, appclient.RuntimeStart{Tools: []appclient.Tool{tool("hold", func(ctx context.Context, _ appclient.ToolCall) (appclient.ToolResult, error) {
		entered <- struct{}{}
		select {
		case <-let:
		case <-ctx.Done():
		}
		return appclient.TextResult("held"), nil
	})}})
	return s, entered, func() { close(let) }
}

func (e *env) receive(what string, c <-chan struct{}) {
	e.Helper()
	select {
	case <-c:
	case <-e.ctx.Done():
		e.Fatalf("waiting for %s: %v", what, context.Cause(e.ctx))
	}
}

func busy(e *env) {
	s, held, release := e.held(e.dial())
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: `x [[tool:hold:{"to":"x"}]] [[say:first]]`})
	if err != nil {
		e.Fatal(err)
	}
	e.receive("the tool", held)
	if _, err := s.RunTurn(e.ctx, appclient.Turn{Text: "y [[say:second]]"}); !errors.Is(err, appclient.ErrConversationBusy) {
		e.Errorf("second turn: %v, want ErrConversationBusy", err)
	}
	release()
	r, err := turn.Wait(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.text(r.Text, "first")
}

// slowTurn runs a turn that streams for about a second, with a client that can do other things meanwhile.
func (e *env) slowTurn() (*appclient.Client, *appclient.Session, *appclient.RunningTurn) {
	e.Helper()
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	turn := e.running(s, appclient.Turn{Text: "first [[slow:20:50]]", ClientMessageID: "Q1"}, "the first text", isDelta(appclient.DeltaAssistant))
	return c, s, turn
}

type queueFrame struct {
	Queue []struct {
		ID              string `json:"id"`
		ClientMessageID string `json:"client_message_id"`
	} `json:"queue"`
	Removed []struct {
		ClientMessageID string `json:"client_message_id"`
		Disposition     string `json:"disposition"`
	} `json:"removed"`
}

// awaitRemoved waits until inputs left the queue, and returns how.
func (e *env) awaitRemoved(sub *appclient.Subscription) string {
	e.Helper()
	var q queueFrame
	e.await(sub, "removed inputs", func(f appclient.Frame) bool {
		q = queueFrame{}
		return f.Type == appclient.TypeQueue && f.Decode(&q) == nil && len(q.Removed) > 0
	})
	return fmt.Sprint(q.Removed)
}

func merged(e *env) {
	c, s, turn := e.slowTurn()
	sub := c.Frames()
	defer sub.Close()
	for _, id := range []string{"Q2", "Q3"} {
		var ack accepted
		e.request(c, input(s, id, id+" [[say:"+id+"]]"), &ack)
		e.equal("disposition", ack.Disposition, "queued")
	}
	if _, err := turn.Wait(e.ctx); err != nil {
		e.Fatal(err)
	}
	e.equal("removed", e.awaitRemoved(sub), "[{Q2 dequeued} {Q3 dequeued}]")
	e.awaitEnd(sub)
	messages := e.messages(c, s)
	e.equal("inputs stored as Q2", count(messages, "Q2"), 1)
	e.equal("inputs stored as Q3", count(messages, "Q3"), 0)
	e.equal("messages", len(messages), 4)
}

func joined(e *env) {
	c := e.dial()
	s, held, release := e.held(c)
	turn, err := s.StartTurn(e.ctx, appclient.Turn{Text: `first [[tool:hold:{"to":"x"}]] [[say:first done]]`})
	if err != nil {
		e.Fatal(err)
	}
	e.receive("the tool", held)
	var ack accepted
	e.request(c, input(s, "J2", "second [[say:second answered]]"), &ack)
	e.equal("disposition", ack.Disposition, "queued")
	release()
	r, err := turn.Wait(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
	e.text(r.Text, "second answered")
	e.equal("stored inputs", count(e.messages(c, s), "J2"), 1)
}

func removed(e *env) {
	c, s, turn := e.slowTurn()
	sub := c.Frames()
	defer sub.Close()
	var ack accepted
	e.request(c, input(s, "R2", "never [[say:never]]"), &ack)
	var q queueFrame
	e.await(sub, "the queue", func(f appclient.Frame) bool {
		return f.Type == appclient.TypeQueue && f.Decode(&q) == nil && len(q.Queue) == 1
	})
	var answer struct {
		Success bool   `json:"success"`
		ItemID  string `json:"item_id"`
	}
	e.request(c, object{"type": "remove_queue_item", "runtime": s.RawRuntime(), "item_id": q.Queue[0].ID}, &answer)
	e.equal("success", answer.Success, true)
	e.equal("removed", e.awaitRemoved(sub), "[{R2 cancelled}]")
	if _, err := turn.Wait(e.ctx); err != nil {
		e.Fatal(err)
	}
	e.say(s, "next [[say:next]]")
	e.equal("stored inputs", count(e.messages(c, s), "R2"), 0)
}

func duplicate(e *env) {
	c, s, turn := e.slowTurn()
	var ack accepted
	e.request(c, input(s, "Q1", "first [[slow:20:50]]"), &ack)
	e.equal("disposition of the copy", ack.Disposition, "started")
	if _, err := turn.Wait(e.ctx); err != nil {
		e.Fatal(err)
	}
	e.equal("stored while busy", count(e.messages(c, s), "Q1"), 1)
	// Once the conversation is idle, the same id is executed again.
	e.turn(s, appclient.Turn{Text: "again [[say:again]]", ClientMessageID: "Q1"})
	e.equal("stored later", count(e.messages(c, s), "Q1"), 2)
}
