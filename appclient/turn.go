package appclient

import (
	"context"
	"encoding/json"
	"strings"
	"time"
)

// Turn is one input and how to follow it.
type Turn struct {
	// Text is the message. Exactly one of Text and Content must be set.
	Text    string
	Content []ContentPart
	// ClientMessageID is used verbatim; a fresh one is made when empty. It must be fresh for every attempt:
	// the server does not make resending safe.
	ClientMessageID string
	// Tools names the tools the model may use, external ones included; nil is all of them, empty is none.
	Tools []string
	// ToolScopes offers the external tools of these scopes besides the unscoped ones.
	ToolScopes []string
	// ExcludeInteractiveTools hides tools that ask a person.
	ExcludeInteractiveTools bool
	// Extra is merged into the payload of the input, for fields this type does not name.
	Extra map[string]any

	// Approve decides about tool calls that the server asks about. Those of tools that this session serves are decided
	// by Tool.Approve. RuntimeStart.Approve is used when nil, and when that is nil too, calls are denied.
	Approve ApproveFunc
	// OnAccepted is called once when the server acknowledged the input (0.30.3 and later), before any event after it.
	OnAccepted func(Disposition)
	// OnEvent is called for every event of the turn in order, from the turn's own goroutine.
	OnEvent func(Event)

	// StartTimeout is how long after the acknowledgement the first sign of life may take; when zero, 15 s for an input
	// that the server has queued and 30 s for others. A queued input is then taken out of the queue: the error is
	// ErrInputDiscarded when that succeeded, and ErrNoSignOfLife when the input may have been consumed.
	StartTimeout time.Duration
	// StallTimeout aborts the turn when no frame of its runtime came for so long; never when zero.
	// It does not run while Approve or a tool handler of this client is at work.
	StallTimeout time.Duration
	// AbortGrace is how long an aborted turn may take to end; 10 s when zero.
	AbortGrace time.Duration
}

// ContentPart is one part of a message.
type ContentPart struct {
	Type   string       `json:"type"` // "text" or "image"
	Text   string       `json:"text,omitempty"`
	Source *ImageSource `json:"source,omitempty"`
}

// ImageSource is an image in base64. Servers drop images given by URL.
type ImageSource struct {
	Type      string `json:"type"` // "base64"
	MediaType string `json:"media_type"`
	Data      string `json:"data"`
}

// TurnResult is what is known about a turn when it is over, or when following it ended with an error.
type TurnResult struct {
	Runtime         Runtime
	ClientMessageID string
	// Disposition is empty on servers before 0.30.3.
	Disposition Disposition
	// StopReason is StopEndTurn for a success; empty when the end was not seen.
	StopReason StopReason
	// Text is the assistant text of the last run: the answer. It may be empty.
	Text string
	// Error is the server's text about a failure.
	Error string
	Usage Usage
	// RunID is the last run. Run and turn ids are not unique beyond one server process.
	RunID  string
	TurnID string
	// Runs are the model requests of the turn, in order.
	Runs      []Run
	ToolCalls []ToolUse
	Approvals []Approval
	// Retries counts how often the server asked the model again.
	Retries int
	// Gap says that a part of the turn may not have been seen when it was taken over
	// from a lost connection: Text, Usage, Runs and ToolCalls may lack something.
	Gap bool
	// SentAt, AcceptedAt, FirstEventAt and EndedAt are local times; zero for what did not happen.
	SentAt, AcceptedAt, FirstEventAt, EndedAt time.Time
}

// OK says whether the turn succeeded.
func (r *TurnResult) OK() bool { return r.StopReason == StopEndTurn }

// Run is one model request.
type Run struct {
	ID         string
	StopReason StopReason
	// Messages are the assistant messages of the run in order of their first chunk.
	Messages  []AssistantText
	Reasoning string
}

// AssistantText is one assistant message, put together from its chunks.
type AssistantText struct {
	// Key is the message's otid, else its id.
	Key  string
	Text string
}

// Text is the whole assistant text of the run.
func (r Run) Text() string {
	var text strings.Builder
	for _, message := range r.Messages {
		text.WriteString(message.Text)
	}
	return text.String()
}

