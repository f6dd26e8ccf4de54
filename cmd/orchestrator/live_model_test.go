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
	sent := s.Steps[0].Sent
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team.AgentNames), j.team, nil)
	see := func(want string, msgs ...tea.Msg) {
		t.Helper()
		for _, msg := range msgs {
			m, _ = m.Update(msg)
		}
		if got := m.View().Content; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	see("  ⠙ planner        3s   waiting for the model · 14m left of 15m", tea.WindowSizeMsg{Width: 120}, runningMsg{*s.Steps[0]}, tickMsg(sent.Add(3*time.Second)))
	tool := engine.Progress{Kind: engine.ProgressTool, Tool: "Edit", Argument: "cmd/root.go"}
	used := engine.Progress{Kind: engine.ProgressUsage, Usage: workflow.Usage{TotalTokens: 9800}}
	see("  ⠙ planner        3s   Edit cmd/root.go · 9.8k tokens · 14m left of 15m", progressMsg{turn: 1, progress: tool}, progressMsg{turn: 1, progress: used})
	see("  ⠹ planner    13m00s   Edit cmd/root.go · 9.8k tokens · 2m left of 15m", tickMsg(sent.Add(13*time.Minute)))
	// On a narrow terminal the activity gives way first; nothing wraps.
	see("  ⠹ planner 13m00s   Edit cm… · 9.8k tokens · 2m left of 15m", tea.WindowSizeMsg{Width: 60})
	see("  ⠹ planner 13m00s   9.8k tokens · 2m l…", tea.WindowSizeMsg{Width: 40})
	see("  ⠹ planner 13m00s   日本語日本… · 9.8k tokens · 2m left of 15m", tea.WindowSizeMsg{Width: 64},
		progressMsg{turn: 1, progress: engine.Progress{Kind: engine.ProgressTool, Tool: "日本語日本語\x1b[2J日本語"}})
	see("", runningMsg(nil))
	see("", progressMsg{turn: 1, progress: tool})
}

func TestLiveModelShowsAWait(t *testing.T) {
	j := newJournal(t)
	j.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonConnectionLost})
	var s story
	for _, rec := range j.records {
		s.apply(rec.Event, rec.Effects)
	}
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team.AgentNames), j.team, nil)
	m, _ = m.Update(runningMsg{*s.live()[0]})
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
	r.progress(1, "planner", engine.Progress{Kind: engine.ProgressRetry, Text: "500"})
	r.note("a remark")
	r.end("")
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
