package main

import (
	"cmp"
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
	GitBranch string
	// WorkspaceWait says what the task waits for before it has a workspace.
	WorkspaceWait string
	Parent        *workflow.Parent
	Origin        *workflow.Origin
	Submitted     time.Time
	// Start is the handoff that chose the first node.
	Start *workflow.Handoff
	Steps []*step
	// Handoffs are all of them, in order.
	Handoffs []*workflow.Handoff
	Result   *workflow.Result
	// Pause is set while the task is paused.
	Pause *workflow.Pause
	// CancelledBy is set when somebody asked for the end.
	CancelledBy string
	Usage       workflow.Usage
	Cost        spending

	// team gives the deadlines of gates and questions; they are zero without it.
	team         *workflow.Team
	latest       map[int]*step // by turn
	questions    []*question   // in the order of asking; one is asked again under its number
	lastQuestion int
}

// step is one attempt at one visit of a node: a turn of an agent, a run of a
// check, an open gate, or the task of a sub-team.
type step struct {
	Turn     int
	Attempt  int
	Node     string
	Kind     workflow.NodeKind
	Label    string // of its branch; empty outside of branches
	Message  string
	Reminder bool

	Decided   time.Time // when the attempt was decided
	NotBefore time.Time // when it may start; zero means at once
	Expires   time.Time // when a gate expires, where that is known
	Sent      time.Time // when its input was about to be sent
	Accepted  time.Time // when the App Server acknowledged it
	Ended     time.Time // when its end was recorded; zero while it is live

	ClientMessageID string
	Runtime         workflow.Runtime
	Disposition     string
	Child           string // the task of a sub-team
	ChildTurns      int
	ChildUsage      workflow.Usage
	childCost       int64

	Questions []*question
	Progress  []workflow.ProgressReported
	Spawned   []workflow.TaskSpawned

	Finished   *workflow.TurnFinished   // how it ended, as the runner saw it
	Reconciled *workflow.TurnReconciled // what was found out after a restart
	Used       *workflow.TurnUsed       // what it had used without an end that says so
	Gate       *workflow.GateAnswered   // what a person decided
	Aborted    bool                     // it was ended because its result no longer matters
	Held       bool                     // it was put off because the task paused
	Why        string                   // why it was aborted or stopped, or not begun

	// Handoffs are what followed; more than one when the rule started several branches.
	Handoffs []*workflow.Handoff
	// Line is how the branch ended, where it did so with this step.
	Line *workflow.BranchEnded
	// Joined are the handoffs of the join that this step completed.
	Joined []*workflow.Handoff
	// Follower is the attempt that was decided when this one ended; nil when none was.
	Follower *step
}

// question is something that a step asked a person.
type question struct {
	ID int
	workflow.QuestionAsked
	Asked    time.Time
	Expires  time.Time // zero where it is not known
	Answer   *workflow.AnswerQuestion
	Answered time.Time
}

// apply adds one journal entry and returns what there is to tell about it.
func (s *story) apply(e workflow.Event, effects []workflow.Effect) []news {
	if s.latest == nil {
		s.latest = map[int]*step{}
	}
	told := &chapter{story: s, at: e.At}
	told.event(e.Body)
	for _, effect := range effects {
		told.effect(effect)
	}
	told.expiredGates(e.Body)
	return told.news
}

// decide returns the step of an attempt and makes it when it is new.
func (s *story) decide(at time.Time, turn, attempt int, node string, ended *step) *step {
	if st := s.find(turn, attempt); st != nil {
		return st
	}
	st := &step{Turn: turn, Attempt: attempt, Node: node, Decided: at}
	s.Steps = append(s.Steps, st)
	s.latest[turn] = st
	if ended != nil && ended.Follower == nil {
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

// question returns one by its ID, or nil.
func (s *story) question(id int) *question {
	for _, q := range slices.Backward(s.questions) {
		if q.ID == id {
			return q
		}
	}
	return nil
}

// gateExpires is when a gate that opens at a time expires.
func (s *story) gateExpires(node string, at time.Time) time.Time {
	if s.team == nil || s.team.Gates[node] == nil {
		return time.Time{}
	}
	return at.Add(cmp.Or(s.team.Gates[node].Expires, workflow.DefaultGateExpires))
}

// questionExpires is when what an agent asks at a time expires.
func (s *story) questionExpires(node string, at time.Time) time.Time {
	if s.team == nil || s.team.Agents[node] == nil {
		return time.Time{}
	}
	return at.Add(cmp.Or(s.team.Agents[node].Approvals.Expires, workflow.DefaultAskExpires))
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

// goesOn reports whether a later step goes on with the task of a sub-team's step.
func (s *story) goesOn(i int) bool {
	child := s.Steps[i].Child
	return slices.ContainsFunc(s.Steps[i+1:], func(later *step) bool { return later.Child == child })
}

// sent counts the turns of agents that reached the App Server, as far as is
// known, those of sub-teams included.
func (s *story) sent() int {
	n := 0
	for i, st := range s.Steps {
		if st.Child == "" || !s.goesOn(i) {
			n += st.ChildTurns
		}
		if st.Kind == workflow.KindAgent && !st.Sent.IsZero() {
			n++
		}
	}
	return n
}
