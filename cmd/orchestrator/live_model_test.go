package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

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
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team.AgentNames), j.team)
	see := func(want string, msgs ...tea.Msg) {
		t.Helper()
		for _, msg := range msgs {
			m, _ = m.Update(msg)
		}
		if got := m.View().Content; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	see("  ⠙ planner        3s   waiting for the model", tea.WindowSizeMsg{Width: 120}, runningMsg{*s.Steps[0]}, tickMsg(sent.Add(3*time.Second)))
	tool := engine.Progress{Kind: engine.ProgressTool, Tool: "Edit", Argument: "cmd/root.go"}
	used := engine.Progress{Kind: engine.ProgressUsage, Usage: workflow.Usage{TotalTokens: 9800}}
	see("  ⠙ planner        3s   Edit cmd/root.go · 9.8k tokens", progressMsg{turn: 1, progress: tool}, progressMsg{turn: 1, progress: used})
	// The team's limit of 15 minutes is shown when it comes near.
	see("  ⠹ planner    13m00s   Edit cmd/root.go · 9.8k tokens · 2m left of 15m", tickMsg(sent.Add(13*time.Minute)))
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
	var m tea.Model = newLiveModel(newLineStyle(palette{}, j.team.AgentNames), j.team)
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
	rest := out.String()
	for _, want := range []string{"task 01JDQ7", "✓ planner", "llm_api_error", "reminder", "interrupted", "approve", "a remark", "✓ succeeded in 8m15s"} {
		_, after, ok := strings.Cut(rest, want)
		if !ok {
			t.Fatalf("%q is missing, or not in order, in\n%s", want, out.String())
		}
		rest = after
	}
}
