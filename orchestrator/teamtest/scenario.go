package teamtest

import (
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/prices"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// File is a scenario file after Parse.
type File struct {
	// Name is the path that the file was read from.
	Name string
	// Team is the team that the scenarios are about.
	Team *workflow.Team
	// Prices are what models cost in the scenarios.
	Prices    *prices.Table
	Scenarios []*Scenario
}

// Scenario is one run of a team.
type Scenario struct {
	Name string
	Pos  workflow.Position
	// Input are the inputs of the task, as Team.BindInput returns them.
	Input map[string]any
	// Nodes says how the nodes end, by name.
	Nodes map[string]*NodeScript
	// OnPause is what a person does each time that the task pauses, in order.
	// When it is used up, a paused task ends the scenario.
	OnPause []Resume
	Expect  Expect

	file *File
}

// Resume goes on with a paused task.
type Resume struct {
	By    string
	Raise workflow.Limits
	Pos   workflow.Position
}

// Repeat says what a node ends with when its endings are used up.
type Repeat string

// The ways to repeat.
const (
	RepeatNone Repeat = ""     // it is a failure of the scenario
	RepeatLast Repeat = "last" // the last one again
	RepeatLoop Repeat = "loop" // from the first one on
)

// NodeScript is how one node ends, each time that it is asked: visits, retries,
// reminders and continuations count alike.
type NodeScript struct {
	Endings []Ending
	Repeat  Repeat
	// Branches are for parallel branches: by label, index or element.
	Branches []BranchScript
	// Optional: endings that are never used are no failure.
	Optional bool
	Pos      workflow.Position
}

// BranchScript is how a node ends in one branch.
type BranchScript struct {
	Key    string
	Script *NodeScript
}

// The endings that are no reasons of the node.
const (
	EndingCrash = "crash" // the orchestrator dies in the middle of the turn, and another one takes over
	EndingQuota = "quota" // the provider's quota is used up until a later time
	EndingOpen  = "open"  // a gate that nobody answers in this scenario
)

// Ending is how a node ends once.
type Ending struct {
	// Reason is a reason of the node, an outcome of the agent, or one of the Ending constants.
	Reason  string
	Output  string
	Outcome string
	Summary string
	Data    map[string]any
	// Error explains a failure.
	Error string
	// PromptTokens and CompletionTokens are what the turn uses.
	PromptTokens, CompletionTokens int
	// ExitCode of a check.
	ExitCode int
	// Takes is how long the node takes; nil is the time that a time-out has, and
	// otherwise none. Of a gate it is how long the answer takes.
	Takes *time.Duration
	// Reset is how long a quota is used up.
	Reset time.Duration
	// By is who answers a gate, or decides about a turn that is uncertain.
	By string
	// Answer is what a person decides about a turn that is uncertain; empty is to let it fail.
	Answer string
	// Handoff and HandoffMessage are given with the tool handoff.
	Handoff, HandoffMessage string
	// Calls are the tools that the agent calls before it ends.
	Calls []Call
	// Nodes script the task of a sub-team; nil replaces the sub-team by this ending.
	Nodes map[string]*NodeScript
	// Optional: it is no failure when the ending is never used.
	Optional bool
	Pos      workflow.Position
}

// Call is one tool call of an agent.
type Call struct {
	Tool  string
	Input map[string]any
	// Answer is what the person says who is asked; empty where nobody answers.
	Answer string
	By     string
	// Expect is what becomes of the call: CallAllowed, CallDenied or CallAsked; empty is not checked.
	Expect string
	Pos    workflow.Position
}

// What can become of a tool call.
const (
	CallAllowed = "allowed"
	CallDenied  = "denied"
	CallAsked   = "asked"
)

// Expect is what must follow. What is not set is not checked.
type Expect struct {
	// Route are the ends of nodes in order; the order between parallel branches is free.
	Route    []StepPattern
	RoutePos workflow.Position
	State    *TextExpect
	// Node and Reason are what the task ended with.
	Node, Reason *TextExpect
	// Explanation is contained in why the task ended, or paused.
	Explanation *TextExpect
	// Rules are the numbers of exactly the rules that fire, sorted.
	Rules    []int
	RulesPos workflow.Position
	Messages []MessageExpect
	Turns    *Bound
	Tokens   *Bound
	Cost     *Bound // in millionths of a US dollar
	Elapsed  *Bound // in nanoseconds of virtual time
}

// TextExpect is a text that is expected at a place of the file.
type TextExpect struct {
	Text string
	Pos  workflow.Position
}

// Bound is a number that is expected.
type Bound struct {
	Value  int64
	AtMost bool
	Pos    workflow.Position
}

// MessageExpect is what must be true of one message that a node is given.
type MessageExpect struct {
	Node string
	// Visit counts from 1: within Branch where that is set, and otherwise in the task.
	Visit int
	// Branch is a label; empty is any.
	Branch string
	// Equals, where it is not nil, is the whole message.
	Equals   *string
	Contains []string
	Lacks    []string
	Matches  []*regexp.Regexp
	Pos      workflow.Position
}

// itemText is how an element of a for_each is named as a key of branches.
func itemText(item any) string {
	if text, ok := item.(string); ok {
		return text
	}
	text, err := json.Marshal(item)
	if err != nil {
		return fmt.Sprint(item)
	}
	return string(text)
}
