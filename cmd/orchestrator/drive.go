package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// drive has one task go on, with those that belong to it, and reports about it.
type drive struct {
	driver
	app     *app
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

func (a *app) newDrive(by driver, f runFlags, task string) *drive {
	d := &drive{app: a, driver: by, flags: f, task: task, watched: watched{seq: map[string]int64{}, family: family{}}}
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
	// Who interrupts before there is anything to see is told all the same what
	// becomes of the task.
	beginning, begun := outliving(ctx)
	defer begun()
	told, err := d.Story(beginning, d.task)
	if err != nil {
		return err
	}
	if d.prepared, err = preparedAnswers(told.team, d.flags.answers); err != nil {
		return usage(err)
	}
	updates, err := d.Watch(beginning, d.task)
	if err != nil {
		return err
	}
	defer func() { updates.Close() }()
	if err := d.resumePaused(beginning); err != nil {
		return err
	}
	earlier, err := d.look(beginning, d, d.task)
	if err != nil {
		return err
	}
	d.state = d.family[d.task].Status
	d.reporter.begin(told.team, earlier)
	for _, remark := range d.remarks {
		d.reporter.note(remark)
	}
	base := ""
	if d.sameMachine() {
		base = gitBase(ctx, told.state.Workspace, told.state.Created)
	}
	state, err := d.follow(ctx, &updates)
	after := context.WithoutCancel(ctx)
	changes := ""
	if state.Status.Terminal() {
		switch {
		case state.Place.Kind == workflow.PlaceWorktree:
			for _, field := range placeFields(state) {
				if changes != "" {
					changes += "\n  "
				}
				changes += field[0] + ": " + field[1]
			}
			if changes != "" {
				changes = "branch " + state.GitBranch + "\n  " + changes
			}
		case !d.sameMachine():
		case told.state.Workspace == "":
			changes = gitChanges(after, state.Workspace, gitBase(after, state.Workspace, told.state.Created))
		default:
			changes = gitChanges(after, told.state.Workspace, base)
		}
	}
	return d.conclude(ctx, state, err, changes)
}

// remote says that a daemon drives the task, which goes on without this process.
func (d *drive) remote() bool { return d.URL() != "" }

// sameMachine says that the workspace of the task can be looked at.
func (d *drive) sameMachine() bool {
	return !d.remote() || strings.HasPrefix(d.URL(), "unix:")
}

// follow has the task go on, reports every update until nothing more can come,
// and returns the state that the task is left in.
func (d *drive) follow(ctx context.Context, updates *watching) (workflow.State, error) {
	runCtx, stop := context.WithCancel(ctx)
	defer stop()
	waitCtx, stopWaiting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWaiting()
	ran, ended := make(chan error, 1), make(chan error, 1)
	go func() { ran <- d.Drive(runCtx, d.task) }()
	go func() { ended <- d.Await(waitCtx, d.task) }()
	var runErr, waitErr error
	d.consider(ctx)
	var drain <-chan struct{}
	if !d.remote() { // watching ends at once
		var ignore func()
		drain, ignore = d.app.drain.listen()
		defer ignore()
	}
	for interrupted := ctx.Done(); ended != nil && ran != nil && d.waits == nil; {
		select {
		case u, ok := <-(*updates).Updates():
			if ok {
				if d.report(u) {
					d.consider(ctx)
				}
				break
			}
			// Too slow a reader misses what is in the store anyhow.
			if err := d.watchAgain(ctx, updates); err != nil {
				stop()
			}
			d.consider(ctx)
		case i := <-(*updates).Interruptions():
			d.interrupted(ctx, i)
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
			d.Drain(d.flags.grace)
		case <-interrupted:
			interrupted = nil
			if !d.remote() && !errors.Is(context.Cause(ctx), errOutput) {
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
	if _, gone := unreachable(runErr); gone {
		return d.family[d.task], runErr // there is nobody to ask
	}
	after := context.WithoutCancel(ctx)
	if d.remote() && ctx.Err() != nil {
		return d.family[d.task], nil // nothing has changed by that
	}
	err := errors.Join(waitError(waitErr), runErr, d.catchUp(after))
	state, readErr := d.Task(after, d.task)
	return state, errors.Join(err, readErr)
}

// watchAgain goes on after updates were missed.
func (d *drive) watchAgain(ctx context.Context, updates *watching) error {
	again, err := d.Watch(ctx, d.task)
	if err != nil {
		return err
	}
	(*updates).Close()
	*updates = again
	return d.catchUp(ctx)
}

// interrupted tells that the daemon does not answer, or goes on when it does again.
func (d *drive) interrupted(ctx context.Context, i interruptionOfDaemon) {
	if i.err != nil {
		d.reporter.note("the daemon does not answer any more; trying to reach it again")
		return
	}
	d.reporter.note("the daemon answers again")
	if err := d.catchUp(ctx); err != nil && ctx.Err() == nil {
		// The next interruption, or the end of the patience, tells more.
		d.reporter.note("what happened meanwhile cannot be read: " + firstSentence(err))
	}
	d.consider(ctx)
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
	records, err := d.look(ctx, d, d.task)
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
	if d.remote() && !state.Status.Terminal() && d.waits == nil {
		return d.leaveToDaemon(ctx, err)
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
		d.waits.resume, d.waits.place, d.waits.driven = d.resumeCommand(), d.flags.place, d.remote()
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

// leaveToDaemon tells that the task goes on without this process.
func (d *drive) leaveToDaemon(ctx context.Context, err error) error {
	d.reporter.end(ending{})
	watch := d.flags.place.in("orchestrator run --resume " + d.task)
	if err == nil && ctx.Err() == nil {
		err = errors.New("the daemon told the end of a task that has not ended")
	}
	if err != nil {
		d.reporter.note(fmt.Sprintf("task %s is kept, and the daemon goes on with it when it runs. Watch it with:\n  %s", d.task, watch))
		return err
	}
	text := fmt.Sprintf("task %s goes on in the daemon. Watch it with:\n  %s\nend it with:\n  %s", d.task, watch, d.flags.place.in("orchestrator cancel "+d.task))
	if errors.Is(context.Cause(ctx), errOutput) {
		fmt.Fprintln(d.app.stderr, text)
		return quietExit(exitEnvironment)
	}
	d.reporter.note(text)
	return quietExit(exitInterrupted)
}

// noteSpawned names the tasks that agents have started and that have not ended.
func (d *drive) noteSpawned() {
	for _, s := range d.family.sorted() {
		if s.Parent != nil && s.Parent.Spawned && !s.Status.Terminal() {
			how := "Go on with"
			if d.remote() {
				how = "The daemon drives it. Watch it with"
			}
			d.reporter.note(fmt.Sprintf("task %s of team %s, which an agent has started, is %s. %s:\n  %s", s.Task, s.Team, s.Status, how, d.resumeCommandOf(s.Task)))
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
		{"--roles", d.flags.roles}, {"--prices", d.flags.prices},
	} {
		if flag.value != "" {
			parts = append(parts, flag.name, shellWord(flag.value))
		}
	}
	return d.flags.place.in(strings.Join(parts, " "))
}

// shellWord quotes a word for a POSIX shell where it needs it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@%+=,") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
