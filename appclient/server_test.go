package appclient_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

var update = flag.Bool("update", false, "write the golden files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a tiny server whose connections are scripted by the test.
type fake struct {
	// version is told at /app-server-info; empty answers 404, as servers before 0.29.2 do.
	version string
	split   bool
	// refuse may answer a request instead of the server.
	refuse func(w http.ResponseWriter, r *http.Request) bool
	// ping is called for every ping, before its pong.
	ping func(*wire)
	// handle plays one connection.
	handle func(*wire)
}

// wire is one connection seen from the server.
type wire struct {
	t       *testing.T
	conn    *websocket.Conn
	channel string
	request *http.Request
	mu      sync.Mutex
	seq     int
	scope   object // of events; runtimeScope when nil
}

type object = map[string]any

func (f *fake) start(t *testing.T) string {
	t.Helper()
	var handlers sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.refuse != nil && f.refuse(w, r) {
			return
		}
		if r.URL.Path == "/app-server-info" {
			if f.version == "" {
				http.NotFound(w, r)
				return
			}
			_ = json.NewEncoder(w).Encode(f.info())
			return
		}
		if r.Header.Get("Origin") != "" {
			t.Error("the client sent an Origin")
		}
		channel := r.URL.Query().Get("channel")
		if channel != "" && !f.split {
			w.WriteHeader(http.StatusUpgradeRequired)
			return
		}
		side := &wire{t: t, channel: channel, request: r}
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: func(context.Context, []byte) bool {
			if f.ping != nil {
				f.ping(side)
			}
			return true
		}})
		if err != nil {
			t.Errorf("accept: %v", err)
			return
		}
		side.conn = conn
		conn.SetReadLimit(64 << 20)
		handlers.Go(func() {
			stop := context.AfterFunc(ctx, func() { _ = conn.CloseNow() })
			defer stop()
			defer conn.CloseNow()
			f.handle(side)
		})
	}))
	t.Cleanup(func() { cancel(); handlers.Wait(); server.Close() })
	return "ws" + strings.TrimPrefix(server.URL, "http")
}

func (f *fake) info() object {
	return object{
		"type": "app_server_info_response", "request_id": "http-info", "success": true, "backend": "local",
		"letta_code_version": f.version, "protocol_version": 1, "capabilities": object{"split_channels": f.split, "n": 3},
	}
}

// read returns the next frame, nil at the end of the connection.
func (w *wire) read() object {
	_, data, err := w.conn.Read(context.Background())
	if err != nil {
		return nil
	}
	frame := object{}
	_ = json.Unmarshal(data, &frame) // some tests send nonsense
	return frame
}

// await reads until a frame of the type, or payload kind, comes.
func (w *wire) await(kind string) object {
	for {
		frame := w.read()
		if frame == nil || kindOf(frame) == kind {
			return frame
		}
		w.answer(frame)
	}
}

func kindOf(frame object) string {
	if payload, ok := frame["payload"].(object); ok && frame["type"] == "input" {
		kind, _ := payload["kind"].(string)
		return kind
	}
	kind, _ := frame["type"].(string)
	return kind
}

// send writes a frame; errors are the client's business.
func (w *wire) send(frame any) {
	data, err := json.Marshal(frame)
	if err != nil {
		w.t.Errorf("encode: %v", err)
	}
	w.sendRaw(data)
}

func (w *wire) sendRaw(data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = w.conn.Write(ctx, websocket.MessageText, data)
}

var runtimeScope = object{"agent_id": "agent-1", "conversation_id": "conv-1"}

// event sends a runtime event with the next sequence number.
func (w *wire) event(frame object) {
	w.seq++
	out := object{"runtime": runtimeScope, "event_seq": w.seq, "idempotency_key": fmt.Sprint("event:", w.seq)}
	if w.scope != nil {
		out["runtime"] = w.scope
	}
	for name, value := range frame {
		out[name] = value
	}
	w.send(out)
}

func (w *wire) delta(delta object) { w.event(object{"type": "stream_delta", "delta": delta}) }

func (w *wire) say(run, text string) {
	w.delta(object{"message_type": "assistant_message", "otid": "o-" + run, "run_id": run, "content": []object{{"type": "text", "text": text}}})
}

func (w *wire) loop(status string) {
	w.event(object{"type": "update_loop_status", "loop_status": object{"status": status}})
}

func (w *wire) device(cwd, mode string, pending ...object) {
	if pending == nil {
		pending = []object{}
	}
	w.event(object{"type": "update_device_status", "device_status": object{
		"current_working_directory": cwd, "current_permission_mode": mode, "pending_control_requests": pending,
	}})
}

func (w *wire) finished(reason, run string, more object) {
	frame := object{"type": "turn_finished", "turn_id": "t-" + run, "stop_reason": reason, "run_id": run}
	for name, value := range more {
		frame[name] = value
	}
	w.event(frame)
}

func (w *wire) accept(input object, disposition string) {
	w.send(object{"type": "input_accepted", "request_id": input["request_id"], "runtime": runtimeScope, "accepted": true, "disposition": disposition})
}

// answer plays the parts that no test is about: runtime_start and sync.
func (w *wire) answer(frame object) {
	switch frame["type"] {
	case "runtime_start":
		cwd, _ := frame["cwd"].(string)
		w.send(object{
			"type": "runtime_start_response", "request_id": frame["request_id"], "success": true, "runtime": runtimeScope,
			"agent": object{"id": "agent-1", "name": "a"}, "conversation": object{"id": "conv-1", "agent_id": "agent-1"},
			"created": object{"agent": false, "conversation": true},
		})
		w.device(cwd, frame["mode"].(string))
		w.loop("WAITING_ON_INPUT")
	case "sync":
		w.send(object{"type": "sync_response", "request_id": frame["request_id"], "success": true, "runtime": runtimeScope})
	case "abort_message":
		w.send(object{"type": "abort_message_response", "request_id": frame["request_id"], "success": true, "aborted": true})
	}
}

// drain reads until the end of the connection and plays the usual answers.
func (w *wire) drain() {
	for frame := w.read(); frame != nil; frame = w.read() {
		w.answer(frame)
	}
}

func dial(t *testing.T, url string, change ...func(*appclient.Config)) *appclient.Client {
	t.Helper()
	cfg := appclient.Config{URL: url, RequestTimeout: 5 * time.Second}
	for _, c := range change {
		c(&cfg)
	}
	client, err := appclient.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatalf("Dial: %v", err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func startRuntime(t *testing.T, client *appclient.Client, change ...func(*appclient.RuntimeStart)) *appclient.Session {
	t.Helper()
	start := appclient.RuntimeStart{AgentID: "agent-1", CWD: "/home/user", Mode: appclient.ModeStandard}
	for _, c := range change {
		c(&start)
	}
	session, err := client.StartRuntime(t.Context(), start)
	if err != nil {
		t.Fatalf("StartRuntime: %v", err)
	}
	return session
}

func wantIs(t *testing.T, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Errorf("error %v is not %v", err, target)
		}
	}
}
