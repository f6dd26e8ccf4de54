package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// timeline turns events into the lines that stay, in the live view as on a pipe.
type timeline struct {
	lineStyle
	verbose bool
	// live says that what runs is shown elsewhere, so that only what is over becomes a line.
	live bool

	story    story
	children map[string]*childStory // by task
}

// childStory is the task of a sub-team, or one that an agent has spawned.
type childStory struct {
	story
	under string // what stands before the names of its nodes
}

// begin returns the lines of what happened before this run. earlier is the
// journal of the task, and after it those of the tasks that belong to it.
func (t *timeline) begin(p palette, team *workflow.Team, earlier []store.Record) []string {
	t.lineStyle = newLineStyle(p, team)
	t.story.team = team
	t.children = map[string]*childStory{}
	for _, rec := range earlier {
		s, _ := t.of(rec)
		s.apply(rec.Event, rec.Effects)
	}
	past := t.past("", &t.story)
	slices.SortStableFunc(past, func(a, b pastLine) int { return a.at.Compare(b.at) })
	lines := []string{t.headerLine(&t.story)}
	for _, line := range past {
		lines = append(lines, line.text)
	}
	return append(lines, t.openGates("", &t.story)...)
}

// pastLine is a line about something that is over.
type pastLine struct {
	at   time.Time
	text string
}

// past returns the lines of what is over in a task and in those that belong to
// it; of a sub-team what is in it first.
func (t *timeline) past(under string, s *story) []pastLine {
	var lines []pastLine
	for i, st := range s.Steps {
		if child := t.children[st.Child]; child != nil && !s.goesOn(i) {
			lines = append(lines, t.past(child.under, &child.story)...)
		}
		if st.Ended.IsZero() || st.Held {
			continue
		}
		lines = append(lines, pastLine{st.Ended, t.stepLine(under, st)})
		if len(st.Joined) > 0 {
			lines = append(lines, pastLine{st.Ended, t.joinLine(under, st)})
		}
	}
	return lines
}

// openGates tells again what was asked before.
func (t *timeline) openGates(under string, s *story) []string {
	var lines []string
	for _, st := range s.live() {
		if st.Kind == workflow.KindGate {
			lines = append(lines, t.newsLines(s, under, news{kind: newsGate, step: st})...)
		}
		if child := t.children[st.Child]; child != nil {
			lines = append(lines, t.openGates(child.under, &child.story)...)
		}
	}
	return lines
}

// of returns the story that a record belongs to, and what stands before the names of its nodes.
func (t *timeline) of(rec store.Record) (*story, string) {
	if t.story.Task == "" || rec.Task == t.story.Task {
		return &t.story, ""
	}
	child := t.children[rec.Task]
	if child == nil {
		child = &childStory{under: rec.Task + "/"}
		if b, ok := rec.Event.Body.(workflow.TaskSubmitted); ok && b.Parent != nil {
			t.adopt(child, b)
		}
		t.children[rec.Task] = child
	}
	return &child.story, child.under
}

// adopt finds the team of a task that another one has started.
func (t *timeline) adopt(child *childStory, b workflow.TaskSubmitted) {
	parent, under := &t.story, ""
	if other := t.children[b.Parent.Task]; other != nil {
		parent, under = &other.story, other.under
	}
	if parent.team != nil {
		for _, node := range parent.team.Teams {
			if node.Team != nil && node.Team.Revision == b.Revision {
				child.team = node.Team
			}
		}
	}
	st := parent.find(b.Parent.Turn, b.Parent.Attempt)
	switch {
	case b.Parent.Spawned:
		child.under = under + b.Team + "/"
	case st != nil:
		child.under = under + st.name() + "/"
	}
}

// record returns the lines of one committed event; mostly there are none.
func (t *timeline) record(rec store.Record) []string {
	s, under := t.of(rec)
	var lines []string
	for _, n := range s.apply(rec.Event, rec.Effects) {
		lines = append(lines, t.newsLines(s, under, n)...)
	}
	if b, ok := rec.Event.Body.(workflow.TurnSending); ok && t.verbose {
		if st := s.find(b.Turn, b.Attempt); st != nil && st.Kind == workflow.KindAgent {
			lines = append(lines, fmt.Sprintf("    %s is asked (turn %d, attempt %d)", under+st.name(), st.Turn, st.Attempt))
			lines = append(lines, indented("in", st.Message)...)
		}
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

// running lists what has not ended, sub-teams before what runs in them.
func (t *timeline) running() []liveStep { return t.runningIn("", &t.story) }

func (t *timeline) runningIn(under string, s *story) []liveStep {
	var out []liveStep
	for _, st := range s.live() {
		out = append(out, liveStep{step: *st, ref: turnRef{s.Task, st.Turn}, name: under + st.name(), limit: turnLimit(s.team, st)})
		if child := t.children[st.Child]; child != nil {
			out = append(out, t.runningIn(child.under, &child.story)...)
		}
	}
	return out
}

// turnLimit is how long a step may take; 0 where nothing bounds it.
func turnLimit(team *workflow.Team, st *step) time.Duration {
	if team == nil {
		return 0
	}
	switch st.Kind {
	case workflow.KindCheck:
		if check := team.Checks[st.Node]; check != nil {
			return cmp.Or(check.Timeout, workflow.DefaultCheckTimeout)
		}
	case workflow.KindAgent:
		if agent := team.Agents[st.Node]; agent != nil {
			return cmp.Or(agent.TurnTimeout, defaultTurnTimeout)
		}
	case workflow.KindGate, workflow.KindTeam:
	}
	return 0
}

// nameOf is the name of the node that a progress is about.
func (t *timeline) nameOf(task string, turn int, node string) string {
	s, under := &t.story, ""
	if child := t.children[task]; child != nil {
		s, under = &child.story, child.under
	}
	if st := s.latest[turn]; st != nil {
		node = st.name()
	}
	return under + node
}

// endLines end a run.
func (t *timeline) endLines(last ending) string {
	if last.waits != nil {
		return t.waitLines(&t.story, last.waits)
	}
	return t.resultLines(&t.story, last.changes)
}
