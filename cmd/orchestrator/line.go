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

func newLineStyle(p palette, names []string) lineStyle {
	width := minNameWidth
	for _, name := range append([]string{workflow.TerminalSucceeded}, names...) {
		width = max(width, utf8.RuneCountInString(name))
	}
	width = min(width, maxNameWidth)
	return lineStyle{palette: p, nameWidth: width}
}

// headerLine is the first line of a run.
func (l lineStyle) headerLine(task, team, revision, workspace string) string {
	line := fmt.Sprintf("task %s · %s@%s", l.bold(task), team, shortRevision(revision))
	if workspace != "" {
		line += " · " + workspace
	}
	return line
}

// stepLine is the line of one ended attempt, and below it what went wrong.
func (l lineStyle) stepLine(st *step) string {
	mark := l.good("✓")
	if !st.good() {
		mark = l.bad("✗")
	}
	tokens := ""
	if n := st.tokens(); n > 0 {
		tokens = formatCount(n) + " tokens"
	}
	to, rule := st.next()
	b := fmt.Sprintf("  %s %s %s   %s %s", mark, l.name(pad(st.Node, l.nameWidth)),
		padLeft(formatElapsed(st.elapsed(st.Ended)), 6), pad(st.reason(), 16), padLeft(tokens, 13))
	if to != "" {
		b += "   → " + l.name(pad(to, l.nameWidth)) + " " + l.dim(rule)
	}
	b = strings.TrimRight(b, " ")
	switch text := oneLine(st.failure(), 300); {
	case text == "":
	case st.Reconciled != nil:
		b += "\n      " + l.dim("found: "+text)
	default:
		b += "\n      " + l.bad("error: "+text)
	}
	if d := st.retryDelay(); d > 0 {
		b += "\n      " + l.dim("again in "+formatElapsed(d))
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
	lines := []string{fmt.Sprintf("%s %s in %s · %s · %s tokens", mark, l.bold(string(r.State)),
		formatElapsed(r.At.Sub(s.Submitted)), plural(s.sent(), "turn"), formatCount(s.Usage.TotalTokens))}
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
