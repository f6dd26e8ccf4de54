package workflow

import "time"

// Effect is something that follows from a decision: either work for the
// engine, run after the decision is committed, or a fact for the journal.
// Outstanding work can always be derived again from the State alone.
type Effect interface {
	// EffectType is the name the journal stores, e.g. "start_turn".
	EffectType() string
}

type (
	// StartTurn asks the engine to run the pending turn with this ID now. A turn
	// that waits for a time gets its StartTurn from the TimerFired that ends the wait.
	StartTurn struct {
		Turn     int    `json:"turn"`
		Node     string `json:"node"`
		Attempt  int    `json:"attempt"`
		Message  string `json:"message"`
		Reminder bool   `json:"reminder,omitempty"`
		// Kind is the kind of Node; a gate is opened rather than run.
		Kind NodeKind `json:"kind,omitempty"`
		// Branch is the branch of the turn, and Label that of the branch; 0 and empty outside of branches.
		Branch int    `json:"branch,omitempty"`
		Label  string `json:"label,omitempty"`
	}
	// AbortTurn asks the engine to abort a turn whose result no longer matters.
	AbortTurn struct {
		Turn    int `json:"turn"`
		Attempt int `json:"attempt"`
		// Why is a sentence for people, where it is not the end of the task.
		Why string `json:"why,omitempty"`
	}
	// StopTurn asks the engine to end a running turn because a limit was reached,
	// and to report it with what it has done so far, as budget_exceeded.
	StopTurn struct {
		Turn    int    `json:"turn"`
		Attempt int    `json:"attempt"`
		Note    string `json:"note"`
	}
	// AskPerson is the fact that a person has to decide about a turn that does
	// not run; what a turn that runs asks is the event QuestionAsked.
	AskPerson struct {
		Question Question `json:"question"`
	}
	// AnswerQuestion gives the answer to the turn that asked. By is empty where
	// the question expired.
	AnswerQuestion struct {
		Question int    `json:"question"`
		Turn     int    `json:"turn"`
		Attempt  int    `json:"attempt"`
		Answer   string `json:"answer"`
		By       string `json:"by,omitempty"`
		// Expired says that nobody answered in time.
		Expired bool `json:"expired,omitempty"`
	}
	// BranchEnded is the fact that a branch ended other than by going on in a
	// handoff: it arrived at a join, reached succeeded, or was cancelled.
	BranchEnded struct {
		Branch int    `json:"branch"`
		Label  string `json:"label"`
		// How is BranchArrived, BranchSucceeded or BranchCancelled.
		How string `json:"how"`
		// Rule is the rule that it followed, or the first rule of the join.
		Rule int    `json:"rule,omitempty"`
		From string `json:"from,omitempty"`
		// Turn is the turn that it ended with; 0 for one that was cancelled.
		Turn   int    `json:"turn,omitempty"`
		Reason Reason `json:"reason,omitempty"`
		// Arrived of Size branches have arrived, this one included.
		Arrived int           `json:"arrived,omitempty"`
		Size    int           `json:"size,omitempty"`
		Skipped []SkippedRule `json:"skipped,omitempty"`
	}
	// PauseTask is the fact that the task paused.
	PauseTask struct {
		Pause Pause `json:"pause"`
	}
	// Handoff is the fact that a rule fired, and why that one.
	Handoff struct {
		// FromTurn and From are zero for the start of the task.
		FromTurn int    `json:"from_turn,omitempty"`
		From     string `json:"from,omitempty"`
		Reason   Reason `json:"reason,omitempty"`
		// Rule is the number of the rule; 0 for the start and where the engine itself decided.
		Rule  int `json:"rule,omitempty"`
		Fired int `json:"fired,omitempty"` // how often the rule has fired in this task, this time included
		Max   int `json:"max,omitempty"`
		// To is a node, a terminal, or the node itself for a retry. A fan-out has a
		// Handoff for every branch that starts, with the same Rule.
		To     string `json:"to"`
		ToTurn int    `json:"to_turn,omitempty"`
		Retry  bool   `json:"retry,omitempty"`
		// Branch is the branch that the work goes on in, and Label its label.
		Branch int    `json:"branch,omitempty"`
		Label  string `json:"label,omitempty"`
		// Size is how many branches a fan-out starts in all, now and later; 0 for other handoffs.
		Size int `json:"size,omitempty"`
		// Joined lists the turns whose branches a join has brought together.
		Joined []int `json:"joined,omitempty"`
		// NotBefore is when a retry starts; zero means at once.
		NotBefore time.Time `json:"not_before,omitzero"`
		// Note says why, when it was not the rule alone that decided.
		Note string `json:"note,omitempty"`
		// Skipped are the earlier rules for this node that did not match.
		Skipped []SkippedRule `json:"skipped,omitempty"`
	}
	// FinishTask is the fact that the task reached a terminal state.
	FinishTask struct {
		Result Result `json:"result"`
	}
)

// SkippedRule says why a rule did not match.
type SkippedRule struct {
	Rule int    `json:"rule"`
	Why  string `json:"why"`
}

// EffectType implements Effect.
func (StartTurn) EffectType() string { return "start_turn" }

// EffectType implements Effect.
func (AbortTurn) EffectType() string { return "abort_turn" }

// EffectType implements Effect.
func (Handoff) EffectType() string { return "handoff" }

// EffectType implements Effect.
func (FinishTask) EffectType() string { return "finish_task" }

// How a branch ended; see BranchEnded.
const (
	BranchArrived   = "arrived"
	BranchSucceeded = "succeeded"
	BranchCancelled = "cancelled"
)

// EffectType implements Effect.
func (StopTurn) EffectType() string { return "stop_turn" }

// EffectType implements Effect.
func (AskPerson) EffectType() string { return "ask_person" }

// EffectType implements Effect.
func (AnswerQuestion) EffectType() string { return "answer_question" }

// EffectType implements Effect.
func (BranchEnded) EffectType() string { return "branch_ended" }

// EffectType implements Effect.
func (PauseTask) EffectType() string { return "pause_task" }
