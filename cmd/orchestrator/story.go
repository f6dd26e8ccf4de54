package main

import (
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// story is a task told from its journal. Both the live progress and `show`
// are folds over the same entries, so that they cannot disagree.
type story struct {
	Task      string
	Team      string
	Revision  string
	Input     map[string]any
	Workspace string
	Submitted time.Time
	// Start is the handoff that chose the first node.
	Start  *workflow.Handoff
	Steps  []*step
	Result *workflow.Result
	// CancelledBy is set when somebody asked for the end.
	CancelledBy string
	Usage       workflow.Usage
	latest      map[int]*step // by turn
}

// step is one attempt at one turn.
type step struct {
	Turn     int
	Attempt  int
	Node     string
	Message  string
	Reminder bool

	Decided   time.Time // when the attempt was decided
	NotBefore time.Time // when it may start; zero means at once
	Sent      time.Time // when its input was about to be sent
	Accepted  time.Time // when the App Server acknowledged it
	Ended     time.Time // when its end was recorded; zero while it is live

	ClientMessageID string
	Runtime         workflow.Runtime
	Disposition     string

	Finished   *workflow.TurnFinished   // how it ended, as the runner saw it
	Reconciled *workflow.TurnReconciled // what was found out after a restart
	Cancelled  bool                     // it was aborted because the task was cancelled
	Handoff    *workflow.Handoff        // what followed
	// Follower is the attempt that was decided when this one ended; nil when none was.
	Follower *step
}

// apply adds one journal entry and returns the step that it ended, or nil.
func (s *story) apply(e workflow.Event, effects []workflow.Effect) *step {
	if s.latest == nil {
		s.latest = map[int]*step{}
	}
	ended := s.applyEvent(e)
	for _, effect := range effects {
		s.applyEffect(e.At, effect, ended)
	}
	return ended
}

func (s *story) applyEvent(e workflow.Event) *step {
	switch b := e.Body.(type) {
	case workflow.TaskSubmitted:
		s.Task, s.Team, s.Revision = b.Task, b.Team, b.Revision
		s.Input, s.Workspace, s.Submitted = b.Input, b.Workspace, e.At
	case workflow.TurnSending:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Sent, st.ClientMessageID, st.Runtime = e.At, b.ClientMessageID, b.Runtime
		}
	case workflow.TurnAccepted:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Accepted, st.Disposition = e.At, b.Disposition
		}
	case workflow.TurnFinished:
		s.Usage = s.Usage.Add(b.Usage)
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Ended, st.Finished = e.At, &b
			return st
		}
	case workflow.TurnReconciled:
		if st := s.find(b.Turn, b.Attempt); st != nil {
			st.Ended, st.Reconciled = e.At, &b
			return st
		}
	case workflow.CancelRequested:
		s.CancelledBy = b.By
		if s.CancelledBy == "" {
			s.CancelledBy = "somebody"
		}
		for _, st := range s.latest {
			if st.Ended.IsZero() {
				st.Ended, st.Cancelled = e.At, true
			}
		}
	}
	return nil
}

func (s *story) applyEffect(at time.Time, effect workflow.Effect, ended *step) {
	switch f := effect.(type) {
	case workflow.StartTurn:
		st := s.decide(at, f.Turn, f.Attempt, f.Node, ended)
		st.Message, st.Reminder = f.Message, f.Reminder
	case workflow.Handoff:
		switch {
		case ended != nil:
			ended.Handoff = &f
			if f.Retry {
				// A retry that has to wait gets its StartTurn when the wait is over.
				st := s.decide(at, f.ToTurn, ended.Attempt+1, f.To, ended)
				st.Message, st.Reminder, st.NotBefore = ended.Message, ended.Reminder, f.NotBefore
			}
		case s.Start == nil && f.From == "":
			s.Start = &f
		}
	case workflow.FinishTask:
		s.Result = &f.Result
	}
}

// decide returns the step of an attempt and makes it when it is new.
func (s *story) decide(at time.Time, turn, attempt int, node string, ended *step) *step {
	if st := s.find(turn, attempt); st != nil {
		return st
	}
	st := &step{Turn: turn, Attempt: attempt, Node: node, Decided: at}
	s.Steps = append(s.Steps, st)
	s.latest[turn] = st
	if ended != nil {
		ended.Follower = st
	}
	return st
}

func (s *story) find(turn, attempt int) *step {
	if st := s.latest[turn]; st != nil && st.Attempt == attempt {
		return st
	}
	i := slices.IndexFunc(s.Steps, func(st *step) bool { return st.Turn == turn && st.Attempt == attempt })
	if i < 0 {
		return nil
	}
	return s.Steps[i]
}

// live returns the attempts that have not ended.
func (s *story) live() []*step {
	var out []*step
	for _, st := range s.Steps {
		if st.Ended.IsZero() {
			out = append(out, st)
		}
	}
	return out
}

// sent counts the attempts that reached the App Server, as far as is known.
func (s *story) sent() int {
	n := 0
	for _, st := range s.Steps {
		if !st.Sent.IsZero() {
			n++
		}
	}
	return n
}
