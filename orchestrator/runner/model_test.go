package runner

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// modelOf runs one turn and returns the model that its agent has got.
func modelOf(t *testing.T, w *world, agent *workflow.Agent) (string, workflow.TurnFinished) {
	t.Helper()
	rec := &recorder{}
	finished := w.run(t, request("[[say:hi]]", agent), rec)
	if finished.Reason != workflow.ReasonEndTurn {
		return "", finished
	}
	a, err := client(t, w).Agent(t.Context(), rec.conversation().AgentID)
	if err != nil {
		t.Fatal(err)
	}
	return a.Model, finished
}

func TestModelOfAgentsThatNameNone(t *testing.T) {
	tests := []struct {
		name    string
		offered []string
		option  string
		agent   string
		want    string
		fails   []string
	}{
		{name: "the only one is named", offered: []string{"lmstudio/scripted"}, want: "lmstudio/scripted"},
		{name: "several", offered: []string{"a/one", "b/two"}, fails: []string{"offers 2", "a/one, b/two", "--model", `"worker"`}},
		{name: "several and an option", offered: []string{"a/one", "lmstudio/scripted"}, option: "lmstudio/scripted", want: "lmstudio/scripted"},
		{name: "the agent's own wins", offered: []string{"a/one", "lmstudio/scripted"}, option: "a/one", agent: "lmstudio/scripted", want: "lmstudio/scripted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, apptest.Options{Models: tt.offered}, func(o *Options) { o.Model = tt.option })
			got, finished := modelOf(t, w, &workflow.Agent{Prompt: "You work.", Model: tt.agent})
			if got != tt.want {
				t.Errorf("model %q, want %q: %s", got, tt.want, finished.Error)
			}
			for _, part := range tt.fails {
				if finished.Reason != workflow.ReasonError || !strings.Contains(finished.Error, part) {
					t.Errorf("%s: %q lacks %q", finished.Reason, finished.Error, part)
				}
			}
		})
	}
}

// A conversation that is still held by a turn which does not end gives the
// input back, and it is then certain that no model has seen it.
func TestInputBehindATurnThatDoesNotEnd(t *testing.T) {
	t.Parallel() // it takes as long as the client waits for a queued input
	w := newWorld(t, apptest.Options{}, func(o *Options) { o.AbortGrace = 1 })
	rec := &recorder{}
	first := request("[[hang]]", &workflow.Agent{Prompt: "You work.", StallTimeout: 1})
	first.Turn.Attempt = 1
	if finished := w.run(t, first, rec); finished.Reason != workflow.ReasonStalled || !finished.ConversationLost {
		t.Fatalf("%+v", finished)
	}
	w.opts.AbortGrace = 5 * time.Second
	again := request("[[say:hi]]", nil)
	again.Workspace, again.Conversation = w.dir, rec.conversation()
	finished, err := w.another(t).Run(t.Context(), again, &recorder{})
	var notConsumed *engine.NotConsumedError
	if !errors.As(err, &notConsumed) || !notConsumed.ConversationLost {
		t.Fatalf("got %+v, %v", finished, err)
	}
	if n := w.ModelRequests(); n != 1 {
		t.Errorf("the model was asked %d times", n)
	}
}
