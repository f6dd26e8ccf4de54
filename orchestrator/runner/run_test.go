package runner

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestTurn(t *testing.T) {
	server := script(apptest.Turn{
		{Reason: "hm"},
		{Tool: &apptest.Call{Name: "Write", Input: map[string]any{"file_path": "{{.cwd}}/docs/a.txt", "content": "hello"}}},
		{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "git push", "description": "push"}}},
		{Outcome: &apptest.Outcome{Outcome: "nope", Summary: "x"}},
		{Outcome: &apptest.Outcome{Outcome: "approve", Summary: "fine", Data: map[string]any{"a": 1}}},
		{Say: "all good"},
	})
	server.Exec, server.RecordFrames = true, true
	w := newWorld(t, server, nil)
	rec := &recorder{}
	req := request("do it", &workflow.Agent{
		Role: "reviewer", Tools: []string{"Write", "Bash"}, Outcomes: []string{"approve", "request_changes"}, Model: "lmstudio/scripted",
		Approvals: workflow.Approvals{Allow: []string{"Write(docs/*)"}, Deny: []string{"Bash(git push *)"}},
	})
	got := w.run(t, req, rec)
	if got.Turn != 3 || got.Attempt != 2 || got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != "all good" ||
		got.Outcome != "approve" || got.Summary != "fine" || got.Data.(map[string]any)["a"] != 1.0 || got.Error != "" ||
		got.Usage.TotalTokens == 0 || got.Usage.Requests != 5 || got.ToolCalls != 4 || got.RunID == "" || got.TurnID == "" || got.ConversationLost {
		t.Errorf("finished = %+v", got)
	}
	if want := []string{"started worker", "sending T1.3.2", "accepted started"}; !slices.Equal(rec.calls, want) {
		t.Errorf("recorded %q, want %q", rec.calls, want)
	}
	rt := rec.runtimes[0]
	var raw struct {
		AgentID        string `json:"agent_id"`
		ConversationID string `json:"conversation_id"`
	}
	if err := json.Unmarshal(rt.Raw, &raw); err != nil {
		t.Fatal(err)
	}
	if rt.CWD != w.dir || rt.Mode != "standard" || rt.Role != "reviewer" || rt.Agent != "worker" || rt.Task != "T1" || rt.Runtime.Server != w.URL() ||
		rt.Runtime.AgentID != raw.AgentID || rt.Runtime.ConversationID != raw.ConversationID || raw.ConversationID == "" {
		t.Errorf("runtime = %+v, raw %s", rt, rt.Raw)
	}
	want := []string{
		"thinking|||hm",
		"approval|Write|docs/a.txt|allowed by Write(docs/*)", "tool|Write|docs/a.txt|", "tool_done|Write||success",
		"tool_return|Write||Successfully wrote 5 characters to " + filepath.Join(w.dir, "docs/a.txt"),
		"approval|Bash|git push|denied by Bash(git push *)", "tool_done|Bash||error", "tool_call|Bash|git push|",
		"tool_return|Bash||Bash git push is denied by the team's rule Bash(git push *). Do not try it in another way: go on without it, and say in your last message what you could not do.",
		"tool|report_outcome|nope|", "tool_done|report_outcome||error",
		`tool_return|report_outcome||Nothing was recorded: outcome must be one of approve, request_changes, not "nope". Call report_outcome again.`,
		"tool|report_outcome|approve|", "tool_done|report_outcome||success",
		"tool_return|report_outcome||Recorded the outcome \"approve\". Now write your last message. It must be complete by itself: nothing that you wrote before it is handed on.",
	}
	if shown := rec.kinds(engine.ProgressUsage, engine.ProgressText, engine.ProgressStop); !slices.Equal(shown, want) {
		t.Errorf("progress:\n%s\nwant\n%s", strings.Join(shown, "\n"), strings.Join(want, "\n"))
	}
	var text string
	var usage workflow.Usage
	for _, p := range rec.progress {
		text += p.Text
		if p.Kind == engine.ProgressUsage {
			usage = p.Usage
		}
	}
	if !strings.Contains(text, "all good") || usage != got.Usage {
		t.Errorf("text %q, usage %+v, want the sum %+v", text, usage, got.Usage)
	}
	if data, err := os.ReadFile(filepath.Join(w.dir, "docs", "a.txt")); err != nil || string(data) != "hello" {
		t.Errorf("file: %q, %v", data, err)
	}
	turns := w.Turns()
	if len(turns) != 1 || turns[0].Agent != "team/worker" || turns[0].WorkingDirectory != w.dir || turns[0].Mode != "standard" ||
		!slices.Equal(turns[0].ClientMessageIDs, []string{"T1.3.2"}) {
		t.Errorf("turns = %+v", turns)
	}
	for _, f := range w.Frames() {
		if frame := string(f.Data); f.FromClient && strings.Contains(frame, `"type":"input"`) && strings.Contains(frame, "create_message") {
			if !strings.Contains(frame, `"client_tool_allowlist":["Write","Bash","report_outcome"]`) || !strings.Contains(frame, `"exclude_interactive_tools":true`) {
				t.Errorf("input = %s", frame)
			}
		}
	}
	agents, err := w.runner.ListAgents(t.Context())
	if err != nil || len(agents) != 1 {
		t.Fatalf("agents = %+v, %v", agents, err)
	}
	conversation, err := client(t, w).Conversation(t.Context(), raw.ConversationID)
	if err != nil || conversation.Summary != "team T1" || !slices.Contains(conversation.Tags, "orchestrator:task=T1") {
		t.Errorf("conversation = %+v, %v", conversation, err)
	}
}

