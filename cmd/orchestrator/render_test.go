package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestPlainReporterPrintsOneLinePerEvent(t *testing.T) {
	for name, j := range map[string]*journal{"succeeded": wholeStory(t), "failed": failedStory(t)} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			r := &plainReporter{out: &out}
			r.begin(j.team, j.records[:1])
			for _, rec := range j.records[1:] {
				r.record(rec)
			}
			r.end(ending{changes: "branch main: 3 files changed, +41 −7"})
			golden(t, "plain-"+name+".txt", out.String())
			if strings.Contains(out.String(), "\x1b") {
				t.Error("there is an escape sequence in plain output")
			}
		})
	}
}

func TestVerboseShowsInputOutputAndTools(t *testing.T) {
	j := wholeStory(t)
	var out bytes.Buffer
	r := &plainReporter{out: &out, lines: timeline{verbose: true}}
	r.begin(j.team, j.records[:2])
	for _, rec := range j.records[2:5] {
		r.record(rec)
	}
	r.progress("01JDQ7", 2, "coder", engine.Progress{Kind: engine.ProgressTool, Tool: "Edit", Argument: "cmd/root.go"})
	r.progress("01JDQ7", 2, "coder", engine.Progress{Kind: engine.ProgressRetry, Text: "the App Server asks the model again (1 of 3): 500"})
	r.progress("01JDQ7", 2, "coder", engine.Progress{Kind: engine.ProgressText, Text: "not shown"})
	golden(t, "plain-verbose.txt", out.String())
}

// A resumed run shows what is over first, and the result is that of the whole task.
func TestResumedRunEndsLikeTheWhole(t *testing.T) {
	j := wholeStory(t)
	for cut := range j.records {
		var out bytes.Buffer
		r := &plainReporter{out: &out}
		r.begin(j.team, j.records[:cut+1])
		for _, rec := range j.records[cut+1:] {
			r.record(rec)
		}
		r.end(ending{})
		whole := strings.Replace(readGolden(t, "plain-succeeded.txt"), "  branch main: 3 files changed, +41 −7\n", "", 1)
		if out.String() != whole {
			t.Fatalf("cut after event %d:\n%s\nwant\n%s", cut+1, out.String(), whole)
		}
	}
}

func TestShowTellsTheWholeStory(t *testing.T) {
	j := wholeStory(t)
	told := taskStory{state: j.state, records: j.records, team: j.team, file: "team.yaml"}
	for name, lines := range map[string]int{"show.txt": 8, "show-full.txt": 0} {
		v := storyView{lines: lines, loc: time.UTC, now: j.at}
		golden(t, name, v.render(told))
	}
}

func TestShowSaysWhatATaskWaitsFor(t *testing.T) {
	waiting := newJournal(t)
	waiting.turn(time.Second, workflow.TurnFinished{Reason: workflow.ReasonConnectionLost, Error: "connection refused"})
	running := newJournal(t)
	running.send()
	for name, c := range map[string]struct {
		j    *journal
		want string
	}{
		"waiting": {waiting, "waits until " + formatTime(waiting.state.WakeAt, time.UTC)},
		"running": {running, "waits for turn 1 (planner), until 2026-03-04 10:15:00.201"},
		"pending": {newJournal(t), "waits for turn 1 (planner) to be sent"},
	} {
		v := storyView{lines: 8, loc: time.UTC, now: c.j.at}
		got := v.render(taskStory{state: c.j.state, records: c.j.records, team: c.j.team})
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %q is not in\n%s", name, c.want, got)
		}
	}
}

func TestJSONReporterEndsWithTheSummary(t *testing.T) {
	j := wholeStory(t)
	var out, events bytes.Buffer
	r := &jsonReporter{out: &out, events: &events, state: func() workflow.TaskState { return workflow.TaskRunning }}
	r.begin(j.team, j.records[:1])
	for _, rec := range j.records[1:] {
		r.record(rec)
	}
	r.end(ending{})
	golden(t, "summary.json", out.String())
	lines := strings.Split(strings.TrimSpace(events.String()), "\n")
	if len(lines) != len(j.records) {
		t.Errorf("%d lines for %d events", len(lines), len(j.records))
	}
	for _, line := range lines {
		var rec recordLine
		if err := json.Unmarshal([]byte(line), &rec); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}
