package appclient

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coder/websocket"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrServerBusy: a server with two channels already has a client (close code 1008 right after the open).
	ErrServerBusy = errors.New("the App Server is busy with another client; it takes one at a time")
	// ErrUnauthorized: the server refused the token (HTTP 401).
	ErrUnauthorized = errors.New("the App Server refused the authorization")
	// ErrForbidden: HTTP 403.
	ErrForbidden = errors.New("the App Server forbids the connection")
	// ErrSplitNotSupported: TransportSplit was asked for and the server has one socket (HTTP 426).
	ErrSplitNotSupported = errors.New("the App Server takes a single socket: use TransportAuto or TransportSingle")
	// ErrConnectionLost: the connection ended. It wraps the close code when there was one.
	ErrConnectionLost = errors.New("connection to the App Server lost")
	// ErrClosed: the client was closed by Close. It is also an ErrConnectionLost.
	ErrClosed = errors.New("client closed")
	// ErrRequestTimeout: no answer came. The server drops commands that it finds invalid without a word.
	ErrRequestTimeout = errors.New("no answer from the App Server: the command was dropped as invalid, or the server is stuck")
	// ErrConversationBusy: a turn of this client is in flight on the conversation, or an aborted one has not ended.
	ErrConversationBusy = errors.New("conversation is busy with another turn")
	// ErrInputRejected: the server answered accepted:false, or called the input a protocol violation.
	ErrInputRejected = errors.New("the App Server rejected the input")
	// ErrInputDiscarded: the queued input was removed before it ran, by this client or by the server. It was
	// certainly not consumed and may be sent again.
	ErrInputDiscarded = errors.New("the queued input was discarded before it ran")
	// ErrNoSignOfLife: the input was acknowledged and nothing followed within Turn.StartTimeout. Whether it was
	// consumed cannot be told; see Client.ListMessages.
	ErrNoSignOfLife = errors.New("the App Server acknowledged the input but the turn showed no sign of life")
	// ErrStalled: nothing was heard of the turn for Turn.StallTimeout.
	ErrStalled = errors.New("turn stalled")
	// ErrAbortTimeout: the aborted turn did not end within Turn.AbortGrace; the conversation must be abandoned.
	ErrAbortTimeout = errors.New("aborted turn did not end in time; go on in a new conversation")
	// ErrSlowConsumer: a subscription fell too far behind and was ended.
	ErrSlowConsumer = errors.New("subscription ended: its consumer is too slow")
	// ErrNotFound matches a CommandError or RuntimeStartError that says that something does not exist.
	ErrNotFound = errors.New("not found")
)

// ValidationError says what is wrong with a value before anything is sent.
// The server would drop it silently or misunderstand it.
type ValidationError struct {
	// Field is the path of the field, e.g. "external_tools[0].parameters".
	Field   string
	Problem string
}

// Error implements error.
func (e *ValidationError) Error() string { return e.Field + ": " + e.Problem }

// CommandError is an answer with success:false.
type CommandError struct {
	// Command is the type of the command, e.g. "agent_retrieve".
	Command string
	// Message is the server's text.
	Message string
}

// Error implements error.
func (e *CommandError) Error() string {
	return fmt.Sprintf("%s: App Server answered: %s", e.Command, e.Message)
}

// Is reports ErrNotFound for answers that say so.
func (e *CommandError) Is(target error) bool {
	return target == ErrNotFound && strings.Contains(strings.ToLower(e.Message), "not found")
}

// RuntimeStartError is a refused runtime_start. What was created before the
// failure stays on the server.
type RuntimeStartError struct {
	CommandError
	// AgentID and ConversationID are what the server had found or made before it failed.
	AgentID        string
	ConversationID string
	Created        Created
}

// Error implements error.
func (e *RuntimeStartError) Error() string { return e.CommandError.Error() }

// Is reports ErrNotFound for answers that say so.
func (e *RuntimeStartError) Is(target error) bool { return e.CommandError.Is(target) }

// MismatchError says that a started runtime does not have what was asked for.
// The server falls back silently, for example to its own directory when the cwd does not exist.
type MismatchError struct {
	// Field is "cwd" or "mode".
	Field     string
	Want, Got string
	// Runtime is the runtime that was started and must not be used; it stays on the server.
	Runtime Runtime
	Created Created
}

// Error implements error.
func (e *MismatchError) Error() string {
	return fmt.Sprintf("runtime started with %s %q instead of %q", e.Field, e.Got, e.Want)
}

// CloseError is the close frame that ended a connection. It is wrapped by ErrConnectionLost errors.
type CloseError struct {
	// Code is the close code; 1006 means that there was no close frame.
	Code    int
	Reason  string
	Channel Channel
}

// Error implements error.
func (e *CloseError) Error() string {
	text := fmt.Sprintf("close code %d", e.Code)
	if e.Reason != "" {
		text += " (" + e.Reason + ")"
	}
	if e.Channel != ChannelMain {
		text += " on the " + string(e.Channel) + " channel"
	}
	return text
}

// lostError makes the error of a connection that ended with err.
func lostError(channel Channel, err error, sawFrame bool) error {
	closeErr := &CloseError{Code: int(websocket.StatusAbnormalClosure), Channel: channel}
	var frame websocket.CloseError
	if errors.As(err, &frame) {
		closeErr.Code, closeErr.Reason = int(frame.Code), frame.Reason
		if frame.Code == websocket.StatusPolicyViolation && !sawFrame {
			return fmt.Errorf("%w: %w: %w", ErrConnectionLost, ErrServerBusy, closeErr)
		}
		return fmt.Errorf("%w: %w", ErrConnectionLost, closeErr)
	}
	return fmt.Errorf("%w: %w: %w", ErrConnectionLost, closeErr, err)
}
