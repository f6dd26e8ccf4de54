package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// newsLines are the permanent lines of one piece of news.
func (t *timeline) newsLines(s *story, under string, n news) []string {
	switch n.kind {
	case newsEnded:
		lines := []string{t.stepLine(under, n.step)}
		if t.verbose && n.step.Kind != workflow.KindGate {
			lines = append(lines, indented("out", n.step.output())...)
		}
		return lines
	case newsJoined:
		return []string{t.joinLine(under, n.step)}
	case newsGoesOn:
		to, rule := target([]*workflow.Handoff{n.handoff}), ruleText(n.handoff)
		return []string{fmt.Sprintf("    %s → %s %s", under+n.step.name(), t.name(to), t.dim(rule))}
	case newsGate:
		return t.askedLines(under, n.step, n.step.Message, n.step.Expires)
	case newsSubTeam:
		if t.live && !t.verbose {
			return nil
		}
		return []string{fmt.Sprintf("    %s is task %s", under+n.step.name(), n.step.Child)}
	case newsAsked:
		text := n.question.Text
		if len(n.question.Choices) > 0 {
			text += "\n(" + strings.Join(n.question.Choices, " | ") + ")"
		}
		return t.askedLines(under, n.step, text, n.question.Expires)
	case newsAnswered:
		return []string{"    " + answerText(under, n)}
	case newsProgress:
		if t.live && !t.verbose {
			return nil
		}
		return []string{fmt.Sprintf("    %s: %s", under+n.step.name(), progressText(n.step.Progress[len(n.step.Progress)-1]))}
	case newsSpawned:
		return []string{fmt.Sprintf("    %s has started task %s of team %s", under+n.step.name(), n.spawned.Task, printable(n.spawned.Team))}
	case newsStopping:
		return []string{fmt.Sprintf("    %s is stopped: %s", under+n.step.name(), oneLine(n.step.Why, 300))}
	case newsPaused:
		return []string{"  paused" + inTask(under) + ": " + pauseText(s.Pause)}
	case newsResumed:
		return []string{"  resumed" + inTask(under) + " by " + cmp.Or(printable(n.resumed.By), "somebody") + raiseText(n.resumed.Raise)}
	case newsWorkspace:
		if s.WorkspaceWait != "" {
			return []string{"  " + inTaskFirst(under) + printable(s.WorkspaceWait)}
		}
		return []string{t.dim(workspaceLine(under, s))}
	case newsCancelled:
		return []string{"  cancelled" + inTask(under) + " by " + printable(s.CancelledBy)}
	}
	return nil
}

// askedLines are what a person is asked, whole: what they do not see they cannot allow.
func (t *timeline) askedLines(under string, st *step, text string, expires time.Time) []string {
	name := under + st.name()
	all, _ := excerpt(text, 0)
	lines := []string{fmt.Sprintf("  ? %s: %s%s", t.name(name), all[0], until(expires))}
	for _, line := range all[1:] {
		lines = append(lines, strings.TrimRight("      "+line, " "))
	}
	return lines
}

// inTask says in which sub-team something happened.
func inTask(under string) string {
	if under == "" {
		return ""
	}
	return " in " + strings.TrimSuffix(under, "/")
}

// pauseText says why a task is paused, without repeating who asked for it.
func pauseText(p *workflow.Pause) string {
	if p == nil {
		return ""
	}
	if p.By != "" {
		return "by " + oneLine(p.By, 100)
	}
	return oneLine(p.Note, 400)
}

// raiseText says what was added to the limits.
func raiseText(l workflow.Limits) string {
	var parts []string
	if l.Turns > 0 {
		parts = append(parts, plural(l.Turns, "more turn"))
	}
	if l.Tokens > 0 {
		parts = append(parts, formatCount(l.Tokens)+" more tokens")
	}
	if l.Duration > 0 {
		parts = append(parts, formatLimit(l.Duration)+" more")
	}
	if l.Cost > 0 {
		parts = append(parts, formatMoney(l.Cost)+" more")
	}
	if len(parts) == 0 {
		return ""
	}
	return ", with " + strings.Join(parts, ", ")
}

// questionText is what an agent asks, with the answers to choose from.
func questionText(q workflow.QuestionAsked) string {
	text := oneLine(q.Text, 600)
	if len(q.Choices) > 0 {
		text += " (" + oneLine(strings.Join(q.Choices, " | "), 300) + ")"
	}
	return text
}

func answerText(under string, n news) string {
	a := n.question.Answer
	who := "the agent"
	if n.step != nil {
		who = under + n.step.name()
	}
	switch {
	case a.Expired && n.question.Kind == workflow.QuestionApproval:
		return who + " is denied it: nobody answered in time"
	case a.Expired:
		return who + " gets no answer: nobody answered in time"
	case n.question.Kind == workflow.QuestionApproval:
		return fmt.Sprintf("%s gets the answer %q from %s", who, a.Answer, cmp.Or(printable(a.By), "somebody"))
	}
	if n.question.Kind == workflow.QuestionUncertain {
		return fmt.Sprintf("%s: %s, says %s", who, a.Answer, cmp.Or(printable(a.By), "somebody"))
	}
	return fmt.Sprintf("%s gets the answer %q from %s", who, oneLine(a.Answer, 300), cmp.Or(printable(a.By), "somebody"))
}

func progressText(p workflow.ProgressReported) string {
	text := oneLine(p.Text, 300)
	if p.Percent != nil {
		text = fmt.Sprintf("%d%% %s", *p.Percent, text)
	}
	return text
}
