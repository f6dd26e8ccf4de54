package appclient

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// AppServerInfo asks for the server's description over the socket. Servers
// before 0.29.2 do not answer; it then fails with ErrRequestTimeout.
func (c *Client) AppServerInfo(ctx context.Context) (ServerInfo, error) {
	frame, err := c.command(ctx, "app_server_info", nil)
	if err != nil {
		return ServerInfo{}, err
	}
	var info ServerInfo
	err = frame.Decode(&info)
	info.Raw = frame.Raw
	return info, err
}

// ListAgents lists agents, newest first.
func (c *Client) ListAgents(ctx context.Context, query AgentQuery) ([]Agent, error) {
	var answer struct {
		Agents []Agent `json:"agents"`
	}
	err := c.ask(ctx, "agent_list", map[string]any{"query": query}, &answer)
	return answer.Agents, err
}

// Agent retrieves one agent; ErrNotFound when there is none.
func (c *Client) Agent(ctx context.Context, id string) (Agent, error) {
	var answer struct {
		Agent Agent `json:"agent"`
	}
	if err := needID("agent_id", id); err != nil {
		return Agent{}, err
	}
	err := c.ask(ctx, "agent_retrieve", map[string]any{"agent_id": id}, &answer)
	return answer.Agent, err
}

// CreateAgent makes an agent without starting a runtime.
func (c *Client) CreateAgent(ctx context.Context, spec AgentSpec) (Agent, error) {
	var answer struct {
		Agent Agent `json:"agent"`
	}
	body, err := spec.body("body")
	if err != nil {
		return Agent{}, err
	}
	err = c.ask(ctx, "agent_create", map[string]any{"body": body}, &answer)
	return answer.Agent, err
}

// UpdateAgent changes an agent.
func (c *Client) UpdateAgent(ctx context.Context, id string, update AgentUpdate) (Agent, error) {
	var answer struct {
		Agent Agent `json:"agent"`
	}
	if err := needID("agent_id", id); err != nil {
		return Agent{}, err
	}
	body, err := mergeObject(update, update.Extra)
	if err != nil {
		return Agent{}, err
	}
	err = c.ask(ctx, "agent_update", map[string]any{"agent_id": id, "body": body}, &answer)
	return answer.Agent, err
}

// DeleteAgent deletes an agent with its conversations. The files of its memory stay on the server.
func (c *Client) DeleteAgent(ctx context.Context, id string) error {
	if err := needID("agent_id", id); err != nil {
		return err
	}
	return c.ask(ctx, "agent_delete", map[string]any{"agent_id": id}, nil)
}

// ListConversations lists the conversations of an agent.
func (c *Client) ListConversations(ctx context.Context, query ConversationQuery) ([]Conversation, error) {
	var answer struct {
		Conversations []Conversation `json:"conversations"`
	}
	err := c.ask(ctx, "conversation_list", map[string]any{"query": query}, &answer)
	return answer.Conversations, err
}

// CreateConversation makes a conversation without starting a runtime. Use the
// runtime that StartRuntime returns rather than this id for turns.
func (c *Client) CreateConversation(ctx context.Context, spec ConversationSpec) (Conversation, error) {
	var answer struct {
		Conversation Conversation `json:"conversation"`
	}
	if err := needID("body.agent_id", spec.AgentID); err != nil {
		return Conversation{}, err
	}
	err := c.ask(ctx, "conversation_create", map[string]any{"body": spec}, &answer)
	return answer.Conversation, err
}

// Conversation retrieves one conversation; ErrNotFound when there is none.
func (c *Client) Conversation(ctx context.Context, id string) (Conversation, error) {
	var answer struct {
		Conversation Conversation `json:"conversation"`
	}
	if err := needID("conversation_id", id); err != nil {
		return Conversation{}, err
	}
	err := c.ask(ctx, "conversation_retrieve", map[string]any{"conversation_id": id}, &answer)
	return answer.Conversation, err
}

