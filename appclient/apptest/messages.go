package apptest

import (
	"fmt"
	"slices"
	"strconv"
)

// newMessage appends a message to a conversation; mu is held.
func (s *store) newMessage(c *conversation, kind string) *message {
	s.messageID++
	m := &message{ID: "ui-msg-" + strconv.Itoa(s.messageID), Date: s.timestamp(), AgentID: c.AgentID, ConversationID: c.ID, Type: kind}
	c.messages = append(c.messages, m)
	c.LastMessage = &m.Date
	c.UpdatedAt = m.Date
	return m
}

// addUser stores an input. The first of a conversation carries the reminders of the real server.
func (s *store) addUser(id runtimeID, parts []textPart, otid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.lookup(id)
	if err != nil {
		return
	}
	// Partial text of a turn that was cancelled is gone once the next one starts.
	c.messages = slices.DeleteFunc(c.messages, func(m *message) bool { return m.partial })
	m := s.newMessage(c, "user_message")
	m.Role, m.OTID = "user", otid
	if !c.started {
		c.started = true
		m.Content = append(m.Content, textPart{Type: "text", Text: fmt.Sprintf(
			"<system-reminder>\nThis is an automated message providing context about the user's environment.\n- **Current working directory**: %s\n</system-reminder>", c.cwd)})
	}
	m.Content = append(m.Content, parts...)
}

// addText stores streamed text; the same message grows until finish is called.
func (s *store) addText(id runtimeID, m *message, kind, text string) *message {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m == nil || m.Type != kind {
		c, err := s.lookup(id)
		if err != nil {
			return nil
		}
		m = s.newMessage(c, kind)
		m.partial = true
		if kind == "assistant_message" {
			m.Role = "assistant"
		}
	}
	m.text.WriteString(text)
	return m
}

// finish marks the text of a model request as complete.
func (s *store) finish(messages []*message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range messages {
		m.partial = false
	}
}

func (s *store) addCall(id runtimeID, call toolCall) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, err := s.lookup(id); err == nil {
		m := s.newMessage(c, "approval_request_message")
		m.ID += ":tool:" + call.ID + ":request"
		m.ToolCall = &call
	}
}

func (s *store) addReturn(id runtimeID, callID, status, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, err := s.lookup(id); err == nil {
		m := s.newMessage(c, "tool_return_message")
		m.ToolCallID, m.Status, m.ToolReturn = callID, status, &text
	}
}

// listMessages answers conversation_messages_list.
func (s *store) listMessages(id string, q messageQuery, otids bool) (messages []message, nextBefore *string, hasMore bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.conversation[id]
	if id == "default" && s.byID[q.AgentID] != nil {
		c, _ = s.lookup(runtimeID{AgentID: q.AgentID, ConversationID: id}) // never fails for an agent that exists
	}
	if c == nil {
		// The real server's misleading words for an unknown conversation.
		return []message{}, nil, false, fmt.Errorf("Agent %s not found", "agent-local-default") //nolint:staticcheck // as above
	}
	all := slices.Clone(c.messages)
	if i := slices.IndexFunc(all, func(m *message) bool { return m.ID == q.Before }); q.Before != "" && i >= 0 {
		all = all[:i]
	}
	if i := slices.IndexFunc(all, func(m *message) bool { return m.ID == q.After }); q.After != "" && i >= 0 {
		all = all[i+1:]
	}
	limit := 50
	if q.Limit != nil {
		limit = *q.Limit
	}
	if q.Order != "asc" {
		slices.Reverse(all)
	}
	if len(all) > limit {
		all, hasMore = all[:limit], true
	}
	messages = []message{}
	for _, m := range all {
		messages = append(messages, m.public(otids))
	}
	if len(all) > 0 {
		oldest := all[len(all)-1].ID
		if q.Order == "asc" {
			oldest = all[0].ID
		}
		nextBefore = &oldest
	}
	return messages, nextBefore, hasMore, nil
}

// public is the message as it is listed; June servers list no otid.
func (m *message) public(otids bool) message {
	out := message{
		ID: m.ID, Date: m.Date, AgentID: m.AgentID, ConversationID: m.ConversationID, Type: m.Type, Role: m.Role,
		Content: m.Content, ToolCall: m.ToolCall, ToolCallID: m.ToolCallID, Status: m.Status, ToolReturn: m.ToolReturn,
	}
	if otids {
		out.OTID = m.OTID
	}
	switch m.Type {
	case "assistant_message":
		out.Content = []textPart{{Type: "text", Text: m.text.String()}}
	case "reasoning_message":
		out.Reasoning = m.text.String()
	}
	return out
}
