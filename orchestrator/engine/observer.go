package engine

import (
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Observer is told what the engine does, for measures and traces. Nothing is left
// out, unlike with Subscribe, whose readers may be slow: the engine calls it from
// the goroutine that does the thing, sometimes with locks held. So it must return
// at once, call nothing of the engine, and not change or keep changing what it is
// given. It is called from many goroutines at once; the decisions on one task come
// in their order. Embed NoObserver to get only some of the calls.
type Observer interface {
	// Decided is called for every committed decision, before anything follows from it.
	Decided(d Decision)
	// Claimed is called when a task was taken up.
	Claimed(c Claim)
	// Started is called when a turn is given a slot, also to be reconciled.
	Started(s Start)
	// HandedOff is called when the work has begun of a turn that another one handed over to.
	HandedOff(h HandedOff)
	// Recovering is called when a turn has to be tried again, or found out about,
	// because of the orchestrator, the App Server or the connection.
	Recovering(r Recovery)
	// Stored is called for every attempt to write a decision.
	Stored(s Stored)
	// Trouble is called when the store stops working, and when it works again; see StorageTrouble.
	Trouble(t StorageTrouble)
}

// Decision is one committed decision. Its contents are shared and must not be changed.
type Decision struct {
	// Prev is the zero State for a new task.
	Prev, Next *workflow.State
	Event      workflow.Event
	Effects    []workflow.Effect
	// Began is when the commit began, on the clock of the machine, and Took how long
	// it took, with the wait for a store that did not work.
	Began time.Time
	Took  time.Duration
}

// Claim says how a task was taken up.
type Claim struct {
	Task, Team string
	// Waited is how long the task was queued, and Took how long it took to claim it then.
	Waited, Took time.Duration
}

// Start says that a turn was given a slot.
type Start struct {
	Task, Team    string
	Turn, Attempt int
	// Server is where it runs; empty where there is one place alone, and for what is not an agent's.
	Server string
	// Reconcile says that it is to be found out what became of it.
	Reconcile bool
	// Waited is how long it was ready.
	Waited time.Duration
}

// HandedOff says how long it took from the end of one turn to the beginning of the
// next, where one followed from the other at once.
type HandedOff struct {
	// State is that of the task after the handoff. It is shared and must not be changed.
	State   *workflow.State
	Handoff workflow.Handoff
	// Attempt is that of the turn that began.
	Attempt int
	// Ended is when the last frame of the turn before was read, or its command was
	// over; Began when the first frame of the next was written, or its command was started.
	// On the clock of the machine.
	Ended, Began time.Time
	// Frames says that both are times of frames: the turns are of agents.
	Frames bool
}

// RecoveryReason says why a turn has to be tried again or found out about.
type RecoveryReason string

// The reasons of a Recovery.
const (
	// RecoveryRestart: the orchestrator ended while the turn ran.
	RecoveryRestart RecoveryReason = "restart"
	// RecoveryLost: contact with the turn was lost.
	RecoveryLost RecoveryReason = "contact_lost"
	// RecoveryUnreachable: the App Server cannot be reached.
	RecoveryUnreachable RecoveryReason = "unreachable"
	// RecoveryNotConsumed: the input was not taken up, and is sent again.
	RecoveryNotConsumed RecoveryReason = "not_consumed"
)

// Recovery says that a turn has to be tried again or found out about.
type Recovery struct {
	Task, Team    string
	Turn, Attempt int
	Reason        RecoveryReason
}

// Stored says how writing a decision went.
type Stored struct {
	// Event is the type of the event, as of workflow.EventBody.
	Event string
	Took  time.Duration
	// Err is nil when it was written.
	Err error
}

// NoObserver does nothing.
type NoObserver struct{}

var _ Observer = NoObserver{}

// Decided implements Observer.
func (NoObserver) Decided(Decision) {}

// Claimed implements Observer.
func (NoObserver) Claimed(Claim) {}

// Started implements Observer.
func (NoObserver) Started(Start) {}

// HandedOff implements Observer.
func (NoObserver) HandedOff(HandedOff) {}

// Recovering implements Observer.
func (NoObserver) Recovering(Recovery) {}

// Stored implements Observer.
func (NoObserver) Stored(Stored) {}

// Trouble implements Observer.
func (NoObserver) Trouble(StorageTrouble) {}
