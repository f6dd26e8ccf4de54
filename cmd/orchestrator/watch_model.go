package main

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// watchModel is the table of all tasks, or the story of one.
type watchModel struct {
	palette palette
	place   place
	read    func(task string) storyMsg
	driven  bool // a daemon drives the tasks
	// interrupt does what Ctrl-C does; nil ends the program.
	interrupt func()

	width, height int
	now           time.Time
	frame         int
	loaded        bool // the tasks were read once
	board         board
	rows          []workflow.State
	chosen        string // a task
	first         int    // the first row that is shown

	// story is the task whose story is shown; empty for the table.
	story  string
	lines  []string
	offset int
	reads  bool // it is being read
	stale  bool // it has changed meanwhile
}

func newWatchModel(p palette, where place, read func(string) storyMsg) watchModel {
	return watchModel{palette: p, place: where, read: read, now: time.Now(), width: 80, height: 24}
}

// Init implements tea.Model.
func (m watchModel) Init() tea.Cmd { return tick() }

// Update implements tea.Model.
func (m watchModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var next tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case tickMsg:
		m.now, m.frame = time.Time(msg), m.frame+1
		next = tick()
	case statesMsg:
		m, next = m.with(msg)
	case batchesMsg:
		m.board.batches = msg
	case lostMsg:
		m.board.lost = msg.err
	case storyMsg:
		m, next = m.tell(msg)
	case endedMsg:
		return m, tea.Quit
	case tea.KeyPressMsg:
		return m.key(msg.String())
	}
	return m.scrolled(), next
}

// with takes changed tasks in. The chosen one stays chosen.
func (m watchModel) with(states []workflow.State) (watchModel, tea.Cmd) {
	m.loaded = true
	m.board.with(states)
	m.rows = m.board.sorted()
	if m.at() < 0 && len(m.rows) > 0 {
		m.chosen = m.rows[0].Task
	}
	for _, s := range states {
		if belongs(m.story, s.Task) && m.story != "" {
			return m.ask()
		}
	}
	return m, nil
}

// ask reads the story that is shown.
func (m watchModel) ask() (watchModel, tea.Cmd) {
	if m.reads {
		m.stale = true
		return m, nil
	}
	m.reads = true
	read, task := m.read, m.story
	return m, func() tea.Msg { return read(task) }
}

// tell shows a story that was read.
func (m watchModel) tell(msg storyMsg) (watchModel, tea.Cmd) {
	m.reads = false
	if m.story == "" {
		m.stale = false
		return m, nil
	}
	if msg.task != m.story || m.stale {
		m.stale = false
		return m.ask()
	}
	if msg.err != nil {
		m.lines = []string{explain(msg.err)}
		return m, nil
	}
	view := storyView{palette: m.palette, lines: 8, loc: time.Local, now: m.now, place: m.place, driven: m.driven}
	m.lines = strings.Split(strings.TrimRight(wrapped(view.render(msg.told), m.width), "\n"), "\n")
	return m, nil
}

// at is the row of the chosen task, or -1.
func (m watchModel) at() int {
	for i, s := range m.rows {
		if s.Task == m.chosen {
			return i
		}
	}
	return -1
}

func (m watchModel) key(key string) (watchModel, tea.Cmd) {
	if key == "ctrl+c" { // no signal while keys are read
		if m.interrupt != nil {
			m.interrupt()
			return m, nil
		}
		return m, tea.Quit
	}
	if m.story != "" {
		return m.storyKey(key), nil
	}
	page := max(m.tableHeight()-1, 1)
	switch key {
	case "q", "esc":
		return m, tea.Quit
	case "up", "k":
		return m.move(-1), nil
	case "down", "j":
		return m.move(1), nil
	case "pgup":
		return m.move(-page), nil
	case "pgdown", "space":
		return m.move(page), nil
	case "home", "g":
		return m.move(-len(m.rows)), nil
	case "end", "G":
		return m.move(len(m.rows)), nil
	case "enter":
		if m.at() >= 0 {
			m.story, m.lines, m.offset = m.chosen, []string{"…"}, 0
			return m.ask()
		}
	}
	return m, nil
}

