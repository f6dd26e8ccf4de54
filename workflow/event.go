package workflow

import "time"

// Event is one thing that happened to a task. Events are the only way to
// change a State, and the journal of a task is the list of its events.
type Event struct {
	At   time.Time
	Body EventBody
}

// EventBody is implemented by the event types of this package alone.
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
		GitBranch string         `json:"git_branch,omitempty"`
		// Prepare says that the workspace is made before the task begins, or, where
		// Workspace names a directory, that it is waited for while others work in
		// it. Without it the task works in Workspace as it is.
		Prepare bool `json:"prepare,omitempty"`
		// WorkspaceOf is as in State.
		WorkspaceOf string `json:"workspace_of,omitempty"`
		// Parent and Limits are of a task that another task started.
		Parent *Parent `json:"parent,omitempty"`
		Limits Limits  `json:"limits,omitzero"`
		// Priority, Batch and Schedule are as in State.
		Priority int    `json:"priority,omitempty"`
		Batch    string `json:"batch,omitempty"`
		Schedule string `json:"schedule,omitempty"`
		// Trace is what the task was submitted with; nil where nobody said anything.
		Trace *TraceContext `json:"trace,omitempty"`
		// Origin and Begin are of a task that goes on from another one. Without Begin
		// it begins anew.
		Origin *Origin `json:"origin,omitempty"`
		// Place is the worktree that it takes over from the task that it goes on from.
		Place *Place     `json:"place,omitempty"`
		Begin *Beginning `json:"begin,omitempty"`
	}
	// TaskClaimed says that the engine has taken the task up.
	TaskClaimed struct{}
	// TurnSending is committed before the input frame is written: from here on the
	// turn may have been sent. For a check it is committed before the command is
	// started, and for a sub-team before its task is made.
	TurnSending struct {
		Turn            int     `json:"turn"`
		Attempt         int     `json:"attempt"`
		ClientMessageID string  `json:"client_message_id,omitempty"`
		Runtime         Runtime `json:"runtime,omitzero"`
		// Child is the ID of the sub-team's task.
		Child string `json:"child,omitempty"`
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
		// OutputFile holds the whole output where Output is an excerpt of it.
		OutputFile string `json:"output_file,omitempty"`
		// Model is the handle of the model that the turn ran on. Cost is its price in
		// millionths of a US dollar, and Unpriced says that the price is not known.
		Model    string `json:"model,omitempty"`
		Cost     int64  `json:"cost,omitempty"`
		Unpriced bool   `json:"unpriced,omitempty"`
		// Handoff is the target that the agent picked with the tool handoff, and
		// HandoffMessage what it wants to be told there.
		Handoff        string `json:"handoff,omitempty"`
		HandoffMessage string `json:"handoff_message,omitempty"`
		// QuotaReset is when the provider's quota allows the next request; the turn
		// is then asked for again at that time, and no rule sees its end.
		QuotaReset time.Time `json:"quota_reset,omitzero"`
		// ExitCode and Duration are of a check.
		ExitCode int           `json:"exit_code,omitempty"`
		Duration time.Duration `json:"duration,omitempty"`
	}
	// TurnReconciled says what was found out about an attempt that had been
	// sent when the orchestrator, the App Server or the connection went away.
	TurnReconciled struct {
		Turn    int     `json:"turn"`
		Attempt int     `json:"attempt"`
		Finding Finding `json:"finding"`
		// Output is the collected answer when Finding is FindingFinished.
		Output string `json:"output,omitempty"`
		// OutputFile is as in TurnFinished.
		OutputFile string `json:"output_file,omitempty"`
		Detail     string `json:"detail,omitempty"`
		// Usage is what was seen to be used since the turn was found running. Model,
		// Cost and Unpriced are as in TurnFinished.
		Usage    Usage  `json:"usage,omitzero"`
		Model    string `json:"model,omitempty"`
		Cost     int64  `json:"cost,omitempty"`
		Unpriced bool   `json:"unpriced,omitempty"`
		// ConversationLost is as in TurnFinished.
		ConversationLost bool `json:"conversation_lost,omitempty"`
		// KeepAsked says that what the turn has asked keeps its number and its time for
		// when it asks the same again. Journals of earlier versions do not have it.
		KeepAsked bool `json:"keep_asked,omitempty"`
	}
	// TurnUsed says what an attempt was seen to use whose end does not say it: it was
	// aborted, contact with it was lost, or the orchestrator stopped. It can come
	// when the turn, and even the task, is over, and changes nothing but what is counted.
	TurnUsed struct {
		Turn    int `json:"turn"`
		Attempt int `json:"attempt"`
		// Node and Branch are those of the turn.
		Node   string `json:"node,omitempty"`
		Branch int    `json:"branch,omitempty"`
		Usage  Usage  `json:"usage,omitzero"`
		// Model, Cost and Unpriced are as in TurnFinished.
		Model    string `json:"model,omitempty"`
		Cost     int64  `json:"cost,omitempty"`
		Unpriced bool   `json:"unpriced,omitempty"`
	}
	// TimerFired says that State.WakeAt has come.
	TimerFired struct{}
	// GateAnswered is a person's decision on an open gate. Answering one that is
	// not open any more is refused with ErrStale.
	GateAnswered struct {
		Turn     int  `json:"turn"`
		Approved bool `json:"approved"`
		// By and Comment are for those who come next; Comment is the gate's output.
		By      string `json:"by,omitempty"`
		Comment string `json:"comment,omitempty"`
	}
	// QuestionAsked says that a running turn waits for a person. Its ID is given by
	// Decide, but for one that was asked before: see AskedBefore.
	QuestionAsked struct {
		Turn     int          `json:"turn"`
		Attempt  int          `json:"attempt"`
		Kind     QuestionKind `json:"kind"`
		Text     string       `json:"text"`
		Tool     string       `json:"tool,omitempty"`
		Argument string       `json:"argument,omitempty"`
		Choices  []string     `json:"choices,omitempty"`
		// Question is the ID that the same question had when contact with its turn was
		// lost; 0 for a new one.
		Question int `json:"question,omitempty"`
	}
	// QuestionAnswered is a person's answer. Answering one that is not open any
	// more is refused with ErrStale, and with what is not among its answers with *AnswerError.
	QuestionAnswered struct {
		Question int    `json:"question"`
		Answer   string `json:"answer"`
		By       string `json:"by,omitempty"`
		// Kept says that the turn which asked is out of touch, so that nobody
		// hears the answer now: it is given when the turn asks the same again.
		Kept bool `json:"kept,omitempty"`
	}
	// ProgressReported is what an agent said with update_progress.
	ProgressReported struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Text    string `json:"text"`
		Percent *int   `json:"percent,omitempty"`
	}
	// ChildReported says what the task of a sub-team has used so far, in all, and
	// how it stands. An older report must not come after a newer one.
	ChildReported struct {
		Turn     int   `json:"turn"`
		Attempt  int   `json:"attempt"`
		Attempts int   `json:"attempts"` // as State.Attempts of the child
		Usage    Usage `json:"usage,omitzero"`
		Cost     int64 `json:"cost,omitempty"`
		// Unpriced lists models without a known price.
		Unpriced []string `json:"unpriced,omitempty"`
		// Status is that of the child.
		Status TaskState `json:"status,omitempty"`
		// Starting says that a turn of the child, which Attempts counts, begins as
		// soon as this is recorded, unless the sub-team is told to stop.
		Starting bool `json:"starting,omitempty"`
	}
	// LimitReached says that what runs below the turn of a sub-team has reached a
	// limit of this task.
	LimitReached struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Note    string `json:"note"`
	}
	// TaskSpawned says that an agent spawned another task, which goes its own way.
	TaskSpawned struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Task    string `json:"task"`
		Team    string `json:"team"`
	}
	// PauseRequested stops the task after the turns that run now.
	PauseRequested struct {
		By string `json:"by,omitempty"`
		// Note is a sentence for people; empty for "paused by ...".
		Note string `json:"note,omitempty"`
		// Parent says that the task asks for it which this one is a sub-team of.
		Parent bool `json:"parent,omitempty"`
		// Stop ends the turns that run now, too, as at a limit: they go on when the
		// task is resumed. It may follow a pause without it.
		Stop bool `json:"stop,omitempty"`
	}
	// ResumeRequested goes on with a paused task. Raise is added to its limits
	// (those that are set), and to those of the branches that have reached one.
	// What a parent has paused only the parent resumes: *PausedByParentError.
	ResumeRequested struct {
		By     string `json:"by,omitempty"`
		Raise  Limits `json:"raise,omitzero"`
		Parent bool   `json:"parent,omitempty"`
	}
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
func (TurnUsed) EventType() string { return "turn_used" }

// EventType implements EventBody.
func (TimerFired) EventType() string { return "timer_fired" }

// EventType implements EventBody.
func (CancelRequested) EventType() string { return "cancel_requested" }

// EventType implements EventBody.
func (GateAnswered) EventType() string { return "gate_answered" }

// EventType implements EventBody.
func (QuestionAsked) EventType() string { return "question_asked" }

// EventType implements EventBody.
func (QuestionAnswered) EventType() string { return "question_answered" }

// EventType implements EventBody.
func (ProgressReported) EventType() string { return "progress_reported" }

// EventType implements EventBody.
func (ChildReported) EventType() string { return "child_reported" }

// EventType implements EventBody.
func (LimitReached) EventType() string { return "limit_reached" }

// EventType implements EventBody.
func (TaskSpawned) EventType() string { return "task_spawned" }

// EventType implements EventBody.
func (PauseRequested) EventType() string { return "pause_requested" }

// EventType implements EventBody.
func (ResumeRequested) EventType() string { return "resume_requested" }
