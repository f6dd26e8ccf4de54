package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
)

// answerFlags are those of the commands that answer.
type answerFlags struct {
	place       place
	comment, by string
}

func newApprove(a *app) *cobra.Command {
	return gateCommand(a, true, &cobra.Command{
		Use:   "approve TASK [GATE]",
		Short: "Approve an open gate",
		Long: `Decides an open gate of a task, or of a sub-team of it: it ends with approved.
GATE may be left out where only one is open. The decision is recorded;
"orchestrator run --resume TASK" then goes on.

Nothing else may have the data directory open: gates of a task that runs are
answered in the terminal of the run, or in advance with its flag --answer.`,
		Example: `  orchestrator approve 01JDQ7
  orchestrator approve 01JDQ7 merge --comment "after the freeze"`,
	})
}

func newReject(a *app) *cobra.Command {
	return gateCommand(a, false, &cobra.Command{
		Use:     "reject TASK [GATE]",
		Aliases: []string{"deny"},
		Short:   "Reject an open gate",
		Long: `Decides an open gate of a task, or of a sub-team of it: it ends with rejected.
The comment is the output of the gate, which rules may pass on. See also
"orchestrator approve --help".`,
		Example: `  orchestrator reject 01JDQ7 merge --comment "the changelog is missing"`,
	})
}

func gateCommand(a *app, approved bool, cmd *cobra.Command) *cobra.Command {
	var f answerFlags
	cmd.Args = arguments(1, 2, "a task, and the name of its gate where several are open")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		gate := ""
		if len(args) == 2 {
			gate = args[1]
		}
		return a.control(cmd.Context(), f.place, args[0], func(c control) error {
			return c.decideGate(cmd.Context(), gate, approved, f)
		})
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.StringVarP(&f.comment, "comment", "m", "", "why, for those who come next")
	flags.StringVar(&f.by, "by", "", "who decides (default: the name of the user)")
	return cmd
}

func (c control) decideGate(ctx context.Context, name string, approved bool, f answerFlags) error {
	gate, err := c.gate(name)
	if err != nil {
		return err
	}
	if _, err := c.AnswerGate(ctx, gate.Task, gate.Turn, approved, byWhom(f.by), f.comment); err != nil {
		return tooLate(err, "gate "+gate.name())
	}
	what := "approved"
	if !approved {
		what = "rejected"
	}
	return c.done(ctx, fmt.Sprintf("%s: %s%s", what, gate.name(), taskRemark(c.task.Task, gate.Task)))
}

func newAnswer(a *app) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use:   "answer TASK QUESTION ANSWER",
		Short: "Answer what an agent asks",
		Long: `Answers an open question of a task by its number, as "orchestrator approvals"
shows it: allow or deny for the use of a tool, else a text or one of the choices.

A question belongs to a turn that runs, and whoever runs it has the data
directory open: it is answered in the terminal of the run, or in advance with
its flag --answer. When the run has been interrupted the answer is recorded
here; the agent is then told to go on where it was, and gets the answer when
it asks the same again.`,
		Example: `  orchestrator answer 01JDQ7 2 allow
  orchestrator answer 01JDQ7 3 "Use port 8080"`,
		Args: arguments(3, 3, "a task, the number of a question, and the answer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[1])
			if err != nil || number < 1 {
				return usage(fmt.Errorf("%q is not the number of a question: orchestrator approvals shows them", args[1]))
			}
			return a.control(cmd.Context(), f.place, args[0], func(c control) error {
				return c.answerQuestion(cmd.Context(), number, args[2], byWhom(f.by))
			})
		},
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.StringVar(&f.by, "by", "", "who answers (default: the name of the user)")
	return cmd
}

func (c control) answerQuestion(ctx context.Context, number int, text, by string) error {
	for _, a := range asksOf(c.task) {
		if a.Question != number {
			continue
		}
		given, err := a.read(text)
		if err != nil {
			return usage(fmt.Errorf("question %d: %w", number, err))
		}
		if _, err := c.AnswerQuestion(ctx, a.Task, number, given.text, by); err != nil {
			return tooLate(err, fmt.Sprintf("question %d", number))
		}
		if a.Expires.IsZero() {
			return c.done(ctx, fmt.Sprintf("answered question %d of %s with %s", number, a.name(), given.text))
		}
		return c.done(ctx, fmt.Sprintf("answered question %d of %s. Its turn was interrupted: the agent goes on where it was, and gets the answer when it asks again", number, a.name()))
	}
	if err := c.ended(); err != nil {
		return err
	}
	if number <= c.task.LastQuestion {
		return usage(fmt.Errorf("question %d of task %s is not open any more\n  what became of it: orchestrator show %s", number, c.task.Task, c.task.Task))
	}
	return usage(errors.New("task " + c.task.Task + " has no question " + strconv.Itoa(number) + ": orchestrator approvals shows those that are open"))
}
