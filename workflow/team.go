package workflow

import "time"

// Position is a place in a team file. Line and Column count from 1; the zero
// Position means "unknown".
type Position struct {
	Line   int `json:"line,omitempty"`
	Column int `json:"column,omitempty"`
}

// Terminal names a node that ends the task. It is written in `to:` beside the
// names of the agents, which therefore may not use these names.
const (
	TerminalSucceeded = "succeeded"
	TerminalFailed    = "failed"
	TerminalCancelled = "cancelled"
)

// Team is a team file after Parse: immutable, and known by its Revision. All
// expressions and templates in it are compiled.
type Team struct {
	Version     int
	Name        string
	Description string
	// Revision is the lower-case hex SHA-256 of the source text.
	Revision string
	// Source is the team file as it was read, kept so that a task can pin it.
	Source []byte
	// File is the name the source was read under, for messages only.
	File string

	Inputs    map[string]Input
	Limits    Limits
	Workspace Workspace
	Agents    map[string]*Agent
	// AgentNames lists the agents in file order.
	AgentNames []string
	Start      string
	// Message is the input of the first turn; the zero Template means the default message.
	Message  Template
	Handoffs []*Rule
	// Warnings are what Parse found allowed but probably not meant.
	Warnings []Problem
}

// Input declares one input of a task.
type Input struct {
	Type        string // string (default), int, number, bool
	Required    bool
	Default     any // nil when there is none
	Description string
	Pos         Position
}

// Limits bound a task. A zero field means that the limit is not set.
type Limits struct {
	// Turns is the number of turns, counting every attempt, that a task may ask for.
	Turns int
}

// Workspace says where the tools of the agents run.
type Workspace struct {
	// Directory is a template over the inputs; empty means an empty directory
	// of the task's own under the data directory.
	Directory Template
}

// Agent is one agent of the team.
type Agent struct {
	Name string
	// Role names an entry of the role library; exclusive with Prompt.
	Role string
	// Prompt is a system prompt of the agent's own.
	Prompt string
	// Instructions are added after the role's prompt.
	Instructions string
	// Model is the App Server's model handle ("provider/model"); empty means the server's default.
	Model string
	// AgentID names an agent that exists already on the App Server; nothing of it is changed.
	AgentID string
	// PermissionMode is standard, acceptEdits, unrestricted or strict; default standard.
	PermissionMode string
	// Tools is the allowlist of tools; nil means the server's default set.
	Tools []string
	// Memory gives the agent a memory repository on the App Server. Default false.
	Memory bool
	// Approvals decide what the agent may do when the App Server asks.
	Approvals Approvals
	// Outcomes are what the agent may report; empty means that its stop reason routes.
	Outcomes []string
	// TurnTimeout bounds one turn; StallTimeout bounds silence within a turn. Zero means the default.
	TurnTimeout  time.Duration
	StallTimeout time.Duration
	Pos          Position
}

// Approvals answer the App Server's permission requests: deny before allow
// before Otherwise. Patterns are `Tool` or `Tool(argument glob)`.
type Approvals struct {
	Allow []string
	Deny  []string
	// Otherwise is allow or deny (default deny).
	Otherwise string
}

// Rule is one handoff rule. Rules are tried in file order; the first that
// matches fires.
type Rule struct {
	// Number is the rule's place in the file, from 1. It is how people name it.
	Number int
	// From lists node names, or is {"*"}.
	From []string
	// On lists reasons, or is {"*"}.
	On []Reason
	// When is nil or a compiled boolean expression.
	When *Condition
	// To is a node or a terminal; empty when Retry is set.
	To string
	// Message is the input of the node that To names; the zero Template means the default message.
	Message Template
	// Max bounds how often the rule may fire in one task; 0 means unbounded.
	Max int
	// Retry runs the same turn again; nil when To is set.
	Retry *Retry
	Pos   Position
}

// Retry says how often and after how long the same turn is asked for again.
type Retry struct {
	// Max attempts beyond the first one.
	Max int
	// Backoff before the first retry; it doubles up to MaxBackoff, with jitter
	// that is computed from the task, the turn and the attempt.
	Backoff    time.Duration
	MaxBackoff time.Duration
}