func TestEveryTransport(t *testing.T) {
	for _, version := range []string{apptest.VersionSingle, apptest.VersionSplit, apptest.VersionJune} {
		t.Run(version, func(t *testing.T) {
			server := script(
				apptest.Turn{
					{Tool: &apptest.Call{Name: "Bash", Input: map[string]any{"command": "touch a && touch b", "description": "x"}}},
					{Outcome: &apptest.Outcome{Outcome: "done", Summary: "it is"}},
					{Say: "one"},
				},
				apptest.Turn{{Say: "two"}},
			)
			server.Version, server.Exec = version, true
			w := newWorld(t, server, nil)
			rec := &recorder{}
			agent := &workflow.Agent{Prompt: "x", Outcomes: []string{"done"}, Approvals: workflow.Approvals{Allow: []string{"Bash(touch *)"}}}
			req := request("go", agent)
			if got := w.run(t, req, rec); got.Reason != workflow.ReasonEndTurn || got.Outcome != "done" || strings.TrimSpace(got.Output) != "one" {
				t.Errorf("finished = %+v", got)
			}
			if n := len(rec.calls); n != 3 || !strings.HasPrefix(rec.calls[2], "accepted") {
				t.Errorf("recorded %q", rec.calls)
			}
			if _, err := os.Stat(filepath.Join(w.dir, "b")); err != nil {
				t.Error(err)
			}
			req.Conversation, req.Turn.ID = rec.conversation(), 4
			if got := w.run(t, req, rec); strings.TrimSpace(got.Output) != "two" {
				t.Errorf("finished = %+v", got)
			}
			if turns := w.Turns(); turns[0].ConversationID != turns[1].ConversationID {
				t.Errorf("the second turn went to another conversation: %+v", turns)
			}
		})
	}
}

