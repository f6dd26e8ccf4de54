package appclient

import (
	"encoding/json"
	"time"
)

// Runtime names one conversation of one agent. It is the scope of turns.
type Runtime struct {
	AgentID        string `json:"agent_id"`
	ConversationID string `json:"conversation_id"`
}

// Mode is a permission mode of a runtime.
type Mode string

// The permission modes that App Servers know.
const (
	ModeStandard     Mode = "standard"
	ModeAcceptEdits  Mode = "acceptEdits"
	ModeUnrestricted Mode = "unrestricted"
	ModeStrict       Mode = "strict"
)

// SkillSource is a place that a runtime takes skills from.
type SkillSource string

// The skill sources that App Servers know.
const (
	SkillsBundled SkillSource = "bundled"
	SkillsGlobal  SkillSource = "global"
	SkillsAgent   SkillSource = "agent"
	SkillsProject SkillSource = "project"
)

// StopReason says why a turn, or one run inside it, stopped.
type StopReason string

// The stop reasons that a client meets. Only StopEndTurn is a success.
const (
	StopEndTurn          StopReason = "end_turn"
	StopRequiresApproval StopReason = "requires_approval" // ends a run, never a turn
	StopLLMAPIError      StopReason = "llm_api_error"
	StopError            StopReason = "error"
	StopMaxTokens        StopReason = "max_tokens_exceeded"
	StopCancelled        StopReason = "cancelled"
)

// Disposition says what an App Server did with an accepted input.
type Disposition string

// The dispositions. Servers before 0.30.3 send none.
const (
	DispositionStarted Disposition = "started"
	DispositionQueued  Disposition = "queued"
)

// ServerInfo is what an App Server says about itself.
type ServerInfo struct {
	Backend         string `json:"backend"`
	Version         string `json:"letta_code_version"`
	ProtocolVersion int    `json:"protocol_version"`
	// Capabilities holds every capability as sent; the ones that are not booleans are left out.
	Capabilities Capabilities `json:"capabilities"`
	// Raw is the answer as the server sent it; nil for servers before 0.29.2, which have none.
	Raw json.RawMessage `json:"-"`
}

// Known says whether the server told its version. Servers before 0.29.2 do not.
func (i ServerInfo) Known() bool { return i.Version != "" }

// Capabilities maps the name of a capability to whether the server has it.
type Capabilities map[string]bool

// UnmarshalJSON keeps the boolean entries and ignores others.
func (c *Capabilities) UnmarshalJSON(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return err
	}
	*c = make(Capabilities, len(all))
	for name, raw := range all {
		var on bool
		if json.Unmarshal(raw, &on) == nil {
			(*c)[name] = on
		}
	}
	return nil
}

