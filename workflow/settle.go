package workflow

import (
	"errors"
	"slices"
	"time"
)

// settle brings the status, the wake time and the clock of the task in line
// with what is alive, at the end of every decision.
func (d *decision) settle() error {
	if d.s.Status == TaskRunning || d.s.Status == TaskWaiting || d.s.Status == TaskPaused {
		if err := d.enforce(); err != nil {
			return err
		}
	}
	if d.s.Status.Terminal() || d.s.Status == TaskQueued {
		return nil
	}
	if p := &d.s.Place; p.Status == PlaceSaved || p.Status == PlaceFinished {
		p.Status, p.Kept, p.Detail = PlaceReady, "", "" // the task goes on after an end
		p.Publish, p.PublishDetail = "", ""
	}
	d.watchWaiting()
	d.s.WakeAt = d.nextWake()
	if d.s.Status == TaskPaused {
		return nil
	}
	if len(d.s.Turns) == 0 {
		return errors.New("nothing of the task is left, and it has not ended")
	}
	active := slices.ContainsFunc(d.s.Turns, func(t Turn) bool { return d.active(t) })
	switch {
	case active && d.s.Status == TaskWaiting:
		return d.move(taskWake)
	case !active && d.s.Status == TaskRunning:
		return d.move(taskWait)
	}
	return nil
}

// active reports whether a turn runs or may start.
func (d *decision) active(t Turn) bool {
	return !t.waits() && (t.State != TurnPending || !t.NotBefore.After(d.at))
}

// waits reports whether a turn waits for nothing but a person.
func (t Turn) waits() bool {
	return t.Kind == KindGate || t.State == TurnUncertain ||
		t.Kind == KindTeam && t.State != TurnPending && t.Stopping == "" && (t.ChildStatus == TaskWaiting || t.ChildStatus == TaskPaused)
}

// wake makes the task running, so that it may decide something; settle puts it back.
func (d *decision) wake() error {
	if d.s.Status == TaskWaiting {
		return d.move(taskWake)
	}
	return nil
}

// watchWaiting notes since when the task waits for nothing but a person.
func (d *decision) watchWaiting() {
	// What is paused waits for a person, too, once all that ran has ended.
	switch {
	case slices.ContainsFunc(d.s.Turns, func(t Turn) bool { return !t.waits() }):
		d.endWaiting()
	case d.s.WaitingSince.IsZero():
		d.s.WaitingSince = d.at
	}
}

// endWaiting adds the wait for a person to the sum.
func (d *decision) endWaiting() {
	if !d.s.WaitingSince.IsZero() {
		d.s.Waited += d.now().Sub(d.s.WaitingSince)
		d.s.WaitingSince = time.Time{}
	}
}

// nextWake is the earliest time that anything alive waits for.
func (d *decision) nextWake() time.Time {
	var next time.Time
	add := func(at time.Time) {
		if !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	for _, q := range d.s.Questions {
		add(q.Expires)
	}
	for _, t := range d.s.Turns {
		if d.s.Status == TaskPaused && (t.State == TurnPending || t.Kind == KindGate) {
			continue
		}
		if t.State == TurnPending {
			add(t.NotBefore)
		}
		add(t.Expires)
		if t.Stopping != "" || t.Late || t.State == TurnUncertain || !d.s.WaitingSince.IsZero() {
			continue // it has been told, need not be; or the clock stands still
		}
		for _, a := range accounts(d.team, &d.s, t.Branch) {
			add(a.deadline)
		}
	}
	return next
}

// timerFired does everything that is due. It takes the event's word that the
// wake time has come: clocks of two machines may differ.
func (d *decision) timerFired() error {
	if d.s.WakeAt.IsZero() || d.s.Status == TaskQueued {
		return &TransitionError{Event: d.event, Subject: "task", State: string(d.s.Status)}
	}
	d.timer = d.s.WakeAt
	if err := d.wake(); err != nil {
		return err
	}
	if err := d.expireQuestions(); err != nil || d.s.Status == TaskPaused {
		return err
	}
	for i := range d.s.Turns {
		t := &d.s.Turns[i]
		if t.State == TurnPending && !t.NotBefore.IsZero() && !t.NotBefore.After(d.now()) {
			t.NotBefore = time.Time{}
			d.emit(d.startOf(*t))
		}
	}
	return d.expireGates()
}
