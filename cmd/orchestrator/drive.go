package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// drive runs one task of an orchestrator, with those that belong to it, and reports about it.
type drive struct {
	app     *app
	o       *orchestrator.Orchestrator
	flags   runFlags
	task    string
	remarks []string

	reporter reporter
	state    workflow.TaskState
	watched
	asking
	// drained is set when the run ends in good order because it was asked to.
	drained bool
	// waits is set when the run ended because the task waits for a person.
	waits *waits
}

func (a *app) newDrive(o *orchestrator.Orchestrator, f runFlags, task string) *drive {
	d := &drive{app: a, o: o, flags: f, task: task, watched: watched{seq: map[string]int64{}, family: family{}}}
	d.answers, d.leaving = make(chan typed, 1), make(chan struct{}, 1)
	d.tried = map[turnQuestion]bool{}
	colours := paletteFor(a.stdout)
	switch {
	case f.json:
		d.reporter = &jsonReporter{out: a.stdout, events: a.stderr, state: func() workflow.TaskState { return d.state }}
	case isTerminal(a.stdout):
		live := &liveReporter{out: fileOf(a.stdout), palette: colours, lines: timeline{verbose: f.verbose}}
		if isTerminal(a.stderr) {
			live.log, live.logAfter = &a.logStream, a.stderr
		}
		if in := terminalInput(a.stdin); in != nil && a.interrupt != nil {
			live.in, live.answers, live.interrupt, live.leave = in, d.answers, a.interrupt, d.leave
			d.interactive = true
		}
		d.reporter = live
	default:
		d.reporter = &plainReporter{out: a.stdout, palette: colours, lines: timeline{verbose: f.verbose}}
	}
	return d
}

// run drives the task until it ends, waits for a person, or ctx ends, and
// returns the exit status as an error.
func (d *drive) run(ctx context.Context) error {
	told, err := readStory(ctx, d.o.Store(), d.task)
	if err != nil {
		return err
	}
	if d.prepared, err = preparedAnswers(told.team, d.flags.answers); err != nil {
		return usage(err)
	}
	updates := d.o.Engine().Subscribe("")
	defer updates.Close()
	if err := d.resumePaused(ctx); err != nil {
		return err
	}
	earlier, err := d.look(ctx, d.o.Store(), d.task)
	if err != nil {
		return err
	}
	d.state = d.family[d.task].Status
	d.reporter.begin(told.team, earlier)
	for _, remark := range d.remarks {
		d.reporter.note(remark)
	}
	base := gitBase(ctx, told.state.Workspace, told.state.Created)
	state, err := d.follow(ctx, updates)
	after := context.WithoutCancel(ctx)
	changes := ""
	if state.Status.Terminal() {
		switch {
		case state.Place.Kind == workflow.PlaceWorktree:
			for _, field := range placeFields(state.Place) {
				if changes != "" {
					changes += "\n  "
				}
				changes += field[0] + ": " + field[1]
			}
			if changes != "" {
				changes = "branch " + state.GitBranch + "\n  " + changes
			}
		case told.state.Workspace == "":
			changes = gitChanges(after, state.Workspace, gitBase(after, state.Workspace, told.state.Created))
		default:
			changes = gitChanges(after, told.state.Workspace, base)
		}
	}
	return d.conclude(ctx, state, err, changes)
}

// follow runs the engine, reports every update until nothing more can come,
// and returns the state that the task is left in.
func (d *drive) follow(ctx context.Context, updates *engine.Subscription) (workflow.State, error) {
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	waitCtx, stopWaiting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWaiting()
	ran, ended := make(chan error, 1), make(chan error, 1)
	go func() { ran <- d.o.Run(runCtx, d.task) }()
	go func() {
		_, err := d.o.Engine().Wait(waitCtx, d.task)
		ended <- err
	}()
	var runErr, waitErr error
	d.consider(ctx)
	drain, ignore := d.app.drain.listen()
	defer ignore()
	for interrupted := ctx.Done(); ended != nil && ran != nil && d.waits == nil; {
		select {
		case u, ok := <-updates.Updates():
			if ok {
				if d.report(u) {
					d.consider(ctx)
				}
				break
			}
			// Too slow a reader misses what is in the store anyhow.
			updates = d.o.Engine().Subscribe("")
			defer updates.Close()
			if err := d.catchUp(ctx); err != nil {
				stop()
			}
			d.consider(ctx)
		case t := <-d.answers:
			d.give(ctx, t.ask, t.answer, userName())
			d.reporter.asks(d.family.asks())
		case <-d.leaving:
			d.interactive = false
			d.consider(ctx)
		case waitErr = <-ended:
			ended = nil
		case runErr = <-ran:
			ran = nil
		case <-drain:
			d.drained = true
			d.reporter.note(fmt.Sprintf("stopping: no new turn is started, and what runs may end within %s (again to stop now)", d.flags.grace))
			d.o.Engine().Drain(d.flags.grace)
		case <-interrupted:
			interrupted = nil
			if !errors.Is(context.Cause(ctx), errOutput) {
				d.reporter.note("stopping; the running turn is aborted (Ctrl-C again to stop at once)")
			}
		}
	}
	stop()
	stopWaiting()
	if ran != nil {
		runErr = <-ran
	}
	if ended != nil {
		waitErr = <-ended
	}
	after := context.WithoutCancel(ctx)
	err := errors.Join(waitError(waitErr), runErr, d.catchUp(after))
	state, readErr := d.o.Store().Task(after, d.task)
	return state, errors.Join(err, readErr)
}

