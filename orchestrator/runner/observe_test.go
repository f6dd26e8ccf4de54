package runner

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// cutWorker ends the runner's first connection as a broken network would, when the
// model is at work.
func (w *world) cutWorker(t *testing.T) {
	t.Helper()
	client, err := w.runner.conn.get(t.Context())
	if err != nil {
		t.Error(err)
		return
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
}

// A turn whose connection dies goes on, and its whole answer is what both have seen.
func TestTurnOutlivesItsConnection(t *testing.T) {
	for name, after := range map[string]time.Duration{"followed from the beginning": time.Nanosecond, "followed from its middle": 150 * time.Millisecond} {
		t.Run(name, func(t *testing.T) { turnOutlivesItsConnection(t, after) })
	}
}

func turnOutlivesItsConnection(t *testing.T, after time.Duration) {
	w := newWorld(t, script(apptest.Turn{
		{Say: strings.Repeat("a ", 40), ChunkDelay: 20 * time.Millisecond}, {Usage: &apptest.Usage{PromptTokens: 7, CompletionTokens: 3}},
	}), nil)
	rec := &recorder{}
	standsBy := make(chan struct{})
	w.runner.opts.StandByAfter, w.runner.opts.onStandBy = after, func() { close(standsBy) }
	var cutting sync.WaitGroup
	cut := sync.OnceFunc(func() { cutting.Go(func() { w.cutWorker(t) }) })
	rec.onProgress = func(p engine.Progress) {
		if p.Kind == engine.ProgressText && len(rec.kinds()) == 3 {
			<-standsBy // the model goes on meanwhile
			cut()
		}
	}
	got := w.run(t, request("x", nil), rec)
	cutting.Wait()
	if got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != strings.TrimSpace(strings.Repeat("a ", 40)) || got.Usage.TotalTokens != 10 {
		t.Errorf("finished = %+v", got)
	}
	if w.ModelRequests() != 1 {
		t.Errorf("%d requests", w.ModelRequests())
	}
}

// A person who is asked when the connection dies is asked once, and the answer counts.
func TestApprovalOutlivesItsConnection(t *testing.T) {
	w := newWorld(t, apptest.Options{Exec: true}, nil)
	agent := &workflow.Agent{Name: "worker", Prompt: "x", Approvals: workflow.Approvals{Otherwise: "ask"}}
	answer := make(chan struct{})
	rec := &recorder{ask: func(ctx context.Context, _ engine.Question) (engine.Answer, error) {
		select {
		case <-answer:
			return engine.Answer{Text: workflow.AnswerAllow, By: "ada"}, nil
		case <-ctx.Done():
			return engine.Answer{}, context.Cause(ctx)
		}
	}}
	standsBy := make(chan struct{})
	w.runner.opts.onStandBy = func() { close(standsBy) }
	var cutting sync.WaitGroup
	cut := sync.OnceFunc(func() {
		cutting.Go(func() {
			<-standsBy
			w.cutWorker(t)
		})
	}) // the question is told of again by the second connection
	rec.onProgress = func(p engine.Progress) {
		if p.Kind == engine.ProgressApproval {
			cut()
		}
		if p.Kind == engine.ProgressReconcile {
			close(answer)
		}
	}
	got := w.run(t, request(`[[tool:Bash:{"command":"touch x","description":"x"}]] [[say:done]]`, agent), rec)
	cutting.Wait()
	if got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != "done" || got.ToolCalls != 1 {
		t.Errorf("finished = %+v", got)
	}
	if rec.asked() != 1 {
		t.Errorf("asked %d times", rec.asked())
	}
}

// A turn that the App Server has cancelled, since it had no connection for a moment, is
// not taken for one that has ended: what became of it is found out.
func TestSecondConnectionTooLate(t *testing.T) {
	for name, test := range map[string]struct {
		turn   apptest.Turn
		settle time.Duration
	}{
		"its end is never told": {apptest.Turn{{Say: "half"}, {Hang: true}}, 20 * time.Millisecond},
		"it is ended then":      {apptest.Turn{{Say: strings.Repeat("word ", 50), ChunkDelay: 100 * time.Millisecond}}, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, script(test.turn), nil)
			w.runner.opts.SettleTime = test.settle
			asked := make(chan struct{})
			once := sync.OnceFunc(func() { close(asked) })
			w.runner.opts.beforeStandBy = func() {
				<-asked
				w.cutWorker(t)
				if err := w.WaitForDisconnections(t.Context(), 1); err != nil {
					t.Error(err)
				}
			}
			rec := &recorder{}
			rec.onProgress = func(p engine.Progress) {
				if p.Kind == engine.ProgressText {
					once()
				}
			}
			req := request("x", nil)
			req.Workspace = w.dir
			finished, err := w.runner.Run(t.Context(), req, rec)
			if lost, ok := errors.AsType[*engine.UnknownOutcomeError](err); !ok || !lost.Consumed {
				t.Errorf("finished = %+v, %v", finished, err)
			}
		})
	}
}
