package workflow

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ReplayResult is the route that a team takes with recorded ends of nodes.
type ReplayResult struct {
	// Journal is that of the replay: its events are the recorded ones, given to
	// the turns of the replay.
	Journal []Recorded
	State   State
	// Missing are the nodes that were asked for and have no recorded end left.
	// What follows from them is not known.
	Missing []MissingEnd
}

// MissingEnd is a node that was asked for more often than was recorded.
type MissingEnd struct {
	Node  string
	Label string
	// Recorded is how many ends of the node were recorded.
	Recorded int
}

// errNoSubmission says that a journal does not begin with TaskSubmitted.
var errNoSubmission = errors.New("the journal does not begin with the submission of a task")

// maxReplayEvents bounds a replay, whatever the rules of the team say.
const maxReplayEvents = 100_000

// Replay takes a team through the journal of a task of another team, or of an
// earlier version of it: the n-th time that a node is asked, it ends as it did
// the n-th time in the journal, in the same branch where there is one. Input
// that the team does not declare is left out. Errors: Problems where the
// recorded input does not suit the team; *OriginError; a journal that cannot be read.
func Replay(team *Team, journal []Recorded) (ReplayResult, error) {
	if len(journal) == 0 {
		return ReplayResult{}, errNoSubmission
	}
	submitted, ok := journal[0].Event.Body.(TaskSubmitted)
	if !ok {
		return ReplayResult{}, errNoSubmission
	}
	if submitted.Begin != nil {
		return ReplayResult{}, &OriginError{submitted.Task, fmt.Sprintf("goes on from task %s, with what that one has done: replay that one", submitted.Origin.Task)}
	}
	given := map[string]any{}
	for name, value := range submitted.Input {
		if _, declared := team.Inputs[name]; declared {
			given[name] = value
		}
	}
	input, err := team.BindInput(given)
	if err != nil {
		return ReplayResult{}, err
	}
	// The workspace is the recorded one; nothing is made.
	submitted.Prepare = false
	for _, entry := range journal {
		if ready, ok := entry.Event.Body.(WorkspaceReady); ok {
			submitted.Workspace, submitted.GitBranch = ready.Directory, ready.GitBranch
		}
	}
	submitted.Input, submitted.Team, submitted.Revision = input, team.Name, team.Revision
	r := &replaying{team: team, ends: recordedEnds(journal), at: journal[0].Event.At, began: map[[2]int]*replayedTurn{}}
	for _, entry := range journal {
		switch b := entry.Event.Body.(type) {
		case ResumeRequested:
			r.resumes = append(r.resumes, b)
		case CancelRequested:
			r.cancel = &b
		}
	}
	if err := errors.Join(r.apply(submitted), r.apply(TaskClaimed{}), r.run()); err != nil {
		return ReplayResult{}, fmt.Errorf("replay task %s: %w", submitted.Task, err)
	}
	return ReplayResult{Journal: r.journal, State: r.state, Missing: r.missing}, nil
}

// recordedEnd is how a turn ended, and how long it took.
type recordedEnd struct {
	node, label string
	took        time.Duration
	// bodies are the events of the end; none for a gate that expired.
	bodies []EventBody
	used   bool
}

// recordedEnds reads the ends of nodes out of a journal.
func recordedEnds(journal []Recorded) []*recordedEnd {
	turns := map[int]StartTurn{}
	began := map[int]time.Time{}
	children := map[int]ChildReported{}
	stopped := map[int]string{}
	used := map[int][]EventBody{}
	var out []*recordedEnd
	add := func(turn int, at time.Time, bodies ...EventBody) {
		start, known := turns[turn]
		if !known {
			return
		}
		if note := stopped[turn]; note != "" && start.Kind == KindTeam {
			bodies = append([]EventBody{LimitReached{Note: note}}, bodies...)
			delete(stopped, turn)
		}
		if child, ok := children[turn]; ok {
			bodies = append([]EventBody{child}, bodies...)
		}
		bodies = append(used[turn], bodies...)
		delete(used, turn)
		out = append(out, &recordedEnd{node: start.Node, label: start.Label, took: max(0, at.Sub(began[turn])), bodies: bodies})
	}
	for _, r := range journal {
		at := r.Event.At
		switch b := r.Event.Body.(type) {
		case TurnSending:
			began[b.Turn] = at
		case ChildReported:
			b.Status, b.Starting = "", false
			children[b.Turn] = b
		case TurnUsed:
			used[b.Turn] = append(used[b.Turn], b)
		case TurnFinished:
			add(b.Turn, at, b)
		case TurnReconciled:
			add(b.Turn, at, b)
		case GateAnswered:
			add(b.Turn, at, b)
		case TimerFired:
			for _, turn := range endedTurns(r.Effects) {
				if turns[turn].Kind == KindGate {
					add(turn, at)
				}
			}
		}
		for _, effect := range r.Effects {
			if stop, ok := effect.(StopTurn); ok {
				stopped[stop.Turn] = stop.Note
			}
			if start, ok := effect.(StartTurn); ok {
				if _, again := turns[start.Turn]; !again || start.Kind == KindGate {
					began[start.Turn] = at
				}
				turns[start.Turn] = start
			}
		}
	}
	return out
}

