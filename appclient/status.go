package appclient

import "encoding/json"

// LoopStatusName says what the loop of a runtime does.
type LoopStatusName string

// The loop statuses that matter to a client. LoopWaitingOnInput means idle, and
// is also shown while a turn is being cancelled.
const (
	LoopWaitingOnInput    LoopStatusName = "WAITING_ON_INPUT"
	LoopWaitingOnApproval LoopStatusName = "WAITING_ON_APPROVAL"
)

// LoopStatus is the last update_loop_status of a runtime.
type LoopStatus struct {
	Status               LoopStatusName `json:"status"`
	ActiveRunIDs         []string       `json:"active_run_ids"`
	ExecutingToolCallIDs []string       `json:"executing_tool_call_ids"`
	// ClientMessageIDs maps run ids to the inputs they consumed (0.30.28 and later; the last 32 runs).
	ClientMessageIDs map[string][]string `json:"client_message_ids_by_run_id"`
}

// Idle says whether the runtime waits for input.
func (s LoopStatus) Idle() bool { return s.Status == LoopWaitingOnInput }

// pending are the approval requests that are open; nil of none.
func (s *DeviceStatus) pending() []ApprovalRequest {
	if s == nil {
		return nil
	}
	return s.Pending
}

// DeviceStatus is the last update_device_status of a runtime.
type DeviceStatus struct {
	CWD          string `json:"current_working_directory"`
	Mode         Mode   `json:"current_permission_mode"`
	IsProcessing bool   `json:"is_processing"`
	// LoadedTools are the tools of the last turn; empty before the first.
	LoadedTools []string `json:"current_loaded_tools"`
	// Pending are the approvals that wait for an answer. Servers up to 0.27.20 show them only here.
	Pending []ApprovalRequest `json:"pending_control_requests"`
	Raw     json.RawMessage   `json:"-"`
}

// QueueUpdate is an update_queue frame.
type QueueUpdate struct {
	Queue   []QueueItem `json:"queue"`
	Removed []struct {
		ClientMessageID string `json:"client_message_id"`
		// Disposition is "dequeued" or "cancelled".
		Disposition string `json:"disposition"`
	} `json:"removed"`
}

// QueueItem is an input that waits on the server.
type QueueItem struct {
	ID              string `json:"id"`
	ClientMessageID string `json:"client_message_id"`
	Kind            string `json:"kind"`
	Source          string `json:"source"`
	Paused          bool   `json:"paused"`
}

// turnFinished is a turn_finished frame.
type turnFinished struct {
	TurnID     string          `json:"turn_id"`
	StopReason StopReason      `json:"stop_reason"`
	RunID      string          `json:"run_id"`
	Error      json.RawMessage `json:"error"`
}
