package apptest

import (
	"bytes"
	"encoding/json"
	"strings"
)

// agentBody is the body of agent_create and agent_update; unknown keys are ignored.
type agentBody struct {
	Name          *string        `json:"name"`
	Description   *string        `json:"description"`
	System        *string        `json:"system"`
	Model         *string        `json:"model"`
	Tags          *[]string      `json:"tags"`
	Hidden        *bool          `json:"hidden"`
	ContextWindow *int           `json:"context_window_limit"`
	ModelSettings map[string]any `json:"model_settings"`
}

type conversationBody struct {
	AgentID  string   `json:"agent_id"`
	Summary  *string  `json:"summary"`
	Tags     []string `json:"tags"`
	Archived *bool    `json:"archived"`
}

type agentQuery struct {
	Limit *int     `json:"limit"`
	After string   `json:"after"`
	Tags  []string `json:"tags"`
	Text  string   `json:"query_text"`
}

type conversationQuery struct {
	AgentID string `json:"agent_id"`
	Limit   *int   `json:"limit"`
}

type messageQuery struct {
	Limit   *int   `json:"limit"`
	Order   string `json:"order"`
	Before  string `json:"before"`
	After   string `json:"after"`
	AgentID string `json:"agent_id"`
}

// runtimeStart is the command runtime_start.
type runtimeStart struct {
	RequestID   string  `json:"request_id"`
	AgentID     *string `json:"agent_id"`
	CreateAgent *struct {
		Body  *agentBody `json:"body"`
		MemFS *bool      `json:"memfs"`
	} `json:"create_agent"`
	ConversationID     *string `json:"conversation_id"`
	CreateConversation *struct {
		Body conversationBody `json:"body"`
	} `json:"create_conversation"`
	SourceTags    []string        `json:"conversation_source_tags"`
	CWD           json.RawMessage `json:"cwd"`
	Mode          *string         `json:"mode"`
	SkillSources  []string        `json:"skill_sources"`
	ExternalTools []toolGroup     `json:"external_tools"`
	ClientInfo    *struct {
		Name *string `json:"name"`
	} `json:"client_info"`
	ForceDevice   *bool `json:"force_device_status"`
	WaitForReplay bool  `json:"wait_for_replay"`
}

type toolGroup struct {
	ScopeID string         `json:"scope_id"`
	Tools   []externalTool `json:"tools"`
}

type externalTool struct {
	Name        *string         `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
}

// inputCommand is the command input, of both kinds.
type inputCommand struct {
	RequestID string       `json:"request_id"`
	Runtime   runtimeID    `json:"runtime"`
	Payload   inputPayload `json:"payload"`
}

type inputPayload struct {
	Kind      string         `json:"kind"`
	Messages  []inputMessage `json:"messages"`
	Allowlist *[]string      `json:"client_tool_allowlist"`
	ScopeIDs  []string       `json:"external_tool_scope_ids"`
	RequestID string         `json:"request_id"`
	Decision  *decision      `json:"decision"`
	Error     *string        `json:"error"`
}

type inputMessage struct {
	Role            string          `json:"role"`
	Content         json.RawMessage `json:"content"`
	ClientMessageID string          `json:"client_message_id"`
	OTID            string          `json:"otid"`
}

type decision struct {
	Behavior     string          `json:"behavior"`
	Message      *string         `json:"message"`
	UpdatedInput json.RawMessage `json:"updated_input"`
}

// parts returns the text of a message's content, a string or a list of parts.
func (m inputMessage) parts() []textPart {
	var text string
	if json.Unmarshal(m.Content, &text) == nil {
		return []textPart{{Type: "text", Text: text}}
	}
	var parts []textPart
	if json.Unmarshal(m.Content, &parts) != nil {
		return nil
	}
	var out []textPart
	for _, p := range parts {
		if p.Type == "text" {
			out = append(out, p)
		}
	}
	return out
}

func joinParts(parts []textPart) string {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(bytes.TrimSpace(raw), []byte("null"))
}

// delta is the payload of stream_delta, of every kind.
type delta struct {
	ID             string         `json:"id,omitempty"`
	Date           string         `json:"date,omitempty"`
	AgentID        string         `json:"agent_id,omitempty"`
	ConversationID string         `json:"conversation_id,omitempty"`
	Type           string         `json:"type,omitempty"`
	MessageType    string         `json:"message_type"`
	OTID           string         `json:"otid,omitempty"`
	Content        []textPart     `json:"content,omitempty"`
	Reasoning      string         `json:"reasoning,omitempty"`
	ToolCall       *toolCall      `json:"tool_call,omitempty"`
	StopReason     string         `json:"stop_reason,omitempty"`
	Terminal       *bool          `json:"is_terminal,omitempty"`
	APIError       map[string]any `json:"api_error,omitempty"`
	EventType      string         `json:"event_type,omitempty"`
	EventData      map[string]any `json:"event_data,omitempty"`
	Message        string         `json:"message,omitempty"`
	Detail         string         `json:"detail,omitempty"`
	Level          string         `json:"level,omitempty"`
	ErrorType      string         `json:"error_type,omitempty"`
	Retryable      bool           `json:"retryable,omitempty"`
	Reason         string         `json:"reason,omitempty"`
	Attempt        int            `json:"attempt,omitempty"`
	MaxAttempts    int            `json:"max_attempts,omitempty"`
	DelayMS        int            `json:"delay_ms,omitempty"`
	ToolCallID     string         `json:"tool_call_id,omitempty"`
	ToolName       string         `json:"tool_name,omitempty"`
	ToolArgs       string         `json:"tool_args,omitempty"`
	Status         string         `json:"status,omitempty"`
	ToolReturn     *string        `json:"tool_return,omitempty"`
	ToolReturns    []toolReturn   `json:"tool_returns,omitempty"`
	RunID          string         `json:"run_id,omitempty"`
	SeqID          int            `json:"seq_id,omitempty"`
	*usageDelta
}

type usageDelta struct {
	PromptTokens     int `json:"prompt_tokens"`
	CompletionTokens int `json:"completion_tokens"`
	TotalTokens      int `json:"total_tokens"`
	CachedInput      int `json:"cached_input_tokens"`
	CacheWrite       int `json:"cache_write_tokens"`
	Reasoning        int `json:"reasoning_tokens"`
	Context          int `json:"context_tokens"`
}

type toolReturn struct {
	ToolCallID string   `json:"tool_call_id"`
	Status     string   `json:"status"`
	ToolReturn string   `json:"tool_return"`
	Stdout     []string `json:"stdout,omitempty"`
	Stderr     []string `json:"stderr,omitempty"`
}

type queueItem struct {
	ID              string          `json:"id"`
	ClientMessageID string          `json:"client_message_id,omitempty"`
	Kind            string          `json:"kind"`
	Source          string          `json:"source"`
	Content         json.RawMessage `json:"content"`
	EnqueuedAt      string          `json:"enqueued_at"`
}

type queueRemoval struct {
	ClientMessageID string `json:"client_message_id"`
	Disposition     string `json:"disposition"`
}

type controlRequest struct {
	RequestID string         `json:"request_id"`
	Request   controlDetails `json:"request"`
}

type controlDetails struct {
	Subtype     string            `json:"subtype"`
	ToolName    string            `json:"tool_name"`
	Input       json.RawMessage   `json:"input"`
	ToolCallID  string            `json:"tool_call_id"`
	Suggestions []json.RawMessage `json:"permission_suggestions"`
	BlockedPath *string           `json:"blocked_path"`
}
