package runner

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// sent is the request for reconciling the turn that rec has recorded.
func sent(w *world, req engine.TurnRequest, rec *recorder, at time.Time) engine.TurnRequest {
	req.Workspace = w.dir
	req.Turn.ClientMessageID, req.Turn.Runtime, req.Turn.Started = clientMessageID(req), rec.conversation(), at
	req.Conversation = rec.conversation()
	return req
}

func reconcile(t *testing.T, r *Runner, req engine.TurnRequest) workflow.TurnReconciled {
	t.Helper()
	found, err := r.Reconcile(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if found.Turn != req.Turn.ID || found.Attempt != req.Turn.Attempt || found.Detail == "" {
		t.Errorf("found = %+v", found)
	}
	return found
}

func TestReconcileNotConsumed(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	rec := &recorder{}
	req := request("[[say:hi]]", nil)
	w.run(t, req, rec)
	req = sent(w, req, rec, time.Now())
	req.Turn.ClientMessageID = "T1.9.9"
	if got := reconcile(t, w.another(t), req); got.Finding != workflow.FindingNotConsumed {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileLooksFurtherThanOnePage(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	rec := &recorder{}
	req := request("[[say:hi]]", nil)
	w.run(t, req, rec)
	wanted := sent(w, req, rec, time.Now())
	for i := range 40 {
		next := req
		next.Conversation, next.Turn.ID = rec.conversation(), 100+i
		w.run(t, next, rec)
	}
	if got := reconcile(t, w.another(t), wanted); got.Finding != workflow.FindingInterrupted {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileAfterOurCrash(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: "half an answer"}, {Hang: true}}), nil)
	rec := &recorder{}
	req := request("x", nil)
	crashed := make(chan struct{})
	w.runner = w.another(t)
	go func() {
		defer close(crashed)
		r := req
		r.Workspace = w.dir
		_, _ = w.runner.Run(t.Context(), r, rec)
	}()
	if err := w.WaitForModelRequests(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	connections := w.Connections()
	_ = w.runner.Close() // the sockets go as they do with the process
	<-crashed
	if err := w.WaitForDisconnections(t.Context(), connections); err != nil {
		t.Fatal(err)
	}
	if got := reconcile(t, w.another(t), sent(w, req, rec, time.Now())); got.Finding != workflow.FindingInterrupted {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileAfterTheServersRestart(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	rec := &recorder{}
	req := request("[[say:the whole answer]]", nil)
	w.run(t, req, rec)
	at := time.Now()
	if err := w.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.opts.Server = agedServer{FixedServer(w.URL()), at.Add(time.Second)}
	got := reconcile(t, w.another(t), sent(w, req, rec, at))
	if got.Finding != workflow.FindingFinished || strings.TrimSpace(got.Output) != "the whole answer" {
		t.Errorf("found = %+v", got)
	}
	w.opts.Server = agedServer{FixedServer(w.URL()), at.Add(-time.Second)}
	if got := reconcile(t, w.another(t), sent(w, req, rec, at)); got.Finding != workflow.FindingInterrupted {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileUnknown(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	rec := &recorder{}
	req := request("[[say:hi]]", nil)
	w.run(t, req, rec)
	gone := sent(w, req, rec, time.Now())
	gone.Turn.Runtime.ConversationID = "local-conv-777"
	if got := reconcile(t, w.runner, gone); got.Finding != workflow.FindingUnknown || !got.ConversationLost {
		t.Errorf("found = %+v", got)
	}
	elsewhere := sent(w, req, rec, time.Now())
	elsewhere.Turn.Runtime.Server = "ws://elsewhere"
	if got := reconcile(t, w.runner, elsewhere); got.Finding != workflow.FindingUnknown || !strings.Contains(got.Detail, "ws://elsewhere") {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileWaitsForATurnThatStillRuns(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: strings.Repeat("a ", 60), ChunkDelay: 20 * time.Millisecond}}), nil)
	rec := &recorder{}
	req := request("x", nil)
	done := make(chan workflow.TurnFinished, 1)
	go func() {
		r := req
		r.Workspace = w.dir
		finished, _ := w.runner.Run(t.Context(), r, rec)
		done <- finished
	}()
	if err := w.WaitForModelRequests(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := reconcile(t, w.another(t), sent(w, req, rec, time.Now()))
	select {
	case finished := <-done:
		if finished.Reason != workflow.ReasonEndTurn {
			t.Errorf("finished = %+v", finished)
		}
	case <-time.After(5 * time.Second):
		t.Error("Reconcile did not wait for the end of the turn")
	}
	if got.Usage.TotalTokens == 0 || got.Model == "" {
		t.Errorf("used %+v of %q", got.Usage, got.Model)
	}
	if got.Finding != workflow.FindingFinished || strings.TrimSpace(got.Output) != strings.TrimSpace(strings.Repeat("a ", 60)) {
		t.Errorf("found = %+v", got)
	}
}

func TestReconcileAbortsWhatIsOverTime(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: strings.Repeat("a ", 1000), ChunkDelay: 20 * time.Millisecond}}), nil)
	rec := &recorder{}
	req := request("x", nil)
	done := make(chan workflow.TurnFinished, 1)
	go func() {
		r := req
		r.Workspace = w.dir
		finished, _ := w.runner.Run(t.Context(), r, rec)
		done <- finished
	}()
	if err := w.WaitForModelRequests(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	got := reconcile(t, w.another(t), sent(w, req, rec, time.Now().Add(-time.Hour)))
	if got.Finding != workflow.FindingInterrupted {
		t.Errorf("found = %+v", got)
	}
	if finished := <-done; finished.Reason != workflow.ReasonCancelled {
		t.Errorf("finished = %+v", finished)
	}
}

func TestReconcileWithoutAServerIsWorthAskingAgain(t *testing.T) {
	w := newWorld(t, apptest.Options{}, func(o *Options) { o.ConnectTimeout = 200 * time.Millisecond })
	rec := &recorder{}
	req := request("[[say:hi]]", nil)
	w.run(t, req, rec)
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := w.another(t).Reconcile(t.Context(), sent(w, req, rec, time.Now())); !errors.Is(err, appclient.ErrConnectionLost) {
		t.Errorf("error = %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.another(t).Reconcile(ctx, sent(w, req, rec, time.Now())); !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v", err)
	}
}
