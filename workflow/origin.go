package workflow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Origin names the task, and the turn of it, that another task goes on from.
type Origin struct {
	Task string `json:"task"`
	// Turn is the first turn that is asked for again; 0 where the task goes on from
	// what was alive just before it ended.
	Turn int `json:"turn,omitempty"`
	// Fork says that it goes its own way: in conversations, and a workspace, of its own.
	Fork bool `json:"fork,omitempty"`
}

// Beginning is what a task that goes on from another one begins with: what was
// known, and what was alive, at one moment of that task. What that task has used
// up is not among it: it has been paid for there.
type Beginning struct {
	// Held are the ends that had not been routed, and the turns that are asked for again.
	Held          []Held                `json:"held,omitempty"`
	Visits        int                   `json:"visits,omitempty"`
	Fired         map[int]int           `json:"fired,omitempty"`
	Nodes         map[string]NodeResult `json:"nodes,omitempty"`
	Branches      []Branch              `json:"branches,omitempty"`
	Groups        []Group               `json:"groups,omitempty"`
	Conversations map[string]Runtime    `json:"conversations,omitempty"`
	LastTurn      int                   `json:"last_turn,omitempty"`
	LastBranch    int                   `json:"last_branch,omitempty"`
	LastGroup     int                   `json:"last_group,omitempty"`
}

// OriginError says why a task cannot go on from another one.
type OriginError struct {
	Task string
	// Detail continues a sentence that begins with the task.
	Detail string
}

// Error implements error.
func (e *OriginError) Error() string { return fmt.Sprintf("task %s %s", e.Task, e.Detail) }

// BeginningAt is what a task begins with that goes on from the task of a
// journal: from a turn, with that turn and everything that was alive when it
// was decided on; or, with turn 0, from just before the task ended. The same
// agents go on in the same conversations, unless it is a fork. Errors:
// *OriginError, *HistoryError.
func BeginningAt(team *Team, journal []Recorded, origin Origin) (*Beginning, error) {
	last, at, ending, err := moment(team, journal, origin)
	if err != nil {
		return nil, err
	}
	b := &Beginning{
		Visits: at.Visits, Fired: at.Fired, Nodes: at.Nodes, Groups: at.Groups,
		LastTurn: at.LastTurn, LastBranch: at.LastBranch, LastGroup: at.LastGroup,
	}
	for _, branch := range at.Branches {
		branch.Started, branch.Waited = time.Time{}, 0
		branch.Attempts, branch.Usage, branch.Cost, branch.Raised = 0, Usage{}, 0, Limits{}
		b.Branches = append(b.Branches, branch)
	}
	if !origin.Fork {
		b.Conversations = conversationsLeft(at, last)
	}
	for _, t := range at.Turns {
		interrupted := t.ClientMessageID != "" && t.ID != ending && !origin.Fork && b.Conversations[t.key()] == t.Runtime
		h := Held{Turn: fresh(t), Cut: true}
		switch {
		case interrupted:
			h.Turn.Message = continuationMessage(t.Message)
		case origin.Fork && t.Reminder:
			return nil, &OriginError{origin.Task, fmt.Sprintf("asks in turn %d for an outcome alone, which means nothing in another conversation: fork from an earlier turn", t.ID)}
		case origin.Fork && t.Kind == KindAgent:
			h.Turn.Message = forkMessage(at.node(t.Branch, t.Node), originalMessage(t.Message))
		}
		b.Held = append(b.Held, h)
	}
	for _, h := range at.Held {
		h.Turn.Stopping = ""
		if h.Cut {
			h.Turn = fresh(h.Turn)
		}
		b.Held = append(b.Held, h)
	}
	slices.SortStableFunc(b.Held, func(x, y Held) int { return x.Turn.ID - y.Turn.ID })
	return b, nil
}

