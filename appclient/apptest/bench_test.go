package apptest

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/coder/websocket"
)

// BenchmarkTurn measures a turn of 50 chunks, with a client that only looks for its end.
func BenchmarkTurn(b *testing.B) {
	s, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	ws, resp, err := websocket.Dial(b.Context(), s.URL(), nil)
	if err != nil {
		b.Fatal(err)
	}
	if resp.Body != nil {
		defer resp.Body.Close()
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(1 << 20)
	write := func(text string) {
		if err := ws.Write(b.Context(), websocket.MessageText, []byte(text)); err != nil {
			b.Fatal(err)
		}
	}
	until := func(kind string) (f struct {
		Type    string          `json:"type"`
		Runtime json.RawMessage `json:"runtime"`
	}) {
		for f.Type != kind {
			_, data, err := ws.Read(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if err := json.Unmarshal(data, &f); err != nil {
				b.Fatal(err)
			}
		}
		return f
	}
	write(`{"type":"runtime_start","request_id":"r","wait_for_replay":true,"create_agent":{"body":{}}}`)
	runtime := until("runtime_start_response").Runtime
	for i := 0; b.Loop(); i++ {
		write(fmt.Sprintf(`{"type":"input","runtime":%s,"payload":{"kind":"create_message","messages":[{"role":"user","content":"[[slow:50:0]]","client_message_id":"m%d"}]}}`, runtime, i))
		until("turn_finished")
	}
}
