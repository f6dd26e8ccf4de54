package main

import (
	"fmt"
	"io"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// plainReporter prints one line per event: for pipes and logs.
type plainReporter struct {
	out     io.Writer
	palette palette
	lines   timeline
}

func (r *plainReporter) print(lines ...string) {
	for _, line := range lines {
		fmt.Fprintln(r.out, line)
	}
}

func (r *plainReporter) begin(team *workflow.Team, earlier []store.Record) {
	r.print(r.lines.begin(r.palette, team, earlier)...)
}

func (r *plainReporter) record(rec store.Record) { r.print(r.lines.record(rec)...) }

func (r *plainReporter) progress(task string, turn int, node string, p engine.Progress) {
	if line := r.lines.progressLine(r.lines.nameOf(task, turn, node), p); line != "" {
		r.print(line)
	}
}

func (r *plainReporter) asks([]ask) {}

func (r *plainReporter) note(text string) { r.print(text) }

func (r *plainReporter) end(last ending) {
	if lines := r.lines.endLines(last); lines != "" {
		r.print(lines)
	}
}