// ToolUse is one tool call of a turn.
type ToolUse struct {
	ID        string
	Name      string
	Arguments string
	RunID     string
	// Status is "success" or "error"; empty when the end was not seen.
	Status string
	Output string
	// Started says that the tool really ran: a denied or invalid call ends without starting.
	Started bool
	ended   bool
}

// Approval is one decided approval request of a turn.
type Approval struct {
	RequestID string
	ToolName  string
	Decision  Decision
	// Accepted says whether the server took the answer; true where it does not say.
	Accepted bool
	// Err says why it did not: ErrInputRejected when the answer came too late.
	Err error
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	EventAccepted   EventKind = "accepted" // the input was acknowledged
	EventDelta      EventKind = "delta"
	EventLoopStatus EventKind = "loop_status"
	EventQueue      EventKind = "queue"
	EventApproval   EventKind = "approval" // an approval request was decided
	EventToolCall   EventKind = "tool_call"
	EventToolResult EventKind = "tool_result" // a tool of this session was answered
	EventAborting   EventKind = "aborting"
	EventFinished   EventKind = "finished"
	EventOther      EventKind = "other" // any other frame of the runtime
)

// Event is one thing that happened in a turn.
type Event struct {
	Kind EventKind
	// Frame is the frame it came from; zero when it came from this client.
	Frame Frame
	// Delta belongs to EventDelta. Deltas of sub-agents have Frame.SubagentID set and are not part of the result.
	Delta *Delta
	// LoopStatus belongs to EventLoopStatus.
	LoopStatus *LoopStatus
	// Approval belongs to EventApproval: the decision, before the server has answered it.
	Approval *Approval
	// ToolCall belongs to EventToolCall and EventToolResult; ToolResult, or ToolError, to the latter.
	ToolCall   *ToolCall
	ToolResult *ToolResult
	ToolError  string
}

// RunTurn sends the input and returns when the turn is really over.
//
// A turn that ended has a result and no error whatever its stop reason: check
// TurnResult.OK. On an error the result, when not nil, holds what was known so
// far. When ctx ends the turn is aborted; it returns the result and the cause
// of ctx, or an ErrAbortTimeout when the turn did not end within
// Turn.AbortGrace: the conversation is then of no more use. Other errors:
// ErrConversationBusy, ErrInputRejected, ErrInputDiscarded, ErrNoSignOfLife,
// ErrStalled, ErrConnectionLost, ErrRequestTimeout, *ValidationError.
func (s *Session) RunTurn(ctx context.Context, turn Turn) (*TurnResult, error) {
	running, err := s.startTurn(ctx, turn, false)
	if err != nil {
		return nil, err
	}
	return running.wait()
}

// StartTurn sends the input and returns at once. The turn ends when ctx ends, as in RunTurn.
func (s *Session) StartTurn(ctx context.Context, turn Turn) (*RunningTurn, error) {
	return s.startTurn(ctx, turn, true)
}

// messagesPayload is the payload of create_message.
type messagesPayload struct {
	Kind     string         `json:"kind"`
	Messages []inputMessage `json:"messages"`
	Tools    *[]string      `json:"client_tool_allowlist,omitempty"`
	Scopes   []string       `json:"external_tool_scope_ids,omitempty"`
	NoAsking bool           `json:"exclude_interactive_tools,omitempty"`
}

type inputMessage struct {
	Role            string `json:"role"`
	Content         any    `json:"content"`
	ClientMessageID string `json:"client_message_id"`
}

// payload builds the payload of the input.
func (t Turn) payload() (json.RawMessage, error) {
	payload := messagesPayload{
		Kind:     "create_message",
		Messages: []inputMessage{{Role: "user", Content: t.Text, ClientMessageID: t.ClientMessageID}},
		Scopes:   t.ToolScopes, NoAsking: t.ExcludeInteractiveTools,
	}
	if t.Content != nil {
		payload.Messages[0].Content = t.Content
	}
	if t.Tools != nil {
		payload.Tools = &t.Tools
	}
	return mergeObject(payload, t.Extra)
}
