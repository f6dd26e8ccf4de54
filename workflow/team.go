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
	// Revision is the lower-case hex SHA-256 of the source text and, where there
	// are sub-teams, of their revisions.
	Revision string
	// Source is the team file as it was read, kept so that a task can pin it.
	Source []byte
	// Sources are the team files of the sub-teams and of theirs, by their path
	// relative to the directory of this file. With LoadSources the team can be parsed again from them.
	Sources map[string][]byte
	// File is the name the source was read under, for messages only.
	File string

	Inputs    map[string]Input
	Limits    Limits
	Workspace Workspace
	Agents    map[string]*Agent
	// AgentNames lists the agents in file order.
	AgentNames []string
	Checks     map[string]*Check
	Gates      map[string]*Gate
	Teams      map[string]*SubTeam
	// NodeNames lists all nodes in file order: agents, checks, gates and sub-teams.
	NodeNames []string
	// Start is the node that runs first.
	Start string
	// OnUncertain is UncertainAsk (default, also when empty), UncertainContinue or
	// UncertainFail; see UncertainPolicy.
	OnUncertain string
	// OutputLimit is how long an output may be, in bytes, to be passed on whole;
	// a longer one is passed by excerpt and file. Zero means DefaultOutputLimit.
	OutputLimit int
	// Message is the input of the first turn; the zero Template means the default message.
	Message  Template
	Handoffs []*Rule
	// Schedules say when tasks of the team are submitted by themselves.
	Schedules map[string]*Schedule
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

// DefaultOutputLimit is how long an output may be, in bytes, to be passed on whole.
const DefaultOutputLimit = 32 << 10

// Limits bound a task, a branch or a sub-team. A zero field means that the
// limit is not set.
type Limits struct {
	// Turns is the number of turns of agents, counting every attempt.
	Turns int `json:"turns,omitempty"`
	// Tokens is the total of prompt and completion tokens (usage_statistics.total_tokens).
	Tokens int64 `json:"tokens,omitempty"`
	// Duration is wall time from the first node on. The time in which a task
	// waits for nothing but a person does not count.
	Duration time.Duration `json:"duration,omitempty"`
	// Cost is money in millionths of a US dollar. A turn whose price is unknown
	// exceeds it.
	Cost int64 `json:"cost,omitempty"`
	// AtLimit is AtLimitRules (default, also when empty) or AtLimitPause; of a task's limits only.
	AtLimit string `json:"at_limit,omitempty"`
}

// Workspace says where the tools of the agents run. At most one of Directory
// and Worktree is given; with neither the task gets an empty directory of its
// own under the data directory.
type Workspace struct {
	// Directory is a template over the inputs.
	Directory Template
	// Worktree is a git worktree of the task's own; nil when there is none.
	Worktree *Worktree
	// ParallelWriters allows that agents which can write run at the same time.
	ParallelWriters bool
	// Setup are lines for sh -c, run in a workspace of the task's own before the
	// first turn. SetupTimeout bounds each; zero means DefaultSetupTimeout.
	Setup        []string
	SetupTimeout time.Duration
	// Commit says how what a task has left is committed when it ends; nil leaves
	// it as it is.
	Commit *ResultCommit
	// Publish says what is done with the result of a task that succeeded; nil is nothing.
	Publish *Publish
	// Cleanup is CleanupAlways, CleanupOnSuccess or CleanupNever (default, also when empty).
	Cleanup string
	// DropIgnored says that files which git ignores need not be saved before the
	// worktree is removed.
	DropIgnored bool
}

// DefaultSetupTimeout is how long a setup command may take.
const DefaultSetupTimeout = 10 * time.Minute

// When the worktree of a task is removed.
const (
	CleanupAlways    = "always"
	CleanupOnSuccess = "on_success"
	CleanupNever     = "never"
)

// ResultCommit is the commit of what a task has left in its worktree.
type ResultCommit struct {
	Message Template
	// Author is "Name <address>"; empty is who git says that is.
	Author string
}

// Publish is what is done with the branch of a task that succeeded. Exactly one
// of Patch, Bundle and Push is given.
type Publish struct {
	// Patch and Bundle are files; one that is not absolute is in the data directory.
	Patch, Bundle Template
	// Push is a line for sh -c.
	Push string
	// Timeout bounds it; zero means DefaultPublishTimeout.
	Timeout time.Duration
}

// DefaultPublishTimeout is how long publishing may take.
const DefaultPublishTimeout = 5 * time.Minute

// Worktree is a git worktree on a branch of its own, for each task one. All are
// templates over the inputs and the task.
type Worktree struct {
	Repo Template
	// Base is the commit to begin at; zero means HEAD of Repo.
	Base Template
	// Branch is the new branch; zero means team/TASK.
	Branch Template
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
	// ControllerTools are the orchestrator's own tools that the agent may use, besides report_outcome.
	ControllerTools []string
	// Conversation is ConversationTask (default), ConversationTurn or ConversationShared.
	Conversation string
	// OnUncertain takes the place of the team's where it is not empty.
	OnUncertain string
	// Data is the JSON Schema of the data that report_outcome takes, as decoded
	// from JSON; nil accepts any object, or none.
	Data any
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
// before ask before Otherwise. Patterns are `Tool` or `Tool(argument glob)`.
type Approvals struct {
	Allow []string
	Deny  []string
	Ask   []string
	// Otherwise is allow, deny (default) or ask.
	Otherwise string
	// Expires is how long a person who is asked has, also by ask_human; then the
	// answer is to deny. Zero means DefaultAskExpires.
	Expires time.Duration
}

// DefaultAskExpires is how long a person has to answer an agent.
const DefaultAskExpires = 15 * time.Minute

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
	// To lists the nodes that run next, several at once, or is one terminal;
	// empty when Retry is set.
	To []string
	// ForEach is a list; the rule starts a branch of its one To for each element.
	// nil when the rule has none.
	ForEach *ListExpression
	// MaxParallel is how many branches of ForEach run at once; 0 means all.
	MaxParallel int
	// MaxItems is the longest list that ForEach takes; a longer one, and an empty
	// one, make the rule not match. Set whenever ForEach is.
	MaxItems int
	// Join makes the rule wait for branches; nil when it does not.
	Join *Join
	// Limits bound each branch that the rule starts, or the node's visit when it starts only one.
	Limits Limits
	// Message is the input of every agent that To names; the zero Template means the default message.
	Message Template
	// Max bounds how often the rule may fire in one task, and in each branch of
	// it; 0 means unbounded.
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
