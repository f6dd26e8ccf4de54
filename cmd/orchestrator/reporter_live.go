package main

import (
	"fmt"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"golang.org/x/term"

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

	log      *redirect // the log, where it goes to the same terminal; nil where not
	logAfter io.Writer // where the log goes when the view has ended

	program *tea.Program
	done    chan struct{} // closed when the program has given the terminal back
	ended   bool          // end has given the terminal back
	failure error         // why the program ended early; read after done
}

func (r *liveReporter) begin(team *workflow.Team, earlier []store.Record) {
	for _, line := range r.lines.begin(r.palette, team, earlier) {
		fmt.Fprintln(r.out, line)
	}
	drawn := make(chan struct{})
	// Input stays with the terminal, so that Ctrl-C remains a signal.
	r.program = tea.NewProgram(newLiveModel(r.lines.lineStyle, team, drawn), tea.WithInput(nil), tea.WithOutput(r.out), tea.WithoutSignalHandler())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		_, r.failure = r.program.Run()
	}()
	r.sendRunning()
	// Before the first frame bubbletea takes the whole window for its own, and
	// would scroll it away to print above.
	select {
	case <-drawn:
	case <-r.done:
	}
	if r.log != nil {
		r.log.to(lineWriter(r.print))
	}
}

// print goes through the message queue and not through a command, because
// commands run side by side and could change the order of lines. Lines are
// wrapped here: bubbletea miscounts those that the terminal wraps.
func (r *liveReporter) print(lines ...string) {
	width := 0
	if f := fileOf(r.out); f != nil {
		width, _, _ = term.GetSize(int(f.Fd())) // 0 when unknown: not wrapped
	}
	for _, line := range lines {
		for part := range strings.Lines(wrapped(line, width)) {
			r.program.Send(tea.Println(strings.TrimSuffix(part, "\n"))())
		}
	}
}

// wrapped breaks text into lines of fewer columns than width, where it is known.
func wrapped(text string, width int) string {
	if width < 2 {
		return text
	}
	return lipgloss.Wrap(text, width-1, "")
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

func (r *liveReporter) note(text string) {
	if r.ended { // left to the terminal to wrap, so that a command can be copied
		fmt.Fprintln(r.out, text)
		return
	}
	r.print(text)
}

func (r *liveReporter) end(changes string) {
	if r.log != nil {
		r.log.to(r.logAfter)
	}
	r.program.Send(runningMsg(nil))
	r.program.Send(tea.Quit())
	<-r.done
	r.ended = true
	if r.failure != nil {
		fmt.Fprintln(r.out, "the live view stopped early:", r.failure)
	}
	if lines := r.lines.resultLines(&r.lines.story, changes); lines != "" {
		fmt.Fprintln(r.out, lines)
	}
}
