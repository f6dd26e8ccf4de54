package conformance

import (
	"crypto/rand"
	"errors"
	"slices"

	"github.com/seed-e05a5b32/orchestrator/appclient"
)

func managementScenarios() []scenario {
	return []scenario{
		{"agents", nil, agents},
		{"conversations", nil, conversations},
		{"pages of messages", nil, messagePages},
		{"messages of an unknown conversation", nil, unknownMessages},
		{"models", nil, models},
	}
}

func agents(e *env) {
	c := e.dial()
	tag := "run:" + rand.Text()
	made, err := c.CreateAgent(e.ctx, appclient.AgentSpec{Name: "one", Model: e.target.Model, Tags: []string{tag, "a"}})
	if err != nil {
		e.Fatal(err)
	}
	second, err := c.CreateAgent(e.ctx, appclient.AgentSpec{Name: "two", Model: e.target.Model, Tags: []string{tag}})
	if err != nil {
		e.Fatal(err)
	}
	list := func(tags ...string) (ids []string) {
		e.Helper()
		found, err := c.ListAgents(e.ctx, appclient.AgentQuery{Tags: tags})
		if err != nil {
			e.Fatal(err)
		}
		for _, a := range found {
			ids = append(ids, a.ID)
		}
		return ids
	}
	if got := list(tag); !slices.Equal(got, []string{second.ID, made.ID}) {
		e.Errorf("agents with the tag are %v, want the newest first: %v", got, []string{second.ID, made.ID})
	}
	if got := list(tag, "a"); !slices.Equal(got, []string{made.ID}) {
		e.Errorf("agents with both tags are %v, want %v", got, made.ID)
	}
	name, system := "renamed", "new system"
	updated, err := c.UpdateAgent(e.ctx, made.ID, appclient.AgentUpdate{Name: &name, System: &system, Tags: []string{tag, "b"}})
	if err != nil {
		e.Fatal(err)
	}
	e.equal("name", updated.Name, "renamed")
	e.equal("old tag is there", slices.Contains(updated.Tags, "a"), false)
	got, err := c.Agent(e.ctx, made.ID)
	if err != nil {
		e.Fatal(err)
	}
	e.equal("system", got.System, "new system")
	if err := c.DeleteAgent(e.ctx, made.ID); err != nil {
		e.Fatal(err)
	}
	if _, err := c.Agent(e.ctx, made.ID); !errors.Is(err, appclient.ErrNotFound) {
		e.Errorf("deleted agent: %v, want ErrNotFound", err)
	}
	if err := c.DeleteAgent(e.ctx, made.ID); !errors.Is(err, appclient.ErrNotFound) {
		e.Errorf("second deletion: %v, want ErrNotFound", err)
	}
	if got := list(tag); !slices.Equal(got, []string{second.ID}) {
		e.Errorf("agents left are %v, want %v", got, second.ID)
	}
}

func conversations(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	agent := s.Runtime().AgentID
	made, err := c.CreateConversation(e.ctx, appclient.ConversationSpec{AgentID: agent, Summary: "mine", Tags: []string{"t"}})
	if err != nil {
		e.Fatal(err)
	}
	got, err := c.Conversation(e.ctx, made.ID)
	if err != nil {
		e.Fatal(err)
	}
	e.equal("agent", got.AgentID, agent)
	e.equal("summary", got.Summary, "mine")
	e.equal("tagged", slices.Contains(got.Tags, "t"), true)
	list, err := c.ListConversations(e.ctx, appclient.ConversationQuery{AgentID: agent})
	if err != nil {
		e.Fatal(err)
	}
	e.equal("conversations", len(list), 2)
	if _, err := c.Conversation(e.ctx, "local-conv-99999999"); !errors.Is(err, appclient.ErrNotFound) {
		e.Errorf("unknown conversation: %v, want ErrNotFound", err)
	}
	e.say(e.start(c, appclient.RuntimeStart{AgentID: agent, ConversationID: made.ID}), "x [[say:here]]")
}

func messagePages(e *env) {
	c := e.dial()
	s := e.start(c, appclient.RuntimeStart{})
	e.say(s, "one [[say:first]]")
	e.say(s, `two [[tool:Bash:{"command":"echo t","description":"d"}]] [[say:second]]`)
	all := e.messages(c, s)
	var kinds []string
	for _, m := range all {
		kinds = append(kinds, m.Type)
	}
	want := []string{"user_message", "assistant_message", "user_message", "approval_request_message", "tool_return_message", "assistant_message"}
	if !slices.Equal(kinds, want) {
		e.Fatalf("messages are %v, want %v", kinds, want)
	}
	e.equal("called tool", all[3].ToolCalls[0].Name, "Bash")
	e.equal("its result", all[4].Text, "t\n")
	page, err := c.ListMessages(e.ctx, appclient.MessageQuery{ConversationID: s.Runtime().ConversationID, Limit: 4})
	if err != nil {
		e.Fatal(err)
	}
	e.equal("messages on the page", len(page.Messages), 4)
	e.equal("more", page.HasMore, true)
	e.equal("newest", page.Messages[0].ID, all[5].ID)
	page, err = c.ListMessages(e.ctx, appclient.MessageQuery{ConversationID: s.Runtime().ConversationID, Limit: 4, Before: page.NextBefore})
	if err != nil {
		e.Fatal(err)
	}
	e.equal("messages on the last page", len(page.Messages), 2)
	e.equal("oldest", page.Messages[1].ID, all[0].ID)
}

func unknownMessages(e *env) {
	if _, err := e.dial().ListMessages(e.ctx, appclient.MessageQuery{ConversationID: "local-conv-99999999"}); err == nil {
		e.Error("messages of an unknown conversation were listed")
	}
}

func models(e *env) {
	list, err := e.dial().ListModels(e.ctx)
	if err != nil {
		e.Fatal(err)
	}
	if !slices.Contains(list.Handles, e.target.Model) {
		e.Errorf("available handles are %v, want %s among them", list.Handles, e.target.Model)
	}
}
