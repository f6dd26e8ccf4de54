package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newTaskEvents(a *app) *cobra.Command {
	var f eventsFlags
	cmd := &cobra.Command{
		Use:   "events [TASK]",
		Short: "Print the journal of a task, event by event, or follow all tasks",
		Long: `Prints what was committed for a task: every event with its time, and below it
what followed from it. With --json there is one object per line, which
"orchestrator replay" reads:
  {"seq":…,"at":…,"type":…,"body":{…},"effects":[{"type":…,"body":{…}}]}

With -f it goes on with what is committed from then on, until the task has ended or
Ctrl-C. Without TASK it follows all tasks from now on; each object then has the
"task" too. A task that is running can be read at the same time. Where the daemon goes
away, following waits for it and goes on without leaving anything out.`,
		Example: `  orchestrator events 01JDQ7
  orchestrator events 01JDQ7 --json
  orchestrator events -f`,
		Args: arguments(0, 1, "at most one task"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if len(args) == 0 && !f.follow {
				return usage(errors.New("orchestrator events needs a task, or -f to follow all of them\n  example: orchestrator events -f"))
			}
			r, err := a.reader(cmd.Context(), f.place)
			if err != nil {
				return err
			}
			defer a.closing(&err, r.Close)
			if f.follow {
				return a.followEvents(cmd.Context(), r, args, f)
			}
			_, records, _, err := r.Look(cmd.Context(), args[0], f.after)
			for _, rec := range records {
				a.tellEvent(rec, f.json, "")
			}
			return err
		},
	}
	flags := cmd.Flags()
	f.place.register(flags)
	flags.BoolVarP(&f.follow, "follow", "f", false, "go on with what is committed from then on")
	flags.Int64Var(&f.after, "after", 0, "only events after the one with this number")
	flags.BoolVar(&f.json, "json", false, "one JSON object per line")
	return cmd
}

type eventsFlags struct {
	place  place
	after  int64
	follow bool
	json   bool
}

// followEvents prints events until the task has ended, or somebody interrupts.
func (a *app) followEvents(ctx context.Context, r reader, tasks []string, f eventsFlags) error {
	o := followOptions{after: f.after, begin: f.after > 0, lost: a.tellLost}
	if len(tasks) > 0 {
		state, err := r.Task(ctx, tasks[0])
		if err != nil {
			return err
		}
		if o.task = state.Task; state.Status.Terminal() && state.Version <= f.after {
			return nil
		}
	}
	for e, err := range r.Follow(ctx, o) {
		if errors.Is(context.Cause(ctx), errInterrupted) {
			return quietExit(exitInterrupted)
		}
		if err != nil {
			return err
		}
		if e.record == nil {
			continue
		}
		all := ""
		if o.task == "" {
			all = e.task
		}
		a.tellEvent(*e.record, f.json, all)
		if o.task != "" && finishes(e.record.Effects) {
			return nil
		}
	}
	return nil
}

// tellLost tells people that what they follow is interrupted, and that it goes on.
func (a *app) tellLost(err error) {
	if err == nil {
		fmt.Fprintln(a.stderr, "the daemon answers again")
		return
	}
	fmt.Fprintln(a.stderr, "the daemon does not answer any more; trying to reach it again")
}

// tellEvent prints an event; all is its task where events of all tasks are told.
func (a *app) tellEvent(rec store.Record, asJSON bool, all string) {
	if asJSON {
		writeJSONLine(a.stdout, eventLine{all, rec.Seq, rec.Event.At, rec.Event.Body.EventType(), rec.Event.Body, rec.Effects})
		return
	}
	if all != "" {
		fmt.Fprintf(a.stdout, "%s  ", all)
	}
	writeEvent(a, rec.Seq, rec.Event, rec.Effects)
}

// eventLine is one event as `events --json` prints it. It can be read as a workflow.Event.
type eventLine struct {
	Task    string             `json:"task,omitempty"`
	Seq     int64              `json:"seq"`
	At      time.Time          `json:"at"`
	Type    string             `json:"type"`
	Body    workflow.EventBody `json:"body"`
	Effects workflow.Effects   `json:"effects"`
}

func writeEvent(a *app, seq int64, e workflow.Event, effects []workflow.Effect) {
	p := paletteFor(a.stdout)
	fmt.Fprintln(a.stdout, strings.TrimRight(fmt.Sprintf("%4d  %s  %s %s", seq, e.At.Local().Format("2006-01-02 15:04:05.000"),
		p.name(pad(e.Body.EventType(), 17)), oneLine(eventText(e.Body), 300)), " "))
	for _, f := range effects {
		fmt.Fprintln(a.stdout, p.dim(strings.TrimRight("        → "+oneLine(effectText(f), 300), " ")))
	}
}

