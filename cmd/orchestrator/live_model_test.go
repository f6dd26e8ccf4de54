package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestLiveModelShowsTheRunningTurn(t *testing.T) {
	j := newJournal(t)
	j.send()
	var s story
	for _, rec := range j.records {
		s.apply(rec.Event, rec.Effects)
	}
	sent, ref := s.Steps[0].Sent, turnRef{"01JDQ7", 1}
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team), nil)
	see := func(want string, msgs ...tea.Msg) {
		t.Helper()
		for _, msg := range msgs {
			m, _ = m.Update(msg)
		}
		if got := m.View().Content; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	see("  ⠙ planner        3s   waiting for the model · 14m left of 15m", tea.WindowSizeMsg{Width: 120}, running(j.team, &s), tickMsg(sent.Add(3*time.Second)))
	tool := engine.Progress{Kind: engine.ProgressTool, Tool: "Edit", Argument: "cmd/root.go"}
	used := engine.Progress{Kind: engine.ProgressUsage, Usage: workflow.Usage{TotalTokens: 9800}}
	see("  ⠙ planner        3s   Edit cmd/root.go · 9.8k tokens · 14m left of 15m", progressMsg{ref: ref, progress: tool}, progressMsg{ref: ref, progress: used})
	see("  ⠹ planner    13m00s   Edit cmd/root.go · 9.8k tokens · 2m left of 15m", tickMsg(sent.Add(13*time.Minute)))
	// On a narrow terminal the activity gives way first; nothing wraps.
	see("  ⠹ planner 13m00s   Edit cm… · 9.8k tokens · 2m left of 15m", tea.WindowSizeMsg{Width: 60})
	see("  ⠹ planner 13m00s   9.8k tokens · 2m l…", tea.WindowSizeMsg{Width: 40})
	see("  ⠹ planner 13m00s   日本語日本… · 9.8k tokens · 2m left of 15m", tea.WindowSizeMsg{Width: 64},
		progressMsg{ref: ref, progress: engine.Progress{Kind: engine.ProgressTool, Tool: "日本語日本語\x1b[2J日本語"}})
	see("", runningMsg(nil))
	see("", progressMsg{ref: ref, progress: tool})
}

func TestLiveModelShowsAWait(t *testing.T) {
	j := newJournal(t)
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonConnectionLost})
	var s story
	for _, rec := range j.records {
		s.apply(rec.Event, rec.Effects)
	}
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team), nil)
	m, _ = m.Update(running(j.team, &s))
	m, _ = m.Update(tickMsg(j.at))
	if got := m.View().Content; !strings.Contains(got, "again in ") {
		t.Errorf("got %q", got)
	}
}

// What is over stays above what is redrawn, in order, and nothing is left running.
func TestLiveReporterKeepsTheOrderOfLines(t *testing.T) {
	j := wholeStory(t)
	var out bytes.Buffer
	r := &liveReporter{out: &out}
	r.begin(j.team, j.records[:1])
	for _, rec := range j.records[1:] {
		r.record(rec)
	}
	r.progress("01JDQ7", 1, "planner", engine.Progress{Kind: engine.ProgressRetry, Text: "500"})
	r.note("a remark")
	r.end(ending{})
	r.note("a remark after the end")
	rest := out.String()
	for _, want := range []string{"task 01JDQ7", "✓ planner", "llm_api_error", "reminder", "interrupted", "approve", "a remark", "✓ succeeded in 8m15s", "a remark after the end\n"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing, or not in order, in\n%s", want, out.String())
		}
		rest = after
	}
}

// Lines wider than the terminal are wrapped before bubbletea gets them, colours included.
func TestLinesAreWrapped(t *testing.T) {
	for _, line := range strings.Split(wrapped(palette{on: true}.bold(strings.Repeat("日本語 word ", 20)), 40), "\n") {
		if w := lipgloss.Width(line); w > 39 {
			t.Errorf("%d columns: %q", w, line)
		}
	}
	if got := wrapped("a b", 0); got != "a b" {
		t.Errorf("got %q", got)
	}
}

// running is what the live view shows of a story.
func running(team *workflow.Team, s *story) runningMsg {
	s.team = team
	t := timeline{story: *s}
	return runningMsg(t.running())
}

// Branches, checks, gates, sub-teams and questions each have a line, and below
// them stands what a person is asked.
func TestLiveModelShowsTheWholeLanguage(t *testing.T) {
	j := journalOf(t, languageTeam)
	lines, known := timeline{}, 0
	lines.begin(palette{}, j.team, nil)
	var m tea.Model = newLiveModel(lines.lineStyle, nil)
	see := func(want ...string) {
		t.Helper()
		for _, rec := range j.records[known:] {
			lines.story.apply(rec.Event, rec.Effects)
		}
		known = len(j.records)
		m, _ = m.Update(runningMsg(lines.running()))
		m, _ = m.Update(asksMsg(asksOf(j.state)))
		m, _ = m.Update(tickMsg(j.at.Add(3 * time.Second)))
		text := m.View().Content
		for _, w := range want {
			if !strings.Contains(text, w) {
				t.Errorf("%q is not in\n%s", w, text)
			}
		}
	}
	m, _ = m.Update(tea.WindowSizeMsg{Width: 120})
	coder, half := j.begin("coder", ""), 50
	j.add(0, workflow.ProgressReported{Turn: coder.ID, Attempt: 1, Text: "half done", Percent: &half})
	see("coder          3s   50% half done · waiting for the model · 29m left of 30m")
	j.add(0, workflow.QuestionAsked{Turn: coder.ID, Attempt: 1, Kind: workflow.QuestionText, Text: "Which port?"})
	see("coder          3s   asks: Which port? · 14m left", "? coder: Which port?", "your answer > _")
	j.add(0, workflow.QuestionAnswered{Question: 1, Answer: "80", By: "ann"})
	j.add(0, workflow.TurnFinished{Turn: coder.ID, Attempt: 1, Reason: workflow.ReasonEndTurn})
	j.begin("tests", "")
	m, _ = m.Update(progressMsg{ref: turnRef{"01JDQ7", 2}, progress: engine.Progress{}})
	see("tests          3s   running · 9m left of 10m")
	m, _ = m.Update(progressMsg{ref: turnRef{"01JDQ7", 2}, progress: engine.Progress{Kind: engine.ProgressOutput, Text: "ok a\nok b\n"}})
	see("tests          3s   ok b · 9m left of 10m")
	j.add(0, workflow.TurnFinished{Turn: 2, Attempt: 1, Reason: workflow.ReasonPassed})
	j.begin("security", "")
	see("security       3s   waiting for the model", "style        3.1s   starting")
	j.finish("style", 0, ended("", 0))
	see("merge          3s   waits for a person · 59m left", "? merge: Merge v1? Think twice.", "y approves, n rejects; a comment may follow > _")
	j.add(0, workflow.GateAnswered{Turn: j.of("merge").ID, Approved: true})
	j.begin("notes", "01JDQ7.7.1")
	see("notes          3s   task 01JDQ7.7.1")
	if strings.Contains(m.View().Content, "?") {
		t.Errorf("something is still asked:\n%s", m.View().Content)
	}
}
