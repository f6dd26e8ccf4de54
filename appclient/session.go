package appclient

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
)

// Session is a started runtime on one connection.
type Session struct {
	client *Client
	rt     *runtimeState
	// agent and conv are as they came: few look at them.
	agent, conv json.RawMessage
	made        Created
	// since is how many device statuses had been seen when the session started.
	since int64
	once  sync.Once
}

// Runtime names the agent and the conversation.
func (s *Session) Runtime() Runtime { return s.rt.runtime }

// RawRuntime is the runtime object exactly as the server returned it.
func (s *Session) RawRuntime() json.RawMessage { return s.rt.raw }

// Agent is the agent as runtime_start returned it.
func (s *Session) Agent() (agent Agent) {
	take(s.agent, &agent)
	return agent
}

// Model is that of Agent.
func (s *Session) Model() string {
	model, _ := words(member(s.agent, "model"))
	return model
}

// Conversation is the conversation as runtime_start returned it.
func (s *Session) Conversation() (conv Conversation) {
	take(s.conv, &conv)
	return conv
}

// Created says what runtime_start made.
func (s *Session) Created() Created { return s.made }

// Client is the connection the session lives on.
func (s *Session) Client() *Client { return s.client }

// DeviceStatus is the last device status seen; the zero value when none was.
func (s *Session) DeviceStatus() DeviceStatus {
	if status := s.rt.device.Load().get(); status != nil {
		return *status
	}
	return DeviceStatus{}
}

// LoopStatus is the last loop status seen; the zero value when none was.
func (s *Session) LoopStatus() LoopStatus {
	if status := s.rt.loop.Load().get(); status != nil {
		return *status
	}
	return LoopStatus{}
}

// Sync asks the server to send the state of the runtime again and returns when
// it has come. It shows state, not deltas that were missed.
func (s *Session) Sync(ctx context.Context) error {
	if _, err := s.client.command(ctx, "sync", map[string]any{
		"runtime": s.rt.raw, "recover_approvals": false, "force_device_status": true,
	}); err != nil {
		return err
	}
	return s.client.catchUp(ctx)
}

// Abort asks the server to cancel what runs on the runtime. It reports whether
// something was active; the turn is over only when its end arrives. A turn of
// this client is better ended by RunningTurn.Abort.
func (s *Session) Abort(ctx context.Context) (bool, error) {
	return abortedBy(s.client.command(ctx, "abort_message", map[string]any{"runtime": s.rt.raw}))
}

// abortedBy reads an abort_message_response.
func abortedBy(frame Frame, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	var answer struct {
		Aborted bool `json:"aborted"`
	}
	err = frame.Decode(&answer)
	return answer.Aborted, err
}

// Answer answers an approval request that no turn of this client has answered,
// for example one found in DeviceStatus. An answer that comes too late fails with ErrInputRejected.
// Servers before 0.30.3 do not say whether they took it.
func (s *Session) Answer(ctx context.Context, requestID string, decision Decision) error {
	if requestID == "" {
		return &ValidationError{"request_id", "must not be empty"}
	}
	if err := decision.validate(); err != nil {
		return err
	}
	command := map[string]any{"type": "input", "runtime": s.rt.raw, "payload": decision.payload(requestID)}
	if !s.client.acknowledges() {
		return s.client.sendCommand(ctx, command)
	}
	frame, err := s.client.Request(ctx, command)
	if err != nil {
		return fmt.Errorf("answer approval %s: %w", requestID, err)
	}
	return acceptedError(frame)
}

// Close forgets the runtime on this client: its frames are no longer routed and its tools are no longer
// served. The server keeps the connection subscribed. It does not touch a running turn of another
// Session on the same runtime. It may be called more than once.
func (s *Session) Close() { s.once.Do(func() { s.client.release(s.rt) }) }

// acceptedError reads an input_accepted.
func acceptedError(frame Frame) error {
	var answer struct {
		Accepted bool   `json:"accepted"`
		Error    string `json:"error"`
	}
	if err := frame.Decode(&answer); err != nil {
		return err
	}
	if !answer.Accepted {
		return fmt.Errorf("%w: %s", ErrInputRejected, answer.Error)
	}
	return nil
}