// eventText says the most important of an event on one line.
func eventText(body workflow.EventBody) string {
	switch b := body.(type) {
	case workflow.TaskSubmitted:
		text := b.Team + "@" + shortRevision(b.Revision)
		if b.Origin != nil {
			text += ", goes on from " + originText(b.Origin)
		}
		return text
	case workflow.TurnSending:
		return strings.TrimSpace(attemptText(b.Turn, b.Attempt) + " " + b.Runtime.ConversationID + b.Child)
	case workflow.TurnAccepted:
		return attemptText(b.Turn, b.Attempt) + " " + b.Disposition
	case workflow.TurnFinished:
		return strings.TrimRight(fmt.Sprintf("%s %s %s %s", attemptText(b.Turn, b.Attempt), b.Reason, b.Outcome, errorMessage(b.Error)), " ")
	case workflow.TurnReconciled:
		return fmt.Sprintf("%s %s %s", attemptText(b.Turn, b.Attempt), b.Finding, b.Detail)
	case workflow.TurnUsed:
		return fmt.Sprintf("%s %s tokens", attemptText(b.Turn, b.Attempt), formatCount(b.Usage.TotalTokens))
	case workflow.GateAnswered:
		return fmt.Sprintf("turn %d approved=%v by %s %s", b.Turn, b.Approved, b.By, b.Comment)
	case workflow.QuestionAsked:
		return attemptText(b.Turn, b.Attempt) + " " + b.Text
	case workflow.QuestionAnswered:
		return fmt.Sprintf("question %d %q by %s", b.Question, b.Answer, b.By)
	case workflow.ProgressReported:
		return attemptText(b.Turn, b.Attempt) + " " + progressText(b)
	case workflow.ChildReported:
		text := fmt.Sprintf("%s %s, %s tokens", attemptText(b.Turn, b.Attempt), plural(b.Attempts, "turn"), formatCount(b.Usage.TotalTokens))
		if b.Starting {
			return text + ", and the last is about to begin"
		}
		return strings.TrimRight(text+", "+string(b.Status), ", ")
	case workflow.LimitReached:
		return attemptText(b.Turn, b.Attempt) + " " + b.Note
	case workflow.TaskSpawned:
		return fmt.Sprintf("%s task %s of team %s", attemptText(b.Turn, b.Attempt), b.Task, b.Team)
	case workflow.PauseRequested:
		return strings.TrimRight("by "+b.By+": "+b.Note, ": ")
	case workflow.ResumeRequested:
		return "by " + b.By + raiseText(b.Raise)
	case workflow.CancelRequested:
		return "by " + b.By
	}
	return workspaceText(body)
}

// workspaceText is eventText of what becomes of a workspace.
func workspaceText(body workflow.EventBody) string {
	switch b := body.(type) {
	case workflow.WorkspaceReady:
		return strings.TrimSpace(b.Directory + " " + b.GitBranch)
	case workflow.WorkspaceFailed:
		return b.Detail
	case workflow.WorkspaceRestored:
		return strings.TrimSpace(b.Directory + " " + b.Ref)
	case workflow.WorkspaceSaved:
		return strings.TrimSpace(fmt.Sprintf("%.12s %s %s %s%s", b.Commit, b.Ref, b.Saved, b.Uncommitted, b.Kept))
	case workflow.WorkspacePublishing:
		return strings.TrimSpace(fmt.Sprintf("attempt %d: %s", b.Attempt, b.How))
	case workflow.WorkspacePublished:
		if !b.Done {
			return fmt.Sprintf("attempt %d failed: %s", b.Attempt, b.Detail)
		}
		return fmt.Sprintf("attempt %d: %s", b.Attempt, b.Detail)
	case workflow.PublishRequested:
		return "by " + b.By
	case workflow.WorkspaceFinished:
		if b.Removed {
			return "removed"
		}
		return b.Detail
	}
	return ""
}

func attemptText(turn, attempt int) string {
	if attempt > 1 {
		return fmt.Sprintf("turn %d, attempt %d:", turn, attempt)
	}
	return fmt.Sprintf("turn %d:", turn)
}

// effectText says what followed on one line.
func effectText(effect workflow.Effect) string {
	switch f := effect.(type) {
	case workflow.StartTurn:
		return strings.TrimSpace(fmt.Sprintf("%s begins: %s", attemptText(f.Turn, f.Attempt)+" "+nodeName(f.Node, f.Label), f.Message))
	case workflow.AbortTurn:
		return strings.TrimRight(attemptText(f.Turn, f.Attempt)+" is aborted "+f.Why, " ")
	case workflow.StopTurn:
		return attemptText(f.Turn, f.Attempt) + " is stopped: " + f.Note
	case workflow.AskPerson:
		return fmt.Sprintf("question %d: %s", f.Question.ID, f.Question.Text)
	case workflow.AnswerQuestion:
		if f.Expired {
			return fmt.Sprintf("question %d expires", f.Question)
		}
		return fmt.Sprintf("question %d is answered: %s", f.Question, f.Answer)
	case workflow.BranchEnded:
		text := fmt.Sprintf("branch %s %s", f.Label, f.How)
		if f.How == workflow.BranchArrived {
			text += fmt.Sprintf(" at rule %d, %d of %d", f.Rule, f.Arrived, f.Size)
		}
		return text
	case workflow.PauseTask:
		return "the task pauses: " + f.Pause.Note
	case workflow.Handoff:
		why := ruleText(&f)
		if f.From == "" {
			why = f.Note
		}
		return fmt.Sprintf("to %s: %s", target([]*workflow.Handoff{&f}), why)
	case workflow.FinishTask:
		return fmt.Sprintf("the task has %s: %s", f.Result.State, f.Result.Explanation)
	}
	return effect.EffectType()
}
