package appclient

import (
	"context"
	"encoding/json"
)

// ApprovalRequest asks whether a tool may be used.
type ApprovalRequest struct {
	RequestID  string
	Runtime    Runtime
	ToolName   string
	ToolCallID string
	// Input is the tool's arguments, a JSON object.
	Input json.RawMessage
	// Suggestions are rules that Decision.SuggestionIDs may select. Selecting one makes the server remember it.
	Suggestions []PermissionSuggestion
	BlockedPath string
	// Raw is the request as the server sent it, with diffs.
	Raw json.RawMessage
}

// PermissionSuggestion is a rule that the server offers to remember.
type PermissionSuggestion struct {
	ID   string `json:"id"`
	Text string `json:"text"`
}

// UnmarshalJSON reads {request_id, request, runtime?}, the form of control_request
// frames and of pending_control_requests. Fields of an unexpected type are left zero.
func (r *ApprovalRequest) UnmarshalJSON(data []byte) error {
	var outer, request map[string]json.RawMessage
	if err := json.Unmarshal(data, &outer); err != nil {
		return err
	}
	*r = ApprovalRequest{}
	take(outer["request_id"], &r.RequestID)
	take(outer["runtime"], &r.Runtime)
	take(outer["request"], &request)
	r.Raw = append(json.RawMessage(nil), outer["request"]...)
	take(request["tool_name"], &r.ToolName)
	take(request["tool_call_id"], &r.ToolCallID)
	take(request["permission_suggestions"], &r.Suggestions)
	take(request["blocked_path"], &r.BlockedPath)
	r.Input = request["input"]
	return nil
}

// Behavior is what a Decision decides.
type Behavior string

// The behaviors.
const (
	BehaviorAllow Behavior = "allow"
	BehaviorDeny  Behavior = "deny"
)

// Decision answers an ApprovalRequest. A denial becomes the tool's result and the turn goes on.
type Decision struct {
	Behavior Behavior
	// Message is required for a denial: the model reads it.
	Message string
	// UpdatedInput replaces the tool's arguments when it is not nil; a JSON object. Allow only.
	UpdatedInput json.RawMessage
	// SuggestionIDs select permission suggestions, which the server then remembers. Allow only.
	SuggestionIDs []string
	// Error, when not empty, says that no decision could be made; the rest is ignored.
	Error string
}

// Allow permits the tool call.
func Allow() Decision { return Decision{Behavior: BehaviorAllow} }

// Deny refuses the tool call with a message for the model.
func Deny(message string) Decision { return Decision{Behavior: BehaviorDeny, Message: message} }

// ApproveFunc decides about a tool call. ctx ends when the turn is aborted or
// the connection is lost. An error is sent to the server as "could not decide".
type ApproveFunc func(ctx context.Context, request ApprovalRequest) (Decision, error)

// defaultDenial is what the model reads when nobody was there to decide.
const defaultDenial = "This tool call was denied: nobody is available to approve it. Go on without it, or finish and say what is missing."

// validate refuses what the server would take for a protocol violation.
func (d Decision) validate() error {
	switch {
	case d.Error != "":
		return nil
	case d.Behavior == BehaviorDeny && d.Message == "":
		return &ValidationError{"decision.message", "a denial needs a message"}
	case d.Behavior != BehaviorAllow && d.Behavior != BehaviorDeny:
		return &ValidationError{"decision.behavior", "must be allow or deny, not " + quoted(string(d.Behavior))}
	case d.UpdatedInput != nil && !isObject(d.UpdatedInput):
		return &ValidationError{"decision.updated_input", "must be a JSON object"}
	case d.Behavior == BehaviorDeny && (d.UpdatedInput != nil || d.SuggestionIDs != nil):
		return &ValidationError{"decision", "a denial takes no updated input and no suggestions"}
	}
	return nil
}

// wireDecision is the decision as the server reads it.
type wireDecision struct {
	Behavior      Behavior        `json:"behavior"`
	Message       string          `json:"message,omitempty"`
	UpdatedInput  json.RawMessage `json:"updated_input,omitempty"`
	SuggestionIDs []string        `json:"selected_permission_suggestion_ids,omitempty"`
}

// payload is the payload of the input that answers requestID.
func (d Decision) payload(requestID string) map[string]any {
	payload := map[string]any{"kind": "approval_response", "request_id": requestID}
	if d.Error != "" {
		payload["error"] = d.Error
		return payload
	}
	payload["decision"] = wireDecision{d.Behavior, d.Message, d.UpdatedInput, d.SuggestionIDs}
	return payload
}

// decide asks for a decision and makes sure that the server can read it.
func decide(ctx context.Context, approve ApproveFunc, request ApprovalRequest) Decision {
	if approve == nil {
		return Deny(defaultDenial)
	}
	decision, err := approve(ctx, request)
	if err == nil {
		err = decision.validate()
	}
	if err != nil {
		text := err.Error()
		if text == "" {
			text = "no decision could be made"
		}
		return Decision{Error: text}
	}
	return decision
}
