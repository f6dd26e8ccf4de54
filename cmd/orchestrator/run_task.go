package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// run submits a task and drives it.
func (a *app) run(ctx context.Context, file string, f runFlags) (err error) {
	team, input, workspace, err := a.prepare(file, f)
	if err != nil {
		return err
	}
	options, err := f.options(a)
	if err != nil {
		return err
	}
	if !team.HasAgents() {
		options.AppServer, options.TokenFile = orchestrator.AppServerNone, ""
	}
	o, err := a.open(ctx, options)
	if err != nil {
		return err
	}
	defer a.closing(&err, func() error { return o.Close(context.WithoutCancel(ctx)) })
	state, created, err := o.Submit(ctx, orchestrator.Submission{Team: team, Input: input, Workspace: workspace, Key: f.key})
	if err != nil {
		return usageIfWorkspace(err)
	}
	d := a.newDrive(o, f, state.Task)
	if !created {
		remark := fmt.Sprintf("the key %q belongs to a task that was submitted before", f.key)
		if state.Revision != team.Revision {
			remark += ", with an earlier version of the team file"
		}
		d.remarks = append(d.remarks, remark)
	}
	return d.run(ctx)
}

// resume goes on with a task from its last committed step.
func (a *app) resume(ctx context.Context, f runFlags) (err error) {
	found, err := a.resumable(ctx, f)
	if err != nil {
		return err
	}
	options, err := f.options(a)
	if err != nil {
		return err
	}
	switch {
	case !found.team.HasAgents():
		options.AppServer, options.TokenFile = orchestrator.AppServerNone, ""
	case options.AppServer == "":
		options.AppServer = lastServerOf(found)
	}
	o, err := a.open(ctx, options)
	if err != nil {
		return err
	}
	defer a.closing(&err, func() error { return o.Close(context.WithoutCancel(ctx)) })
	d := a.newDrive(o, f, found.state.Task)
	d.remarks = resumeRemarks(found.state)
	return d.run(ctx)
}

// resumable reads the task without the lock, so that a task that has ended is
// refused before an App Server is started for it.
func (a *app) resumable(ctx context.Context, f runFlags) (taskStory, error) {
	s, err := openReader(ctx, f.dataDir)
	if err != nil {
		return taskStory{}, err
	}
	found, err := readStory(ctx, s, f.resume)
	if err == nil {
		found, err = wholeTask(ctx, s, found)
	}
	if err := closing(s, err); err != nil {
		return taskStory{}, err
	}
	if _, err := preparedAnswers(found.team, f.answers); err != nil {
		return taskStory{}, usage(err)
	}
	if found.state.Status.Terminal() {
		return taskStory{}, usage(fmt.Errorf("task %s has ended as %s: there is nothing to resume\n  the story: orchestrator show %s",
			found.state.Task, found.state.Status, found.state.Task))
	}
	return found, nil
}

// wholeTask is the task that a sub-team's task belongs to: it is driven as a whole.
func wholeTask(ctx context.Context, s *store.Store, found taskStory) (taskStory, error) {
	for found.state.Parent.Waits() {
		parent, err := readStory(ctx, s, found.state.Parent.Task)
		if err != nil {
			return taskStory{}, err
		}
		if parent.state.Status.Terminal() {
			return found, nil
		}
		found = parent
	}
	return found, nil
}

// lastServerOf is the App Server that a task, or one that belongs to it, was on.
func lastServerOf(told taskStory) string {
	for _, s := range append([]workflow.State{told.state}, told.children...) {
		if server := lastServer(s); server != "" {
			return server
		}
	}
	return ""
}

func lastServer(s workflow.State) string {
	for _, t := range s.Turns {
		if t.Runtime.Server != "" {
			return t.Runtime.Server
		}
	}
	for _, rt := range s.Conversations {
		if rt.Server != "" {
			return rt.Server
		}
	}
	return ""
}

// resumeRemarks say in which state the task was left.
func resumeRemarks(s workflow.State) []string {
	var out []string
	for _, t := range s.Turns {
		who := fmt.Sprintf("turn %d (%s, attempt %d)", t.ID, nodeName(t.Node, branchLabel(s, t.Branch)), t.Attempt)
		begun := t.State == workflow.TurnSent || t.State == workflow.TurnRunning || t.State == workflow.TurnAwaitingApproval
		switch {
		case t.Kind == workflow.KindGate, t.State == workflow.TurnUncertain: // it is shown as what it is
		case t.Kind == workflow.KindTeam && begun:
			out = append(out, "resuming: "+who+" is task "+t.Child)
		case t.Kind == workflow.KindCheck && begun:
			out = append(out, "resuming: "+who+" was running")
		case t.State == workflow.TurnSent:
			out = append(out, "resuming: "+who+" may have been sent; asking the App Server what became of it")
		case begun:
			out = append(out, "resuming: "+who+" was running; asking the App Server what became of it")
		default:
			out = append(out, "resuming: "+who+" has not been sent yet")
		}
	}
	if len(s.Turns) == 0 && s.Status != workflow.TaskPaused {
		out = append(out, "resuming: no turn was under way")
	}
	return out
}

// startNotice is how long the App Server may take before people are told what
// is waited for.
const startNotice = 2 * time.Second

// open opens the data directory and an App Server that answers.
func (a *app) open(ctx context.Context, options orchestrator.Options) (_ *orchestrator.Orchestrator, err error) {
	notice := time.AfterFunc(startNotice, func() {
		fmt.Fprintf(a.stderr, "waiting for the App Server (%s) …\n", cmp.Or(options.AppServer, orchestrator.AppServerManaged))
	})
	defer notice.Stop()
	o, err := orchestrator.New(ctx, options)
	if err != nil {
		return nil, beforeSubmission(ctx, err)
	}
	if options.AppServer == orchestrator.AppServerNone {
		return o, nil
	}
	if _, err := o.CheckAppServer(ctx); err != nil {
		return nil, errors.Join(beforeSubmission(ctx, err), o.Close(context.WithoutCancel(ctx)))
	}
	return o, nil
}

// beforeSubmission says that an interrupted command had done nothing yet.
func beforeSubmission(ctx context.Context, err error) error {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return fmt.Errorf("%w before anything was asked of an agent", errInterrupted)
	}
	return err
}
