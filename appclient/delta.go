package appclient

import (
	"encoding/json"
	"strings"
)

// Delta kinds (message_type). A Delta of another kind has MessageType and Raw only.
const (
	DeltaAssistant         = "assistant_message"
	DeltaReasoning         = "reasoning_message"
	DeltaUser              = "user_message"
	DeltaApprovalRequest   = "approval_request_message"
	DeltaToolCall          = "tool_call_message"
	DeltaToolReturn        = "tool_return_message"
	DeltaToolStart         = "client_tool_start"
	DeltaToolEnd           = "client_tool_end"
	DeltaUsage             = "usage_statistics"
	DeltaStopReason        = "stop_reason"
	DeltaEvent             = "event_message"
	DeltaSummary           = "summary_message"
	DeltaError             = "error_message"
	DeltaStatus            = "status"
	DeltaRetry             = "retry"
	DeltaLoopError         = "loop_error"
	DeltaSlashCommandStart = "slash_command_start"
	DeltaSlashCommandEnd   = "slash_command_end"
)

// Delta is the content of a stream_delta frame. Which fields are set depends
// on MessageType; Raw always holds everything, unknown fields included.
type Delta struct {
	MessageType string
	ID          string
	// OTID names the message a chunk belongs to; see Key.
	OTID  string
	RunID string
	SeqID int64
	// Text is the text of an assistant_message, reasoning_message, user_message or summary_message,
	// or the message of a status, retry, loop_error, error_message or event_message.
	Text string
	// ToolCalls are announced by approval_request_message and tool_call_message, whether anybody will be asked or not.
	ToolCalls []ToolCallRequest
	// ToolCallID, ToolName and ToolArgs belong to client_tool_start and client_tool_end;
	// ToolCallID also to a tool_return_message.
	ToolCallID string
	ToolName   string
	ToolArgs   string
	// Status is "success" or "error", of client_tool_end and tool_return_message.
	Status string
	// ToolReturn is the output of a tool. While Partial, more will come.
	ToolReturn string
	Partial    bool
	// Usage belongs to usage_statistics.
	Usage *Usage
	// StopReason belongs to stop_reason and loop_error.
	StopReason StopReason
	// Retry belongs to retry, and to an event_message of event type "retry".
	Retry *Retry
	// Terminal is is_terminal of a loop_error.
	Terminal bool
	// EventType belongs to event_message, e.g. "retry" or "compaction".
	EventType string
	// Level belongs to status, e.g. "warning".
	Level string
	Raw   json.RawMessage
}

// Retry says that the server asks the model again.
type Retry struct {
	Attempt     int    `json:"attempt"`
	MaxAttempts int    `json:"max_attempts"`
	DelayMS     int    `json:"delay_ms"`
	Message     string `json:"message"`
	Reason      string `json:"reason"`
}

// Key groups the chunks of one message: its otid, else its id.
func (d *Delta) Key() string {
	if d.OTID != "" {
		return d.OTID
	}
	return d.ID
}

// wireDelta has every field of every kind; the ones whose type differs between kinds are raw.
type wireDelta struct {
	MessageType string            `json:"message_type"`
	ID          string            `json:"id"`
	OTID        string            `json:"otid"`
	RunID       string            `json:"run_id"`
	SeqID       int64             `json:"seq_id"`
	Content     json.RawMessage   `json:"content"`
	Reasoning   string            `json:"reasoning"`
	Summary     string            `json:"summary"`
	Message     json.RawMessage   `json:"message"`
	ToolCall    *ToolCallRequest  `json:"tool_call"`
	ToolCalls   []ToolCallRequest `json:"tool_calls"`
	ToolCallID  string            `json:"tool_call_id"`
	ToolName    string            `json:"tool_name"`
	ToolArgs    string            `json:"tool_args"`
	Status      string            `json:"status"`
	ToolReturn  json.RawMessage   `json:"tool_return"`
	StopReason  StopReason        `json:"stop_reason"`
	IsTerminal  bool              `json:"is_terminal"`
	EventType   string            `json:"event_type"`
	EventData   json.RawMessage   `json:"event_data"`
	Level       string            `json:"level"`
	Output      string            `json:"output"`
}

