package runner

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func agents(t *testing.T, w *world) []TeamAgent {
	t.Helper()
	all, err := w.another(t).ListAgents(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestOneAgentForAllTasks(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			req := request("[[say:hi]]", nil)
			req.Task, req.Workspace = "T"+strconv.Itoa(i), w.dir
			finished, err := w.runner.Run(t.Context(), req, &recorder{})
			if err != nil || finished.Reason != workflow.ReasonEndTurn {
				t.Errorf("%+v, %v", finished, err)
			}
		})
	}
	wg.Wait()
	all := agents(t, w)
	if len(all) != 1 || all[0].Name != "team/worker" || all[0].Team != "team" || all[0].Agent != "worker" || all[0].Revision == "" || all[0].Memory {
		t.Fatalf("agents = %+v", all)
	}
	conversations := map[string]bool{}
	for _, turn := range w.Turns() {
		conversations[turn.ConversationID] = true
	}
	if len(conversations) != 10 {
		t.Errorf("%d conversations for 10 tasks", len(conversations))
	}
	// Another orchestrator finds the same agent.
	w.runner = w.another(t)
	w.run(t, request("[[say:hi]]", nil), &recorder{})
	if again := agents(t, w); len(again) != 1 || again[0].ID != all[0].ID {
		t.Errorf("agents = %+v", again)
	}
}

func TestAgentIsBroughtUpToDate(t *testing.T) {
	w := newWorld(t, apptest.Options{RecordFrames: true}, nil)
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "one", Model: "lmstudio/scripted"}), &recorder{})
	first := agents(t, w)[0]
	c := client(t, w)
	before, err := c.Agent(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.UpdateAgent(t.Context(), first.ID, appclient.AgentUpdate{Tags: append(before.Tags, "somebody's own")}); err != nil {
		t.Fatal(err)
	}
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "two", Model: "other/model"}), &recorder{})
	after, err := c.Agent(t.Context(), first.ID)
	if err != nil {
		t.Fatal(err)
	}
	if after.System != "two" || after.Model != "other/model" || !slices.Contains(after.Tags, "somebody's own") {
		t.Errorf("agent = %+v", after)
	}
	updated := agents(t, w)
	if len(updated) != 1 || updated[0].ID != first.ID || updated[0].Revision == first.Revision {
		t.Errorf("agents = %+v", updated)
	}
	// Without a change there is neither an update nor a look-up.
	count := func(kind string) (n int) {
		for _, f := range w.Frames() {
			if f.FromClient && strings.Contains(string(f.Data), `"`+kind+`"`) {
				n++
			}
		}
		return n
	}
	lists, updates := count("agent_list"), count("agent_update")
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "two", Model: "other/model"}), &recorder{})
	if count("agent_list") != lists || count("agent_update") != updates {
		t.Error("an agent that is up to date was looked up or updated again")
	}
}

func TestMemoryMakesAnotherAgent(t *testing.T) {
	w := newWorld(t, apptest.Options{RecordFrames: true}, nil)
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "x"}), &recorder{})
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "x", Memory: true}), &recorder{})
	w.run(t, request("[[say:hi]]", &workflow.Agent{Prompt: "x"}), &recorder{})
	all := agents(t, w)
	if len(all) != 2 || !all[0].Memory || all[1].Memory {
		t.Errorf("agents = %+v", all)
	}
	var creations []string
	for _, f := range w.Frames() {
		if s := string(f.Data); f.FromClient && strings.Contains(s, `"create_agent"`) {
			creations = append(creations, s)
		}
	}
	if len(creations) != 2 || !strings.Contains(creations[0], `"memfs":false`) || !strings.Contains(creations[1], `"memfs":true`) || !strings.Contains(creations[0], `"pin_global":false`) {
		t.Errorf("creations = %q", creations)
	}
}

func TestDeletedAgentIsMadeAgain(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	rec := &recorder{}
	w.run(t, request("[[say:hi]]", nil), rec)
	first := agents(t, w)[0]
	if err := client(t, w).DeleteAgent(t.Context(), first.ID); err != nil {
		t.Fatal(err)
	}
	// A task that had a conversation with it learns that it is gone.
	req := request("[[say:hi]]", nil)
	req.Conversation = rec.conversation()
	got := w.run(t, req, rec)
	if got.Reason != workflow.ReasonError || !got.ConversationLost || !strings.Contains(got.Error, "what was said in it is gone") {
		t.Errorf("finished = %+v", got)
	}
	// A new one does not notice.
	if got := w.run(t, request("[[say:hi]]", nil), rec); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
	if all := agents(t, w); len(all) != 1 || all[0].ID == first.ID {
		t.Errorf("agents = %+v", all)
	}
}

