package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newPublish(a *app) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use:   "publish TASK",
		Short: "Publish the result of a task again, after that failed",
		Long: `Publishes the result of a task that has succeeded once more, as "publish" of its
team says: a command that pushes has failed, or was cut off so that nobody knows
whether it did its work. The worktree was kept for that. A daemon does it at once;
without one, the next "orchestrator run --resume TASK" does it.`,
		Example: `  orchestrator publish 01JDQ7`,
		Args:    arguments(1, 1, "a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.control(cmd.Context(), f, args[0], func(c control) error { return c.publish(cmd.Context(), byWhom(f.by)) })
		},
	}
	f.place.register(cmd.Flags())
	cmd.Flags().StringVar(&f.by, "by", "", "who wants it (default: the name of the user)")
	f.registerJSON(cmd.Flags())
	return cmd
}

func (c control) publish(ctx context.Context, by string) error {
	_, err := c.Publish(ctx, c.task.Task, by)
	if _, refused := errors.AsType[*workflow.TransitionError](err); refused {
		return usage(fmt.Errorf("the result of task %s is not one whose publishing has failed\n  the story: %s", c.task.Task, c.show()))
	}
	if err != nil {
		return err
	}
	said := "publishing again: " + c.task.Task
	if c.URL() == "" {
		said = "to be published again: " + c.task.Task + "\n  do it now with: orchestrator run --resume " + c.task.Task
	}
	return c.done(ctx, said)
}