func (m watchModel) storyKey(key string) watchModel {
	page := max(m.height-2, 1)
	switch key {
	case "q", "esc", "left", "backspace":
		m.story, m.lines = "", nil
	case "up", "k":
		m.offset--
	case "down", "j", "enter":
		m.offset++
	case "pgup":
		m.offset -= page
	case "pgdown", "space":
		m.offset += page
	case "home", "g":
		m.offset = 0
	case "end", "G":
		m.offset = len(m.lines)
	}
	return m.scrolled()
}

func (m watchModel) move(by int) watchModel {
	if len(m.rows) > 0 {
		m.chosen = m.rows[min(max(m.at()+by, 0), len(m.rows)-1)].Task
	}
	return m.scrolled()
}

// scrolled keeps what is chosen, and the end of a story, in the window.
func (m watchModel) scrolled() watchModel {
	m.offset = max(min(m.offset, len(m.lines)-(m.height-1)), 0)
	height := m.tableHeight()
	if at := m.at(); at >= 0 {
		m.first = min(max(m.first, at-height+1), at)
	}
	m.first = max(min(m.first, len(m.rows)-height), 0)
	return m
}

// tableHeight is how many tasks fit below the head and above the keys.
func (m watchModel) tableHeight() int { return max(m.height-4-len(m.bars()), 1) }

// maxBars is how many batches are shown.
const maxBars = 5

func (m watchModel) bars() []batch.View {
	return m.board.batches[:min(len(m.board.batches), maxBars)]
}

// View implements tea.Model.
func (m watchModel) View() tea.View {
	var lines []string
	if m.story != "" {
		lines = m.storyLines()
	} else {
		lines = m.tableLines()
	}
	view := tea.NewView(strings.Join(lines, "\n"))
	view.AltScreen = true // what stood in the terminal before is there again at the end
	return view
}

func (m watchModel) storyLines() []string {
	end := min(m.offset+m.height-1, len(m.lines))
	lines := append([]string{}, m.lines[m.offset:end]...)
	return append(lines, m.palette.dim(narrow("↑ ↓ page up, page down: scroll · esc: back", m.width)))
}

func (m watchModel) tableLines() []string {
	frames := []rune(spinnerFrames)
	head := string(frames[m.frame%len(frames)]) + " " + m.board.totals()
	if m.board.lost != nil {
		head = m.palette.bad("the daemon does not answer any more; trying to reach it again")
	}
	lines := []string{narrow(head, m.width)}
	for _, bar := range m.bars() {
		lines = append(lines, narrow(batchLine(bar, m.width/3), m.width))
	}
	rows := [][]string{{"TASK", "TEAM", "STATE", "NODE", "TIME", "TOKENS", "COST", "NOW"}}
	shown := m.rows[m.first:min(m.first+m.tableHeight(), len(m.rows))]
	for _, s := range shown {
		row := boardRow(s, m.now)
		if m.width < 110 && len(row[0]) > 8 { // the end of an ID names it as well
			row[0] = "…" + row[0][len(row[0])-8:]
		}
		rows = append(rows, row)
	}
	var table strings.Builder
	writeTable(&table, rows)
	for i, line := range strings.Split(strings.TrimRight(table.String(), "\n"), "\n") {
		line = narrow("  "+line, m.width)
		switch {
		case i == 0:
			line = m.palette.dim(line)
		case shown[i-1].Task == m.chosen:
			line = m.palette.bold("›" + strings.TrimPrefix(line, " "))
		case shown[i-1].Status == workflow.TaskFailed:
			line = m.palette.bad(line)
		}
		lines = append(lines, line)
	}
	if len(shown) == 0 {
		text := "  no tasks yet"
		if !m.loaded {
			text = "  reading the tasks …"
		}
		lines = append(lines, text)
	}
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	keys := "↑ ↓: choose · enter: story · q: end"
	if more := len(m.rows) - m.first - len(shown); more > 0 {
		keys = fmt.Sprintf("%d more below · ", more) + keys
	}
	return append(lines, m.palette.dim(narrow(keys, m.width)))
}
