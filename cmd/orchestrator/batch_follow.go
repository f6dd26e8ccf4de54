package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// batchFollower shows how a batch goes on, and drives it where there is no daemon.
type batchFollower struct {
	app     *app
	in      batchBackend
	o       *orchestrator.Orchestrator // nil where a daemon drives it
	flags   batchFlags
	id      string
	view    batch.View
	remarks []string

	reporter batchReporter
	// ended is how many ends of items were shown.
	ended   int64
	drained bool
}

func (a *app) newBatchFollower(in batchBackend, o *orchestrator.Orchestrator, f batchFlags, view batch.View) *batchFollower {
	return &batchFollower{app: a, in: in, o: o, flags: f, id: view.ID, view: view, ended: view.LastEnded}
}

// detached says what to type for a batch that nobody waits for.
func (f *batchFollower) detached() error {
	if f.flags.json {
		writeJSONLine(f.app.stdout, f.view)
		return nil
	}
	for _, remark := range f.remarks {
		fmt.Fprintln(f.app.stdout, remark)
	}
	fmt.Fprintf(f.app.stdout, "batch %s  %s of team %s\n", f.id, plural(f.view.Items, "item"), f.view.Team)
	if f.o != nil {
		fmt.Fprintf(f.app.stdout, "  nothing drives it yet; drive it with: %s\n", f.command("resume"))
		return nil
	}
	fmt.Fprintf(f.app.stdout, "  how it stands: %s\n", f.command("show"))
	return nil
}

// command is what to type about the batch.
func (f *batchFollower) command(verb string) string {
	command := "orchestrator batch " + verb + " " + f.id
	if verb == "resume" || verb == "continue" || verb == "retry-failed" {
		for _, flag := range []struct{ name, value string }{
			{"--app-server", f.flags.server.server}, {"--app-server-token-file", f.flags.server.tokenFile},
			{"--letta", f.flags.server.letta}, {"--letta-home", f.flags.server.lettaHome}, {"--model", f.flags.server.model},
			{"--roles", f.flags.roles}, {"--prices", f.flags.prices},
		} {
			if flag.value != "" {
				command += " " + flag.name + " " + shellWord(flag.value)
			}
		}
	}
	return f.flags.place.in(command)
}

// run follows the batch until nothing more happens by itself, and returns the
// exit status as an error.
func (f *batchFollower) run(ctx context.Context) error {
	f.reporter = f.app.newBatchReporter(f.flags)
	f.reporter.begin(f.view)
	for _, remark := range f.remarks {
		f.reporter.note(remark)
	}
	err := f.follow(ctx)
	f.reporter.end()
	return f.conclude(ctx, err)
}

func (f *batchFollower) follow(ctx context.Context) error {
	driving, stop := context.WithCancel(ctx)
	defer stop()
	ran := make(chan error, 1)
	var drain <-chan struct{}
	if f.o != nil {
		go func() { ran <- f.o.RunBatch(driving, f.id) }()
		var ignore func()
		drain, ignore = f.app.drain.listen()
		defer ignore()
	}
	poll := time.NewTicker(batchPoll)
	defer poll.Stop()
	reading := context.WithoutCancel(ctx)
	var runErr, readErr error
	for running := true; running; {
		if readErr = f.look(reading); readErr != nil || f.view.Settled() {
			break
		}
		select {
		case <-poll.C:
		case runErr = <-ran:
			f.o, running = nil, false
		case <-drain:
			f.drained = true
			f.reporter.note(fmt.Sprintf("stopping: no new turn is started, and what runs may end within %s (again to stop now)", f.flags.grace))
			f.o.Engine().Drain(f.flags.grace)
		case <-ctx.Done():
			if f.o != nil && !errors.Is(context.Cause(ctx), errOutput) {
				f.reporter.note("stopping; the running turns are aborted (Ctrl-C again to stop at once)")
			}
			running = false
		}
	}
	stop()
	if f.o != nil {
		runErr = <-ran
	}
	return errors.Join(runErr, readErr, f.look(reading))
}

