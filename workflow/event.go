package workflow

import "time"

// Event is one thing that happened to a task. Events are the only way to
// change a State, and the journal of a task is the list of its events.
type Event struct {
	At   time.Time
	Body EventBody
}

// EventBody is implemented by the event types of this file alone.
type EventBody interface {
	// EventType is the name the journal stores, e.g. "turn_ended".
	EventType() string
}

type (
	// TaskSubmitted is the first event of every task. Input must have passed Team.BindInput.
	TaskSubmitted struct {
		Task      string         `json:"task"`
		Team      string         `json:"team"`
		Revision  string         `json:"revision"`
		Input     map[string]any `json:"input,omitempty"`
		Workspace string         `json:"workspace,omitempty"`
	}
	// TaskClaimed says that the engine has taken the task up.
	TaskClaimed struct{}
	// TurnSending is committed before the input frame is written: from here on the turn may have been sent.
	TurnSending struct {
		Turn            int     `json:"turn"`
		Attempt         int     `json:"attempt"`
		ClientMessageID string  `json:"client_message_id"`
		Runtime         Runtime `json:"runtime"`
	}
	// TurnAccepted says that the App Server acknowledged the input.
	TurnAccepted struct {
		Turn        int    `json:"turn"`
		Attempt     int    `json:"attempt"`
		Disposition string `json:"disposition,omitempty"`
	}
	// TurnFinished says how one attempt at a turn ended. One that names an
	// older attempt is refused with ErrStale.
	TurnFinished struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Reason  Reason `json:"reason"`
		Output  string `json:"output,omitempty"`
		// Outcome is what the agent reported through the controller's tool.
		Outcome string `json:"outcome,omitempty"`
		Summary string `json:"summary,omitempty"`
		Data    any    `json:"data,omitempty"`
		Error   string `json:"error,omitempty"`
		Usage   Usage  `json:"usage,omitzero"`
		// RunID and TurnID are the App Server's names, for people who read its logs.
		RunID  string `json:"run_id,omitempty"`
		TurnID string `json:"turn_id,omitempty"`
		// ToolCalls is how many tools the turn called.
		ToolCalls int `json:"tool_calls,omitempty"`
		// ConversationLost says that the conversation cannot be used again; the
		// agent's next turn gets a new one.
		ConversationLost bool `json:"conversation_lost,omitempty"`
	}
	// TurnReconciled says what was found out about an attempt that had been
	// sent when the orchestrator, the App Server or the connection went away.
	TurnReconciled struct {
		Turn    int     `json:"turn"`
		Attempt int     `json:"attempt"`
		Finding Finding `json:"finding"`
		// Output is the collected answer when Finding is FindingFinished.
		Output string `json:"output,omitempty"`
		Detail string `json:"detail,omitempty"`
		// ConversationLost is as in TurnFinished.
		ConversationLost bool `json:"conversation_lost,omitempty"`
	}
	// TimerFired says that the time a waiting task waited for has come.
	TimerFired struct{}
	// CancelRequested asks for the task to end as cancelled.
	CancelRequested struct {
		By string `json:"by,omitempty"`
	}
)

// Finding is the result of reconciling a turn with the App Server.
type Finding string

// What reconciliation can find.
const (
	// FindingNotConsumed: the input never reached the conversation; it is sent again with a new id.
	FindingNotConsumed Finding = "not_consumed"
	// FindingInterrupted: the input was consumed and its turn did not finish; it is continued, not repeated.
	FindingInterrupted Finding = "interrupted"
	// FindingFinished: the turn finished and its answer was collected.
	FindingFinished Finding = "finished"
	// FindingUnknown: it cannot be known.
	FindingUnknown Finding = "unknown"
)

// EventType implements EventBody.
func (TaskSubmitted) EventType() string { return "task_submitted" }

// EventType implements EventBody.
func (TaskClaimed) EventType() string { return "task_claimed" }

// EventType implements EventBody.
func (TurnSending) EventType() string { return "turn_sending" }

// EventType implements EventBody.
func (TurnAccepted) EventType() string { return "turn_accepted" }

// EventType implements EventBody.
func (TurnFinished) EventType() string { return "turn_finished" }

// EventType implements EventBody.
func (TurnReconciled) EventType() string { return "turn_reconciled" }

// EventType implements EventBody.
func (TimerFired) EventType() string { return "timer_fired" }

// EventType implements EventBody.
func (CancelRequested) EventType() string { return "cancel_requested" }
