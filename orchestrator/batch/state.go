package batch

import (
	"time"
)

// Status is the state of a batch.
type Status string

// The states of a batch. Done and cancelled are terminal, but failed items of a
// batch that is done can be tried again.
const (
	// Running batches begin items as there is room.
	Running Status = "running"
	// WaitingForCanary batches have run their first items, and ask whether to go on.
	WaitingForCanary Status = "waiting_for_canary"
	// Paused batches begin no item because a person wants it so.
	Paused Status = "paused"
	// Stopped batches begin no item because too many have failed, or because a
	// person said no after the canary.
	Stopped Status = "stopped"
	// Done batches have run all items, however these ended.
	Done Status = "done"
	// Cancelled batches were ended by a person.
	Cancelled Status = "cancelled"
)

// Terminal reports whether nothing more happens by itself.
func (s Status) Terminal() bool { return s == Done || s == Cancelled }

// ItemState is the state of an item.
type ItemState string

// The states of an item. One that is running has a task; the last three are how
// that ended.
const (
	ItemPending   ItemState = "pending"
	ItemRunning   ItemState = "running"
	ItemSucceeded ItemState = "succeeded"
	ItemFailed    ItemState = "failed"
	ItemCancelled ItemState = "cancelled"
)

// Ended reports whether nothing more happens to the item by itself.
func (s ItemState) Ended() bool {
	return s == ItemSucceeded || s == ItemFailed || s == ItemCancelled
}

// DefaultMaxParallel is how many items run at once where nobody says otherwise.
const DefaultMaxParallel = 8

// Options say how a batch is run.
type Options struct {
	// MaxParallel is how many items may run at once; those that wait for a person do not count.
	MaxParallel int `json:"max_parallel"`
	// Canary is how many items run first, before the batch asks whether to go on; 0 does not ask.
	Canary int `json:"canary,omitempty"`
	// StopWhenFailed is how many items may not fail; zero is without a limit.
	StopWhenFailed Threshold `json:"stop_when_failed,omitzero"`
	// Priority is that of its tasks.
	Priority int `json:"priority,omitempty"`
}

// State is all that the next decision about a batch depends on, besides the
// counts of its items. It is a value: Decide returns a new one.
type State struct {
	ID string `json:"id"`
	// Key is the idempotency key; empty is none.
	Key  string `json:"key,omitempty"`
	Name string `json:"name"`
	Team string `json:"team"`
	// Revision is the team that the tasks of all items pin.
	Revision string  `json:"revision"`
	Status   Status  `json:"status"`
	Options  Options `json:"options"`
	// Items is how many items there are.
	Items int `json:"items"`
	// CanaryPassed says that a person has said to go on after the first items.
	CanaryPassed bool `json:"canary_passed,omitempty"`
	// AcceptedFailures is how many items had failed when a person said to go on;
	// Options.StopWhenFailed counts those that failed since.
	AcceptedFailures int `json:"accepted_failures,omitempty"`
	// Note says why the batch is as it is, for people; it may be empty.
	Note string `json:"note,omitempty"`
	// Changes are the changes of Status, the oldest first, at most maxChanges.
	Changes []Change  `json:"changes,omitempty"`
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Ended is when the batch was done or cancelled; zero before.
	Ended time.Time `json:"ended,omitzero"`
}

// Change is a change of the status of a batch.
type Change struct {
	At time.Time `json:"at"`
	To Status    `json:"to"`
	// By is who wanted it; empty where nobody did.
	By   string `json:"by,omitempty"`
	Note string `json:"note,omitempty"`
}

// maxChanges bounds State.Changes; the oldest are dropped.
const maxChanges = 100

// Counts are how many items of a batch are in each state.
type Counts struct {
	Pending int `json:"pending"`
	// Running items have a task that has not ended and does something, and
	// Waiting ones a task that waits for a person.
	Running   int `json:"running"`
	Waiting   int `json:"waiting"`
	Succeeded int `json:"succeeded"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	// CanaryPending, CanaryActive and CanaryFailed count the first items, as many
	// as Options.Canary says: without a task, with one that has not ended, failed.
	CanaryPending int `json:"canary_pending,omitempty"`
	CanaryActive  int `json:"canary_active,omitempty"`
	CanaryFailed  int `json:"canary_failed,omitempty"`
}

// Open is how many items have not ended.
func (c Counts) Open() int { return c.Pending + c.Running + c.Waiting }

// Active is how many items have a task that has not ended.
func (c Counts) Active() int { return c.Running + c.Waiting }

// Ended is how many items have ended.
func (c Counts) Ended() int { return c.Succeeded + c.Failed + c.Cancelled }
