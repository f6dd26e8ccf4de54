package apptest

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// testContext bounds what a test waits for.
func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func startServer(t *testing.T, opts Options) *Server {
	t.Helper()
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// rawClient is a client that knows nothing of the protocol but JSON.
type rawClient struct {
	t  *testing.T
	ws *websocket.Conn
	n  int
}

func dialRaw(t *testing.T, url string) *rawClient {
	t.Helper()
	ws, resp, err := websocket.Dial(testContext(t), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body != nil {
		_ = resp.Body.Close()
	}
	ws.SetReadLimit(64 << 20)
	t.Cleanup(func() { _ = ws.CloseNow() })
	return &rawClient{t: t, ws: ws}
}

type frame = map[string]any

func (c *rawClient) send(f any) {
	c.t.Helper()
	data, ok := f.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(f); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.ws.Write(testContext(c.t), websocket.MessageText, data); err != nil {
		c.t.Fatal(err)
	}
}

// next reads a frame, or returns the error that ended the connection.
func (c *rawClient) next() (frame, error) {
	c.t.Helper()
	_, data, err := c.ws.Read(testContext(c.t))
	if err != nil {
		return nil, err
	}
	var f frame
	if err := json.Unmarshal(data, &f); err != nil {
		c.t.Fatalf("frame %q: %v", data, err)
	}
	return f, nil
}

// until reads frames to the first that satisfies the condition, and returns all of them.
func (c *rawClient) until(what string, done func(frame) bool) []frame {
	c.t.Helper()
	var list []frame
	for {
		f, err := c.next()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v; got %v", what, err, kinds(list))
		}
		list = append(list, f)
		if done(f) {
			return list
		}
	}
}

func (c *rawClient) untilType(kind string) []frame {
	c.t.Helper()
	return c.until(kind, func(f frame) bool { return f["type"] == kind })
}

func kinds(list []frame) []string {
	var out []string
	for _, f := range list {
		out = append(out, token(f))
	}
	return out
}

// token is what the order tests compare of a frame.
func token(f frame) string {
	switch f["type"] {
	case "stream_delta":
		return fmt.Sprint("delta ", f["delta"].(frame)["message_type"])
	case "update_loop_status":
		return fmt.Sprint("loop ", f["loop_status"].(frame)["status"])
	}
	return fmt.Sprint(f["type"])
}

// start begins a runtime with a new agent and returns its scope.
func (c *rawClient) start(more frame) frame {
	c.t.Helper()
	c.n++
	f := frame{
		"type": "runtime_start", "request_id": fmt.Sprint("start-", c.n), "mode": "unrestricted", "cwd": c.t.TempDir(),
		"create_agent": frame{"body": frame{"name": "a"}},
	}
	maps.Copy(f, more)
	c.send(f)
	list := c.untilType("runtime_start_response")
	answer := list[len(list)-1]
	if answer["success"] != true {
		c.t.Fatalf("runtime_start: %v", answer["error"])
	}
	if f["wait_for_replay"] != true {
		c.untilType("update_subagent_state")
		c.untilType("update_device_status")
	}
	return answer["runtime"].(frame)
}

func (c *rawClient) input(runtime frame, id, text string) {
	c.t.Helper()
	c.send(frame{"type": "input", "request_id": "in-" + id, "runtime": runtime, "payload": frame{
		"kind": "create_message", "messages": []frame{{"role": "user", "content": text, "client_message_id": id}},
	}})
}

// ask sends a command and returns its answer.
func (c *rawClient) ask(f frame) frame {
	c.t.Helper()
	c.n++
	id := fmt.Sprint("ask-", c.n)
	f["request_id"] = id
	c.send(f)
	list := c.until("answer to "+fmt.Sprint(f["type"]), func(f frame) bool { return f["request_id"] == id })
	return list[len(list)-1]
}

// text joins the assistant's text of frames.
func text(list []frame) string {
	out := ""
	for _, f := range list {
		d, _ := f["delta"].(frame)
		if d["message_type"] == "assistant_message" {
			for _, p := range d["content"].([]any) {
				out += p.(frame)["text"].(string)
			}
		}
	}
	return out
}
