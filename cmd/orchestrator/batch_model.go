package main

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
)

// batchMsg is how a batch stands.
type batchMsg struct {
	view    batch.View
	running []batch.ItemView
}

// batchModel is the part of the terminal that is redrawn: a bar, and the items
// that run.
type batchModel struct {
	palette palette
	batchMsg
	now   time.Time
	frame int
	width int
	drawn chan<- struct{}
}

func newBatchModel(p palette, v batch.View, drawn chan<- struct{}) batchModel {
	return batchModel{palette: p, batchMsg: batchMsg{view: v}, now: time.Now(), drawn: drawn}
}

// Init implements tea.Model.
func (m batchModel) Init() tea.Cmd { return tick() }

// Update implements tea.Model.
func (m batchModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case tickMsg:
		m.now, m.frame = time.Time(msg), m.frame+1
		if m.frame == framesDrawn && m.drawn != nil {
			close(m.drawn)
		}
		return m, tick()
	case batchMsg:
		m.batchMsg = msg
	}
	return m, nil
}

// View implements tea.Model.
func (m batchModel) View() tea.View {
	width := m.width
	if width == 0 {
		width = 80
	}
	frames := []rune(spinnerFrames)
	lines := []string{cut(batchBar(m.view, min(40, max(10, width/3))), width-1)}
	for _, item := range m.running {
		what := "running"
		if item.Waits {
			what = "waits for a person"
		}
		lines = append(lines, cut(fmt.Sprintf("%c %d/%d %s  %s  %s", frames[m.frame%len(frames)], item.Number, m.view.Items, oneLine(item.Label, 60), what,
			formatElapsed(m.now.Sub(item.Started))), width-1))
	}
	if more := m.view.Counts.Active() - len(m.running); more > 0 {
		lines = append(lines, fmt.Sprintf("  and %d more", more))
	}
	return tea.NewView(strings.Join(lines, "\n"))
}

// batchBar is how far a batch has come, on one line.
func batchBar(v batch.View, width int) string {
	c := v.Counts
	full := 0
	if v.Items > 0 {
		full = c.Ended() * width / v.Items
	}
	text := fmt.Sprintf("%s%s %d/%d", strings.Repeat("█", full), strings.Repeat("░", width-full), c.Ended(), v.Items)
	for _, part := range []struct {
		n    int
		what string
	}{{c.Failed, "failed"}, {c.Cancelled, "cancelled"}, {c.Running, "running"}, {c.Waiting, "waiting"}} {
		if part.n > 0 {
			text += fmt.Sprintf(" · %d %s", part.n, part.what)
		}
	}
	if v.Status != batch.Running {
		return text + " · " + strings.ReplaceAll(string(v.Status), "_", " ")
	}
	if v.Left > 0 {
		text += " · about " + formatLeft(v.Left) + " left"
	}
	return text
}
