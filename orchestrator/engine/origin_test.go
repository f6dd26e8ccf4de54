package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// failing answers like the default, but agent b fails while broken says so.
func failing(broken *atomic.Bool) func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
	return func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		if req.Agent.Name == "b" && broken.Load() {
			return workflow.TurnFinished{Reason: workflow.ReasonError, Error: "no"}, nil
		}
		return endTurn(req), nil
	}
}

// refused expects an *OriginError with these words.
func refused(t *testing.T, err error, words string) {
	t.Helper()
	if e, ok := errors.AsType[*workflow.OriginError](err); !ok || !strings.Contains(e.Error(), words) {
		t.Errorf("%v, want %q", err, words)
	}
}

func TestRetry(t *testing.T) {
	s, server := openStore(t, t.TempDir()), newServer()
	var broken atomic.Bool
	broken.Store(true)
	runner := &fake{server: server, answer: failing(&broken)}
	e := newEngine(s, runner)
	first := e.mustSubmit(t, parse(t, chain))
	_, err := e.Retry(t.Context(), first, 0)
	refused(t, err, "has not ended: it is queued")
	d := run(t, e)
	if got := e.wait(t, first); got.Status != workflow.TaskFailed {
		t.Fatalf("%+v", got)
	}
	again, err := e.Retry(t.Context(), first, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := e.wait(t, again.Task); got.Status != workflow.TaskFailed {
		t.Fatalf("it is still broken: %+v", got)
	}
	broken.Store(false)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	e = newEngine(s, runner)
	second, err := e.Retry(t.Context(), first, 0)
	if err != nil || second.Task == again.Task {
		t.Fatalf("%s, %v: the retry before has ended", second.Task, err)
	}
	_, err = e.Retry(t.Context(), first, 1)
	refused(t, err, "is being retried already, as task "+second.Task)
	run(t, e)
	got := e.wait(t, second.Task)
	if got.Status != workflow.TaskSucceeded || got.Workspace != "/w" || got.Conversations["b"].ConversationID != "conv-"+first {
		t.Errorf("%+v", got)
	}
	if want := []string{"a", "b", "b", "b", "c"}; !slices.Equal(server.order, want) {
		t.Errorf("asked %v, want %v: what was done is not done again", server.order, want)
	}
	_, err = e.Retry(t.Context(), second.Task, 0)
	refused(t, err, "has succeeded: name the turn")
}

func TestFork(t *testing.T) {
	s, server := openStore(t, t.TempDir()), newServer()
	e := newEngine(s, &fake{server: server})
	run(t, e)
	team := parse(t, chain)
	first := e.mustSubmit(t, team)
	e.wait(t, first)
	forked, created, err := e.Fork(t.Context(), Fork{Task: first, Turn: 2, Input: map[string]any{"n": 7}, Workspace: "/v", Key: "k"})
	if err != nil || !created {
		t.Fatal(created, err)
	}
	got := e.wait(t, forked.Task)
	if got.Status != workflow.TaskSucceeded || got.Workspace != "/v" || got.Conversations["b"].ConversationID != "conv-"+forked.Task || got.Input["n"] != float64(7) {
		t.Errorf("%+v", got)
	}
	if want := []string{"a", "b", "c", "b", "c"}; !slices.Equal(server.order, want) {
		t.Errorf("asked %v, want %v", server.order, want)
	}
	if same, created, err := e.Fork(t.Context(), Fork{Task: first, Turn: 2, Input: map[string]any{"n": 7}, Workspace: "/v", Key: "k"}); err != nil || created || same.Task != forked.Task {
		t.Errorf("%s, %v, %v", same.Task, created, err)
	}
	if _, _, err := e.Fork(t.Context(), Fork{Task: first, Turn: 3, Workspace: "/v", Key: "k"}); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("another fork with the same key: %v", err)
	}
	anew, _, err := e.Fork(t.Context(), Fork{Task: first, Turn: 1, Input: map[string]any{"goal": "another"}, Workspace: "/v"})
	if err != nil {
		t.Fatal(err)
	}
	e.wait(t, anew.Task)
	records, err := s.Events(t.Context(), anew.Task, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, effect := range records[1].Effects {
		if start, ok := effect.(workflow.StartTurn); ok && start.Message != "another" {
			t.Errorf("the first message has the old input: %q", start.Message)
		}
	}
	if _, _, err := e.Fork(t.Context(), Fork{Task: first, Turn: 9, Workspace: "/v"}); err == nil {
		t.Error("there is no turn 9")
	}
}
