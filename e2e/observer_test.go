//go:build e2e

package e2e

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	lib "github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// cutOldest resets the connection that was made first of those that live.
func (p *proxy) cutOldest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.clients) == 0 {
		return
	}
	reset(p.clients[0])
}

func reset(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// TestConnectionOfATurnCut cuts the connection that has sent the input while the
// model answers. The App Server does not cancel the turn, since the second
// connection is subscribed to it, and nothing is asked of the model again.
func TestConnectionOfATurnCut(t *testing.T) {
	t.Parallel()
	words := strings.TrimSpace(strings.Repeat("word ", 100))
	var p *proxy
	model := startModel(t, func(req scriptedmodel.Request) scriptedmodel.Reply {
		text, _, _ := req.LastUser()
		if !strings.Contains(text, "<two>") {
			return scriptedmodel.Reply{Text: "done"}
		}
		time.AfterFunc(3*time.Second, p.cutOldest) // the second connection was subscribed after two
		return scriptedmodel.Reply{Text: words, ChunkDelay: 50 * time.Millisecond}
	})
	p = startProxy(t, startAppServer(t, environment(t, model)).url)
	reconciled := 0
	var log bytes.Buffer
	states := runTasks(t, parseTeam(t, relay), 1, lib.Options{DataDir: t.TempDir(), AppServer: p.url(), Log: zerolog.New(zerolog.SyncWriter(&log))}, func(body workflow.EventBody) {
		if _, ok := body.(workflow.TurnReconciled); ok {
			reconciled++
		}
	})
	if states[0].Status != workflow.TaskSucceeded || states[0].Attempts != 3 || reconciled != 0 {
		t.Errorf("%s after %d attempts, %d reconciled: %+v", states[0].Status, states[0].Attempts, reconciled, states[0].Result)
	}
	if got := strings.TrimSpace(states[0].Nodes["two"].Output); got != words {
		t.Errorf("the answer is %q", got)
	}
	if strings.Contains(log.String(), "was looked up") || !strings.Contains(log.String(), "it goes on, followed on the second one") {
		t.Errorf("the answer was not put together from what both connections have seen:\n%s", log.String())
	}
	for _, name := range runners {
		if original, continued := asked(model, name+" "+goal(0)); original != 1 || continued != 0 {
			t.Errorf("%s was asked %d times, continued %d times", name, original, continued)
		}
	}
}