func TestDeletedAgentIsMadeAgainAtOnce(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	w.run(t, request("[[say:hi]]", nil), &recorder{})
	if err := client(t, w).DeleteAgent(t.Context(), agents(t, w)[0].ID); err != nil {
		t.Fatal(err)
	}
	if got := w.run(t, request("[[say:hi]]", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
}

func TestOldestOfSeveralIsTaken(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	d, err := w.runner.define(request("", nil).Team, request("", nil).Agent)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, w)
	var ids []string
	for range 60 { // more than a page
		spec := d.creation().AgentSpec
		agent, err := c.CreateAgent(t.Context(), spec)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, agent.ID)
	}
	rec := &recorder{}
	w.run(t, request("[[say:hi]]", nil), rec)
	if got := rec.conversation().AgentID; got != ids[0] {
		t.Errorf("took %s, want the oldest %s", got, ids[0])
	}
	if n := len(agents(t, w)); n != 60 {
		t.Errorf("%d agents", n)
	}
}

func TestAgentOfSomebodyElse(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	foreign, err := client(t, w).CreateAgent(t.Context(), appclient.AgentSpec{Name: "foreign", System: "their own", Tags: []string{"theirs"}})
	if err != nil {
		t.Fatal(err)
	}
	rec := &recorder{}
	got := w.run(t, request("[[say:hi]]", &workflow.Agent{AgentID: foreign.ID, Prompt: "ignored"}), rec)
	if got.Reason != workflow.ReasonEndTurn || rec.conversation().AgentID != foreign.ID {
		t.Errorf("finished = %+v", got)
	}
	after, err := client(t, w).Agent(t.Context(), foreign.ID)
	if err != nil || after.System != "their own" || !slices.Equal(after.Tags, foreign.Tags) {
		t.Errorf("agent = %+v, %v", after, err)
	}
	if n := len(agents(t, w)); n != 0 {
		t.Errorf("%d agents are called ours", n)
	}
	if _, err := w.runner.RemoveAgents(t.Context(), foreign.ID); !errors.Is(err, ErrNotOurs) {
		t.Errorf("removed somebody else's agent: %v", err)
	}
	got = w.run(t, request("x", &workflow.Agent{AgentID: "agent-none"}), rec)
	if got.Reason != workflow.ReasonError || !strings.Contains(got.Error, `agent_id "agent-none"`) || !strings.Contains(got.Error, "mend it in the team file") {
		t.Errorf("finished = %+v", got)
	}
}

func TestRemoveAgents(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	w.run(t, request("[[say:hi]]", nil), &recorder{})
	id := agents(t, w)[0].ID
	removed, err := w.runner.RemoveAgents(t.Context(), id, "agent-none")
	if len(removed) != 1 || removed[0].ID != id || !errors.Is(err, appclient.ErrNotFound) {
		t.Errorf("removed %+v, %v", removed, err)
	}
	if n := len(agents(t, w)); n != 0 {
		t.Errorf("%d agents are left", n)
	}
	if got := w.run(t, request("[[say:hi]]", nil), &recorder{}); got.Reason != workflow.ReasonEndTurn {
		t.Errorf("finished = %+v", got)
	}
}

func TestConversationOfAnotherServer(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	req := request("x", nil)
	req.Conversation = workflow.Runtime{Server: "ws://elsewhere", AgentID: "a", ConversationID: "c"}
	got := w.run(t, req, &recorder{})
	if got.Reason != workflow.ReasonError || !strings.Contains(got.Error, "ws://elsewhere") || len(w.Turns()) > 0 {
		t.Errorf("finished = %+v", got)
	}
}

func TestUnknownRole(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	got := w.run(t, request("x", &workflow.Agent{Role: "codr"}), &recorder{})
	if got.Reason != workflow.ReasonError || !strings.Contains(got.Error, `did you mean "coder"?`) {
		t.Errorf("finished = %+v", got)
	}
}

func TestConversationStaysWithItsAgent(t *testing.T) {
	w := newWorld(t, apptest.Options{}, nil)
	w.run(t, request("[[say:hi]]", nil), &recorder{})
	d, err := w.runner.define(request("", nil).Team, request("", nil).Agent)
	if err != nil {
		t.Fatal(err)
	}
	c := client(t, w)
	second, err := c.CreateAgent(t.Context(), d.creation().AgentSpec) // as another orchestrator makes it at the same time
	if err != nil {
		t.Fatal(err)
	}
	conversation, err := c.CreateConversation(t.Context(), appclient.ConversationSpec{AgentID: second.ID})
	if err != nil {
		t.Fatal(err)
	}
	req, rec := request("[[say:hi]]", nil), &recorder{}
	req.Conversation = workflow.Runtime{Server: w.URL(), AgentID: second.ID, ConversationID: conversation.ID}
	if got := w.run(t, req, rec); got.Reason != workflow.ReasonEndTurn || rec.conversation() != req.Conversation {
		t.Errorf("finished = %+v in %+v", got, rec.runtimes)
	}
}
