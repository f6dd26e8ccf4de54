package main

import (
	"fmt"
	"io"
	"strings"

	tea "charm.land/bubbletea/v2"
	"golang.org/x/term"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
)

// maxRunningShown is how many running items a terminal shows.
const maxRunningShown = 6

// batchReporter shows how a batch goes on.
type batchReporter interface {
	begin(v batch.View)
	// item shows an item that has ended.
	item(v batch.View, item batch.ItemView)
	// progress shows how the batch stands.
	progress(v batch.View, running []batch.ItemView)
	// note shows a remark, also after end.
	note(text string)
	// end gives the terminal back.
	end()
}

func (a *app) newBatchReporter(f batchFlags) batchReporter {
	switch {
	case f.json:
		return &batchJSON{events: a.stderr}
	case isTerminal(a.stdout):
		r := &batchLive{batchPlain: batchPlain{out: fileOf(a.stdout), palette: paletteFor(a.stdout)}}
		if isTerminal(a.stderr) {
			r.log, r.logAfter = &a.logStream, a.stderr
		}
		return r
	}
	return &batchPlain{out: a.stdout, palette: paletteFor(a.stdout)}
}

// batchJSON writes one line for every item that has ended.
type batchJSON struct{ events io.Writer }

func (*batchJSON) begin(batch.View)                      {}
func (*batchJSON) progress(batch.View, []batch.ItemView) {}
func (*batchJSON) end()                                  {}

func (r *batchJSON) item(_ batch.View, item batch.ItemView) { writeJSONLine(r.events, item) }

func (r *batchJSON) note(text string) { writeJSONLine(r.events, map[string]string{"note": text}) }

// batchPlain writes for pipes and files.
type batchPlain struct {
	out     io.Writer
	palette palette
	status  batch.Status
}

func (r *batchPlain) begin(v batch.View) {
	r.status = v.Status
	fmt.Fprintln(r.out, r.heading(v))
}

func (r *batchPlain) heading(v batch.View) string {
	return fmt.Sprintf("batch %s  %s of team %s, %s", r.palette.name(v.ID), plural(v.Items, "item"), printable(v.Team), optionsText(v.Options))
}

func (r *batchPlain) item(v batch.View, item batch.ItemView) { fmt.Fprintln(r.out, r.line(v, item)) }

// line is an item that has ended.
func (r *batchPlain) line(v batch.View, item batch.ItemView) string {
	mark := r.palette.good("✓")
	if item.State != batch.ItemSucceeded {
		mark = r.palette.bad("✗")
	}
	text := fmt.Sprintf("%s %*d/%d %s %s", mark, len(fmt.Sprint(v.Items)), item.Number, v.Items, oneLine(item.Label, 60), item.State)
	if item.Attempt > 1 {
		text += fmt.Sprintf(" (attempt %d)", item.Attempt)
	}
	if took := item.EndedAt.Sub(item.Started); !item.Started.IsZero() && took > 0 {
		text += " " + formatElapsed(took)
	}
	if item.Task != "" {
		text += r.palette.dim(" " + item.Task)
	}
	if item.Detail != "" {
		text += ": " + oneLine(item.Detail, 300)
	}
	return text
}

func (r *batchPlain) progress(v batch.View, _ []batch.ItemView) {
	if v.Status != r.status && !v.Status.Terminal() {
		fmt.Fprintln(r.out, statusLine(v))
	}
	r.status = v.Status
}

// statusLine says in a line that the status has changed.
func statusLine(v batch.View) string {
	text := "batch is " + strings.ReplaceAll(string(v.Status), "_", " ")
	if v.Note != "" {
		text += ": " + oneLine(v.Note, 300)
	}
	return text
}

func (r *batchPlain) note(text string) { fmt.Fprintln(r.out, printable(text)) }

func (r *batchPlain) end() {}

// batchLive redraws a bar and the running items at the bottom of a terminal.
type batchLive struct {
	batchPlain
	log      *redirect
	logAfter io.Writer

	program *tea.Program
	done    chan struct{}
	ended   bool
	failure error
}

func (r *batchLive) begin(v batch.View) {
	r.batchPlain.begin(v)
	drawn := make(chan struct{})
	model := newBatchModel(r.palette, v, drawn)
	r.program = tea.NewProgram(model, tea.WithInput(nil), tea.WithOutput(r.out), tea.WithoutSignalHandler())
	r.done = make(chan struct{})
	go func() {
		defer close(r.done)
		_, r.failure = r.program.Run()
	}()
	select { // as in liveReporter.begin
	case <-drawn:
	case <-r.done:
	}
	if r.log != nil {
		r.log.to(lineWriter(r.print))
	}
}

func (r *batchLive) print(lines ...string) {
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

func (r *batchLive) item(v batch.View, item batch.ItemView) { r.print(r.line(v, item)) }

func (r *batchLive) progress(v batch.View, running []batch.ItemView) {
	if v.Status != r.status && !v.Status.Terminal() {
		r.print(statusLine(v))
	}
	r.status = v.Status
	r.program.Send(batchMsg{view: v, running: running})
}

func (r *batchLive) note(text string) {
	if r.ended {
		r.batchPlain.note(text)
		return
	}
	r.print(printable(text))
}

func (r *batchLive) end() {
	if r.log != nil {
		r.log.to(r.logAfter)
	}
	r.program.Send(tea.Quit())
	<-r.done
	r.ended = true
	if r.failure != nil {
		fmt.Fprintln(r.out, "the live view stopped early:", r.failure)
	}
}