// waitError leaves out that the engine has stopped: why it did is what counts.
func waitError(err error) error {
	if errors.Is(err, engine.ErrStopped) || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// catchUp reports what was committed and did not come as an update.
func (d *drive) catchUp(ctx context.Context) error {
	records, err := d.look(ctx, d.o.Store(), d.task)
	for _, rec := range records {
		d.reporter.record(rec)
	}
	return err
}

// conclude tells the end and turns it into an exit status.
func (d *drive) conclude(ctx context.Context, state workflow.State, err error, changes string) error {
	if state.Status != "" {
		d.state = state.Status
	}
	switch {
	case state.Status == workflow.TaskSucceeded && err == nil:
		d.reporter.end(ending{changes: changes})
		d.noteSpawned()
		return nil
	case state.Status.Terminal() && err == nil:
		d.reporter.end(ending{changes: changes})
		d.noteSpawned()
		return quietExit(exitTaskFailed)
	case d.waits != nil && err == nil:
		d.waits.resume, d.waits.dataDir = d.resumeCommand(), d.flags.dataDir
		d.reporter.end(ending{waits: d.waits})
		if len(d.waits.paused) > 0 {
			return quietExit(exitPaused)
		}
		return quietExit(exitWaiting)
	case errors.Is(context.Cause(ctx), errOutput) && err == nil:
		fmt.Fprintf(d.app.stderr, "nobody takes the output any more; task %s is kept. Go on with:\n  %s\n", d.task, d.resumeCommand())
		d.reporter.end(ending{})
		return quietExit(exitEnvironment)
	case d.drained && err == nil, errors.Is(context.Cause(ctx), errInterrupted) && err == nil:
		d.reporter.end(ending{})
		d.reporter.note(fmt.Sprintf("interrupted; task %s is kept. Go on with:\n  %s", d.task, d.resumeCommand()))
		return quietExit(exitInterrupted)
	case err == nil:
		err = errors.New("the engine stopped before the task ended")
	}
	d.reporter.end(ending{})
	d.reporter.note(fmt.Sprintf("task %s is kept. Go on with:\n  %s", d.task, d.resumeCommand()))
	return err
}

// noteSpawned names the tasks that agents have started and that have not ended.
func (d *drive) noteSpawned() {
	for _, s := range d.family.sorted() {
		if s.Parent != nil && s.Parent.Spawned && !s.Status.Terminal() {
			d.reporter.note(fmt.Sprintf("task %s of team %s, which an agent has started, is %s. Go on with:\n  %s", s.Task, s.Team, s.Status, d.resumeCommandOf(s.Task)))
		}
	}
}

// resumeCommand is what to type to go on.
func (d *drive) resumeCommand() string { return d.resumeCommandOf(d.task) }

func (d *drive) resumeCommandOf(task string) string {
	parts := []string{"orchestrator run --resume", task}
	for _, flag := range []struct{ name, value string }{
		{"--app-server", d.flags.server.server}, {"--app-server-token-file", d.flags.server.tokenFile},
		{"--letta", d.flags.server.letta}, {"--letta-home", d.flags.server.lettaHome},
		{"--data-dir", d.flags.dataDir}, {"--roles", d.flags.roles}, {"--prices", d.flags.prices},
	} {
		if flag.value != "" {
			parts = append(parts, flag.name, shellWord(flag.value))
		}
	}
	return strings.Join(parts, " ")
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
