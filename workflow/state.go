package workflow

import "time"

// TaskState is the lifecycle state of a task.
type TaskState string

// The states of a task. Succeeded, failed and cancelled are terminal.
const (
	TaskQueued    TaskState = "queued"
	TaskRunning   TaskState = "running"
	TaskWaiting   TaskState = "waiting"
	TaskPaused    TaskState = "paused"
	TaskSucceeded TaskState = "succeeded"
	TaskFailed    TaskState = "failed"
	TaskCancelled TaskState = "cancelled"
)

// Terminal reports whether nothing can follow the state.
func (s TaskState) Terminal() bool {
	return s == TaskSucceeded || s == TaskFailed || s == TaskCancelled
}

// TurnState is the lifecycle state of one attempt at a turn.
type TurnState string

// The states of a turn. Pending is certainly not sent; sent may have been
// sent; running was acknowledged by the App Server.
const (
	TurnPending          TurnState = "pending"
	TurnSent             TurnState = "sent"
	TurnRunning          TurnState = "running"
	TurnAwaitingApproval TurnState = "awaiting_approval"
	TurnEnded            TurnState = "ended"
	TurnInterrupted      TurnState = "interrupted"
	TurnUncertain        TurnState = "uncertain"
)

// State is all that the next decision about a task depends on. It is a value:
// Decide returns a new one and never changes the old one. Ended turns are not
// kept here but in the journal, so that the size of a State does not grow with
// the number of turns.
type State struct {
	// Version counts the events applied so far; it is what compare-and-set compares.
	Version  int64     `json:"version"`
	Task     string    `json:"task"`
	Team     string    `json:"team"`
	Revision string    `json:"revision"`
	Status   TaskState `json:"status"`
	// Input holds every declared input, defaults filled in.
	Input map[string]any `json:"input,omitempty"`
	// Workspace is the absolute directory in which the agents' tools run.
	Workspace string    `json:"workspace,omitempty"`
	Created   time.Time `json:"created"`
	Updated   time.Time `json:"updated"`
	// Started is when the first turn was decided; zero while queued.
	Started time.Time `json:"started,omitzero"`
	// Turns are the turns that have not ended, in order of their ID.
	Turns []Turn `json:"turns,omitempty"`
	// LastTurn is the ID given out last.
	LastTurn int `json:"last_turn,omitempty"`
	// Attempts counts every attempt at a turn so far; limits.turns bounds it.
	Attempts int `json:"attempts,omitempty"`
	// Fired counts firings by rule number.
	Fired map[int]int `json:"fired,omitempty"`
	// Nodes holds the last result of every node that has run.
	Nodes map[string]NodeResult `json:"nodes,omitempty"`
	// Conversations holds the runtime of every agent of this task.
	Conversations map[string]Runtime `json:"conversations,omitempty"`
	Usage         Usage              `json:"usage,omitzero"`
	// Result is set exactly when Status is terminal.
	Result *Result `json:"result,omitempty"`
	// WakeAt is when a waiting task wants its TimerFired; zero when it waits for no time.
	WakeAt time.Time `json:"wake_at,omitzero"`
}

// MaxRecoveries bounds how often in a row a turn is sent again, or continued,
// without asking the rules because contact with it was lost. Then it ends: as
// stalled if the last input was not consumed, and as connection_lost if the
// turn was interrupted. A retry by a rule begins to count anew.
const MaxRecoveries = 5

// Turn is one live turn of one agent.
type Turn struct {
	// ID counts from 1 within the task.
	ID   int    `json:"id"`
	Node string `json:"node"`
	// Attempt counts from 1; every attempt has a client_message_id of its own.
	Attempt int       `json:"attempt"`
	State   TurnState `json:"state"`
	// Message is the input exactly as it is sent.
	Message string `json:"message"`
	// Reminder marks the one turn that asks an agent for its missing outcome.
	Reminder bool `json:"reminder,omitempty"`
	// Retries counts, by rule number, the retries spent on this turn.
	Retries map[int]int `json:"retries,omitempty"`
	// Recoveries counts the attempts in a row that were started because the one
	// before was found not consumed or interrupted; at most MaxRecoveries.
	Recoveries int `json:"recoveries,omitempty"`
	// ClientMessageID is set from TurnSending on.
	ClientMessageID string `json:"client_message_id,omitempty"`
	// Runtime is set from TurnSending on.
	Runtime Runtime `json:"runtime,omitzero"`
	// NotBefore is when a pending turn may start; zero means at once.
	NotBefore time.Time `json:"not_before,omitzero"`
	// Started is when this attempt was sent.
	Started time.Time `json:"started,omitzero"`
	// PriorOutput carries the text of the turn that a reminder follows.
	PriorOutput string `json:"prior_output,omitempty"`
}

// Runtime names a conversation on an App Server.
type Runtime struct {
	Server         string `json:"server,omitempty"`
	AgentID        string `json:"agent_id,omitempty"`
	ConversationID string `json:"conversation_id,omitempty"`
}

// NodeResult is what a node ended with the last time that it ran.
type NodeResult struct {
	// Visits counts how often the node was started in this task; retries and
	// reminders belong to the visit that they follow.
	Visits  int    `json:"visits"`
	Turn    int    `json:"turn"`
	Reason  Reason `json:"reason,omitempty"`
	Output  string `json:"output,omitempty"`
	Outcome string `json:"outcome,omitempty"`
	Summary string `json:"summary,omitempty"`
	Data    any    `json:"data,omitempty"`
	Error   string `json:"error,omitempty"`
}

// Usage counts tokens as the App Server reports them (usage_statistics).
type Usage struct {
	PromptTokens      int64 `json:"prompt_tokens,omitempty"`
	CompletionTokens  int64 `json:"completion_tokens,omitempty"`
	TotalTokens       int64 `json:"total_tokens,omitempty"`
	CachedInputTokens int64 `json:"cached_input_tokens,omitempty"`
	ReasoningTokens   int64 `json:"reasoning_tokens,omitempty"`
	// Requests counts model requests that reported usage.
	Requests int64 `json:"requests,omitempty"`
}

// Add returns the sum of two usages.
func (u Usage) Add(v Usage) Usage {
	u.PromptTokens += v.PromptTokens
	u.CompletionTokens += v.CompletionTokens
	u.TotalTokens += v.TotalTokens
	u.CachedInputTokens += v.CachedInputTokens
	u.ReasoningTokens += v.ReasoningTokens
	u.Requests += v.Requests
	return u
}

// Result says how a task ended, and why.
type Result struct {
	State TaskState `json:"state"`
	// Node and Reason are what the last turn ended with; empty when no turn ended it.
	Node   string `json:"node,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	// Rule is the number of the rule that ended the task; 0 when no rule did.
	Rule int `json:"rule,omitempty"`
	// Explanation is one sentence for people.
	Explanation string    `json:"explanation"`
	At          time.Time `json:"at"`
}
