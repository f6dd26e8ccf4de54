package appclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func handled(context.Context, appclient.ToolCall) (appclient.ToolResult, error) {
	return appclient.TextResult("ok"), nil
}

func TestValidation(t *testing.T) {
	schema := json.RawMessage(`{"type":"object"}`)
	tool := func(change func(*appclient.Tool)) []appclient.Tool {
		tool := appclient.Tool{Name: "report", Description: "d", Parameters: schema, Handler: handled}
		change(&tool)
		return []appclient.Tool{tool}
	}
	start := func(change func(*appclient.RuntimeStart)) func(*appclient.Session) error {
		return func(s *appclient.Session) error {
			start := appclient.RuntimeStart{AgentID: "a", CWD: "/home/user"}
			change(&start)
			_, err := s.Client().StartRuntime(t.Context(), start)
			return err
		}
	}
	turn := func(turn appclient.Turn) func(*appclient.Session) error {
		return func(s *appclient.Session) error { _, err := s.RunTurn(t.Context(), turn); return err }
	}
	type S = *appclient.RuntimeStart
	tests := []struct {
		field string
		call  func(*appclient.Session) error
	}{
		{"agent_id", start(func(s S) { s.AgentID = "" })},
		{"agent_id", start(func(s S) { s.CreateAgent = &appclient.AgentCreation{} })},
		{"conversation_id", start(func(s S) { s.ConversationID, s.CreateConversation = "c", &appclient.ConversationSpec{} })},
		{"conversation_id", start(func(s S) { s.AgentID, s.CreateAgent, s.ConversationID = "", &appclient.AgentCreation{}, "c" })},
		{"cwd", start(func(s S) { s.CWD = "relative" })},
		{"mode", start(func(s S) { s.Mode = "yolo" })},
		{"skill_sources[1]", start(func(s S) { s.SkillSources = []appclient.SkillSource{"agent", "moon"} })},
		{"create_agent.body.model_settings", start(func(s S) {
			s.AgentID, s.CreateAgent = "", &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{ModelSettings: json.RawMessage("[]")}}
		})},
		{"external_tools[0].name", start(func(s S) { s.Tools = tool(func(t *appclient.Tool) { t.Name = "Bash" }) })},
		{"external_tools[0].name", start(func(s S) { s.Tools = tool(func(t *appclient.Tool) { t.Name = "a b" }) })},
		{"external_tools[1].name", start(func(s S) { s.Tools = append(tool(func(*appclient.Tool) {}), tool(func(*appclient.Tool) {})...) })},
		{"external_tools[0].description", start(func(s S) { s.Tools = tool(func(t *appclient.Tool) { t.Description = "" }) })},
		{"external_tools[0].parameters", start(func(s S) { s.Tools = tool(func(t *appclient.Tool) { t.Parameters = nil }) })},
		{"external_tools[0].parameters", start(func(s S) {
			s.Tools = tool(func(t *appclient.Tool) { t.Parameters = json.RawMessage(`{"type":"string"}`) })
		})},
		{"external_tools[0].handler", start(func(s S) { s.Tools = tool(func(t *appclient.Tool) { t.Handler = nil }) })},
		{"content", turn(appclient.Turn{})},
		{"content", turn(appclient.Turn{Text: "a", Content: []appclient.ContentPart{{Type: "text", Text: "a"}}})},
		{"content[0].type", turn(appclient.Turn{Content: []appclient.ContentPart{{Type: "video"}}})},
		{"content[0].source", turn(appclient.Turn{Content: []appclient.ContentPart{{Type: "image"}}})},
		{"timeouts", turn(appclient.Turn{Text: "a", StallTimeout: -1})},
		{"decision.message", func(s *appclient.Session) error { return s.Answer(t.Context(), "perm-1", appclient.Deny("")) }},
		{"decision.behavior", func(s *appclient.Session) error { return s.Answer(t.Context(), "perm-1", appclient.Decision{}) }},
		{"decision.updated_input", func(s *appclient.Session) error {
			return s.Answer(t.Context(), "perm-1", appclient.Decision{Behavior: appclient.BehaviorAllow, UpdatedInput: json.RawMessage(`1`)})
		}},
		{"request_id", func(s *appclient.Session) error { return s.Answer(t.Context(), "", appclient.Allow()) }},
		{"query.agent_id", func(s *appclient.Session) error {
			_, err := s.Client().ListMessages(t.Context(), appclient.MessageQuery{ConversationID: "default"})
			return err
		}},
		{"query.order", func(s *appclient.Session) error {
			_, err := s.Client().ListMessages(t.Context(), appclient.MessageQuery{ConversationID: "c", Order: "up"})
			return err
		}},
		{"agent_id", func(s *appclient.Session) error { return s.Client().DeleteAgent(t.Context(), "") }},
		{"type", func(s *appclient.Session) error { _, err := s.Client().Request(t.Context(), object{}); return err }},
		{"command", func(s *appclient.Session) error { _, err := s.Client().Request(t.Context(), 42); return err }},
	}
	server := modern()
	server.handle = func(w *wire) {
		for frame := w.read(); frame != nil; frame = w.read() {
			if w.answer(frame); frame["agent_id"] != "agent-1" {
				t.Errorf("sent %v", frame)
			}
		}
	}
	session := startRuntime(t, dial(t, server.start(t)))
	for _, test := range tests {
		var invalid *appclient.ValidationError
		if err := test.call(session); !errors.As(err, &invalid) || invalid.Field != test.field {
			t.Errorf("%s: error %v", test.field, err)
		}
	}
}

