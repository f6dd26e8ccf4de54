package apptest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// runtimeID is the scope of commands and events.
type runtimeID struct {
	AgentID        string `json:"agent_id"`
	ConversationID string `json:"conversation_id"`
}

// store is what survives a restart.
type store struct {
	now func() time.Time

	mu             sync.Mutex
	agents         []*agent
	conversations  []*conversation
	byID           map[string]*agent
	conversation   map[string]*conversation
	defaults       map[string]*conversation // the virtual conversation "default" of each agent
	messageID      int
	conversationID int
}

// agent is an agent as the protocol shows it.
type agent struct {
	ID            string         `json:"id"`
	Name          string         `json:"name"`
	Description   *string        `json:"description"`
	System        string         `json:"system"`
	Tools         []string       `json:"tools"`
	Tags          []string       `json:"tags"`
	Model         string         `json:"model"`
	ModelSettings map[string]any `json:"model_settings"`
	Hidden        bool           `json:"hidden,omitempty"`
	MessageIDs    []string       `json:"message_ids"`
	InContext     []string       `json:"in_context_message_ids"`
	LastRun       string         `json:"last_run_completion"`
	ContextWindow int            `json:"-"`
}

// conversation is a conversation with its messages and its settings.
type conversation struct {
	ID          string   `json:"id"`
	AgentID     string   `json:"agent_id"`
	Archived    bool     `json:"archived"`
	ArchivedAt  *string  `json:"archived_at"`
	CreatedAt   string   `json:"created_at"`
	UpdatedAt   string   `json:"updated_at"`
	LastMessage *string  `json:"last_message_at"`
	Summary     *string  `json:"summary"`
	InContext   []string `json:"in_context_message_ids"`
	Tags        []string `json:"tags,omitempty"`

	messages []*message
	mode     string
	cwd      string
	started  bool // the first message carries the reminders about the environment
}

// message is an item of conversation_messages_list.
type message struct {
	ID             string     `json:"id"`
	Date           string     `json:"date"`
	AgentID        string     `json:"agent_id"`
	ConversationID string     `json:"conversation_id"`
	Type           string     `json:"message_type"`
	Role           string     `json:"role,omitempty"`
	Content        []textPart `json:"content,omitempty"`
	Reasoning      string     `json:"reasoning,omitempty"`
	OTID           string     `json:"otid,omitempty"`
	ToolCall       *toolCall  `json:"tool_call,omitempty"`
	ToolCallID     string     `json:"tool_call_id,omitempty"`
	Status         string     `json:"status,omitempty"`
	ToolReturn     *string    `json:"tool_return,omitempty"`

	partial bool // of a turn that did not end; listed until the next turn starts
	text    strings.Builder
}