func TestWorkspaceIsCheckedBeforeAnythingIsSent(t *testing.T) {
	w := newWorld(t, apptest.Options{RecordFrames: true}, nil)
	file := filepath.Join(w.dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		filepath.Join(w.dir, "none"): "does not exist", file: "is no directory", "relative/path": "is no absolute path",
	} {
		req := request("x", nil)
		req.Workspace = dir
		rec := &recorder{}
		if got := w.run(t, req, rec); got.Reason != workflow.ReasonError || !strings.Contains(got.Error, want) || len(rec.calls) > 0 {
			t.Errorf("%s: %+v, recorded %q", dir, got, rec.calls)
		}
	}
	if finished, err := w.runner.Run(t.Context(), request("x", nil), &recorder{}); err != nil || !strings.Contains(finished.Error, "no workspace") {
		t.Errorf("%+v, %v", finished, err)
	}
	if n := len(w.Frames()); n > 0 {
		t.Errorf("%d frames", n)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(w.dir, link); err != nil {
		t.Fatal(err)
	}
	req := request("[[say:hi]]", nil)
	req.Workspace = link
	if got := w.run(t, req, &recorder{}); got.Reason != workflow.ReasonEndTurn || w.Turns()[0].WorkingDirectory != w.dir {
		t.Errorf("%+v in %s", got, w.Turns()[0].WorkingDirectory)
	}
}

func TestRemoteWorkspaceIsVerifiedByTheServersStatus(t *testing.T) {
	w := newWorld(t, apptest.Options{}, func(o *Options) { o.Local = false })
	req := request("x", nil)
	req.Workspace = "relative"
	if got := w.run(t, req, &recorder{}); got.Reason != workflow.ReasonError || !strings.Contains(got.Error, "not an absolute path") {
		t.Errorf("%+v", got)
	}
}

func TestRecorderFailures(t *testing.T) {
	boom := errors.New("boom")
	for name, rec := range map[string]*recorder{
		"started": {failStarted: boom}, "sending": {failSending: boom},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, apptest.Options{}, nil)
			req := request("x", nil)
			req.Workspace = w.dir
			if _, err := w.runner.Run(t.Context(), req, rec); !errors.Is(err, boom) {
				t.Errorf("error = %v", err)
			}
			if n := len(w.Turns()); n != 0 {
				t.Errorf("%d turns were asked for", n)
			}
		})
	}
	t.Run("accepted", func(t *testing.T) {
		w := newWorld(t, script(apptest.Turn{{Say: "a b c d e f g h", ChunkDelay: time.Second}}), nil)
		req := request("x", nil)
		req.Workspace = w.dir
		began := time.Now()
		if _, err := w.runner.Run(t.Context(), req, &recorder{failAccepted: boom}); !errors.Is(err, boom) {
			t.Errorf("error = %v", err)
		}
		if d := time.Since(began); d > 6*time.Second {
			t.Errorf("the turn was not aborted: %v", d)
		}
	})
}

func TestStopReasons(t *testing.T) {
	w := newWorld(t, script(
		apptest.Turn{{Error: &apptest.Failure{Message: "model is down"}}},
		apptest.Turn{{StopReason: "max_tokens_exceeded"}},
		apptest.Turn{{Error: &apptest.Failure{Times: 1}}, {Say: "after all"}},
	), nil)
	for i, want := range []workflow.Reason{workflow.ReasonLLMAPIError, workflow.ReasonMaxTokensExceeded, workflow.ReasonEndTurn} {
		rec := &recorder{}
		got := w.run(t, request("x", nil), rec)
		if got.Reason != want || got.ConversationLost {
			t.Errorf("turn %d: %+v", i, got)
		}
		if want == workflow.ReasonLLMAPIError && !strings.Contains(got.Error, "model is down") {
			t.Errorf("error = %q", got.Error)
		}
		if i != 1 && !slices.ContainsFunc(rec.progress, func(p engine.Progress) bool {
			return p.Kind == engine.ProgressRetry && strings.Contains(p.Text, "asks the model again (1 of")
		}) {
			t.Errorf("turn %d: no retry was shown", i)
		}
	}
}

func TestTurnTimeout(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: strings.Repeat("a ", 1000), ChunkDelay: 20 * time.Millisecond}}, apptest.Turn{{Say: "again"}}), nil)
	rec := &recorder{}
	agent := &workflow.Agent{Prompt: "x", TurnTimeout: 300 * time.Millisecond}
	got := w.run(t, request("x", agent), rec)
	if got.Reason != workflow.ReasonTurnTimeout || got.ConversationLost || !strings.Contains(got.Error, "300ms") || got.Output == "" {
		t.Errorf("finished = %+v", got)
	}
	agent.TurnTimeout = 0
	req := request("x", agent)
	req.Conversation = rec.conversation()
	if got := w.run(t, req, rec); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("the conversation is of no more use: %+v", got)
	}
}

