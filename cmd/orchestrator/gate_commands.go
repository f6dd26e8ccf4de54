package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// answerFlags are those of the commands that answer.
type answerFlags struct {
	place       place
	comment, by string
	json        bool
}

func (f *answerFlags) registerJSON(flags *pflag.FlagSet) {
	flags.BoolVar(&f.json, "json", false, "print the task as it is then as one JSON object, as orchestrator list does")
}

func newApprove(a *app) *cobra.Command {
	return gateCommand(a, true, &cobra.Command{
		Use:   "approve TASK [WHAT]",
		Short: "Approve an open gate, or allow the use of a tool",
		Long: `Approves what a task, or a sub-team of it, asks: an open gate ends with approved,
and the use of a tool is allowed. WHAT is the name of the gate, the agent that
asks, or the number of its question ("orchestrator approvals" shows them); it may be
left out where only one thing is asked. Other questions of agents are answered with
"orchestrator answer".

A daemon goes on with the task at once. Without one the decision is recorded, and
"orchestrator run --resume TASK" then goes on; nothing else may have the data
directory open: what a run asks is answered in its terminal, or in advance with its
flag --answer.`,
		Example: `  orchestrator approve 01JDQ7
  orchestrator approve 01JDQ7 merge --comment "after the freeze"
  orchestrator approve 01JDQ7 3`,
	})
}

func newReject(a *app) *cobra.Command {
	return gateCommand(a, false, &cobra.Command{
		Use:     "reject TASK [WHAT]",
		Aliases: []string{"deny"},
		Short:   "Reject an open gate, or deny the use of a tool",
		Long: `Rejects what a task, or a sub-team of it, asks: an open gate ends with rejected,
and the use of a tool is denied. The comment is the output of the gate, which rules
may pass on. See also "orchestrator approve --help".`,
		Example: `  orchestrator reject 01JDQ7 merge --comment "the changelog is missing"
  orchestrator deny 01JDQ7 3`,
	})
}

func gateCommand(a *app, approved bool, cmd *cobra.Command) *cobra.Command {
	var f answerFlags
	cmd.Args = arguments(1, 2, "a task, and which gate or question where several are open")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		what := ""
		if len(args) == 2 {
			what = args[1]
		}
		return a.control(cmd.Context(), f, args[0], func(c control) error {
			return c.decide(cmd.Context(), what, approved, f)
		})
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.StringVarP(&f.comment, "comment", "m", "", "why, for those who come next; of a gate only")
	flags.StringVar(&f.by, "by", "", "who decides (default: the name of the user)")
	f.registerJSON(flags)
	return cmd
}

func (c control) decide(ctx context.Context, name string, approved bool, f answerFlags) error {
	chosen, err := c.choose(name)
	if err != nil {
		return err
	}
	if chosen.Kind == askApproval {
		if f.comment != "" {
			return usage(fmt.Errorf("%s asks for the use of a tool, whose answer takes no comment: leave --comment out", chosen.name()))
		}
		return c.decideTool(ctx, chosen, approved, f)
	}
	if _, err := c.AnswerGate(ctx, chosen.Task, chosen.Turn, approved, byWhom(f.by), f.comment); err != nil {
		return tooLate(err, "gate "+chosen.name())
	}
	what := "approved"
	if !approved {
		what = "rejected"
	}
	return c.done(ctx, fmt.Sprintf("%s: %s%s", what, chosen.name(), taskRemark(c.task.Task, chosen.Task)))
}

// decideTool allows or denies the use of a tool.
func (c control) decideTool(ctx context.Context, q ask, allowed bool, f answerFlags) error {
	answer, what := workflow.AnswerAllow, "allowed"
	if !allowed {
		answer, what = workflow.AnswerDeny, "denied"
	}
	if _, err := c.AnswerQuestion(ctx, q.Task, q.Question, answer, byWhom(f.by)); err != nil {
		return tooLate(err, fmt.Sprintf("question %d", q.Question))
	}
	return c.done(ctx, fmt.Sprintf("%s: question %d of %s%s", what, q.Question, q.name(), taskRemark(c.task.Task, q.Task)))
}

func newAnswer(a *app) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use:   "answer TASK QUESTION ANSWER",
		Short: "Answer what an agent asks",
		Long: `Answers an open question of a task by its number, as "orchestrator approvals"
shows it: allow or deny for the use of a tool, else a text or one of the choices.

A question belongs to a turn that runs. With a daemon the agent goes on at once.
Without one, whoever runs the turn has the data directory open: it is answered in
the terminal of the run, or in advance with its flag --answer. When the run has
been interrupted the answer is recorded here; the agent is then told to go on
where it was, and gets the answer when it asks the same again.`,
		Example: `  orchestrator answer 01JDQ7 2 allow
  orchestrator answer 01JDQ7 3 "Use port 8080"`,
		Args: arguments(3, 3, "a task, the number of a question, and the answer"),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := strconv.Atoi(args[1])
			if err != nil || number < 1 {
				return usage(fmt.Errorf("%q is not the number of a question: orchestrator approvals shows them", args[1]))
			}
			return a.control(cmd.Context(), f, args[0], func(c control) error {
				return c.answerQuestion(cmd.Context(), number, args[2], byWhom(f.by))
			})
		},
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.StringVar(&f.by, "by", "", "who answers (default: the name of the user)")
	f.registerJSON(flags)
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
		if a.Expires.IsZero() || c.URL() != "" {
			return c.done(ctx, fmt.Sprintf("answered question %d of %s with %s", number, a.name(), given.text))
		}
		return c.done(ctx, fmt.Sprintf("answered question %d of %s. Its turn was interrupted: the agent goes on where it was, and gets the answer when it asks again", number, a.name()))
	}
	if err := c.ended(); err != nil {
		return err
	}
	if number <= c.task.LastQuestion {
		return usage(fmt.Errorf("question %d of task %s is not open any more\n  what became of it: %s", number, c.task.Task, c.show()))
	}
	return usage(errors.New("task " + c.task.Task + " has no question " + strconv.Itoa(number) + ": orchestrator approvals shows those that are open"))
}
