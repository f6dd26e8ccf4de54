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
	}
	// AbortTurn asks the engine to abort a turn whose result no longer matters.
	AbortTurn struct {
		Turn    int `json:"turn"`
		Attempt int `json:"attempt"`
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
		// To is a node, a terminal, or the node itself for a retry.
		To     string `json:"to"`
		ToTurn int    `json:"to_turn,omitempty"`
		Retry  bool   `json:"retry,omitempty"`
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
