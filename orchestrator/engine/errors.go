package engine

import "errors"

var (
	// ErrStopping is the cause (context.Cause) of a turn's ctx when the engine stops.
	// The turn stays as it is recorded and is reconciled by the next engine.
	ErrStopping = errors.New("the engine is stopping")
	// ErrTurnAborted is the cause of a turn's ctx when its result no longer
	// matters, for instance because the task was cancelled. The App Server
	// should be told to abort the turn.
	ErrTurnAborted = errors.New("the turn was aborted")
	// ErrStopped means that Run has ended, so that nothing will happen to the task any more.
	ErrStopped = errors.New("the engine has stopped")
	// ErrStopTimeout is returned by Run when turns were still running after
	// Options.StopTimeout. Nothing that they do is recorded.
	ErrStopTimeout = errors.New("turns did not stop in time")
	// ErrSlowReader ends a subscription whose reader did not keep up. The
	// events that it missed are in the store.
	ErrSlowReader = errors.New("the reader of the subscription was too slow")
)

// NotConsumedError is returned by a TurnRunner when an input was sent, and
// perhaps acknowledged, but certainly reached no model: it is sent again under
// a new id, and no rule is asked.
type NotConsumedError struct {
	// Detail says in a sentence what happened, for people.
	Detail string
	// ConversationLost says that the next attempt needs a new conversation.
	ConversationLost bool
}

// Error implements error.
func (e *NotConsumedError) Error() string { return e.Detail }

// UnknownOutcomeError is returned by a TurnRunner when contact with a turn was
// lost after its input had been sent: it may still run, it may have ended, and
// the input may never have arrived. Nothing is recorded, and no rule is asked,
// before TurnRunner.Reconcile has found out which.
type UnknownOutcomeError struct {
	// Err says how contact was lost.
	Err error
	// Consumed says that the model was seen to answer, so that the input has
	// certainly been consumed even if the App Server lost it.
	Consumed bool
}

// Error implements error.
func (e *UnknownOutcomeError) Error() string {
	return "the outcome of the turn is unknown: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// UnreachableError is returned by a TurnRunner when the App Server could not be
// reached, so that nothing was sent. The engine tries again, with back-off and
// without a slot meanwhile, for as long as it takes; no rule is asked.
type UnreachableError struct {
	// Err says why.
	Err error
	// Server is set where Options.Servers has no room on it until it can be
	// reached: the turn waits for that, or goes to another server where it may.
	Server string
}

// Error implements error.
func (e *UnreachableError) Error() string {
	return "the App Server cannot be reached: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// BudgetError is the cause of the end of a turn's ctx when a limit was reached.
type BudgetError struct {
	// Note says which limit, in a sentence for people.
	Note string
}

// Error implements error.
func (e *BudgetError) Error() string { return e.Note }

// PriceError says that a limit of money is set and a model has no known price,
// so that its turn must not be sent.
type PriceError struct {
	// Model is empty when it is not known which model the turn would run on.
	Model string
}

// Error implements error.
func (e *PriceError) Error() string {
	if e.Model == "" {
		return "the task has a limit of money and it is not known which model the turn would run on: name the model of the agent"
	}
	return "the task has a limit of money and the price of " + e.Model + " is not known: add it to the price file"
}

// SpawnError says why a task was not spawned, for the agent to read.
type SpawnError struct{ Detail string }

// Error implements error.
func (e *SpawnError) Error() string { return e.Detail }
