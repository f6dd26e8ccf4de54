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
	Workspace string `json:"workspace,omitempty"`
	// GitBranch is the branch of the workspace, where it is a worktree of the task's own.
	GitBranch string `json:"git_branch,omitempty"`
	// WorkspaceOf is the task whose workspace this one works in; empty for its own.
	WorkspaceOf string `json:"workspace_of,omitempty"`
	// Place is what is known of the workspace of the task's own.
	Place Place `json:"place,omitzero"`
	// Parent is the turn of another task that this one was started by; nil for a
	// task that a person submitted.
	Parent *Parent `json:"parent,omitempty"`
	// Priority says which tasks are claimed first: those with a higher one; 0 is the usual one.
	Priority int `json:"priority,omitempty"`
	// Batch is the ID of the batch that the task is an item of, and Schedule the
	// name of the schedule that it was submitted by.
	Batch    string `json:"batch,omitempty"`
	Schedule string `json:"schedule,omitempty"`
	// Trace is the trace that the task was submitted in; nil where nobody said one.
	Trace *TraceContext `json:"trace,omitempty"`
	// Origin is the task that this one goes on from; nil for one that began anew.
	Origin *Origin `json:"origin,omitempty"`
	// Begin is what it begins with, until it has begun.
	Begin *Beginning `json:"begin,omitempty"`
	// Limits are those of the parent's node for this task, already the smaller
	// ones together with the team's, and with what was raised since.
	Limits  Limits    `json:"limits,omitzero"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Started is when the first turn was decided; zero while queued.
	Started time.Time `json:"started,omitzero"`
	// Turns are the turns that have not ended, in order of their ID.
	Turns []Turn `json:"turns,omitempty"`
	// LastTurn is the ID given out last.
	LastTurn int `json:"last_turn,omitempty"`
	// Attempts counts every attempt at a turn so far; limits.turns bounds it.
	Attempts int `json:"attempts,omitempty"`
	// Visits counts the visits of all nodes, as a last bound of what no rule bounds.
	Visits int `json:"visits,omitempty"`
	// Fired counts firings by rule number, outside of branches.
	Fired map[int]int `json:"fired,omitempty"`
	// Nodes holds the last result of every node that has run, outside of branches
	// and in those that have been joined.
	Nodes map[string]NodeResult `json:"nodes,omitempty"`
	// Branches are the parallel branches that have not ended, in order of their
	// ID. What runs outside of them is said to run in branch 0.
	Branches []Branch `json:"branches,omitempty"`
	// LastBranch and LastGroup are the IDs given out last.
	LastBranch int `json:"last_branch,omitempty"`
	LastGroup  int `json:"last_group,omitempty"`
	// Groups are the fan-outs that have not been joined, in order of their ID.
	Groups []Group `json:"groups,omitempty"`
	// Conversations holds the runtime of every agent of this task, by Turn.Conversation.
	Conversations map[string]Runtime `json:"conversations,omitempty"`
	Usage         Usage              `json:"usage,omitzero"`
	// Cost is what the turns with a known price have cost, in millionths of a US dollar.
	Cost int64 `json:"cost,omitempty"`
	// Unpriced lists models of turns whose price is unknown, sorted.
	Unpriced []string `json:"unpriced,omitempty"`
	// AcceptedUnpriced are those of Unpriced that a person has resumed the task
	// with, and no turn has run on since.
	AcceptedUnpriced []string `json:"accepted_unpriced,omitempty"`
	// Questions are asked by turns that run, or about turns that nobody knows the
	// end of, and not answered yet, in order of their ID.
	Questions []Question `json:"questions,omitempty"`
	// LastQuestion is the ID given out last.
	LastQuestion int `json:"last_question,omitempty"`
	// Spawned counts the tasks that agents of this task have spawned.
	Spawned int `json:"spawned,omitempty"`
	// Held are nodes that ended while the task was paused, or by whose end it
	// was paused. They are routed when it is resumed.
	Held []Held `json:"held,omitempty"`
	// Pause says why the task is paused; nil otherwise.
	Pause *Pause `json:"pause,omitempty"`
	// WaitingSince is when the task, with its sub-teams, began to wait for nothing
	// but a person, and Waited the sum of such times before; neither counts as duration.
	WaitingSince time.Time     `json:"waiting_since,omitzero"`
	Waited       time.Duration `json:"waited,omitempty"`
	// Result is set exactly when Status is terminal.
	Result *Result `json:"result,omitempty"`
	// WakeAt is when the task wants a TimerFired: the earliest of the back-offs,
	// deadlines and limits of all that is alive. Zero when it waits for no time.
	WakeAt time.Time `json:"wake_at,omitzero"`
}

// Parent names the turn of another task.
type Parent struct {
	Task    string `json:"task"`
	Turn    int    `json:"turn"`
	Attempt int    `json:"attempt"`
	// Spawned says that an agent spawned this task in that turn and does not wait for it.
	Spawned bool `json:"spawned,omitempty"`
}

// Waits says that the parent waits for this task: it is a sub-team's, and not a
// spawned one. A task without a parent has nobody who waits.
func (p *Parent) Waits() bool { return p != nil && !p.Spawned }

// Branch is one of several lines of work that run at the same time. A branch
// sees the nodes and conversations of its own, and the nodes of the branch
// that it was started from.
type Branch struct {
	ID    int `json:"id"`
	Group int `json:"group"`
	// Parent is the branch that fanned out; 0 is the task itself.
	Parent int `json:"parent,omitempty"`
	// Label names the branch for people and its conversations, e.g. "security",
	// or "worker[3]" for the element with index 3, with the parent's label before it.
	Label string `json:"label"`
	// Index and Item are of the for_each that started it; Item is nil without one.
	Index int `json:"index,omitempty"`
	Item  any `json:"item,omitempty"`
	// Started is when the branch began, and Waited what State.Waited was then; its
	// limits are those of the group's rule.
	Started time.Time     `json:"started"`
	Waited  time.Duration `json:"waited,omitempty"`
	// Attempts, Usage and Cost count as those of State do, for this branch and what it started.
	Attempts int   `json:"attempts,omitempty"`
	Usage    Usage `json:"usage,omitzero"`
	Cost     int64 `json:"cost,omitempty"`
	// Raised is what was added to the limits of the branch when the task was resumed.
	Raised Limits                `json:"raised,omitzero"`
	Fired  map[int]int           `json:"fired,omitempty"`
	Nodes  map[string]NodeResult `json:"nodes,omitempty"`
}

// Group is one fan-out: what a rule with several targets, or with for_each, started.
type Group struct {
	ID int `json:"id"`
	// Rule is the number of the rule that fanned out, and Parent the branch it did so in.
	Rule   int `json:"rule"`
	Parent int `json:"parent,omitempty"`
	// Size is how many branches there are in all, Ended how many of them ended
	// without arriving at a join.
	Size  int `json:"size"`
	Ended int `json:"ended,omitempty"`
	// Next is the index of the next element of Items that has no branch yet.
	Next  int   `json:"next,omitempty"`
	Items []any `json:"items,omitempty"`
	// Origin is the end of the node that fanned out over Items, whose scope the
	// message of each branch is rendered in when it begins.
	Origin *Held `json:"origin,omitempty"`
	// Arrived are the branches that wait at a join, in the order of their arrival.
	Arrived []Arrival `json:"arrived,omitempty"`
}

// Arrival is a branch that has arrived at a join. Its Branch is no longer alive.
type Arrival struct {
	Branch int    `json:"branch"`
	Label  string `json:"label"`
	Index  int    `json:"index,omitempty"`
	Item   any    `json:"item,omitempty"`
	// Join is the number of the first rule of the join that it waits at.
	Join   int        `json:"join"`
	Node   string     `json:"node"`
	Result NodeResult `json:"result"`
	// Nodes are those of the branch, given to its parent when the join fires.
	Nodes map[string]NodeResult `json:"nodes,omitempty"`
}

// Held is the end of a node that has not been routed yet.
type Held struct {
	Turn   Turn       `json:"turn"`
	Result NodeResult `json:"result"`
	// StopReason is the reason before an outcome took its place.
	StopReason Reason `json:"stop_reason,omitempty"`
	// Note says what limit was reached, if that is why.
	Note string `json:"note,omitempty"`
	// Handoff and HandoffMessage are as in TurnFinished.
	Handoff        string `json:"handoff,omitempty"`
	HandoffMessage string `json:"handoff_message,omitempty"`
	// Joined are the branches that a join has brought together, and Join the number of its first rule.
	Joined []Arrival `json:"joined,omitempty"`
	Join   int       `json:"join,omitempty"`
	// Cut says that the turn was stopped at a limit, or not started because of
	// one: it is not routed when the task is resumed, but asked for (again).
	Cut bool `json:"cut,omitempty"`
}

// Pause says why a task is paused.
type Pause struct {
	// By is who asked for it; empty when a limit did.
	By string `json:"by,omitempty"`
	// Note is a sentence for people.
	Note string    `json:"note"`
	At   time.Time `json:"at"`
	// Parent says that the task asked for it which this one is a sub-team of.
	Parent bool `json:"parent,omitempty"`
}

// QuestionKind says what a Question asks for.
type QuestionKind string

// The kinds of questions.
const (
	// QuestionApproval: may the agent use a tool? Answers are AnswerAllow and AnswerDeny.
	QuestionApproval QuestionKind = "approval"
	// QuestionText: what the agent asked with ask_human; any text is an answer,
	// or one of Choices where there are some.
	QuestionText QuestionKind = "text"
	// QuestionUncertain: what is to become of a turn of which it cannot be known
	// whether it ran? The turn is TurnUncertain meanwhile, and the question does not expire.
	QuestionUncertain QuestionKind = "uncertain"
)

// Answers to a QuestionApproval.
const (
	AnswerAllow = "allow"
	AnswerDeny  = "deny"
)

// Question is something that a turn waits for a person to answer.
type Question struct {
	// ID counts from 1 within the task.
	ID      int          `json:"id"`
	Turn    int          `json:"turn"`
	Attempt int          `json:"attempt"`
	Kind    QuestionKind `json:"kind"`
	// Text is the question, for people.
	Text string `json:"text"`
	// Tool and Argument are what an approval is asked for.
	Tool     string    `json:"tool,omitempty"`
	Argument string    `json:"argument,omitempty"`
	Choices  []string  `json:"choices,omitempty"`
	Asked    time.Time `json:"asked"`
	// Expires is zero for what waits without a limit of time.
	Expires time.Time `json:"expires,omitzero"`
}

// MaxRecoveries bounds how often in a row a turn is sent again, or continued,
// without asking the rules because contact with it was lost. Then it ends: as
// stalled if the last input was not consumed, and as connection_lost if the
// turn was interrupted. A retry by a rule begins to count anew.
const MaxRecoveries = 5

// MaxQuotaWaits bounds how often one turn waits for the provider's quota.
const MaxQuotaWaits = 50

// MaxVisits bounds the visits of nodes in one task, whatever its rules say.
const MaxVisits = 10_000

// Turn is one live visit of a node: a turn of an agent, a run of a check, an
// open gate, or the task of a sub-team. All of them live through the same states;
// a gate stays pending until it is answered.
type Turn struct {
	// ID counts from 1 within the task.
	ID   int    `json:"id"`
	Node string `json:"node"`
	// Kind is the kind of Node.
	Kind NodeKind `json:"kind,omitempty"`
	// Branch is the branch that the turn belongs to; 0 is the task itself.
	Branch int `json:"branch,omitempty"`
	// Conversation is the key into State.Conversations; empty for what has none.
	Conversation string `json:"conversation,omitempty"`
	// Attempt counts from 1; every attempt has a client_message_id of its own.
	Attempt int       `json:"attempt"`
	State   TurnState `json:"state"`
	// Message is the input exactly as it is sent; of a gate, the question.
	Message string `json:"message"`
	// Input is the input of a sub-team's task.
	Input map[string]any `json:"input,omitempty"`
	// Child is the task that a sub-team runs as, from TurnSending on. What it has
	// used so far is in ChildAttempts, ChildUsage and ChildCost, and counted in State.
	// A turn that was cut off at a limit goes on with the same task; a retry begins another.
	Child         string    `json:"child,omitempty"`
	ChildAttempts int       `json:"child_attempts,omitempty"`
	ChildUsage    Usage     `json:"child_usage,omitzero"`
	ChildCost     int64     `json:"child_cost,omitempty"`
	ChildStatus   TaskState `json:"child_status,omitempty"`
	// Expires is when a gate expires.
	Expires time.Time `json:"expires,omitzero"`
	// Late says that a limit of time was over when a check or a gate began, which
	// therefore does not end it: a rule wanted it all the same.
	Late bool `json:"late,omitempty"`
	// Stopping says which limit was reached, when the turn has been told to end for it.
	Stopping string `json:"stopping,omitempty"`
	// Progress is what the agent reported last with update_progress.
	Progress *Progress `json:"progress,omitempty"`
	// Reminder marks the one turn that asks an agent for its missing outcome.
	Reminder bool `json:"reminder,omitempty"`
	// Retries counts, by rule number, the retries spent on this turn.
	Retries map[int]int `json:"retries,omitempty"`
	// QuotaWaits counts the waits for the provider's quota; at most MaxQuotaWaits.
	QuotaWaits int `json:"quota_waits,omitempty"`
	// Recoveries counts the attempts in a row that were started because the one
	// before was found not consumed or interrupted; at most MaxRecoveries.
	Recoveries int `json:"recoveries,omitempty"`
	// Answers are those that nobody was there to hear, for when the turn asks the same again.
	Answers []KeptAnswer `json:"answers,omitempty"`
	// Asked are the questions that were open when contact with the turn was lost, for
	// when it asks the same again. They can be answered meanwhile.
	Asked []Question `json:"asked,omitempty"`
	// Named says that the turn ended as uncertain and that only rules which name
	// that reason are asked.
	Named bool `json:"named,omitempty"`
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

// KeptAnswer is a person's answer to what a turn asked before contact with it was lost.
type KeptAnswer struct {
	// Question is the ID that the question had.
	Question int          `json:"question,omitempty"`
	Kind     QuestionKind `json:"kind"`
	Text     string       `json:"text"`
	Tool     string       `json:"tool,omitempty"`
	Argument string       `json:"argument,omitempty"`
	Answer   string       `json:"answer"`
	By       string       `json:"by,omitempty"`
}

// Progress is what an agent says of its own work.
type Progress struct {
	Text string `json:"text"`
	// Percent is from 0 to 100; nil when the agent gave none.
	Percent *int      `json:"percent,omitempty"`
	At      time.Time `json:"at"`
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
	Visits int    `json:"visits"`
	Turn   int    `json:"turn"`
	Reason Reason `json:"reason,omitempty"`
	Output string `json:"output,omitempty"`
	// OutputFile holds the whole output where Output is an excerpt of it.
	OutputFile string `json:"output_file,omitempty"`
	Outcome    string `json:"outcome,omitempty"`
	Summary    string `json:"summary,omitempty"`
	Data       any    `json:"data,omitempty"`
	Error      string `json:"error,omitempty"`
	// ExitCode is of a check that ran to its end.
	ExitCode int `json:"exit_code,omitempty"`
	// By is who answered a gate.
	By string `json:"by,omitempty"`
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

// minus returns what u has more than v.
func (u Usage) minus(v Usage) Usage {
	return u.Add(Usage{
		PromptTokens: -v.PromptTokens, CompletionTokens: -v.CompletionTokens, TotalTokens: -v.TotalTokens,
		CachedInputTokens: -v.CachedInputTokens, ReasoningTokens: -v.ReasoningTokens, Requests: -v.Requests,
	})
}

// Result says how a task ended, and why.
type Result struct {
	State TaskState `json:"state"`
	// Node and Reason are what the last turn ended with; empty when no turn ended it.
	Node   string `json:"node,omitempty"`
	Reason Reason `json:"reason,omitempty"`
	// Output, Outcome, Summary and Data are what that node ended with; a task
	// that this one is a sub-team of gets them.
	Output string `json:"output,omitempty"`
	// OutputFile holds the whole output where Output is an excerpt of it.
	OutputFile string `json:"output_file,omitempty"`
	Outcome    string `json:"outcome,omitempty"`
	Summary    string `json:"summary,omitempty"`
	Data       any    `json:"data,omitempty"`
	// Rule is the number of the rule that ended the task; 0 when no rule did.
	Rule int `json:"rule,omitempty"`
	// Explanation is one sentence for people.
	Explanation string    `json:"explanation"`
	At          time.Time `json:"at"`
}