// ListMessages lists the stored messages of a conversation, newest first unless asked otherwise.
// It tells whether an input was consumed; it cannot tell whether the answer of a cancelled turn is whole.
func (c *Client) ListMessages(ctx context.Context, query MessageQuery) (MessagePage, error) {
	if err := needID("conversation_id", query.ConversationID); err != nil {
		return MessagePage{}, err
	}
	if query.ConversationID == "default" && query.AgentID == "" {
		return MessagePage{}, &ValidationError{"query.agent_id", "is required for the default conversation"}
	}
	if query.Order != "" && query.Order != NewestFirst && query.Order != OldestFirst {
		return MessagePage{}, &ValidationError{"query.order", "must be asc or desc, not " + quoted(string(query.Order))}
	}
	var answer struct {
		Messages   []Message       `json:"messages"`
		NextBefore json.RawMessage `json:"next_before"`
		HasMore    bool            `json:"has_more"`
	}
	err := c.ask(ctx, "conversation_messages_list", map[string]any{"conversation_id": query.ConversationID, "query": query}, &answer)
	page := MessagePage{Messages: answer.Messages, HasMore: answer.HasMore}
	take(answer.NextBefore, &page.NextBefore)
	return page, err
}

// ListModels lists the models the server can use.
func (c *Client) ListModels(ctx context.Context) (ModelList, error) {
	frame, err := c.command(ctx, "list_models", nil)
	if err != nil {
		return ModelList{}, err
	}
	var list ModelList
	err = frame.Decode(&list)
	list.Raw = frame.Raw
	return list, err
}

// UnmarshalJSON reads a stored message; fields of an unexpected type are left zero.
func (m *Message) UnmarshalJSON(data []byte) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	delta := DecodeDelta(data)
	*m = Message{
		ID: delta.ID, Type: delta.MessageType, OTID: delta.OTID, Text: delta.Text, ToolCalls: delta.ToolCalls,
		ToolCallID: delta.ToolCallID, Status: delta.Status, Raw: append(json.RawMessage(nil), data...),
	}
	if m.Type == DeltaToolReturn {
		m.Text = delta.ToolReturn
	}
	var date string
	take(fields["date"], &date)
	m.Date, _ = time.Parse(time.RFC3339, date) // a date that cannot be read stays zero
	take(fields["agent_id"], &m.AgentID)
	take(fields["conversation_id"], &m.ConversationID)
	take(fields["role"], &m.Role)
	return nil
}

// ask sends a command and decodes the answer into v.
func (c *Client) ask(ctx context.Context, command string, fields map[string]any, v any) error {
	frame, err := c.command(ctx, command, fields)
	if err != nil || v == nil {
		return err
	}
	return frame.Decode(v)
}

// command sends a command and turns success:false into a CommandError.
func (c *Client) command(ctx context.Context, command string, fields map[string]any) (Frame, error) {
	body := map[string]any{"type": command}
	for name, value := range fields {
		body[name] = value
	}
	frame, err := c.Request(ctx, body)
	if err != nil {
		return frame, err
	}
	var answer struct {
		Success *bool  `json:"success"`
		Error   string `json:"error"`
	}
	if err := frame.Decode(&answer); err != nil {
		return frame, err
	}
	if answer.Success != nil && !*answer.Success {
		return frame, &CommandError{Command: command, Message: answer.Error}
	}
	return frame, nil
}

// mergeObject marshals v, a struct, and adds the extra fields.
func mergeObject(v any, extra map[string]any) (json.RawMessage, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	if len(extra) == 0 {
		return data, nil
	}
	fields := make(map[string]json.RawMessage)
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("encode %T: %w", v, err)
	}
	for name, value := range extra {
		if fields[name], err = json.Marshal(value); err != nil {
			return nil, fmt.Errorf("encode field %q: %w", name, err)
		}
	}
	return json.Marshal(fields)
}
