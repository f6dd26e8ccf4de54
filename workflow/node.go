package workflow

import "time"

// NodeKind says what a node of a team is.
type NodeKind string

// The kinds of nodes. KindAgent is the empty kind, so that what was stored
// before there were others keeps its meaning.
const (
	KindAgent NodeKind = ""
	KindCheck NodeKind = "check"
	KindGate  NodeKind = "gate"
	KindTeam  NodeKind = "team"
)

// Check is a command that runs in the workspace. It ends with passed, failed
// or timeout.
type Check struct {
	Name string
	// Run is the command line, given to `sh -c`; exclusive with Command.
	Run string
	// Command is a program and its arguments, run without a shell.
	Command []string
	// Directory is relative to the workspace and stays within it; empty is the workspace itself.
	Directory string
	// Environment is added to what the command inherits.
	Environment map[string]string
	// Timeout ends the command and everything that it started. Zero means DefaultCheckTimeout.
	Timeout time.Duration
	// Rerun allows to run the command again when it cannot be known how it
	// ended because the orchestrator died. Default true.
	Rerun bool
	Pos   Position
}

// DefaultCheckTimeout is what a check without a timeout may take.
const DefaultCheckTimeout = 10 * time.Minute

// Gate is a question that a person decides. It ends with approved, rejected or expired.
type Gate struct {
	Name string
	// Question is a template over the scope of messages.
	Question Template
	// Expires is how long the gate stays open. Zero means DefaultGateExpires.
	Expires time.Duration
	// AtExpiry is the reason that the gate ends with when nobody answered:
	// expired (default), approved or rejected.
	AtExpiry Reason
	Pos      Position
}

// DefaultGateExpires is how long a gate stays open when its team does not say.
const DefaultGateExpires = 72 * time.Hour

// SubTeam is a node that runs another team as a task of its own. It ends with
// succeeded, failed, cancelled or budget_exceeded; its output, outcome, summary
// and data are those of the node that ended the sub-team's task.
type SubTeam struct {
	Name string
	// File is the path as the team file names it, relative to that file.
	File string
	// Team is the parsed file.
	Team *Team
	// Input gives the inputs of the sub-team; every template is over the scope
	// of messages. What is not given takes the default of the sub-team.
	Input map[string]Template
	// Limits are taken together with the sub-team's own: the smaller one counts.
	Limits Limits
	Pos    Position
}

// JoinMode says how many branches a join waits for.
type JoinMode string

// The modes of a join.
const (
	JoinAll   JoinMode = "all"
	JoinAny   JoinMode = "any"   // the first; the other branches are cancelled
	JoinCount JoinMode = "count" // Join.Count of them; the others are cancelled
)

// Join makes a rule wait for several branches.
type Join struct {
	Mode JoinMode
	// Count is set for JoinCount alone, at least 1.
	Count int
}

// How many elements a for_each may have where its rule does not say.
const (
	DefaultMaxItems = 50
	// LargestMaxItems bounds max_items.
	LargestMaxItems = 1000
)

// Conversation policies of an agent.
const (
	// ConversationTask: one conversation for each task, and for each branch of it. The default.
	ConversationTask = "task"
	// ConversationTurn: a new conversation for each visit.
	ConversationTurn = "turn"
	// ConversationShared: one conversation for all tasks, which one turn at a time holds.
	ConversationShared = "shared"
)

// Tools of the orchestrator that a team may allow an agent (controller_tools).
const (
	ToolHandoff        = "handoff"
	ToolUpdateProgress = "update_progress"
	ToolAskHuman       = "ask_human"
	ToolSpawnTask      = "spawn_task"
)

// What happens when a limit is reached and a rule does not say it by name.
const (
	// AtLimitRules: budget_exceeded is routed like any reason; where no rule matches, the task pauses.
	AtLimitRules = "rules"
	// AtLimitPause: only rules that name budget_exceeded itself match; otherwise the task pauses.
	AtLimitPause = "pause"
)

// HasAgents reports whether a task of the team can ever have a turn of an agent,
// of its own or of a sub-team.
func (t *Team) HasAgents() bool {
	if len(t.Agents) > 0 {
		return true
	}
	for _, sub := range t.Teams {
		if sub.Team.HasAgents() {
			return true
		}
	}
	return false
}

// Kind returns the kind of a node; ok is false when the team has no such node.
func (t *Team) Kind(node string) (kind NodeKind, ok bool) {
	switch {
	case t.Agents[node] != nil:
		return KindAgent, true
	case t.Checks[node] != nil:
		return KindCheck, true
	case t.Gates[node] != nil:
		return KindGate, true
	case t.Teams[node] != nil:
		return KindTeam, true
	}
	return KindAgent, false
}
