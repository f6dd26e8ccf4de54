package workflow

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Decide applies one event to a task and says what follows. It is pure: the
// same arguments give the same results, and s, its maps and its slices are
// never changed. The zero State takes TaskSubmitted alone.
//
// Errors: ErrTerminal for an event on a task that has ended; ErrStale for one
// that belongs to a turn or an attempt that is over, which the caller drops;
// *TransitionError for one that cannot happen now. With an error nothing has
// happened: the returned State is s.
func Decide(team *Team, s State, e Event) (State, []Effect, error) {
	if s.Status.Terminal() {
		if _, used := e.Body.(TurnUsed); used || finishesPlace(e.Body) {
			return decideAfterEnd(team, s, e)
		}
		return s, nil, fmt.Errorf("task %s is %s: %w", s.Task, s.Status, ErrTerminal)
	}
	d := decision{team: team, at: e.At, s: s.clone()}
	if err := d.apply(e.Body); err != nil {
		return s, nil, err
	}
	if err := d.settle(); err != nil {
		return s, nil, err
	}
	d.s.Version++
	d.s.Updated = e.At
	return d.s, d.effects, nil
}

// decision is one call of Decide: the copy of the state that it works on and
// the effects so far.
type decision struct {
	team    *Team
	at      time.Time
	timer   time.Time // the wake time that a TimerFired is about
	event   string
	s       State
	effects []Effect
}

// clone copies everything that a decision may change. Values behind an any
// (inputs, reported data) are shared and never changed.
func (s State) clone() State {
	s.Turns = slices.Clone(s.Turns)
	s.Fired = maps.Clone(s.Fired)
	s.Nodes = maps.Clone(s.Nodes)
	s.Conversations = maps.Clone(s.Conversations)
	s.Branches = slices.Clone(s.Branches)
	for i := range s.Branches {
		b := &s.Branches[i]
		b.Fired, b.Nodes = maps.Clone(b.Fired), maps.Clone(b.Nodes)
	}
	s.Groups = slices.Clone(s.Groups)
	s.Held = slices.Clone(s.Held)
	return s
}

func (d *decision) apply(body EventBody) error {
	if body == nil {
		return &TransitionError{Event: "without a body", Subject: "task", State: string(d.s.Status)}
	}
	d.event = body.EventType()
	switch b := body.(type) {
	case TaskSubmitted:
		return d.submitted(b)
	case TaskClaimed:
		return d.claimed()
	case TurnSending:
		return d.sending(b)
	case TurnAccepted:
		return d.accepted(b)
	case TurnFinished:
		return d.finished(b)
	case TurnReconciled:
		return d.reconciled(b)
	case TurnUsed:
		d.used(b)
		return nil
	case TimerFired:
		return d.timerFired()
	case CancelRequested:
		return d.cancelRequested(b)
	case GateAnswered:
		return d.gateAnswered(b)
	case QuestionAsked:
		return d.questionAsked(b)
	case QuestionAnswered:
		return d.questionAnswered(b)
	case ProgressReported:
		return d.progressReported(b)
	case ChildReported:
		return d.childReported(b)
	case LimitReached:
		return d.limitReached(b)
	case TaskSpawned:
		return d.taskSpawned(b)
	case PauseRequested:
		return d.pauseRequested(b)
	case ResumeRequested:
		return d.resumeRequested(b)
	case WorkspaceWaits, WorkspacePreparing, WorkspaceReady, WorkspaceFailed, WorkspaceRestored:
		return d.prepare(b)
	case WorkspaceSaved, WorkspacePublishing, WorkspacePublished, PublishRequested, WorkspaceFinished:
		return d.refusePlace() // the task has not ended
	default:
		return &UnknownTypeError{Kind: "event", Type: d.event}
	}
}

// move applies a step to the lifecycle of the task.
func (d *decision) move(step string) error {
	next, err := moveTask(d.s.Status, step, d.event)
	if err != nil {
		return err
	}
	d.s.Status = next
	return nil
}

func (d *decision) emit(e Effect) { d.effects = append(d.effects, e) }

func (d *decision) submitted(b TaskSubmitted) error {
	if err := d.move(taskSubmit); err != nil {
		return err
	}
	d.s.Task, d.s.Team, d.s.Revision, d.s.Workspace, d.s.GitBranch = b.Task, b.Team, b.Revision, b.Workspace, b.GitBranch
	d.s.WorkspaceOf = b.WorkspaceOf
	switch {
	case b.Place != nil:
		d.s.Place = *b.Place
	case b.Prepare:
		d.s.Place.Status = PlaceWanted
	}
	d.s.Parent = b.Parent
	d.s.Priority, d.s.Batch, d.s.Schedule, d.s.Trace = b.Priority, b.Batch, b.Schedule, b.Trace
	d.s.Origin, d.s.Begin = b.Origin, b.Begin
	if b.Limits.set() {
		d.s.Limits = b.Limits.combine(d.team.Limits)
	}
	if len(b.Input) > 0 {
		d.s.Input = typedInput(d.team, b.Input)
	}
	d.s.Created = d.at
	return nil
}

func (d *decision) claimed() error {
	if s := d.s.Place.Status; s != "" && s != PlaceReady {
		return d.refusePlace()
	}
	if err := d.move(taskClaim); err != nil {
		return err
	}
	d.s.Started = d.at
	if begin := d.s.Begin; begin != nil {
		d.s.Begin = nil
		return d.goOnFrom(begin)
	}
	first := given{message: startMessage(d.team, &d.s)}
	if kind, _ := d.team.Kind(d.team.Start); kind != KindAgent || !d.team.Message.IsZero() {
		var err error
		if first, err = d.give(d.team.Start, d.team.Message, scope(d.team, &d.s, nil)); err != nil {
			return d.finish(TaskFailed, Result{Explanation: fmt.Sprintf("the first %s, for %q, %s", d.whatIsGiven(d.team.Start), d.team.Start, err)})
		}
	}
	d.emit(Handoff{To: d.team.Start, ToTurn: d.s.LastTurn + 1, Note: "the task starts here"})
	return d.visit(0, d.team.Start, first)
}

func (d *decision) cancelRequested(b CancelRequested) error {
	explanation := "cancelled"
	if b.By != "" {
		explanation += " by " + b.By
	}
	return d.finish(TaskCancelled, Result{Explanation: explanation})
}

// finish ends the task and everything of it that is still alive.
func (d *decision) finish(state TaskState, result Result) error {
	step := map[TaskState]string{TaskSucceeded: taskSucceed, TaskFailed: taskFail, TaskCancelled: taskCancel}[state]
	if err := d.move(step); err != nil {
		return err
	}
	for _, t := range d.s.Turns {
		d.emit(AbortTurn{Turn: t.ID, Attempt: t.Attempt})
	}
	d.s.Turns, d.s.Branches, d.s.Groups, d.s.Held, d.s.Questions = nil, nil, nil, nil, nil
	d.s.WakeAt, d.s.Pause = time.Time{}, nil
	d.endWaiting()
	result.State, result.At = state, d.at
	d.s.Result = &result
	d.emit(FinishTask{Result: result})
	return nil
}
