package apptest

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestStrangeFrames(t *testing.T) {
	t.Parallel()
	_, c, runtime := scripted(t, AgentScript{Turns: []Turn{{
		{Say: "x"},
		{Duplicate: 2},
		{UnknownFrame: map[string]any{"type": "invented", "n": 1}},
		{Unsolicited: &Unsolicited{Notification: "task 1 ended", Say: "noted"}},
	}}})
	list := c.finish(runtime, "m", "go")
	if got := text(list); got != "xxx" {
		t.Errorf("text with duplicates is %q", got)
	}
	var seqs []any
	found := false
	for _, f := range list {
		found = found || f["type"] == "invented" && f["n"] == 1.0
		if token(f) == "delta assistant_message" {
			seqs = append(seqs, f["event_seq"])
		}
	}
	if !found {
		t.Error("the unknown frame did not come")
	}
	if seqs[0] != seqs[1] || seqs[1] != seqs[2] {
		t.Errorf("duplicates have event_seq %v", seqs)
	}
	list = c.untilType("turn_finished")
	if got := text(list); got != "noted" || end(list)["turn_id"] != "batch-1" {
		t.Errorf("unsolicited turn says %q and ends with %v", got, end(list))
	}
}

func TestDropCutsTheSocketAndCancels(t *testing.T) {
	t.Parallel()
	s, c, runtime := scripted(t, AgentScript{Turns: []Turn{{{Say: "partial"}, {Drop: true}, {Say: "never"}}, {{Say: "again"}}}})
	c.input(runtime, "m", "go")
	if code, _ := c.closed(); code != 1006 {
		t.Errorf("close code is %d, want 1006", code)
	}
	c = dialRaw(t, s.URL())
	runtime = c.start(frame{"create_agent": nil, "agent_id": runtime["agent_id"], "conversation_id": runtime["conversation_id"]})
	c.input(runtime, "n", "go on")
	list := c.until("the answer", func(f frame) bool { return f["type"] == "turn_finished" && f["stop_reason"] == "end_turn" })
	if got := text(list); got != "again" {
		t.Errorf("text is %q", got)
	}
}

func TestRestartKeepsWhatIsStored(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	c := dialRaw(t, s.URL())
	runtime := c.start(frame{"mode": "strict"})
	c.finish(runtime, "m1", "[[say:one]]")
	c.input(runtime, "m2", "[[hang]]")
	if err := s.WaitForModelRequests(testContext(t), 2); err != nil {
		t.Fatal(err)
	}
	url := s.URL()
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.URL() != url {
		t.Errorf("URL changed from %s to %s", url, s.URL())
	}
	if code, _ := c.closed(); code != 1006 {
		t.Errorf("close code is %d, want 1006", code)
	}
	c = dialRaw(t, url)
	c.send(frame{"type": "runtime_start", "request_id": "r", "agent_id": runtime["agent_id"], "conversation_id": runtime["conversation_id"]})
	list := c.untilType("update_subagent_state")
	for _, f := range list {
		if d, ok := f["device_status"].(frame); ok && d["current_permission_mode"] != "strict" {
			t.Errorf("mode is %v after the restart", d["current_permission_mode"])
		}
		if l, ok := f["loop_status"].(frame); ok && (l["status"] != "WAITING_ON_INPUT" || l["client_message_ids_by_run_id"] != nil) {
			t.Errorf("loop status is %v after the restart", l)
		}
	}
	var got []any
	answer := c.ask(frame{"type": "conversation_messages_list", "conversation_id": runtime["conversation_id"], "query": frame{"order": "asc"}})
	for _, m := range answer["messages"].([]any) {
		got = append(got, m.(frame)["message_type"])
	}
	if diff := cmp.Diff([]any{"user_message", "assistant_message", "user_message"}, got); diff != "" {
		t.Errorf("messages differ:\n%s", diff)
	}
	c.finish(runtime, "m2", "[[say:runs again]]")
	if n := len(s.Turns()); n != 3 {
		t.Errorf("%d turns asked, want 3", n)
	}
}

func TestDropConnections(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	a, b := dialRaw(t, s.URL()), dialRaw(t, s.URL())
	a.start(nil)
	b.start(nil)
	if n := s.Connections(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
	if n := s.DropConnections(); n != 2 {
		t.Errorf("%d connections dropped, want 2", n)
	}
	a.closed()
	b.closed()
}

func TestPauseHoldsFramesBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	c := dialRaw(t, s.URL())
	runtime := c.start(nil)
	s.Pause()
	c.input(runtime, "m", "[[say:late]]")
	got := make(chan []frame, 1)
	go func() { got <- c.untilType("turn_finished") }()
	select {
	case <-got:
		t.Fatal("a paused server answered")
	case <-time.After(50 * time.Millisecond):
	}
	s.Resume()
	if list := <-got; text(list) != "late " {
		t.Errorf("text is %q", text(list))
	}
}

func TestCloseEndsEverything(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{Exec: true})
	c := dialRaw(t, s.URL())
	for i, message := range []string{"[[hang]]", `[[tool:Bash:{"command":"tail -f /dev/null"}]]`, "[[slow:1000:1000]]"} {
		c.input(c.start(nil), string(rune('a'+i)), message)
	}
	if err := s.WaitForModelRequests(testContext(t), 3); err != nil {
		t.Fatal(err)
	}
	s.Pause()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.next(); err == nil {
		for err == nil {
			_, err = c.next()
		}
	}
}

func TestEndOfContextEndsTheServer(t *testing.T) {
	t.Parallel()
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	c := dialRaw(t, s.URL())
	c.start(nil)
	cancel()
	c.closed()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		opts Options
		want string
	}{
		{Options{Version: "new"}, "not of the form"},
		{Options{Transport: "pigeon"}, "none of single, split"},
		{Options{Script: &Script{Name: "s", Agents: map[string]AgentScript{"a": {Turns: []Turn{{{}}}}}}}, `script s: agent "a", turn 1, step 1: a step that does nothing`},
	} {
		if _, err := New(test.opts); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error is %v, want %s", err, test.want)
		}
	}
}

func TestToolsDoNotRunWithoutExec(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{})
	c := dialRaw(t, s.URL())
	list := c.finish(c.start(nil), "m", `[[tool:Bash:{"command":"echo ran"}]]`)
	if got := text(list); !strings.Contains(got, "tool execution is switched off") {
		t.Errorf("text is %q", got)
	}
}

func TestSlowReaderIsCut(t *testing.T) {
	t.Parallel()
	s := startServer(t, Options{MaxQueuedFrames: 16})
	c := dialRaw(t, s.URL())
	runtime := c.start(nil)
	c.input(runtime, "m", "[[big:20000]]") // 20 MB, more than any socket buffer takes
	if err := s.WaitForTurns(testContext(t), 1); err != nil {
		t.Fatal(err)
	}
	if code, _ := c.closed(); code != 1006 {
		t.Errorf("close code is %d, want 1006", code)
	}
}