func TestStallWithoutEndLosesTheConversation(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Hang: true}}), func(o *Options) { o.AbortGrace = 300 * time.Millisecond })
	got := w.run(t, request("x", &workflow.Agent{Prompt: "x", StallTimeout: 300 * time.Millisecond}), &recorder{})
	if got.Reason != workflow.ReasonStalled || !got.ConversationLost || !strings.Contains(got.Error, "stall_timeout") || !strings.Contains(got.Error, "given up") {
		t.Errorf("finished = %+v", got)
	}
}

// A connection that breaks after the input was sent says nothing about the
// turn: it is looked up on a new connection before anything is sent again.
func TestConnectionLostInATurn(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: "half"}, {Delay: 50 * time.Millisecond}, {Drop: true}}, apptest.Turn{{Say: "whole"}}), nil)
	rec := &recorder{}
	req := request("x", nil)
	req.Workspace = w.dir
	at := time.Now()
	finished, err := w.runner.Run(t.Context(), req, rec)
	var lost *engine.UnknownOutcomeError
	if !errors.As(err, &lost) || !errors.Is(err, appclient.ErrConnectionLost) || !lost.Consumed || finished.Reason != "" {
		t.Fatalf("%+v, %v", finished, err)
	}
	if got := reconcile(t, w.runner, sent(w, req, rec, at)); got.Finding != workflow.FindingInterrupted {
		t.Errorf("found = %+v", got)
	}
	if got := w.run(t, request("x", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn || strings.TrimSpace(got.Output) != "whole" {
		t.Errorf("finished = %+v", got)
	}
	if !strings.Contains(w.log.String(), "connection to the App Server lost") {
		t.Error("the log says nothing")
	}
}

// cutServer cuts the connection when the turn is about to be sent.
type cutServer struct {
	*recorder
	w *world
	// restart ends the server too.
	restart bool
}

func (c cutServer) Sending(ctx context.Context, id string, rt workflow.Runtime) error {
	if c.restart {
		return errors.Join(c.recorder.Sending(ctx, id, rt), c.w.Restart(context.WithoutCancel(ctx)))
	}
	c.w.DropConnections()
	return c.recorder.Sending(ctx, id, rt)
}

func TestConnectionLostInSending(t *testing.T) {
	for _, restart := range []bool{false, true} {
		w := newWorld(t, apptest.Options{}, func(o *Options) { o.SettleTime = time.Millisecond })
		rec := &recorder{}
		req := request("[[say:hi]]", nil)
		req.Workspace = w.dir
		_, err := w.runner.Run(t.Context(), req, cutServer{rec, w, restart})
		var lost *engine.UnknownOutcomeError
		if !errors.As(err, &lost) || lost.Consumed {
			t.Fatalf("%v", err)
		}
		if restart {
			w.opts.Server = FixedServer(w.URL())
			w.runner = w.another(t)
			req.Turn.Runtime.Server = w.URL()
		}
		asked := sent(w, req, rec, time.Now())
		asked.Turn.Runtime.Server = w.opts.Server.Name()
		got := reconcile(t, w.runner, asked)
		if want := w.ModelRequests(); (got.Finding == workflow.FindingNotConsumed) != (want == 0) {
			t.Errorf("restart %v: %d model requests, found %+v", restart, want, got)
		}
		// A model that was seen to answer is believed more than a server that lost the input.
		if asked.Consumed = true; w.ModelRequests() == 0 {
			if got := reconcile(t, w.runner, asked); got.Finding != workflow.FindingInterrupted {
				t.Errorf("restart %v: seen to be consumed, and found %+v", restart, got)
			}
		}
	}
}

func TestNoConnection(t *testing.T) {
	w := newWorld(t, apptest.Options{}, func(o *Options) { o.ConnectTimeout = 400 * time.Millisecond })
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	req := request("x", nil)
	req.Workspace = w.dir
	_, err := w.runner.Run(t.Context(), req, rec)
	if unreachable := (*engine.UnreachableError)(nil); !errors.As(err, &unreachable) || !strings.Contains(err.Error(), "no connection within 400ms") ||
		!strings.Contains(err.Error(), "refused") || len(rec.calls) > 0 {
		t.Errorf("error = %v, recorded %q", err, rec.calls)
	}
	if err := w.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := w.run(t, request("[[say:hi]]", nil), rec); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
}

func TestServerThatComesBackIsWaitedFor(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	if got := w.run(t, request("[[say:hi]]", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn {
		t.Fatalf("finished = %+v", got)
	}
	if err := w.Stop(); err != nil {
		t.Fatal(err)
	}
	result := make(chan workflow.TurnFinished, 1)
	go func() {
		req := request("[[say:hi]]", nil)
		req.Workspace = w.dir
		finished, _ := w.runner.Run(t.Context(), req, &recorder{})
		result <- finished
	}()
	<-time.After(200 * time.Millisecond) // long enough for some refused tries
	if err := w.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := <-result; got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
}

func TestWrongTokenIsNotTriedAgain(t *testing.T) {
	const secret, wrong = "the-right-token", "the-wrong-token"
	w := newWorld(t, apptest.Options{Token: secret}, func(o *Options) { o.Token = appclient.StaticToken(wrong) })
	began := time.Now()
	got := w.run(t, request("x", nil), &recorder{})
	if got.Reason != workflow.ReasonError || !strings.Contains(got.Error, "refused the authorization") || time.Since(began) > 10*time.Second {
		t.Errorf("finished = %+v after %v", got, time.Since(began))
	}
	w.opts.Token = appclient.StaticToken(secret)
	w.runner = w.another(t)
	if got := w.run(t, request("[[say:hi]]", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
	if all := w.log.String() + got.Error; strings.Contains(all, secret) || strings.Contains(all, wrong) {
		t.Errorf("a token is printed: %s", all)
	}
}

func TestCancelledContextAbortsTheTurn(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Say: strings.Repeat("a ", 1000), ChunkDelay: 20 * time.Millisecond}}), nil)
	why := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	rec := &recorder{onProgress: func(p engine.Progress) {
		if p.Kind == engine.ProgressText {
			cancel(why)
		}
	}}
	req := request("x", nil)
	req.Workspace = w.dir
	finished, err := w.runner.Run(ctx, req, rec)
	if !errors.Is(err, why) || finished.Reason != "" {
		t.Errorf("%+v, %v", finished, err)
	}
	page, err := client(t, w).ListMessages(t.Context(), appclient.MessageQuery{ConversationID: rec.conversation().ConversationID})
	if err != nil || len(page.Messages) == 0 {
		t.Fatalf("%v, %v", page, err)
	}
	for _, m := range page.Messages {
		if strings.Count(m.Text, "a") > 500 {
			t.Error("the turn went on to its end")
		}
	}
}

func TestCloseEndsRunningTurns(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{{Hang: true}}), nil)
	result := make(chan error, 1)
	go func() {
		req := request("x", nil)
		req.Workspace = w.dir
		_, err := w.runner.Run(t.Context(), req, &recorder{})
		result <- err
	}()
	if err := w.WaitForModelRequests(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.runner.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var lost *engine.UnknownOutcomeError
	if err := <-result; !errors.As(err, &lost) {
		t.Errorf("error = %v", err)
	}
	if got := w.run(t, request("x", nil), &recorder{}); got.Reason == workflow.ReasonEndTurn || !strings.Contains(got.Error, "closed") {
		t.Errorf("a turn after Close: %+v", got)
	}
}

func TestUnknownFramesAreKeptInTheDebugLog(t *testing.T) {
	w := newWorld(t, script(apptest.Turn{
		{UnknownFrame: map[string]any{"type": "weather_report", "sky": strings.Repeat("blue ", 2000)}},
		{Duplicate: 1},
		{Say: "fine"},
	}), nil)
	if got := w.run(t, request("x", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
	if err := w.runner.Close(); err != nil { // the frames are logged from a goroutine
		t.Fatal(err)
	}
	log := w.log.String()
	if !strings.Contains(log, `"type":"weather_report","channel":"main"`) || !strings.Contains(log, "blue blue") {
		t.Errorf("the frame is not in the log: %s", log)
	}
	for line := range strings.Lines(log) {
		if len(line) > maxLogged*2 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
}
