package conformance_test

import (
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/appclient/conformance"
)

// TestStrangeFrames shows the client what a real server sends rarely or not yet: frames that it does not
// know, frames that come twice, and turns that nobody asked for.
func TestStrangeFrames(t *testing.T) {
	t.Parallel()
	script := &apptest.Script{Name: "strange", Agents: map[string]apptest.AgentScript{"odd": {Turns: []apptest.Turn{
		{
			{Say: "one "}, {UnknownFrame: map[string]any{"type": "invented", "n": 1}}, {Say: "two"}, {Duplicate: 1},
			{UnknownFrame: map[string]any{"type": "stream_delta", "delta": map[string]any{"message_type": "invented_message", "x": 1}}},
			{Unsolicited: &apptest.Unsolicited{Notification: "a task ended", Say: "noted"}},
		},
		{{Say: "three"}},
	}}}}
	target := open(t, apptest.Options{Script: script}, conformance.Everything())
	c, err := appclient.Dial(t.Context(), appclient.Config{URL: target.URL, RequestTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.StartRuntime(t.Context(), appclient.RuntimeStart{
		CWD: target.Dir, CreateAgent: &appclient.AgentCreation{AgentSpec: appclient.AgentSpec{Name: "team/odd"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"one two", "three"} {
		r, err := s.RunTurn(t.Context(), appclient.Turn{Text: "go"})
		if err != nil {
			t.Fatal(err)
		}
		if !r.OK() {
			t.Errorf("turn ended with %s: %s", r.StopReason, r.Error)
		}
		if r.Text != want {
			t.Errorf("text is %q, want %q", r.Text, want)
		}
	}
}
