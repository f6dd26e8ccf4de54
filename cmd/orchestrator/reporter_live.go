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
	// in is read for answers; nil leaves all keys to the terminal.
	in io.Reader
	// answers gets what is typed there, interrupt is called for Ctrl-C, and leave for Ctrl-D.
	answers   chan<- typed
	interrupt func()
	leave     func()

	log      *redirect // the log, where it goes to the same terminal; nil where not
	logAfter io.Writer // where the log goes when the view has ended

	program *tea.Program
	done    chan struct{} // closed when the program has given the terminal back
	ended   bool          // end has given the terminal back
	failure error         // why the program ended early; read after done
}

func (r *liveReporter) begin(team *workflow.Team, earlier []store.Record) {
	r.lines.live = true
	for _, line := range r.lines.begin(r.palette, team, earlier) {
		fmt.Fprintln(r.out, line)
	}
	drawn := make(chan struct{})
	model := newLiveModel(r.lines.lineStyle, drawn)
	model.prompt.answers, model.prompt.interrupt, model.prompt.leave = r.answers, r.interrupt, r.leave
	// Without somebody to answer input stays with the terminal, and Ctrl-C remains a signal.
	r.program = tea.NewProgram(model, tea.WithInput(r.in), tea.WithOutput(r.out), tea.WithoutSignalHandler())
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

func (r *liveReporter) sendRunning() { r.program.Send(runningMsg(r.lines.running())) }

func (r *liveReporter) progress(task string, turn int, node string, p engine.Progress) {
	if line := r.lines.progressLine(r.lines.nameOf(task, turn, node), p); line != "" {
		r.print(line)
	}
	r.program.Send(progressMsg{ref: turnRef{task, turn}, progress: p})
}

func (r *liveReporter) asks(open []ask) {
	if r.in != nil {
		r.program.Send(asksMsg(open))
	}
}

func (r *liveReporter) note(text string) {
	if r.ended { // left to the terminal to wrap, so that a command can be copied
		fmt.Fprintln(r.out, text)
		return
	}
	r.print(text)
}

func (r *liveReporter) end(last ending) {
	if r.log != nil {
		r.log.to(r.logAfter)
	}
	r.program.Send(runningMsg(nil))
	r.program.Send(asksMsg(nil))
	r.program.Send(tea.Quit())
	<-r.done
	r.ended = true
	if r.failure != nil {
		fmt.Fprintln(r.out, "the live view stopped early:", r.failure)
	}
	if lines := r.lines.endLines(last); lines != "" {
		fmt.Fprintln(r.out, lines)
	}
}
