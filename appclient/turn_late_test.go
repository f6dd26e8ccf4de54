package appclient_test

import (
	"context"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// heldConn is a connection whose writes can be made to return late, after the other side has read what was written.
type heldConn struct {
	net.Conn
	hold    *atomic.Bool
	release <-chan struct{}
}

func (c heldConn) Write(data []byte) (int, error) {
	n, err := c.Conn.Write(data)
	if c.hold.Load() {
		<-c.release
	}
	return n, err
}

// TestLastApproval: the turn ends before the goroutine that sent the last answer is back.
func TestLastApproval(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"0.30.28", "0.30.2"} {
		var hold atomic.Bool
		release := make(chan struct{})
		transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return heldConn{conn, &hold, release}, err
		}}
		acks := version == "0.30.28"
		server := &fake{version: version, handle: func(w *wire) {
			input := w.await("create_message")
			if acks {
				w.accept(input, "started")
			}
			w.loop("SENDING_API_REQUEST")
			w.event(object{"type": "control_request", "request_id": "perm-1", "request": object{"tool_name": "Bash", "tool_call_id": "1", "input": object{}}})
			answer := w.await("approval_response")
			if acks {
				w.send(object{"type": "input_accepted", "request_id": answer["request_id"], "runtime": runtimeScope, "accepted": true})
			}
			w.say("r1", "done")
			w.delta(object{"message_type": "stop_reason", "stop_reason": "end_turn", "run_id": "r1"})
			w.loop("WAITING_ON_INPUT")
			if acks {
				w.finished("end_turn", "r1", nil)
			}
			w.drain()
		}}
		session := startRuntime(t, dial(t, server.start(t), func(c *appclient.Config) { c.HTTPClient = &http.Client{Transport: transport} }))
		result, err := session.RunTurn(t.Context(), appclient.Turn{Text: "go", Approve: func(context.Context, appclient.ApprovalRequest) (appclient.Decision, error) {
			hold.Store(true)
			return appclient.Allow(), nil
		}})
		hold.Store(false)
		close(release)
		if err != nil || len(result.Approvals) != 1 || !result.Approvals[0].Accepted || result.Approvals[0].Err != nil {
			t.Errorf("%s: %+v, %v", version, result, err)
		}
	}
}

// TestApprovalAfterTheEnd: a request of the next turn, which nobody asked for, comes while ours is being concluded,
// together with its end or right after it.
func TestApprovalAfterTheEnd(t *testing.T) {
	t.Parallel()
	for _, holdAt := range []string{appclient.TypeStreamDelta, appclient.TypeTurnFinished} {
		server, held := modern(), make(chan struct{})
		server.handle = func(w *wire) {
			w.accept(w.await("create_message"), "started")
			w.say("r1", "done")
			if holdAt == appclient.TypeStreamDelta {
				<-held
			}
			w.finished("end_turn", "r1", nil)
			<-held
			w.event(object{"type": "control_request", "request_id": "perm-2", "request": object{"tool_name": "Bash", "tool_call_id": "2", "input": object{}}})
			w.await("approval_response")
			w.drain()
		}
		client := dial(t, server.start(t))
		asked := make(chan string, 1)
		session := startRuntime(t, client, func(s *appclient.RuntimeStart) {
			s.Approve = func(_ context.Context, r appclient.ApprovalRequest) (appclient.Decision, error) {
				asked <- r.RequestID
				return appclient.Allow(), nil
			}
		})
		frames := client.Frames()
		_, err := session.RunTurn(t.Context(), appclient.Turn{Text: "go", OnEvent: func(e appclient.Event) {
			if e.Frame.Type != holdAt {
				return
			}
			close(held)
			for frame, err := frames.Next(t.Context()); err == nil && frame.Type != appclient.TypeControlRequest; {
				frame, err = frames.Next(t.Context())
			}
			// Its answer follows the request: the reader has handed the request over.
			_, _ = client.Request(t.Context(), object{"type": "sync"})
		}})
		if err != nil {
			t.Fatal(err)
		}
		select {
		case id := <-asked:
			if id != "perm-2" {
				t.Errorf("asked about %s", id)
			}
		case <-client.Done():
			t.Error(client.Err())
		case <-time.After(5 * time.Second):
			t.Errorf("held at %s: nobody was asked", holdAt)
		}
	}
}

// TestOldServerAfterAbort: a server without turn_finished says that it is idle, and the note of the abort and what the
// turn had left follow when the next input is on its way.
func TestOldServerAfterAbort(t *testing.T) {
	t.Parallel()
	note := object{"message_type": "status", "message": "Interrupted", "level": "warning"}
	for _, noteOf := range []string{"", "r1"} {
		for _, inTime := range []bool{false, true} {
			idle := make(chan struct{})
			server := &fake{handle: func(w *wire) {
				w.await("create_message")
				w.loop("SENDING_API_REQUEST")
				w.say("r1", "part")
				w.answer(w.await("abort_message"))
				w.loop("WAITING_ON_INPUT")
				w.device("/home/user", "standard")
				if noteOf != "" {
					note["run_id"] = noteOf
				}
				if inTime {
					<-idle
					w.delta(note)
				}
				w.await("create_message")
				if !inTime {
					w.delta(note)
				}
				w.say("r1", " left")
				w.delta(object{"message_type": "tool_return_message", "tool_call_id": "c1", "status": "error", "tool_return": "Interrupted by user"})
				w.loop("WAITING_ON_INPUT")
				w.loop("SENDING_API_REQUEST")
				w.say("r2", "mine")
				w.delta(object{"message_type": "stop_reason", "stop_reason": "end_turn", "run_id": "r2"})
				w.loop("WAITING_ON_INPUT")
				w.drain()
			}}
			session := startRuntime(t, dial(t, server.start(t)))
			active := false // before that come statuses of the start
			turn, err := session.StartTurn(t.Context(), appclient.Turn{Text: "go", OnEvent: func(e appclient.Event) {
				active = active || e.LoopStatus != nil && !e.LoopStatus.Idle()
				if active && e.LoopStatus != nil && e.LoopStatus.Idle() {
					close(idle)
				}
			}})
			if err != nil {
				t.Fatal(err)
			}
			noted := false
			for event, err := range turn.Events(t.Context()) {
				if err != nil {
					t.Fatal(err)
				}
				noted = noted || event.Delta != nil && event.Delta.MessageType == appclient.DeltaStatus
				if event.Kind == appclient.EventDelta && event.Delta.MessageType == appclient.DeltaAssistant {
					go func() { _ = turn.Abort(context.Background()) }() // the turn waits for itself otherwise
				}
			}
			if result, err := turn.Wait(t.Context()); err != nil || result.StopReason != appclient.StopCancelled || result.Text != "part" {
				t.Errorf("note %q in time %v: aborted %+v, %v", noteOf, inTime, result, err)
			}
			if noted != inTime {
				t.Errorf("note %q in time %v: part of the aborted turn: %v", noteOf, inTime, noted)
			}
			result, err := session.RunTurn(t.Context(), appclient.Turn{Text: "again"})
			if err != nil || !result.OK() || result.Text != "mine" || len(result.Runs) != 1 || len(result.ToolCalls) != 0 {
				t.Errorf("note %q in time %v: next %+v, %v", noteOf, inTime, result, err)
			}
		}
	}
}
