package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newTaskEvents(a *app) *cobra.Command {
	var where place
	var after int64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "events TASK",
		Short: "Print the journal of a task, event by event",
		Long: `Prints what was committed for a task: every event with its time, and below it
what followed from it. With --json there is one object per line, which
"orchestrator replay" reads:
  {"seq":…,"at":…,"type":…,"body":{…},"effects":[{"type":…,"body":{…}}]}

A task that is running can be read at the same time.`,
		Example: `  orchestrator events 01JDQ7
  orchestrator events 01JDQ7 --json`,
		Args: arguments(1, 1, "a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.reader(cmd.Context(), where)
			if err != nil {
				return err
			}
			told, err := s.Story(cmd.Context(), args[0])
			if err := closing(s, err); err != nil {
				return err
			}
			for _, rec := range told.records {
				switch {
				case rec.Seq <= after:
				case asJSON:
					writeJSONLine(a.stdout, eventLine{rec.Seq, rec.Event.At, rec.Event.Body.EventType(), rec.Event.Body, rec.Effects})
				default:
					writeEvent(a, rec.Seq, rec.Event, rec.Effects)
				}
			}
			return nil
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.Int64Var(&after, "after", 0, "only events after the one with this number")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// eventLine is one event as `events --json` prints it. It can be read as a workflow.Event.
type eventLine struct {
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
