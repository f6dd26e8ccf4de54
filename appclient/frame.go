package appclient

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Channel is the socket a frame arrived on.
type Channel string

// The channels. A server with one socket has the main one only.
const (
	ChannelMain    Channel = "main"
	ChannelControl Channel = "control"
	ChannelStream  Channel = "stream"
)

// Frame types that this package acts on. Others pass through unread.
const (
	TypeStreamDelta         = "stream_delta"
	TypeTurnFinished        = "turn_finished"
	TypeLoopStatus          = "update_loop_status"
	TypeDeviceStatus        = "update_device_status"
	TypeQueue               = "update_queue"
	TypeSubagentState       = "update_subagent_state"
	TypeControlRequest      = "control_request"
	TypeExternalToolRequest = "external_tool_call_request"
	TypeInputAccepted       = "input_accepted"
)

// Frame is one incoming frame: the envelope decoded, the rest as it came.
type Frame struct {
	Channel Channel
	// Type is empty when the frame is not a JSON object with a type.
	Type string
	// RequestID is set on answers, and on requests that the server makes.
	RequestID string
	// Runtime is nil on frames that belong to no runtime.
	Runtime *Runtime
	// SubagentID is set on frames of a sub-agent, which are no part of the turn's output.
	SubagentID string
	// EventSeq counts the events of the connection from 1; 0 on frames without one.
	EventSeq int64
	// Gap is how many events are missing right before this one; see Client.Gaps.
	Gap int64
	// Repeated says that the event has come already on this connection, by its
	// idempotency key. It is shown to observers and counts for nothing else.
	Repeated bool
	// ReceivedAt is the local time of arrival.
	ReceivedAt time.Time
	// Raw is the frame as it came. It must not be changed.
	Raw json.RawMessage
	key string // idempotency_key
}

// Decode unmarshals the whole frame into v.
func (f Frame) Decode(v any) error {
	if err := json.Unmarshal(f.Raw, v); err != nil {
		return fmt.Errorf("decode %s: %w", f.Type, err)
	}
	return nil
}

// envelope is what every frame is searched for.
type envelope struct {
	Type       string   `json:"type"`
	RequestID  string   `json:"request_id"`
	Runtime    *Runtime `json:"runtime"`
	SubagentID string   `json:"subagent_id"`
	EventSeq   int64    `json:"event_seq"`
	Key        string   `json:"idempotency_key"`
}

// DecodeFrame reads the envelope of one incoming message. It never fails: what
// cannot be read is left zero and Raw holds the message, because a frame that
// this package does not understand must not end a connection.
func DecodeFrame(channel Channel, data []byte) Frame {
	frame := Frame{Channel: channel, Raw: data}
	env, ok := quickEnvelope(data)
	if !ok {
		env = envelope{}
		if err := json.Unmarshal(data, &env); err != nil {
			env = looseEnvelope(data)
		}
	}
	frame.Type, frame.RequestID, frame.SubagentID, frame.EventSeq = env.Type, env.RequestID, env.SubagentID, env.EventSeq
	frame.key = env.Key
	if env.Runtime != nil && *env.Runtime != (Runtime{}) {
		frame.Runtime = env.Runtime
	}
	return frame
}

// looseEnvelope takes the fields that have the expected type and skips the others.
func looseEnvelope(data []byte) envelope {
	var env envelope
	var fields map[string]json.RawMessage
	if json.Unmarshal(data, &fields) != nil {
		return env
	}
	take(fields["type"], &env.Type)
	take(fields["request_id"], &env.RequestID)
	take(fields["runtime"], &env.Runtime)
	take(fields["subagent_id"], &env.SubagentID)
	take(fields["event_seq"], &env.EventSeq)
	take(fields["idempotency_key"], &env.Key)
	return env
}

// take decodes raw into v, or leaves v zero.
func take[T any](raw json.RawMessage, v *T) {
	if len(raw) == 0 {
		return
	}
	var value T
	if json.Unmarshal(raw, &value) == nil {
		*v = value
	}
}

// isNull says whether a raw value is absent or null.
func isNull(raw json.RawMessage) bool {
	return len(raw) == 0 || bytes.Equal(raw, []byte("null"))
}
