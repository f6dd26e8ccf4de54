package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The column of names is as wide as the names want, within these bounds. What
// is longer than that is printed whole and moves its own line.
const (
	minNameWidth = 10
	maxNameWidth = 24
)

// lineStyle lays out the lines of one task.
type lineStyle struct {
	palette
	nameWidth int
}

func newLineStyle(p palette, team *workflow.Team) lineStyle {
	width := minNameWidth
	for _, name := range append([]string{workflow.TerminalSucceeded}, team.NodeNames...) {
		width = max(width, utf8.RuneCountInString(name))
	}
	for _, r := range team.Handoffs {
		if r.ForEach != nil { // its branches are called worker[12]
			width = max(width, utf8.RuneCountInString(r.To[0])+len("[12]"))
		}
	}
	width = min(width, maxNameWidth)
	return lineStyle{palette: p, nameWidth: width}
}

// headerLine is the first line of a run.
func (l lineStyle) headerLine(s *story) string {
	line := fmt.Sprintf("task %s · %s@%s", l.bold(s.Task), s.Team, shortRevision(s.Revision))
	switch {
	case s.GitBranch != "":
		line += " · branch " + s.GitBranch
	case s.Workspace != "":
		line += " · " + s.Workspace
	}
	return line
}

// stepLine is the line of one ended attempt, and below it what went wrong.
// under is put before its name: the node that the task belongs to.
func (l lineStyle) stepLine(under string, st *step) string {
	mark := l.good("✓")
	switch {
	case st.unneeded():
		mark = l.dim("-")
	case !st.good():
		mark = l.bad("✗")
	}
	tokens := ""
	if n := st.tokens(); n > 0 {
		tokens = formatCount(n) + " tokens"
	}
	b := l.columns(mark, under+st.name(), formatElapsed(st.elapsed(st.Ended)), st.reasonText(), tokens)
	if to, rule := st.next(); to != "" {
		b += l.arrow(to, rule)
	}
	b = strings.TrimRight(b, " ")
	for _, remark := range l.remarks(st) {
		b += "\n      " + remark
	}
	return b
}

// columns lays out the part of a line before the arrow.
func (l lineStyle) columns(mark, name, elapsed, reason, tokens string) string {
	return fmt.Sprintf("  %s %s %s   %s %s", mark, l.name(pad(name, l.nameWidth)), padLeft(elapsed, 6), pad(reason, 16), padLeft(tokens, 13))
}

// arrow says where it goes on.
func (l lineStyle) arrow(to, rule string) string {
	return "   → " + l.name(pad(to, l.nameWidth)) + " " + l.dim(rule)
}

// remarks stand below the line of a step.
func (l lineStyle) remarks(st *step) []string {
	var out []string
	switch text := oneLine(st.failure(), 300); {
	case text == "":
	case st.Reconciled != nil:
		out = append(out, l.dim("found: "+text))
	default:
		out = append(out, l.bad("error: "+text))
	}
	if g := st.Gate; g != nil {
		text := "by " + cmp.Or(printable(g.By), "somebody")
		if g.Comment != "" {
			text += ": " + oneLine(g.Comment, 300)
		}
		out = append(out, l.dim(text))
	}
	h := st.handoff()
	if st.Why != "" && st.Why != st.failure() && (h == nil || !strings.Contains(h.Note, st.Why)) {
		out = append(out, l.dim(oneLine(st.Why, 300)))
	}
	if h != nil && h.Note != "" && h.Rule > 0 {
		out = append(out, l.dim(oneLine(h.Note, 300)))
	}
	if d := st.retryDelay(); d > 0 && h != nil && h.Rule > 0 {
		out = append(out, l.dim("again in "+formatElapsed(d)))
	}
	return out
}

// joinLine says that branches have come together and where it goes on.
func (l lineStyle) joinLine(under string, st *step) string {
	h := st.Joined[0]
	b := l.columns(" ", under+"join", "", plural(len(h.Joined), "branch"), "") + l.arrow(target(st.Joined), ruleText(h))
	if h.Note != "" {
		b += "\n      " + l.dim(oneLine(h.Note, 300))
	}
	return b
}

// resultLines end a run: how it ended, why, and where the story is.
func (l lineStyle) resultLines(s *story, changes string) string {
	r := s.Result
	if r == nil {
		return ""
	}
	mark := l.good("✓")
	if r.State != workflow.TaskSucceeded {
		mark = l.bad("✗")
	}
	lines := []string{fmt.Sprintf("%s %s in %s · %s", mark, l.bold(string(r.State)), formatElapsed(r.At.Sub(s.Submitted)), s.totals())}
	lines = append(lines, "  why: "+cmp.Or(oneLine(s.shortExplanation(), 600), "no explanation was recorded"))
	if changes != "" {
		lines = append(lines, "  "+changes)
	}
	lines = append(lines, "  the story: orchestrator show "+s.Task)
	if r.State == workflow.TaskFailed {
		lines = append(lines, "  what to do: "+remedy(s))
	}
	return strings.Join(lines, "\n")
}

// totals are the turns, tokens and money of a task.
func (s *story) totals() string {
	text := fmt.Sprintf("%s · %s tokens", plural(s.sent(), "turn"), formatCount(s.Usage.TotalTokens))
	if cost := s.Cost.String(); cost != "" {
		text += " · " + cost
	}
	return text
}

// runningLine is the live line of an attempt that has not ended, within width
// characters; 0 is any number. tail is what must stay: what is shortened is
// first the activity, and then the name.
func (l lineStyle) runningLine(width int, mark, node string, elapsed time.Duration, what string, tail ...string) string {
	after := strings.Join(tail, " · ")
	if after != "" && what != "" {
		after = " · " + after
	}
	name, took := pad(node, l.nameWidth), padLeft(formatElapsed(elapsed), 6)
	fixed := utf8.RuneCountInString("  "+mark+" "+" "+took+"   ") + utf8.RuneCountInString(after)
	if width > 0 {
		const leastActivity = 12
		if room := max(width-fixed-min(leastActivity, lipgloss.Width(what)), 8); room < utf8.RuneCountInString(name) {
			name = cut(node, room)
		}
		room := width - fixed - utf8.RuneCountInString(name)
		if room == 0 {
			room = -1
		}
		if what = narrow(what, room); what == "" {
			after = strings.TrimPrefix(after, " · ")
		}
	}
	return narrow(strings.TrimRight("  "+mark+" "+l.name(name)+" "+took+"   "+what+after, " "), width)
}

// narrow cuts text to the columns that it takes on a terminal, where a
// character may take two; colours are kept. With 0 it cuts
// nothing, with less it leaves nothing.
func narrow(text string, columns int) string {
	if columns == 0 || lipgloss.Width(text) <= columns {
		return text
	}
	if columns < 2 {
		return ""
	}
	return lipgloss.NewStyle().Inline(true).MaxWidth(columns-1).Render(text) + "…"
}
