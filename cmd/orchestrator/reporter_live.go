package main

import (
	"fmt"
	"io"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// liveReporter redraws the running turns at the bottom of a terminal and
// prints everything that is over above them, where it stays.
type liveReporter struct {
	out     io.Writer
	palette palette
	lines   timeline

	program *tea.Program
	done    chan struct{} // closed when the program has given the terminal back
	failure error         // why the program ended early; read after done
}

func (r *liveReporter) begin(team *workflow.Team, earlier []store.Record) {
	lines := r.lines.begin(r.palette, team, earlier)
	// Input stays with the terminal, so that Ctrl-C remains a signal.
	r.program = tea.NewProgram(newLiveModel(r.lines.lineStyle, team), tea.WithInput(nil), tea.WithOutput(r.out), tea.WithoutSignalHandler())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		_, r.failure = r.program.Run()
	}()
	r.print(lines...)
	r.sendRunning()
}

// print goes through the message queue and not through a command, because
// commands run side by side and could change the order of lines.
func (r *liveReporter) print(lines ...string) {
	for _, line := range lines {
		r.program.Send(tea.Println(line)())
	}
}

func (r *liveReporter) record(rec store.Record) {
	r.print(r.lines.record(rec)...)
	r.sendRunning()
}

func (r *liveReporter) sendRunning() {
	var running []step
	for _, st := range r.lines.story.live() {
		running = append(running, *st)
	}
	r.program.Send(runningMsg(running))
}

func (r *liveReporter) progress(turn int, node string, p engine.Progress) {
	if line := r.lines.progressLine(node, p); line != "" {
		r.print(line)
	}
	r.program.Send(progressMsg{turn: turn, progress: p})
}

func (r *liveReporter) note(text string) { r.print(text) }

func (r *liveReporter) end(changes string) {
	r.program.Send(runningMsg(nil))
	r.program.Send(tea.Quit())
	<-r.done
	if r.failure != nil {
		fmt.Fprintln(r.out, "the live view stopped early:", r.failure)
	}
	if lines := r.lines.resultLines(&r.lines.story, changes); lines != "" {
		fmt.Fprintln(r.out, lines)
	}
}