// endedTurns are the turns that end by the effects of one decision.
func endedTurns(effects []Effect) []int {
	var out []int
	for _, effect := range effects {
		turn := 0
		switch e := effect.(type) {
		case Handoff:
			turn = e.FromTurn
		case BranchEnded:
			turn = e.Turn
		}
		if turn != 0 && !slices.Contains(out, turn) {
			out = append(out, turn)
		}
	}
	return out
}

// replaying drives one task by recorded ends.
type replaying struct {
	team    *Team
	ends    []*recordedEnd
	resumes []ResumeRequested
	cancel  *CancelRequested
	at      time.Time
	state   State
	journal []Recorded
	missing []MissingEnd
	// began are the attempts that have begun.
	began map[[2]int]*replayedTurn
}

// replayedTurn is an attempt and how it will end.
type replayedTurn struct {
	turn Turn
	end  *recordedEnd // nil: nothing is recorded
	at   time.Time
}

func (r *replaying) apply(body EventBody) error {
	event := Event{At: r.at, Body: body}
	if len(r.journal) >= maxReplayEvents {
		return fmt.Errorf("it does not end: %d events and more", maxReplayEvents)
	}
	next, effects, err := Decide(r.team, r.state, event)
	if err != nil {
		return err
	}
	r.state = next
	r.journal = append(r.journal, Recorded{Seq: next.Version, Event: event, Effects: effects})
	return nil
}

