package main

import (
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
)

func TestBatchBar(t *testing.T) {
	view := batch.View{State: batch.State{Items: 200, Status: batch.Running}, Counts: batch.Counts{Succeeded: 90, Failed: 10, Running: 4, Waiting: 1, Pending: 95}, Left: 150 * time.Second}
	if got, want := batchBar(view, 10), "█████░░░░░ 100/200 · 10 failed · 4 running · 1 waiting · about 2m left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	view.Status = batch.WaitingForCanary
	if got := batchBar(view, 10); !strings.HasSuffix(got, " · waiting for canary") {
		t.Errorf("%q", got)
	}
	if got := batchBar(batch.View{State: batch.State{Status: batch.Done}}, 4); got != "░░░░ 0/0 · done" {
		t.Errorf("%q", got)
	}
}

func TestBatchModel(t *testing.T) {
	now := time.Now()
	m := newBatchModel(palette{}, batch.View{State: batch.State{Items: 9, Status: batch.Running}, Counts: batch.Counts{Running: 2, Waiting: 1, Pending: 6}}, nil)
	next, _ := m.Update(batchMsg{view: m.view, running: []batch.ItemView{
		{Number: 1, Label: "a", Started: now.Add(-5 * time.Second)}, {Number: 2, Label: "b\x1b[2J", Waits: true, Started: now.Add(-time.Hour)},
	}})
	next, _ = next.Update(tickMsg(now))
	got := next.(batchModel).View().Content
	for _, want := range []string{"0/9", "1/9 a  running  5s", "2/9 b  waits for a person  1h00m", "and 1 more"} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q:\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if len([]rune(strings.TrimSuffix(line, "\n"))) >= 80 {
			t.Errorf("a line is too long: %q", line)
		}
	}
}
