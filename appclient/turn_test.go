package appclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// turnOn runs one turn against a server that plays it after the input.
func turnOn(t *testing.T, server *fake, turn appclient.Turn, play func(w *wire, input object)) (*appclient.TurnResult, error) {
	t.Helper()
	server.handle = func(w *wire) {
		if input := w.await("create_message"); input != nil {
			play(w, input)
		}
		w.drain()
	}
	session := startRuntime(t, dial(t, server.start(t)))
	if turn.Text == "" {
		turn.Text = "go"
	}
	return session.RunTurn(t.Context(), turn)
}

func modern() *fake { return &fake{version: "0.30.28"} }

func TestTurnEnds(t *testing.T) {
	t.Parallel()
	mine := func(run string, ids ...string) object {
		return object{"type": "update_loop_status", "loop_status": object{"status": "PROCESSING_API_RESPONSE",
			"client_message_ids_by_run_id": object{run: ids}}}
	}
	tests := []struct {
		name string
		play func(w *wire, input object)
		want string // stop reason, text
		err  error
	}{
		{"the late end of a cancelled turn is not ours", func(w *wire, input object) {
			w.accept(input, "started")
			w.finished("cancelled", "", nil)
			w.loop("SENDING_API_REQUEST")
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine", nil},
		{"an end before the acknowledgement is not ours", func(w *wire, input object) {
			w.loop("SENDING_API_REQUEST")
			w.say("r1", "other")
			w.finished("end_turn", "r1", nil)
			w.accept(input, "started")
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine", nil},
		{"queued behind another turn", func(w *wire, input object) {
			w.accept(input, "queued")
			w.event(object{"type": "update_queue", "queue": []object{{"id": "q-1", "client_message_id": "cm"}}})
			w.say("r1", "other")
			w.finished("end_turn", "r1", nil)
			w.event(object{"type": "update_queue", "queue": []object{}, "removed": []object{{"client_message_id": "cm", "disposition": "dequeued"}}})
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine", nil},
		{"queued, then discarded", func(w *wire, input object) {
			w.accept(input, "queued")
			w.event(object{"type": "update_queue", "removed": []object{{"client_message_id": "cm", "disposition": "cancelled"}}})
		}, "", appclient.ErrInputDiscarded},
		{"an unsolicited turn in between", func(w *wire, input object) {
			w.accept(input, "started")
			w.event(mine("r2", "cm"))
			w.finished("end_turn", "r9", nil)
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine", nil},
		{"a run in another's name", func(w *wire, input object) {
			w.accept(input, "started")
			w.event(mine("r1", "theirs"))
			w.finished("end_turn", "r1", nil)
			w.event(mine("r2", "cm"))
			w.say("r2", "mine")
			w.finished("end_turn", "r2", nil)
		}, "end_turn mine", nil},
		{"frames that come twice, or too late", func(w *wire, input object) {
			w.accept(input, "started")
			w.say("r1", "mi")
			w.seq--
			w.say("r1", "mi")
			w.say("r1", "ne")
			w.seq -= 2
			w.finished("error", "r1", nil)
			w.seq++
			w.finished("end_turn", "r1", nil)
		}, "end_turn mine", nil},
		{"a turn that was acknowledged for nothing", func(w *wire, input object) {
			w.accept(input, "started")
			w.finished("cancelled", "", nil)
			w.await("abort_message")
		}, "", appclient.ErrNoSignOfLife},
		{"a sub-agent's text is not mixed in", func(w *wire, input object) {
			w.accept(input, "started")
			w.event(object{"type": "stream_delta", "subagent_id": "s", "delta": object{"message_type": "assistant_message", "id": "x", "run_id": "r1", "content": "sub"}})
			w.say("r1", "mine")
			w.finished("end_turn", "r1", nil)
		}, "end_turn mine", nil},
		{"the error follows the end", func(w *wire, input object) {
			w.accept(input, "started")
			w.loop("SENDING_API_REQUEST")
			w.finished("llm_api_error", "", nil)
			w.delta(object{"message_type": "loop_error", "message": "model is down", "is_terminal": true, "stop_reason": "llm_api_error"})
		}, "llm_api_error  model is down", nil},
		{"unknown frames and fields", func(w *wire, input object) {
			w.accept(input, "started")
			w.event(object{"type": "brand_new", "x": 1})
			w.delta(object{"message_type": "brand_new", "x": 1})
			w.delta(object{"message_type": "assistant_message", "id": "i", "run_id": "r1", "content": "mine", "seq_id": "odd"})
			w.sendRaw([]byte("not json"))
			w.finished("end_turn", "r1", object{"usage": object{}})
		}, "end_turn mine", nil},
		{"rejected", func(w *wire, input object) {
			w.send(object{"type": "input_accepted", "request_id": input["request_id"], "runtime": runtimeScope, "accepted": false, "error": "queue full"})
		}, "", appclient.ErrInputRejected},
		{"protocol violation", func(w *wire, _ object) {
			w.delta(object{"message_type": "loop_error", "message": "Protocol violation: no", "is_terminal": false})
		}, "", appclient.ErrInputRejected},
		{"connection lost", func(w *wire, input object) {
			w.accept(input, "started")
			w.say("r1", "part")
			_ = w.conn.Close(websocket.StatusInternalError, "oops")
		}, " part", appclient.ErrConnectionLost},
		{"no sign of life", func(w *wire, input object) { w.accept(input, "started") }, "", appclient.ErrNoSignOfLife},
		{"stalled", func(w *wire, input object) {
			w.accept(input, "started")
			w.say("r1", "part")
			w.await("abort_message")
			w.finished("cancelled", "r1", nil)
		}, "cancelled part", appclient.ErrStalled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			turn := appclient.Turn{ClientMessageID: "cm", StartTimeout: 300 * time.Millisecond, AbortGrace: 300 * time.Millisecond}
			if test.name == "stalled" {
				turn.StallTimeout = 200 * time.Millisecond
			}
			result, err := turnOn(t, modern(), turn, test.play)
			if !errors.Is(err, test.err) || (test.err == nil && err != nil) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if result == nil {
				t.Fatal("no result")
			}
			if got := strings.TrimRight(string(result.StopReason)+" "+result.Text+" "+result.Error, " "); got != strings.TrimRight(test.want, " ") {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// TestOldServer runs turns on the two-channel server of June 2026: no
// acknowledgement, no turn_finished, approvals in the device status alone.
func TestOldServer(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(w *wire)
		want appclient.StopReason
		text string
	}{
		{"success", func(w *wire) {
			w.delta(object{"message_type": "stop_reason", "stop_reason": "end_turn", "run_id": "r2"})
			w.loop("WAITING_ON_INPUT")
		}, appclient.StopEndTurn, ""},
		{"error after the end", func(w *wire) {
			w.loop("WAITING_ON_INPUT")
			w.delta(object{"message_type": "loop_error", "message": "boom", "is_terminal": true, "stop_reason": "error"})
		}, appclient.StopError, "boom"},
		{"interrupted", func(w *wire) {
			w.delta(object{"message_type": "status", "message": "Interrupted"})
			w.loop("WAITING_ON_INPUT")
		}, appclient.StopCancelled, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			control := make(chan object, 10)
			server := &fake{split: true, handle: func(w *wire) {
				if w.channel == "control" {
					for frame := w.read(); frame != nil; frame = w.read() {
						switch frame["type"] {
						case "runtime_start":
							w.send(object{"type": "runtime_start_response", "request_id": frame["request_id"], "success": true, "runtime": runtimeScope})
						default:
							control <- frame
							w.answer(frame)
						}
					}
					close(control)
					return
				}
				w.conn.CloseRead(context.Background()) // answers pings
				for frame := range control {
					switch kindOf(frame) {
					case "sync":
						w.device("/home/user", "standard")
					case "create_message":
						w.loop("WAITING_ON_INPUT") // of before
						w.loop("SENDING_API_REQUEST")
						w.delta(object{"message_type": "stop_reason", "stop_reason": "requires_approval", "run_id": "r1"})
						pending := object{"request_id": "perm-1", "request": object{"tool_name": "Bash", "tool_call_id": "1", "input": object{}}}
						w.device("/home/user", "standard", pending)
						w.device("/home/user", "standard", pending)
					case "approval_response":
						w.device("/home/user", "standard")
						w.say("r2", "done")
						test.end(w)
					}
				}
			}}
			session := startRuntime(t, dial(t, server.start(t)))
			asked := 0
			result, err := session.RunTurn(t.Context(), appclient.Turn{Text: "go", Approve: func(_ context.Context, r appclient.ApprovalRequest) (appclient.Decision, error) {
				asked++
				return appclient.Allow(), nil
			}})
			if err != nil || result.StopReason != test.want || result.Text != "done" || result.Error != test.text || asked != 1 {
				t.Errorf("asked %d times, %+v, %v", asked, result, err)
			}
		})
	}
}

func TestCancelledContext(t *testing.T) {
	cause := errors.New("the deadline of the test")
	for _, ends := range []bool{true, false} {
		handlerEnded, called := make(chan struct{}), make(chan struct{})
		server := modern()
		server.handle = func(w *wire) {
			w.accept(w.await("create_message"), "started")
			w.say("r1", "part")
			w.send(object{"type": "external_tool_call_request", "request_id": "ext-1", "runtime": runtimeScope, "tool_call_id": "c", "tool_name": "wait", "input": object{}})
			w.await("abort_message")
			if answer := w.await("external_tool_call_response"); answer["error"] == nil || answer["request_id"] != "ext-1" {
				t.Errorf("answer %v", answer)
			}
			if ends {
				w.finished("cancelled", "r1", nil)
			}
			w.drain()
		}
		session := startRuntime(t, dial(t, server.start(t)), func(s *appclient.RuntimeStart) {
			s.Tools = []appclient.Tool{{Name: "wait", Description: "d", Parameters: json.RawMessage(`{"type":"object"}`),
				Handler: func(ctx context.Context, _ appclient.ToolCall) (appclient.ToolResult, error) {
					close(called)
					<-ctx.Done()
					close(handlerEnded)
					return appclient.TextResult("late"), nil
				}}}
		})
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { <-called; cancel(cause) }()
		result, err := session.RunTurn(ctx, appclient.Turn{Text: "go", AbortGrace: 300 * time.Millisecond})
		wantIs(t, err, cause)
		<-handlerEnded
		if result.Text != "part" || (result.StopReason == appclient.StopCancelled) != ends || errors.Is(err, appclient.ErrAbortTimeout) == ends {
			t.Errorf("ends %v: %+v, %v", ends, result, err)
		}
		_, err = session.StartTurn(ctx, appclient.Turn{Text: "again"})
		wantIs(t, err, cause)
		if !ends {
			_, err = session.RunTurn(t.Context(), appclient.Turn{Text: "again"})
			wantIs(t, err, appclient.ErrConversationBusy)
		}
	}
}

func TestFollowAndBusy(t *testing.T) {
	server := modern()
	server.handle = func(w *wire) {
		w.accept(w.await("create_message"), "started")
		w.say("r1", "one ")
		w.await("abort_message")
		w.finished("cancelled", "r1", nil)
		w.drain()
	}
	session := startRuntime(t, dial(t, server.start(t)))
	turn, err := session.StartTurn(t.Context(), appclient.Turn{Text: "go"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = session.RunTurn(t.Context(), appclient.Turn{Text: "second"})
	wantIs(t, err, appclient.ErrConversationBusy)
	var kinds []string
	for event, err := range turn.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, string(event.Kind))
		if event.Kind == appclient.EventDelta {
			go func() { _ = turn.Abort(context.Background()) }()
		}
	}
	if got := strings.Join(kinds, " "); !strings.Contains(got, "accepted delta aborting") || !strings.HasSuffix(got, "finished") {
		t.Errorf("events %s", got)
	}
	result, err := turn.Wait(t.Context())
	if err != nil || result.StopReason != appclient.StopCancelled {
		t.Errorf("%+v, %v", result, err)
	}
}
