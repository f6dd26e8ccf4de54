package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const notRunning = `

A daemon does it at once. Without one nothing else may have the data directory open.`

func newPause(a *app) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use:   "pause TASK",
		Short: "Pause a task until it is resumed",
		Long: `Records that a task is paused: no turn of it begins before "orchestrator resume".
Gates can be answered meanwhile; what follows from them waits. A run in the
foreground is stopped with Ctrl-C, which keeps the task as well.` + notRunning,
		Example: `  orchestrator pause 01JDQ7`,
		Args:    arguments(1, 1, "a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), f, args[0], func(c control) error { return c.pause(cmd.Context(), byWhom(f.by)) })
		},
	}
	f.place.register(cmd.Flags())
	cmd.Flags().StringVar(&f.by, "by", "", "who pauses it (default: the name of the user)")
	f.registerJSON(cmd.Flags())
	return cmd
}

func (c control) pause(ctx context.Context, by string) error {
	if err := c.ended(); err != nil {
		return err
	}
	_, err := c.Pause(ctx, c.task.Task, by)
	if transition, ok := errors.AsType[*workflow.TransitionError](err); ok {
		if transition.State == string(workflow.TaskPaused) {
			return usage(fmt.Errorf("task %s is paused already: %s\n  go on with: %s", c.task.Task, oneLine(pausedOf(c.task).Note, 400), pausedOf(c.task).command(c.place)))
		}
		return usage(fmt.Errorf("task %s is %s and cannot be paused; it begins with orchestrator run --resume %s", c.task.Task, c.task.Status, c.task.Task))
	}
	if err != nil {
		return err
	}
	return c.done(ctx, "paused: "+c.task.Task)
}

func newResume(a *app) *cobra.Command {
	var f answerFlags
	var raise raiseFlags
	cmd := &cobra.Command{
		Use:   "resume TASK",
		Short: "Go on with a paused task, with higher limits if wanted",
		Long: `Records that a paused task goes on, and adds to its limits what the flags say.
Only limits that the task has, or a branch of it that has reached one, can be raised.
A daemon then goes on; without one "orchestrator run --resume TASK" drives it. A turn
that was cut off at the limit is continued, not repeated.` + notRunning,
		Example: `  orchestrator resume 01JDQ7 --turns 10
  orchestrator resume 01JDQ7 --tokens 100000 --duration 1h --cost 2.50`,
		Args: arguments(1, 1, "a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			limits, err := raise.limits()
			if err != nil {
				return usage(err)
			}
			return a.control(cmd.Context(), f, args[0], func(c control) error {
				return c.resume(cmd.Context(), byWhom(f.by), limits)
			})
		},
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.StringVar(&f.by, "by", "", "who resumes it (default: the name of the user)")
	f.registerJSON(flags)
	flags.IntVar(&raise.turns, "turns", 0, "so many turns more")
	flags.Int64Var(&raise.tokens, "tokens", 0, "so many tokens more")
	flags.DurationVar(&raise.duration, "duration", 0, "so much time more, such as 30m")
	flags.StringVar(&raise.cost, "cost", "", "so many US dollars more, such as 2.50")
	return cmd
}

// raiseFlags are added to the limits of a task.
type raiseFlags struct {
	turns    int
	tokens   int64
	duration time.Duration
	cost     string
}

func (f raiseFlags) limits() (workflow.Limits, error) {
	l := workflow.Limits{Turns: f.turns, Tokens: f.tokens, Duration: f.duration}
	if f.cost != "" {
		dollars, err := strconv.ParseFloat(strings.TrimPrefix(f.cost, "$"), 64)
		if err != nil || !(dollars > 0 && dollars < 1e9) {
			return l, fmt.Errorf("--cost %q is not a number of US dollars above 0, such as 2.50", f.cost)
		}
		l.Cost = int64(math.Round(dollars * 1e6))
	}
	if l.Turns < 0 || l.Tokens < 0 || l.Duration < 0 {
		return l, errors.New("limits can be raised, not lowered: the flags are added to them")
	}
	return l, nil
}

func (c control) resume(ctx context.Context, by string, raise workflow.Limits) error {
	if err := c.ended(); err != nil {
		return err
	}
	if c.task.Status != workflow.TaskPaused {
		for _, child := range c.children {
			if child.Status == workflow.TaskPaused && !child.Parent.Spawned {
				return usage(fmt.Errorf("task %s is not paused, but its sub-team's task %s is: %s\n  go on with: %s",
					c.task.Task, child.Task, oneLine(pausedOf(child).Note, 400), pausedOf(child).command(c.place)))
			}
		}
		return usage(fmt.Errorf("task %s is %s, not paused\n  go on with: orchestrator run --resume %s", c.task.Task, c.task.Status, c.task.Task))
	}
	state, err := c.Resume(ctx, c.task.Task, by, raise)
	if byParent, ok := errors.AsType[*workflow.PausedByParentError](err); ok {
		return usage(fmt.Errorf("%w\n  go on with: %s", byParent, pausedOf(c.task).command(c.place)))
	}
	if none, ok := errors.AsType[*workflow.RaiseError](err); ok {
		return usage(fmt.Errorf("%w: leave --%s out", none, strings.Join(none.Limits, " and --")))
	}
	if err != nil {
		return err
	}
	if state.Status == workflow.TaskPaused {
		if c.json {
			writeJSONLine(c.app.stdout, listEntry(state))
			return quietExit(exitPaused)
		}
		fmt.Fprintf(c.app.stdout, "task %s paused again at once: %s\n  raise the limit: %s\n", state.Task, oneLine(pausedOf(state).Note, 400), pausedOf(state).command(c.place))
		return quietExit(exitPaused)
	}
	return c.done(ctx, "resumed: "+state.Task+raiseText(raise))
}

func newCancel(a *app) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use:   "cancel TASK",
		Short: "End a task as cancelled",
		Long: `Ends a task and the tasks of its sub-teams as cancelled, for good. What its
agents did to the workspace stays. A task that runs is stopped with Ctrl-C in
its terminal first.` + notRunning,
		Example: `  orchestrator cancel 01JDQ7`,
		Args:    arguments(1, 1, "a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), f, args[0], func(c control) error { return c.cancel(cmd.Context(), byWhom(f.by)) })
		},
	}
	f.place.register(cmd.Flags())
	cmd.Flags().StringVar(&f.by, "by", "", "who cancels it (default: the name of the user)")
	f.registerJSON(cmd.Flags())
	return cmd
}

func (c control) cancel(ctx context.Context, by string) error {
	if err := c.ended(); err != nil {
		return err
	}
	if _, err := c.Cancel(ctx, c.task.Task, by); err != nil {
		return tooLate(err, "task "+c.task.Task)
	}
	for _, child := range c.children {
		if child.Status.Terminal() || child.Parent.Spawned {
			continue
		}
		if _, err := c.Cancel(ctx, child.Task, "task "+c.task.Task); err != nil && !errors.Is(err, workflow.ErrTerminal) {
			return err
		}
	}
	return c.done(ctx, "cancelled: "+c.task.Task)
}
