package batch

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Verb is what a person wants of a batch, or Look.
type Verb string

// What can be asked of a batch.
const (
	// Look takes notice of the counts, and asks for nothing.
	Look Verb = "look"
	// Pause begins no more items; those that run go on.
	Pause Verb = "pause"
	// Resume goes on with a batch that is paused or stopped, whatever has failed so far.
	Resume Verb = "resume"
	// Continue says yes after the canary.
	Continue Verb = "continue"
	// Stop begins no more items; it is the no after the canary.
	Stop Verb = "stop"
	// Cancel ends the batch, with the tasks of its items.
	Cancel Verb = "cancel"
	// RetryFailed tries the items again that have failed.
	RetryFailed Verb = "retry-failed"
)

// Event is something that a batch is decided upon for.
type Event struct {
	At   time.Time
	Verb Verb
	// By is who asks; empty for Look.
	By string
}

// Work is what is to be done after a decision.
type Work struct {
	// Start is how many pending items may begin now, those with the lowest numbers.
	Start int
	// CancelItems says that pending items have ended as cancelled and that the
	// tasks of the others are to be cancelled.
	CancelItems bool
	// RetryItems says that failed items are pending again, with a new attempt.
	RetryItems bool
}

// ErrRefused means that a batch is in no state for what was asked. The error is a *RefusedError.
var ErrRefused = errors.New("the batch is in no state for that")

// RefusedError says why a batch does not do what was asked.
type RefusedError struct {
	Batch  string `json:"batch"`
	Verb   Verb   `json:"verb"`
	Status Status `json:"status"`
	// Detail is a sentence for people, with what to do instead.
	Detail string `json:"detail"`
}

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s batch %s: %s", e.Verb, e.Batch, e.Detail)
}

// Is makes errors.Is(err, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// Decide applies an event to a batch whose items stand at c. It is pure: the
// same arguments give the same results, and none is changed. Where nothing
// changes, the state is equal to s. Errors: *RefusedError.
func Decide(s State, c Counts, e Event) (State, Work, error) {
	d := decision{s: s, c: c, e: e, by: e.By}
	d.s.Changes = slices.Clone(s.Changes)
	if err := d.ask(); err != nil {
		return s, Work{}, err
	}
	d.by = "" // what follows, nobody asked for
	d.settle()
	return d.s, d.work, nil
}

type decision struct {
	s    State
	c    Counts
	e    Event
	by   string
	work Work
}

// permitted says in which states something can be asked.
func permitted() map[Verb][]Status {
	return map[Verb][]Status{
		Look:        {Running, WaitingForCanary, Paused, Stopped, Done, Cancelled},
		Pause:       {Running, WaitingForCanary},
		Resume:      {Paused, Stopped},
		Continue:    {WaitingForCanary},
		Stop:        {Running, WaitingForCanary, Paused},
		Cancel:      {Running, WaitingForCanary, Paused, Stopped},
		RetryFailed: {Running, WaitingForCanary, Paused, Stopped, Done},
	}
}

// ask applies what a person wants.
func (d *decision) ask() error {
	if !slices.Contains(permitted()[d.e.Verb], d.s.Status) {
		return d.refuse(d.instead())
	}
	switch d.e.Verb {
	case Pause:
		d.to(Paused, "")
	case Resume:
		d.s.AcceptedFailures = d.c.Failed
		d.to(Running, "")
	case Continue:
		d.s.CanaryPassed, d.s.AcceptedFailures = true, d.c.Failed
		d.to(Running, "")
	case Stop:
		note := "it was stopped"
		if d.s.Status == WaitingForCanary {
			note = "it was stopped after its first items"
		}
		d.to(Stopped, note)
	case Cancel:
		d.to(Cancelled, "")
	case RetryFailed:
		return d.retry()
	case Look:
	}
	return nil
}