// look reads how the batch stands, and shows what has ended since.
func (f *batchFollower) look(ctx context.Context) error {
	view, err := f.in.Batch(ctx, f.id)
	if err != nil {
		return err
	}
	ended, err := f.in.BatchItems(ctx, f.id, store.ItemFilter{EndedAfter: &f.ended})
	if err != nil {
		return err
	}
	for _, item := range ended {
		f.ended = max(f.ended, item.Ended)
		f.reporter.item(view, item)
	}
	running, err := f.in.BatchItems(ctx, f.id, store.ItemFilter{State: []string{string(batch.ItemRunning)}, Limit: maxRunningShown})
	if err != nil {
		return err
	}
	f.view = view
	f.reporter.progress(view, running)
	return nil
}

// conclude tells the end and turns it into an exit status.
func (f *batchFollower) conclude(ctx context.Context, err error) error {
	if err != nil {
		f.reporter.note("batch " + f.id + " is kept. Go on with:\n  " + f.command("resume"))
		return err
	}
	v := f.view
	if !f.flags.json && v.Settled() && (v.Status.Terminal() || v.Status == batch.Stopped) {
		if err := f.report(context.WithoutCancel(ctx)); err != nil {
			return err
		}
	}
	status, say := f.ending()
	if !v.Settled() {
		status, say = f.left(ctx)
	}
	if f.flags.json {
		writeJSONLine(f.app.stdout, v)
	} else if say != "" {
		f.reporter.note(say)
	}
	if status == exitOK {
		return nil
	}
	return quietExit(status)
}

// left is the end of a command whose batch goes on.
func (f *batchFollower) left(ctx context.Context) (status int, say string) {
	daemon := f.flags.place
	if _, remote := f.in.(daemonBatches); remote {
		return exitInterrupted, "the daemon goes on with batch " + f.id + "; how it stands: " + daemon.in("orchestrator batch show "+f.id)
	}
	if errors.Is(context.Cause(ctx), errOutput) {
		return exitEnvironment, "nobody takes the output any more; batch " + f.id + " is kept. Go on with:\n  " + f.command("resume")
	}
	return exitInterrupted, "interrupted; batch " + f.id + " is kept. Go on with the same command, or with:\n  " + f.command("resume")
}

// ending is how a batch that is settled ends the command.
func (f *batchFollower) ending() (status int, say string) {
	v := f.view
	switch v.Status {
	case batch.Done:
		if v.Counts.Failed+v.Counts.Cancelled == 0 {
			return exitOK, ""
		}
		if v.Counts.Failed > 0 {
			say = "try the failed items again: " + f.command("retry-failed")
		}
		return exitTaskFailed, say
	case batch.Cancelled:
		return exitTaskFailed, ""
	case batch.Stopped:
		return exitTaskFailed, "stopped: " + v.Note + "\n  go on all the same: " + f.command("resume") + "\n  try the failed items again: " + f.command("retry-failed")
	case batch.WaitingForCanary:
		return exitWaiting, v.Note + "\n  yes: " + f.command("continue") + "\n  no: " + f.command("stop") + "\n  what became of them: " + f.command("report")
	case batch.Paused:
		return exitPaused, "paused; go on with: " + f.command("resume")
	case batch.Running:
	}
	return exitWaiting, plural(v.Counts.Waiting, "item") + " wait for a person: " + f.flags.place.in("orchestrator list --batch "+f.id) + "\n  then go on with: " + f.command("resume")
}

// maxReportRows is how many items the report at the end may have; of longer ones
// what did not succeed is shown.
const maxReportRows = 40

func (f *batchFollower) report(ctx context.Context) error {
	report, err := f.in.BatchReport(ctx, f.id)
	if err != nil {
		return err
	}
	all := len(report.Items)
	report = report.Shortened(maxReportRows)
	var b strings.Builder
	if err := report.WriteTable(&b); err != nil {
		return err
	}
	if len(report.Items) < all {
		fmt.Fprintf(&b, "\n%s shown; all: %s\n", cmp.Or(plural(len(report.Items), "item"), "none"), f.command("report"))
	}
	fmt.Fprint(f.app.stdout, "\n"+printable(b.String()))
	return nil
}
