package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func queueScenarios() []scenario {
	return []scenario{
		{"second turn on a busy conversation", nil, busy},
		{"queued inputs are merged", turnFinished, merged},
		{"queued input joins the running turn", turnFinished, joined},
		{"queued input is removed", turnFinished, removed},
		{"queued behind a turn that does not end", turnFinished, discarded},
		{"queued input is taken back as it is taken up", turnFinished, takenBack},
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

// discarded: an aborted turn whose model is silent holds the conversation. An input that waits behind it is taken back.
func discarded(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	turn := e.running(s, appclient.Turn{Text: "x [[hang]]", AbortGrace: 300 * time.Millisecond}, "the model request", func(ev appclient.Event) bool {
		return ev.LoopStatus != nil && ev.LoopStatus.Status == "PROCESSING_API_RESPONSE"
	})
	if err := turn.Abort(e.ctx); !errors.Is(err, appclient.ErrAbortTimeout) {
		e.Fatalf("abort: %v, want ErrAbortTimeout", err)
	}
	s.Close() // the next session does not know that the conversation is held
	s = e.start(c, again(s))
	r, err := s.RunTurn(e.ctx, appclient.Turn{Text: "y [[say:never]]", ClientMessageID: "D2", StartTimeout: time.Second})
	if !errors.Is(err, appclient.ErrInputDiscarded) || errors.Is(err, appclient.ErrNoSignOfLife) {
		e.Fatalf("run turn: %v, want ErrInputDiscarded alone", err)
	}
	e.equal("disposition", r.Disposition, appclient.DispositionQueued)
	e.equal("stored inputs", count(e.messages(c, s), "D2"), 0)
}

// takenBack: inputs give up waiting at about the time when the turn before them ends. Whatever comes first, none that
// is called discarded was consumed.
func takenBack(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	outcomes := make(map[string]int)
	for i := range 16 {
		id := fmt.Sprint("T", i)
		var ack accepted
		e.request(c, input(s, "hold-"+id, "x [[slow:4:25]]"), &ack)
		e.equal("disposition", ack.Disposition, "started")
		r, err := s.RunTurn(e.ctx, appclient.Turn{Text: "y [[slow:4:25]]", ClientMessageID: id, StartTimeout: time.Duration(88+3*i) * time.Millisecond})
		page, listErr := c.ListMessages(e.ctx, appclient.MessageQuery{ConversationID: s.Runtime().ConversationID})
		if listErr != nil {
			e.Fatal(listErr)
		}
		stored := count(page.Messages, id)
		switch {
		case errors.Is(err, appclient.ErrInputDiscarded):
			outcomes["discarded"]++
			e.equal("stored copies of a discarded input", stored, 0)
		case errors.Is(err, appclient.ErrNoSignOfLife):
			outcomes["aborted"]++
		case err != nil:
			e.Fatalf("run turn: %v", err)
		default:
			outcomes["done"]++
			e.equal("disposition", r.Disposition, appclient.DispositionQueued)
			e.equal("stop reason", r.StopReason, appclient.StopEndTurn)
			e.equal("stored copies of a consumed input", stored, 1)
		}
		e.say(s, "z [[say:over]]")
		e.say(s, "z [[say:over, and idle]]")
	}
	e.Log("outcomes:", outcomes)
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