func (d *decision) retry() error {
	if d.c.Failed == 0 {
		return d.refuse("none of its items has failed")
	}
	d.work.RetryItems = true
	d.s.AcceptedFailures = 0
	d.c.Pending += d.c.Failed
	d.c.CanaryPending += d.c.CanaryFailed
	d.c.Failed, d.c.CanaryFailed = 0, 0
	if d.s.Status == Done || d.s.Status == Stopped || d.s.Status == WaitingForCanary {
		d.to(Running, "failed items are tried again")
	}
	return nil
}

// settle brings the batch in line with the counts, and says what is to be done.
func (d *decision) settle() {
	switch {
	case d.s.Status == Cancelled:
		d.work.CancelItems = d.c.Open() > 0
		return
	case d.c.Open() == 0:
		d.to(Done, "")
		return
	case d.s.Status == Done:
		d.to(Running, "") // items are open again
	}
	if d.s.Status != Running {
		return
	}
	trial := d.trial()
	switch {
	case trial && d.c.CanaryPending+d.c.CanaryActive == 0:
		d.to(WaitingForCanary, d.canaryNote())
		return
	case d.c.Pending > 0 && d.tooManyFailed():
		d.to(Stopped, d.failureNote())
		return
	}
	d.work.Start = d.c.Pending
	if trial {
		d.work.Start = d.c.CanaryPending
	}
	d.work.Start = max(0, min(d.work.Start, d.s.Options.MaxParallel-d.c.Running))
}

// trial reports whether only the first items may run yet.
func (d *decision) trial() bool {
	return d.s.Options.Canary > 0 && d.s.Options.Canary < d.s.Items && !d.s.CanaryPassed
}

func (d *decision) tooManyFailed() bool {
	limit := d.s.Options.StopWhenFailed.of(d.s.Items)
	return limit > 0 && d.c.Failed-d.s.AcceptedFailures >= limit
}

func (d *decision) canaryNote() string {
	passed := d.s.Options.Canary - d.c.CanaryFailed
	return fmt.Sprintf("the first %s ended, %d of them without failing: go on with the other %d?", items(d.s.Options.Canary), passed, d.c.Pending)
}

func (d *decision) failureNote() string {
	since := ""
	if d.s.AcceptedFailures > 0 {
		since = fmt.Sprintf(" since %d were accepted", d.s.AcceptedFailures)
	}
	return fmt.Sprintf("%d of %s failed%s, and stop_when_failed is %s", d.c.Failed-d.s.AcceptedFailures, items(d.s.Items), since, d.s.Options.StopWhenFailed)
}

// to changes the status, if it is another one.
func (d *decision) to(status Status, note string) {
	if d.s.Status == status {
		return
	}
	d.s.Status, d.s.Note, d.s.Updated, d.s.Ended = status, note, d.e.At, time.Time{}
	if status.Terminal() {
		d.s.Ended = d.e.At
	}
	d.s.Changes = append(d.s.Changes, Change{At: d.e.At, To: status, By: d.by, Note: note})
	if extra := len(d.s.Changes) - maxChanges; extra > 0 {
		d.s.Changes = slices.Clone(d.s.Changes[extra:])
	}
}

func (d *decision) refuse(detail string) error {
	return &RefusedError{Batch: d.s.ID, Verb: d.e.Verb, Status: d.s.Status, Detail: detail}
}

// instead says what to ask for where something cannot be asked.
func (d *decision) instead() string {
	switch {
	case permitted()[d.e.Verb] == nil:
		return "there is no such request"
	case d.s.Status == Cancelled:
		return "it was cancelled: run its items in a new batch"
	case d.s.Status == Done:
		return "it is done: retry-failed tries its failed items again"
	case d.e.Verb == Resume && d.s.Status == WaitingForCanary:
		return "its first items have ended and it asks whether to go on: continue it, or stop it"
	case d.e.Verb == Resume && d.s.Status == Running:
		return "it is running"
	case d.e.Verb == Continue:
		return "it does not ask whether to go on: it is " + string(d.s.Status)
	}
	return "it is " + string(d.s.Status) + " already"
}

func items(n int) string {
	if n == 1 {
		return "1 item"
	}
	return fmt.Sprintf("%d items", n)
}