// run goes on until the task has ended, or nothing more is recorded.
func (r *replaying) run() error {
	for !r.state.Status.Terminal() {
		if err := r.begin(); err != nil {
			return err
		}
		t := r.nextEnd()
		wake := r.state.WakeAt
		paused := r.state.Status == TaskPaused
		var err error
		switch {
		case t != nil && (paused || wake.IsZero() || !t.at.After(wake)):
			err = r.finish(t)
		case !wake.IsZero() && !paused && (t != nil || r.wakes()):
			r.at = later(r.at, wake)
			err = r.apply(TimerFired{})
		case paused && len(r.resumes) > 0:
			resume := r.resumes[0]
			r.resumes = r.resumes[1:]
			err = r.apply(resume)
		case r.cancel != nil && len(r.missing) == 0:
			return r.apply(*r.cancel)
		default:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// wakes reports whether a timer starts something of which the end is recorded:
// a turn that waits, or a gate that expired.
func (r *replaying) wakes() bool {
	return slices.ContainsFunc(r.state.Turns, func(t Turn) bool {
		begun := r.began[[2]int{t.ID, t.Attempt}]
		return begun == nil || begun.end != nil
	})
}

// begin starts every turn that may start.
func (r *replaying) begin() error {
	if r.state.Status == TaskPaused {
		return nil
	}
	for _, t := range slices.Clone(r.state.Turns) {
		key := [2]int{t.ID, t.Attempt}
		if r.began[key] != nil || t.State != TurnPending || t.NotBefore.After(r.state.Updated) {
			continue
		}
		end := r.end(t)
		r.began[key] = &replayedTurn{turn: t, end: end}
		if end == nil {
			continue
		}
		r.began[key].at = r.at.Add(end.took)
		if t.Kind == KindGate {
			if len(end.bodies) == 0 {
				r.began[key].at = t.Expires
			}
			continue
		}
		sending := TurnSending{Turn: t.ID, Attempt: t.Attempt}
		if t.Kind == KindAgent {
			// Any name will do, as long as no two turns share a conversation.
			sending.ClientMessageID = fmt.Sprintf("%s.%d.%d", r.state.Task, t.ID, t.Attempt)
			sending.Runtime = Runtime{Server: "replay", AgentID: t.Node, ConversationID: t.Conversation}
		}
		if err := r.apply(sending); err != nil {
			return err
		}
	}
	return nil
}

// end takes the next recorded end for a turn; nil when there is none left.
func (r *replaying) end(t Turn) *recordedEnd {
	label := r.state.label(t.Branch)
	recorded := 0
	var anywhere *recordedEnd
	for _, end := range r.ends {
		if end.node != t.Node {
			continue
		}
		recorded++
		if end.used || !r.suits(end, t) {
			continue
		}
		if end.label == label {
			end.used = true
			return end
		}
		anywhere = cmp.Or(anywhere, end)
	}
	if anywhere != nil && !slices.ContainsFunc(r.ends, func(e *recordedEnd) bool { return e.node == t.Node && e.label == label }) {
		anywhere.used = true // the branches have other names now
		return anywhere
	}
	r.missing = append(r.missing, MissingEnd{Node: t.Node, Label: label, Recorded: recorded})
	return nil
}

// suits reports whether the end can be given to a turn: a node may have become
// one of another kind.
func (r *replaying) suits(end *recordedEnd, t Turn) bool {
	gate := len(end.bodies) == 0
	for _, body := range end.bodies {
		if _, ok := body.(GateAnswered); ok {
			gate = true
		}
	}
	return gate == (t.Kind == KindGate)
}

// nextEnd is the turn that ends first; nil when no end is recorded.
func (r *replaying) nextEnd() *replayedTurn {
	var first *replayedTurn
	for _, t := range r.state.Turns {
		begun := r.began[[2]int{t.ID, t.Attempt}]
		if begun == nil || begun.end == nil || t.Kind == KindGate && len(begun.end.bodies) == 0 {
			continue // a gate that expired ends by the timer
		}
		if first == nil || begun.at.Before(first.at) {
			first = begun
		}
	}
	return first
}

// finish gives a turn its recorded end.
func (r *replaying) finish(t *replayedTurn) error {
	r.at = later(r.at, t.at)
	id, attempt := t.turn.ID, t.turn.Attempt
	for _, body := range t.end.bodies {
		switch b := body.(type) {
		case TurnFinished:
			b.Turn, b.Attempt = id, attempt
			body = b
		case TurnReconciled:
			b.Turn, b.Attempt = id, attempt
			body = b
		case TurnUsed:
			b.Turn, b.Attempt, b.Node, b.Branch = id, attempt, t.turn.Node, t.turn.Branch
			body = b
		case ChildReported:
			b.Turn, b.Attempt = id, attempt
			body = b
		case LimitReached:
			if slices.ContainsFunc(r.state.Turns, func(live Turn) bool { return live.ID == id && live.Stopping != "" }) {
				continue // the report before it has told
			}
			b.Turn, b.Attempt = id, attempt
			body = b
		case GateAnswered:
			b.Turn = id
			body = b
		}
		if err := r.apply(body); err != nil {
			return err
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Difference is where two routes part.
type Difference struct {
	// Index is that of the first step that differs, in both routes.
	Index int
	// Recorded and Replayed are the steps there; nil where a route has ended.
	Recorded, Replayed *Step
}

// Differ returns where two routes, in the order of their branches, part; nil
// when they are the same. The numbers of rules do not count: a changed file
// counts them anew.
func Differ(recorded, replayed []Step) *Difference {
	for i := range max(len(recorded), len(replayed)) {
		d := &Difference{Index: i}
		if i < len(recorded) {
			d.Recorded = &recorded[i]
		}
		if i < len(replayed) {
			d.Replayed = &replayed[i]
		}
		if d.Recorded == nil || d.Replayed == nil || !d.Recorded.same(*d.Replayed) {
			return d
		}
	}
	return nil
}

func (s Step) same(o Step) bool {
	return s.Node == o.Node && s.Label == o.Label && s.Reason == o.Reason && s.Target() == o.Target() && s.Join() == o.Join()
}
