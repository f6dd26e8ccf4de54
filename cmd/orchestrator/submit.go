package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// makeFlags are those of commands that make a task and leave it to the daemon.
type makeFlags struct {
	place  place
	follow bool
	json   bool
}

func (f *makeFlags) register(flags *pflag.FlagSet) {
	f.place.register(flags)
	flags.BoolVarP(&f.follow, "follow", "f", false, "watch the daemon do the task, as orchestrator run does")
	flags.BoolVar(&f.json, "json", false, "print the task as one JSON object; with --follow the result, as orchestrator run does")
}

func newSubmit(a *app) *cobra.Command {
	var f submitFlags
	var made makeFlags
	cmd := &cobra.Command{
		Use:   "submit TEAM [--input name=value ...]",
		Short: "Make a task and leave it to the daemon",
		Long: `Makes one task of a team and returns at once with its ID. TEAM is a team file, or
the name of a team of the daemon ("orchestrator teams" lists them).

With --key the same command never makes a second task, however long ago the first
one was: it returns that one. Without a daemon the task is kept until
"orchestrator run --resume TASK" or a daemon drives it.`,
		Example: `  orchestrator submit release --input version=1.2 --key release-1.2
  orchestrator submit examples/teams/plan-code-review.yaml --input goal="Add a --json flag" --follow`,
		Args: oneArgument("a team file, or the name of a team of the daemon"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.make(cmd.Context(), made, "submitted", true, func(ctx context.Context, b backend) (workflow.State, bool, error) {
				d, _ := b.(*daemonBackend)
				sub, err := a.prepare(ctx, d, args[0], f, "")
				if err != nil {
					return workflow.State{}, false, err
				}
				state, created, err := b.Submit(ctx, sub)
				if err == nil && !created {
					fmt.Fprintln(a.stderr, sub.known(state))
				}
				return state, created, usageIfWorkspace(err)
			})
		},
	}
	f.register(cmd.Flags())
	made.register(cmd.Flags())
	return cmd
}

func newRetry(a *app) *cobra.Command {
	var made makeFlags
	var turn int
	cmd := &cobra.Command{
		Use:   "retry TASK [--turn N]",
		Short: "Go on with a task that has ended, as a new one",
		Long: `Makes a task that goes on where TASK has ended, or from a turn of it, in the same
conversations and the same workspace. TASK itself stays as it is. "orchestrator show"
tells the numbers of the turns. A task that has succeeded needs --turn; one that has
not ended is cancelled first, or forked.`,
		Example: `  orchestrator retry 01JDQ7
  orchestrator retry 01JDQ7 --turn 4 --follow`,
		Args: oneArgument("a task that has ended"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if turn < 0 {
				return usage(fmt.Errorf("--turn %d is less than 0", turn))
			}
			return a.make(cmd.Context(), made, "retried as", false, func(ctx context.Context, b backend) (workflow.State, bool, error) {
				from, err := b.Task(ctx, args[0])
				if err != nil {
					return from, false, err
				}
				state, err := b.Retry(ctx, from.Task, turn)
				return state, true, err
			})
		},
	}
	cmd.Flags().IntVar(&turn, "turn", 0, "the first turn that is asked for again (default: what was alive just before the end)")
	made.register(cmd.Flags())
	return cmd
}

func newFork(a *app) *cobra.Command {
	var made makeFlags
	var f submitFlags
	var turn int
	cmd := &cobra.Command{
		Use:   "fork TASK --turn N [--input name=value ...]",
		Short: "Try another way from a moment of a task, as a new one",
		Long: `Makes a task that goes its own way from a turn of TASK on, in conversations and a
workspace of its own, with other inputs where some are given. TASK stays as it is,
and may still run. "orchestrator show" tells the numbers of the turns.`,
		Example: `  orchestrator fork 01JDQ7 --turn 4
  orchestrator fork 01JDQ7 --turn 1 --input goal="Add a --yaml flag" --follow`,
		Args: oneArgument("a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if turn < 0 {
				return usage(fmt.Errorf("--turn %d is less than 0", turn))
			}
			return a.make(cmd.Context(), made, "forked as", false, func(ctx context.Context, b backend) (workflow.State, bool, error) {
				return a.fork(ctx, b, args[0], turn, f)
			})
		},
	}
	flags := cmd.Flags()
	flags.IntVar(&turn, "turn", 0, "the first turn that is asked for again (default: what was alive just before the end)")
	f.registerInputs(flags)
	made.register(flags)
	return cmd
}

func (a *app) fork(ctx context.Context, b backend, task string, turn int, f submitFlags) (workflow.State, bool, error) {
	from, err := b.Task(ctx, task)
	if err != nil {
		return from, false, err
	}
	input, err := readInputs(f.inputsFile, a.stdin, f.inputs)
	if err != nil {
		return from, false, usage(err)
	}
	d, _ := b.(*daemonBackend)
	sub := submission{workspace: f.workspace, name: from.Team}
	if err := sub.resolveWorkspace(d); err != nil {
		return from, false, usage(err)
	}
	return b.Fork(ctx, engine.Fork{Task: from.Task, Turn: turn, Input: input, Workspace: sub.workspace, Key: f.key})
}

// make makes a task, tells its ID, and watches it where that is wanted.
func (a *app) make(ctx context.Context, f makeFlags, what string, create bool, do func(context.Context, backend) (workflow.State, bool, error)) (err error) {
	if f.follow {
		d, err := a.needDaemon(ctx, f.place)
		if errors.Is(err, errNoDaemon) {
			return usage(fmt.Errorf("--follow watches a daemon, and %w: orchestrator run drives a task without one", err))
		}
		if err != nil {
			return err
		}
		defer a.closing(&err, d.Close)
		making, made := outliving(ctx)
		state, _, err := do(making, d)
		made()
		if err != nil {
			return err
		}
		return a.newDrive(newDaemonDriver(d), runFlags{place: f.place, json: f.json}, state.Task).run(ctx)
	}
	b, err := a.submitter(ctx, f.place, create)
	if err != nil {
		return err
	}
	defer a.closing(&err, b.Close)
	making, made := outliving(ctx)
	defer made()
	state, created, err := do(making, b)
	if err != nil {
		return err
	}
	if f.json {
		writeJSONLine(a.stdout, madeJSON{listEntry(state), created})
		return nil
	}
	fmt.Fprintf(a.stdout, "%s: %s\n", what, state.Task)
	if state.Status.Terminal() {
		fmt.Fprintf(a.stdout, "  it has %s; the story: %s\n", state.Status, f.place.in("orchestrator show "+state.Task))
		return nil
	}
	fmt.Fprintln(a.stdout, "  "+goOn(b, f.place, state.Task))
	return nil
}

// madeJSON is what submit, retry and fork print with --json.
type madeJSON struct {
	listJSON
	// New is false where the task was there before, with the same key.
	New bool `json:"new"`
}
