package main

import (
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// timeline turns events into the lines that stay, in the live view as on a pipe.
type timeline struct {
	lineStyle
	story   story
	verbose bool
}

// begin returns the lines of what happened before this run.
func (t *timeline) begin(p palette, team *workflow.Team, earlier []store.Record) []string {
	t.lineStyle = newLineStyle(p, team.AgentNames)
	for _, rec := range earlier {
		t.story.apply(rec.Event, rec.Effects)
	}
	lines := []string{t.headerLine(t.story.Task, t.story.Team, t.story.Revision, t.story.Workspace)}
	for _, st := range t.story.Steps {
		if !st.Ended.IsZero() {
			lines = append(lines, t.stepLine(st))
		}
	}
	return lines
}

// record returns the lines of one committed event; mostly there are none.
func (t *timeline) record(rec store.Record) []string {
	var lines []string
	if st := t.story.apply(rec.Event, rec.Effects); st != nil {
		lines = append(lines, t.stepLine(st))
		if t.verbose {
			lines = append(lines, indented("out", st.output())...)
		}
	}
	switch b := rec.Event.Body.(type) {
	case workflow.TurnSending:
		if st := t.story.find(b.Turn, b.Attempt); t.verbose && st != nil {
			lines = append(lines, fmt.Sprintf("    %s is asked (turn %d, attempt %d)", st.Node, b.Turn, b.Attempt))
			lines = append(lines, indented("in", st.Message)...)
		}
	case workflow.CancelRequested:
		lines = append(lines, "  cancelled by "+t.story.CancelledBy)
	}
	return lines
}

func indented(label, text string) []string {
	if strings.TrimSpace(text) == "" {
		return nil
	}
	kept, left := excerpt(text, 20)
	var lines []string
	for _, line := range kept {
		lines = append(lines, fmt.Sprintf("      %s | %s", label, line))
	}
	if left > 0 {
		lines = append(lines, fmt.Sprintf("      %s | … %s", label, plural(left, "more line")))
	}
	return lines
}

// progressLine is the permanent line of a progress, or empty. Retries and
// waits are always worth one: otherwise they look like a hanging program.
func (t *timeline) progressLine(node string, p engine.Progress) string {
	switch {
	case p.Kind == engine.ProgressRetry:
		return fmt.Sprintf("    %s: %s", node, oneLine(p.Text, 200))
	case p.Kind == engine.ProgressBlocked:
		return fmt.Sprintf("    %s waits: %s", node, oneLine(p.Text, 300))
	case p.Kind == engine.ProgressReconcile:
		return fmt.Sprintf("    %s: what became of its turn cannot be found out yet, trying again: %s", node, oneLine(p.Text, 300))
	case t.verbose && p.Kind == engine.ProgressTool:
		return fmt.Sprintf("    %s: %s", node, oneLine(p.Tool+" "+p.Argument, 200))
	case t.verbose && p.Kind == engine.ProgressToolDone && p.Text != "success":
		return fmt.Sprintf("    %s: %s ended with %s", node, p.Tool, oneLine(p.Text, 120))
	case t.verbose && p.Kind == engine.ProgressApproval:
		return fmt.Sprintf("    %s: %s: %s", node, oneLine(p.Tool+" "+p.Argument, 120), oneLine(p.Text, 120))
	}
	return ""
}
