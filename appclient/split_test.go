package appclient_test

import (
	"context"
	"sync"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

// lagging is a server with two sockets whose stream is behind: after each sync it has still to send the state.
type lagging struct {
	mu     sync.Mutex
	mode   string
	stream *wire
	behind []func(*wire)
}

func (l *lagging) server() *fake {
	return &fake{version: "0.29.5", split: true, handle: l.handle, ping: func(w *wire) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if w.channel != "stream" {
			return
		}
		for _, send := range l.behind {
			send(w)
		}
		l.behind = nil
	}}
}

func (l *lagging) handle(w *wire) {
	if w.channel == "stream" {
		l.mu.Lock()
		l.stream = w
		l.mu.Unlock()
		<-w.conn.CloseRead(context.Background()).Done()
		return
	}
	for frame := w.read(); frame != nil; frame = w.read() {
		l.mu.Lock()
		switch frame["type"] {
		case "runtime_start":
			old := l.mode
			l.mode, _ = frame["mode"].(string)
			w.send(object{"type": "runtime_start_response", "request_id": frame["request_id"], "success": true, "runtime": runtimeScope})
			l.behind = append(l.behind, func(w *wire) { w.device("/home/user", l.mode) })
			if old != "" {
				l.stream.device("/home/user", old) // from before the start
			}
		case "sync":
			if len(l.behind) > 0 {
				l.stream.device("/home/user", "strict") // from before the sync
			}
			l.behind = append(l.behind, func(w *wire) { w.device("/home/user", l.mode); w.loop("EXECUTING_CLIENT_SIDE_TOOL") })
			w.answer(frame)
		}
		l.mu.Unlock()
	}
}

// TestSplitModeChange: a status from before the start, read after the answer, does not count.
func TestSplitModeChange(t *testing.T) {
	t.Parallel()
	client := dial(t, new(lagging).server().start(t))
	for _, mode := range []appclient.Mode{appclient.ModeStrict, appclient.ModeStandard, appclient.ModeUnrestricted} {
		session := startRuntime(t, client, func(s *appclient.RuntimeStart) { s.Mode = mode })
		if got := session.DeviceStatus().Mode; got != mode {
			t.Errorf("mode %s, want %s", got, mode)
		}
	}
}

// TestSplitSync: the state has come when Sync returns, not only the answer.
func TestSplitSync(t *testing.T) {
	t.Parallel()
	server := new(lagging)
	session := startRuntime(t, dial(t, server.server().start(t)))
	server.mu.Lock()
	server.stream.loop("WAITING_ON_INPUT")
	server.mu.Unlock()
	if err := session.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := session.LoopStatus().Status; got != "EXECUTING_CLIENT_SIDE_TOOL" {
		t.Errorf("loop status %s after the sync", got)
	}
}