// moment takes a journal through Decide up to the moment that is meant. ending is
// the turn by whose end the task ended, and last the state at the end of the journal.
func moment(team *Team, journal []Recorded, origin Origin) (last, at State, ending int, err error) {
	var state State
	found := false
	for _, r := range journal {
		next, _, err := Decide(team, state, r.Event)
		if err != nil {
			return State{}, State{}, 0, &HistoryError{Task: origin.Task, Seq: r.Seq, Detail: fmt.Sprintf("%s would be refused: %v", r.Event.Body.EventType(), err)}
		}
		if origin.Turn > 0 && !found && next.has(origin.Turn) {
			at, found = next, true
		}
		if origin.Turn == 0 && next.Status.Terminal() && !state.Status.Terminal() {
			at, ending, found = state, turnOf(r.Event.Body), state.Status != TaskQueued
		}
		state = next
	}
	switch {
	case state.Task == "":
		return State{}, State{}, 0, errNoSubmission
	case state.Parent != nil:
		return State{}, State{}, 0, &OriginError{origin.Task, fmt.Sprintf("belongs to task %s: go on from that one", state.Parent.Task)}
	case found:
		return state, at, ending, nil
	case origin.Turn == 0 && state.Status.Terminal():
		return State{}, State{}, 0, &OriginError{origin.Task, "was never begun: submit it again"}
	case origin.Turn == 0:
		return State{}, State{}, 0, &OriginError{origin.Task, fmt.Sprintf("has not ended: it is %s", state.Status)}
	case origin.Turn > state.LastTurn:
		return State{}, State{}, 0, &OriginError{origin.Task, fmt.Sprintf("has no turn %d; its last one is %d", origin.Turn, state.LastTurn)}
	}
	return State{}, State{}, 0, &OriginError{origin.Task, fmt.Sprintf("has no turn %d that can be asked for again: it was never begun, or belongs to the task that this one goes on from", origin.Turn)}
}

// has reports whether a turn waits to begin, runs, or is held until it may begin.
func (s *State) has(turn int) bool {
	return slices.ContainsFunc(s.Turns, func(t Turn) bool { return t.ID == turn }) ||
		slices.ContainsFunc(s.Held, func(h Held) bool { return h.Cut && h.Turn.ID == turn })
}

// turnOf is the turn that an event is about; 0 for one that is about the whole task.
func turnOf(body EventBody) int {
	switch b := body.(type) {
	case TurnFinished:
		return b.Turn
	case TurnReconciled:
		return b.Turn
	case GateAnswered:
		return b.Turn
	}
	return 0
}

// fresh is a turn as it was before its first attempt, but for the number of the attempt.
func fresh(t Turn) Turn {
	return Turn{
		ID: t.ID, Node: t.Node, Kind: t.Kind, Branch: t.Branch, Conversation: t.Conversation, Attempt: t.Attempt, State: TurnPending,
		Message: t.Message, Input: t.Input, Reminder: t.Reminder, PriorOutput: t.PriorOutput,
	}
}

// conversationsLeft are the conversations of a moment that were still there at the end, as they were then.
func conversationsLeft(at, last State) map[string]Runtime {
	var left map[string]Runtime
	for key := range at.Conversations {
		if rt, ok := last.Conversations[key]; ok {
			if left == nil {
				left = map[string]Runtime{}
			}
			left[key] = rt
		}
	}
	return left
}

// goOnFrom begins with what another task has left.
func (d *decision) goOnFrom(b *Beginning) error {
	d.s.Visits, d.s.LastTurn, d.s.LastBranch, d.s.LastGroup = b.Visits, b.LastTurn, b.LastBranch, b.LastGroup
	d.s.Fired, d.s.Nodes, d.s.Conversations = maps.Clone(b.Fired), maps.Clone(b.Nodes), maps.Clone(b.Conversations)
	d.s.Branches, d.s.Groups = slices.Clone(b.Branches), slices.Clone(b.Groups)
	d.s = d.s.clone() // the maps of the branches are the event's
	for i := range d.s.Branches {
		d.s.Branches[i].Started = d.at
	}
	if len(b.Held) == 0 {
		return errors.New("nothing was alive at the moment that the task goes on from")
	}
	note := fmt.Sprintf("goes on from task %s", d.s.Origin.Task)
	if d.s.Origin.Turn > 0 {
		note += fmt.Sprintf(", turn %d", d.s.Origin.Turn)
	}
	return d.release(b.Held, note)
}