// Agent is a stored agent.
type Agent struct {
	ID            string          `json:"id"`
	Name          string          `json:"name"`
	Description   string          `json:"description"`
	System        string          `json:"system"`
	Model         string          `json:"model"`
	Tags          []string        `json:"tags"`
	ModelSettings json.RawMessage `json:"model_settings,omitempty"`
	// Raw is the agent as the server sent it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the bytes in Raw.
func (a *Agent) UnmarshalJSON(data []byte) error {
	type plain Agent
	if err := json.Unmarshal(data, (*plain)(a)); err != nil {
		return err
	}
	a.Raw = append(json.RawMessage(nil), data...)
	return nil
}

// MemoryBlock is one block of an agent's memory.
type MemoryBlock struct {
	Label       string `json:"label"`
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// AgentSpec is the body of a new agent. Zero fields are not sent.
type AgentSpec struct {
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// System is the system prompt.
	System string `json:"system,omitempty"`
	// Model is a handle such as "anthropic/claude-sonnet". The server does not check it: an
	// unknown one fails at the first turn. See Client.ListModels.
	Model              string          `json:"model,omitempty"`
	Tags               []string        `json:"tags,omitempty"`
	MemoryBlocks       []MemoryBlock   `json:"memory_blocks,omitempty"`
	Hidden             bool            `json:"hidden,omitempty"`
	ModelSettings      json.RawMessage `json:"model_settings,omitempty"`
	ContextWindowLimit int             `json:"context_window_limit,omitempty"`
	CompactionSettings json.RawMessage `json:"compaction_settings,omitempty"`
	// Extra is merged into the body, for fields that this type does not name.
	Extra map[string]any `json:"-"`
}

// AgentUpdate names what changes in an agent; nil fields stay as they are.
type AgentUpdate struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	System      *string `json:"system,omitempty"`
	Model       *string `json:"model,omitempty"`
	// Tags replaces all tags when it is not nil.
	Tags          []string        `json:"tags,omitzero"`
	ModelSettings json.RawMessage `json:"model_settings,omitempty"`
	// Extra is merged into the body, for fields that this type does not name.
	Extra map[string]any `json:"-"`
}

// AgentQuery selects agents. The server lists the newest first and leaves hidden ones out.
type AgentQuery struct {
	// Tags must all be present.
	Tags []string `json:"tags,omitempty"`
	// Text is matched against names and descriptions.
	Text string `json:"query_text,omitempty"`
	// Limit is 20 when zero (the server's default).
	Limit int `json:"limit,omitempty"`
	// After is the id of the last agent of the previous page.
	After string `json:"after,omitempty"`
}

// Conversation is a stored conversation.
type Conversation struct {
	ID        string    `json:"id"`
	AgentID   string    `json:"agent_id"`
	Archived  bool      `json:"archived"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	Summary   string    `json:"summary"`
	Tags      []string  `json:"tags"`
	// Raw is the conversation as the server sent it.
	Raw json.RawMessage `json:"-"`
}

// UnmarshalJSON keeps the bytes in Raw.
func (c *Conversation) UnmarshalJSON(data []byte) error {
	type plain Conversation
	if err := json.Unmarshal(data, (*plain)(c)); err != nil {
		return err
	}
	c.Raw = append(json.RawMessage(nil), data...)
	return nil
}

// ConversationSpec is the body of a new conversation.
type ConversationSpec struct {
	// AgentID is needed by Client.CreateConversation and ignored by Client.StartRuntime.
	AgentID string   `json:"agent_id,omitempty"`
	Summary string   `json:"summary,omitempty"`
	Tags    []string `json:"tags,omitempty"`
}

// ConversationQuery selects conversations.
type ConversationQuery struct {
	AgentID string `json:"agent_id,omitempty"`
	Limit   int    `json:"limit,omitempty"`
}

// Order is the order of listed messages.
type Order string

// The orders. Newest first is the server's default.
const (
	NewestFirst Order = "desc"
	OldestFirst Order = "asc"
)

// MessageQuery selects stored messages of one conversation.
type MessageQuery struct {
	ConversationID string `json:"-"`
	// AgentID is required when ConversationID is "default".
	AgentID string `json:"agent_id,omitempty"`
	// Limit is 50 when zero (the server's default).
	Limit  int    `json:"limit,omitempty"`
	Order  Order  `json:"order,omitempty"`
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// MessagePage is one page of stored messages.
type MessagePage struct {
	Messages []Message
	// NextBefore is MessageQuery.Before for the next page.
	NextBefore string
	HasMore    bool
}

// Message is one stored message. A consumed input is a user_message whose OTID is its
// client_message_id. The assistant_message of a cancelled turn may be partial without any mark.
type Message struct {
	ID             string
	Date           time.Time
	AgentID        string
	ConversationID string
	// Type is e.g. user_message, assistant_message, reasoning_message,
	// approval_request_message, tool_return_message.
	Type string
	Role string
	OTID string
	// Text is the text of the content, the reasoning, or the tool's return.
	Text string
	// ToolCalls are the calls of an approval_request_message.
	ToolCalls []ToolCallRequest
	// ToolCallID and Status belong to a tool_return_message.
	ToolCallID string
	Status     string
	// Raw is the message as the server sent it.
	Raw json.RawMessage
}

// Model is one model the server can use.
type Model struct {
	ID     string `json:"id"`
	Handle string `json:"handle"`
	Label  string `json:"label"`
}

// ModelList is the answer to list_models.
type ModelList struct {
	Models []Model `json:"entries"`
	// Handles are the handles that are available now.
	Handles []string        `json:"available_handles"`
	Raw     json.RawMessage `json:"-"`
}

// ToolCallRequest is a tool call as the model made it.
type ToolCallRequest struct {
	ID   string `json:"tool_call_id"`
	Name string `json:"name"`
	// Arguments is JSON text, which on some backends arrives in pieces.
	Arguments string `json:"arguments"`
}

// Usage counts tokens. It is the sum over the model requests of a turn.
type Usage struct {
	PromptTokens      int64 `json:"prompt_tokens"`
	CompletionTokens  int64 `json:"completion_tokens"`
	TotalTokens       int64 `json:"total_tokens"`
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CacheWriteTokens  int64 `json:"cache_write_tokens"`
	ReasoningTokens   int64 `json:"reasoning_tokens"`
	// ContextTokens is the size of the context after the last request, not a sum.
	ContextTokens int64 `json:"context_tokens"`
	// Requests is how many model requests reported usage; failed ones do not.
	Requests int `json:"requests"`
}
