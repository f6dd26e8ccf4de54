package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// run submits a task and drives it, or has the daemon drive it.
func (a *app) run(ctx context.Context, team string, f runFlags) (err error) {
	d, err := a.daemon(ctx, f.place)
	if err != nil {
		return err
	}
	if d != nil {
		defer a.closing(&err, d.Close)
		if err := f.checkDaemon(d.URL()); err != nil {
			return err
		}
	}
	sub, err := a.prepare(ctx, d, team, f.submitFlags, f.roles)
	if err != nil {
		return err
	}
	if _, err := preparedAnswers(sub.team, f.answers); err != nil {
		return usage(err)
	}
	var by driver
	if d != nil {
		by = newDaemonDriver(d)
	} else {
		var o *orchestrator.Orchestrator
		if o, err = a.openDriver(ctx, f, sub.team, ""); err != nil {
			return err
		}
		defer a.closing(&err, func() error { return o.Close(context.WithoutCancel(ctx)) })
		by = localDriver{newLocalBackend(o)}
	}
	submitting, submitted := outliving(ctx)
	state, created, err := by.Submit(submitting, sub)
	submitted()
	if err != nil {
		return usageIfWorkspace(err)
	}
	following := a.newDrive(by, f, state.Task)
	if !created {
		following.remarks = append(following.remarks, sub.known(state))
	}
	return following.run(ctx)
}

// openDriver opens the data directory and the App Server for a team.
func (a *app) openDriver(ctx context.Context, f runFlags, team *workflow.Team, server string) (*orchestrator.Orchestrator, error) {
	options, err := f.options(a)
	if err != nil {
		return nil, err
	}
	switch {
	case !team.HasAgents():
		options.AppServer, options.TokenFile = orchestrator.AppServerNone, ""
	case options.AppServer == "":
		options.AppServer = server
	}
	return a.open(ctx, options)
}

// resume goes on with a task from its last committed step, or watches the daemon do it.
func (a *app) resume(ctx context.Context, f runFlags) (err error) {
	d, err := a.daemon(ctx, f.place)
	if err != nil {
		return err
	}
	if d != nil {
		defer a.closing(&err, d.Close)
		if err := f.checkDaemon(d.URL()); err != nil {
			return err
		}
		found, err := a.resumable(ctx, d, f)
		if err != nil {
			return err
		}
		return a.newDrive(newDaemonDriver(d), f, found.state.Task).run(ctx)
	}
	// It is read without the lock, so that a task that has ended is refused before
	// an App Server is started for it.
	s, err := openReader(ctx, f.place.dataDir)
	if err != nil {
		return err
	}
	found, err := a.resumable(ctx, localReader{s}, f)
	if err := closing(s, err); err != nil {
		return err
	}
	o, err := a.openDriver(ctx, f, found.team, lastServerOf(found))
	if err != nil {
		return err
	}
	defer a.closing(&err, func() error { return o.Close(context.WithoutCancel(ctx)) })
	following := a.newDrive(localDriver{newLocalBackend(o)}, f, found.state.Task)
	following.remarks = resumeRemarks(found.state)
	return following.run(ctx)
}

// resumable finds the task to go on with.
func (a *app) resumable(ctx context.Context, r reader, f runFlags) (taskStory, error) {
	found, err := r.Story(ctx, f.resume)
	if err == nil {
		found, err = wholeTask(ctx, r, found)
	}
	if err != nil {
		return taskStory{}, err
	}
	if _, err := preparedAnswers(found.team, f.answers); err != nil {
		return taskStory{}, usage(err)
	}
	if found.state.Status.Terminal() && !found.state.PlaceOpen() {
		return taskStory{}, usage(fmt.Errorf("task %s has ended as %s: there is nothing to resume\n  the story: %s",
			found.state.Task, found.state.Status, f.place.in("orchestrator show "+found.state.Task)))
	}
	return found, nil
}

// wholeTask is the task that a sub-team's task belongs to: it is driven as a whole.
func wholeTask(ctx context.Context, r reader, found taskStory) (taskStory, error) {
	for found.state.Parent.Waits() {
		parent, err := r.Story(ctx, found.state.Parent.Task)
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
