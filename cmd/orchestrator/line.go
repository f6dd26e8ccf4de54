package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// minNameWidth keeps short teams readable.
const minNameWidth = 10

// lineStyle lays out the lines of one task.
type lineStyle struct {
	palette
	nameWidth int
}

func newLineStyle(p palette, names []string) lineStyle {
	width := minNameWidth
	for _, name := range append([]string{workflow.TerminalSucceeded}, names...) {
		width = max(width, len(name))
	}
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
	lines = append(lines, "  why: "+cmp.Or(r.Explanation, "no explanation was recorded"))
	if changes != "" {
		lines = append(lines, "  "+changes)
	}
	lines = append(lines, "  the story: orchestrator show "+s.Task)
	if r.State == workflow.TaskFailed {
		lines = append(lines, "  what to do: "+remedy(s))
	}
	return strings.Join(lines, "\n")
}

// runningLine is the live line of an attempt that has not ended.
func (l lineStyle) runningLine(mark string, node string, elapsed time.Duration, parts ...string) string {
	return strings.TrimRight(fmt.Sprintf("  %s %s %s   %s", mark, l.name(pad(node, l.nameWidth)),
		padLeft(formatElapsed(elapsed), 6), strings.Join(parts, " · ")), " ")
}