type textPart struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type toolCall struct {
	ID        string `json:"tool_call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

func newStore(now func() time.Time) *store {
	return &store{now: now, byID: map[string]*agent{}, conversation: map[string]*conversation{}, defaults: map[string]*conversation{}}
}

func (s *store) timestamp() string { return s.now().UTC().Format(wireTime) }

// createAgent makes an agent of a body as agent_create takes it.
func (s *store) createAgent(body agentBody, memfs bool) agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := &agent{
		ID: "agent-local-" + string(newUUID()), Name: "Letta Code", Tools: []string{}, Tags: []string{}, Model: "local/default",
		ModelSettings: map[string]any{}, MessageIDs: []string{}, InContext: []string{}, LastRun: s.timestamp(), ContextWindow: 128000,
	}
	a.apply(body)
	if memfs && !slices.Contains(a.Tags, "git-memory-enabled") {
		a.Tags = append(a.Tags, "git-memory-enabled")
	}
	s.agents = append(s.agents, a)
	s.byID[a.ID] = a
	return *a
}

func (a *agent) apply(body agentBody) {
	if body.Name != nil {
		a.Name = *body.Name
	}
	if body.Description != nil {
		a.Description = body.Description
	}
	if body.System != nil {
		a.System = *body.System
	}
	if body.Model != nil {
		a.Model = *body.Model
	}
	if body.Tags != nil {
		a.Tags = slices.Clone(*body.Tags)
	}
	if body.Hidden != nil {
		a.Hidden = *body.Hidden
	}
	if body.ContextWindow != nil {
		a.ContextWindow = *body.ContextWindow
	}
	if body.ModelSettings != nil {
		a.ModelSettings = maps.Clone(body.ModelSettings)
	}
}

func (s *store) agent(id string) (agent, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.byID[id]; a != nil {
		return *a, nil
	}
	return agent{}, fmt.Errorf("Agent %s not found", id) //nolint:staticcheck // the text of the real server
}

func (s *store) updateAgent(id string, body agentBody) (agent, error) {
	if _, err := s.agent(id); err != nil {
		return agent{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.byID[id]
	a.apply(body)
	return *a, nil
}

func (s *store) deleteAgent(id string) error {
	if _, err := s.agent(id); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = slices.DeleteFunc(s.agents, func(a *agent) bool { return a.ID == id })
	delete(s.byID, id)
	delete(s.defaults, id)
	s.conversations = slices.DeleteFunc(s.conversations, func(c *conversation) bool {
		if c.AgentID == id {
			delete(s.conversation, c.ID)
		}
		return c.AgentID == id
	})
	return nil
}

// listAgents returns the agents that carry all tags, newest first, without the hidden ones.
func (s *store) listAgents(q agentQuery) []agent {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := 20
	if q.Limit != nil {
		limit = *q.Limit
	}
	out := []agent{}
	after := q.After == ""
	for _, a := range slices.Backward(s.agents) {
		if !after {
			after = a.ID == q.After
			continue
		}
		if a.Hidden || len(out) >= limit || (q.Text != "" && !strings.Contains(strings.ToLower(a.Name), strings.ToLower(q.Text))) {
			continue
		}
		if !slices.ContainsFunc(q.Tags, func(t string) bool { return !slices.Contains(a.Tags, t) }) {
			out = append(out, *a)
		}
	}
	return out
}

func (s *store) createConversation(agentID string, body conversationBody) (conversation, error) {
	if _, err := s.agent(agentID); err != nil {
		return conversation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conversationID++
	c := &conversation{
		ID: "local-conv-" + strconv.Itoa(s.conversationID), AgentID: agentID, CreatedAt: s.timestamp(), UpdatedAt: s.timestamp(),
		Summary: body.Summary, Tags: slices.Clone(body.Tags), InContext: []string{},
	}
	s.conversations = append(s.conversations, c)
	s.conversation[c.ID] = c
	return c.public(), nil
}

// public is the conversation without what the store guards.
func (c *conversation) public() conversation {
	out := *c
	out.messages = nil
	return out
}

// lookup returns the stored conversation of a scope; mu is held.
func (s *store) lookup(id runtimeID) (*conversation, error) {
	if s.byID[id.AgentID] == nil {
		return nil, fmt.Errorf("Agent %s not found", id.AgentID) //nolint:staticcheck // the text of the real server
	}
	if id.ConversationID == "default" {
		c := s.defaults[id.AgentID]
		if c == nil {
			c = &conversation{ID: "default", AgentID: id.AgentID, CreatedAt: s.timestamp(), UpdatedAt: s.timestamp(), InContext: []string{}}
			s.defaults[id.AgentID] = c
		}
		return c, nil
	}
	c := s.conversation[id.ConversationID]
	switch {
	case c == nil:
		return nil, fmt.Errorf("Conversation %s not found", id.ConversationID) //nolint:staticcheck // as above
	case c.AgentID != id.AgentID:
		return nil, fmt.Errorf("Conversation %s belongs to %s, not %s", c.ID, c.AgentID, id.AgentID) //nolint:staticcheck // as above
	}
	return c, nil
}

func (s *store) find(id runtimeID) (conversation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(id)
	if err != nil {
		return conversation{}, err
	}
	return c.public(), nil
}

// conversationByID finds a conversation whose agent is not named.
func (s *store) conversationByID(id string) (conversation, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.conversation[id]; c != nil {
		return c.public(), nil
	}
	return conversation{}, fmt.Errorf("Conversation %s not found", id) //nolint:staticcheck // the text of the real server
}

func (s *store) updateConversation(id string, body conversationBody) (conversation, error) {
	if _, err := s.conversationByID(id); err != nil {
		return conversation{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conversation[id]
	if body.Summary != nil {
		c.Summary = body.Summary
	}
	if body.Archived != nil {
		c.Archived = *body.Archived
	}
	c.UpdatedAt = s.timestamp()
	return c.public(), nil
}

func (s *store) listConversations(q conversationQuery) []conversation {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := 20
	if q.Limit != nil {
		limit = *q.Limit
	}
	out := []conversation{}
	for _, c := range slices.Backward(s.conversations) {
		if len(out) < limit && (q.AgentID == "" || q.AgentID == c.AgentID) {
			out = append(out, c.public())
		}
	}
	return out
}

// settings changes mode and working directory of a conversation where given, and returns those in force.
func (s *store) settings(id runtimeID, mode, cwd *string) (string, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(id)
	if err != nil {
		return "unrestricted", ""
	}
	if mode != nil {
		c.mode = *mode
	}
	if cwd != nil {
		c.cwd = *cwd
	}
	if c.mode == "" {
		return "unrestricted", c.cwd
	}
	return c.mode, c.cwd
}