func TestMismatch(t *testing.T) {
	for field, status := range map[string][2]string{"cwd": {"/elsewhere", "standard"}, "mode": {"/home/user", "unrestricted"}} {
		server := modern()
		server.handle = func(w *wire) {
			for frame := w.read(); frame != nil; frame = w.read() {
				if frame["type"] == "runtime_start" {
					w.send(object{"type": "runtime_start_response", "request_id": frame["request_id"], "success": true, "runtime": runtimeScope, "created": object{"conversation": true}})
				}
				w.device(status[0], status[1])
				if frame["type"] == "sync" {
					w.answer(frame)
				}
			}
		}
		_, err := dial(t, server.start(t)).StartRuntime(t.Context(), appclient.RuntimeStart{AgentID: "agent-1", CWD: "/home/user/"})
		var mismatch *appclient.MismatchError
		if !errors.As(err, &mismatch) || mismatch.Field != field || !mismatch.Created.Conversation || mismatch.Runtime.AgentID != "agent-1" {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestRefusedStart(t *testing.T) {
	server := modern()
	server.handle = func(w *wire) {
		for frame := w.read(); frame != nil; frame = w.read() {
			w.send(object{"type": "runtime_start_response", "request_id": frame["request_id"], "success": false, "runtime": nil,
				"error": "Conversation c not found", "agent": object{"id": "agent-9"}, "created": object{"agent": true}})
		}
	}
	_, err := dial(t, server.start(t)).StartRuntime(t.Context(), appclient.RuntimeStart{AgentID: "a", CWD: "/home/user"})
	var refused *appclient.RuntimeStartError
	wantIs(t, err, appclient.ErrNotFound)
	if !errors.As(err, &refused) || refused.AgentID != "agent-9" || !refused.Created.Agent {
		t.Errorf("error %v", err)
	}
}

func TestRequestTimeoutAndRaw(t *testing.T) {
	server := modern()
	server.handle = (*wire).drain
	client := dial(t, server.start(t), func(cfg *appclient.Config) { cfg.RequestTimeout = 300 * time.Millisecond })
	_, err := client.Request(t.Context(), object{"type": "does_not_exist"})
	if wantIs(t, err, appclient.ErrRequestTimeout); err == nil || !strings.HasPrefix(err.Error(), "does_not_exist: ") {
		t.Errorf("error %v", err)
	}
	frame, err := client.Request(t.Context(), json.RawMessage(`{"type":"sync","request_id":"own"}`))
	if err != nil || frame.RequestID != "own" || frame.Channel != appclient.ChannelMain {
		t.Errorf("%+v, %v", frame, err)
	}
}

func TestSlowConsumer(t *testing.T) {
	server := modern()
	server.handle = func(w *wire) {
		w.accept(w.await("create_message"), "started")
		for range 200 {
			w.say("r1", strings.Repeat("x", 1000))
		}
		w.finished("end_turn", "r1", nil)
		w.drain()
	}
	block := make(chan struct{})
	client := dial(t, server.start(t), func(cfg *appclient.Config) {
		cfg.QueueLimit = 100_000
		cfg.OnFrame = func(appclient.Frame) { <-block }
	})
	slow := client.Frames()
	session := startRuntime(t, client)
	result, err := session.RunTurn(t.Context(), appclient.Turn{Text: "go"})
	if err != nil || len(result.Text) != 200_000 {
		t.Errorf("turn: %v", err)
	}
	close(block)
	for {
		if _, err = slow.Next(t.Context()); err != nil {
			break
		}
	}
	wantIs(t, err, appclient.ErrSlowConsumer)
	slow.Close()
	_ = client.Close()
	wantIs(t, client.OnFrameErr(), appclient.ErrSlowConsumer)
	if _, err := client.Frames().Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after Close: %v", err)
	}
}

func TestGaps(t *testing.T) {
	server := modern()
	server.handle = func(w *wire) {
		w.seq = 0
		w.loop("WAITING_ON_INPUT")
		w.seq += 3
		w.loop("WAITING_ON_INPUT")
		w.drain()
	}
	frames := make(chan appclient.Frame, 10)
	client := dial(t, server.start(t), func(cfg *appclient.Config) { cfg.OnFrame = func(f appclient.Frame) { frames <- f } })
	if first, second := <-frames, <-frames; first.Gap != 0 || second.Gap != 3 || client.Gaps() != 3 {
		t.Errorf("gaps %d %d %d", first.Gap, second.Gap, client.Gaps())
	}
}

// TestLiveness connects over an in-memory pipe in fake time: a silent server
// that answers pings stays connected, one that does not is found out.
func TestLiveness(t *testing.T) {
	for _, alive := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			clientSide, serverSide := net.Pipe()
			go func() { _ = serveSilent(serverSide, alive) }()
			transport := &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) { return clientSide, nil }}
			infoless := roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/app-server-info" {
					return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(`{"letta_code_version":"0.30.28"}`)), Request: r}, nil
				}
				return transport.RoundTrip(r)
			})
			client, err := appclient.Dial(t.Context(), appclient.Config{URL: "ws://pipe", HTTPClient: &http.Client{Transport: infoless}})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			select {
			case <-client.Done():
				if alive {
					t.Errorf("a living connection ended: %v", client.Err())
				}
				wantIs(t, client.Err(), appclient.ErrConnectionLost)
			case <-time.After(10 * time.Minute):
				if !alive {
					t.Error("a dead connection was not noticed")
				}
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func FuzzDecodeFrame(f *testing.F) {
	for _, seed := range []string{
		`{"type":"stream_delta","event_seq":3,"runtime":{"agent_id":"a","conversation_id":"c"},"delta":{"message_type":"assistant_message","content":[{"type":"text","text":"x"}]}}`,
		`{"type":"control_request","request_id":"perm-1","request":{"tool_name":"Bash","input":{}}}`,
		`{"type":5,"request_id":"x","runtime":"odd"}`, `[]`, `null`, `{`, ``, `{"type":"turn_finished","error":{"a":1}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		frame := appclient.DecodeFrame(appclient.ChannelMain, data)
		if string(frame.Raw) != string(data) {
			t.Error("the frame was changed")
		}
		delta := appclient.DecodeDelta(frame.Raw)
		_ = delta.Key()
		var request appclient.ApprovalRequest
		var message appclient.Message
		_, _ = json.Unmarshal(data, &request), json.Unmarshal(data, &message)
	})
}