// DecodeDelta reads the delta of a stream_delta. It never fails: what cannot be read is left zero.
func DecodeDelta(raw json.RawMessage) Delta {
	var w wireDelta
	if unmarshalQuickly(raw, &w, quickDelta) != nil {
		w = looseDelta(raw)
	}
	d := Delta{
		MessageType: w.MessageType, ID: w.ID, OTID: w.OTID, RunID: w.RunID, SeqID: w.SeqID,
		ToolCallID: w.ToolCallID, ToolName: w.ToolName, ToolArgs: w.ToolArgs, Status: w.Status,
		StopReason: w.StopReason, Terminal: w.IsTerminal, EventType: w.EventType, Level: w.Level, Raw: raw,
	}
	switch w.MessageType {
	case DeltaAssistant, DeltaUser:
		d.Text = contentText(w.Content)
	case DeltaReasoning:
		d.Text = w.Reasoning
		if d.Text == "" {
			d.Text = contentText(w.Content)
		}
	case DeltaSummary:
		d.Text = w.Summary
	case DeltaApprovalRequest, DeltaToolCall:
		d.ToolCalls = w.ToolCalls
		if w.ToolCall != nil && len(d.ToolCalls) == 0 {
			d.ToolCalls = []ToolCallRequest{*w.ToolCall}
		}
	case DeltaToolReturn:
		d.ToolReturn = contentText(w.ToolReturn)
		// The server gives the running output of a shell this fixed id and its end a random one.
		d.Partial = w.ToolCallID != "" && w.ID == "synthetic-tool-return-stream-"+w.ToolCallID
	case DeltaUsage:
		d.Usage = new(Usage)
		if unmarshalQuickly(raw, d.Usage, quickUsage) == nil {
			d.Usage.Requests = 1
		}
	case DeltaRetry:
		d.Text = contentText(w.Message)
		d.Retry = new(Retry)
		take(raw, d.Retry)
	case DeltaEvent:
		var data Retry
		take(w.EventData, &data)
		d.Text = data.Message
		if w.EventType == "retry" {
			d.Retry = &data
		}
	case DeltaSlashCommandEnd:
		d.Text = w.Output
	default:
		d.Text = contentText(w.Message)
	}
	return d
}

// looseDelta keeps the text fields that have the expected type, when some field has not.
func looseDelta(raw json.RawMessage) wireDelta {
	var w wireDelta
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return w
	}
	for name, target := range map[string]*string{
		"message_type": &w.MessageType, "id": &w.ID, "otid": &w.OTID, "run_id": &w.RunID,
		"reasoning": &w.Reasoning, "summary": &w.Summary, "tool_call_id": &w.ToolCallID, "tool_name": &w.ToolName,
		"tool_args": &w.ToolArgs, "status": &w.Status, "event_type": &w.EventType, "level": &w.Level, "output": &w.Output,
	} {
		take(fields[name], target)
	}
	w.Content, w.Message, w.ToolReturn, w.EventData = fields["content"], fields["message"], fields["tool_return"], fields["event_data"]
	take(fields["seq_id"], &w.SeqID)
	take(fields["stop_reason"], &w.StopReason)
	take(fields["is_terminal"], &w.IsTerminal)
	take(fields["tool_call"], &w.ToolCall)
	take(fields["tool_calls"], &w.ToolCalls)
	return w
}

// contentText reads a string, or the text parts of a list of parts.
func contentText(raw json.RawMessage) string {
	if isNull(raw) {
		return ""
	}
	if raw[0] == '"' {
		text, _ := words(raw)
		return text
	}
	var parts []struct {
		Type string `json:"type"`
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	var text strings.Builder
	for _, part := range parts {
		if part.Type == "text" || part.Type == "" {
			text.WriteString(part.Text)
		}
	}
	return text.String()
}
