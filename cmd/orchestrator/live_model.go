package main

import (
	"cmp"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	spinnerFrames   = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
	spinnerInterval = 100 * time.Millisecond
	// defaultTurnTimeout is what counts where the team says nothing.
	defaultTurnTimeout = runner.DefaultTurnTimeout
)

type (
	// runningMsg replaces the attempts that have not ended.
	runningMsg []step
	// progressMsg is one observation of one of them.
	progressMsg struct {
		turn     int
		progress engine.Progress
	}
	tickMsg time.Time
)

// liveModel is the part of the terminal that is redrawn: one line per running turn.
type liveModel struct {
	style    lineStyle
	timeouts map[string]time.Duration
	width    int
	now      time.Time
	frame    int
	running  []step
	activity map[int]activity // by turn
	drawn    chan<- struct{}  // closed when frames are drawn for certain; nil is nobody waits
}

// framesDrawn is the number of ticks after which the first frame is on the
// terminal: bubbletea draws many times in the time of one tick.
const framesDrawn = 2

// activity is the last that is known of a running turn.
type activity struct {
	what   string
	tokens int64
}

func newLiveModel(style lineStyle, team *workflow.Team, drawn chan<- struct{}) liveModel {
	m := liveModel{style: style, timeouts: map[string]time.Duration{}, activity: map[int]activity{}, now: time.Now(), drawn: drawn}
	for name, agent := range team.Agents {
		m.timeouts[name] = agent.TurnTimeout
	}
	return m
}

func tick() tea.Cmd {
	return tea.Tick(spinnerInterval, func(t time.Time) tea.Msg { return tickMsg(t) })
}

// Init implements tea.Model.
func (m liveModel) Init() tea.Cmd { return tick() }

// Update implements tea.Model.
func (m liveModel) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width = msg.Width
	case tickMsg:
		m.now, m.frame = time.Time(msg), m.frame+1
		if m.frame == framesDrawn && m.drawn != nil {
			close(m.drawn)
		}
		return m, tick()
	case runningMsg:
		m.running = msg
		known := make(map[int]activity, len(msg))
		for _, st := range msg {
			known[st.Turn] = m.activity[st.Turn]
		}
		m.activity = known
	case progressMsg:
		if _, live := m.activity[msg.turn]; live {
			m.activity[msg.turn] = m.activity[msg.turn].after(msg.progress)
		}
	}
	return m, nil
}

func (a activity) after(p engine.Progress) activity {
	switch p.Kind {
	case engine.ProgressTool:
		a.what = p.Tool + " " + p.Argument
	case engine.ProgressText:
		a.what = "writing"
	case engine.ProgressThinking:
		a.what = "thinking"
	case engine.ProgressRetry:
		a.what = "model asked again"
	case engine.ProgressApproval:
		a.what = p.Tool + ": " + p.Text
	case engine.ProgressUsage:
		a.tokens = p.Usage.TotalTokens
	case engine.ProgressBlocked:
		a.what = "waits for its conversation"
	case engine.ProgressReconcile:
		a.what = "asking what became of it"
	case engine.ProgressToolDone:
	}
	return a
}

// View implements tea.Model.
func (m liveModel) View() tea.View {
	lines := make([]string, 0, len(m.running))
	for i := range m.running {
		lines = append(lines, m.line(&m.running[i]))
	}
	return tea.NewView(strings.Join(lines, "\n"))
}

func (m liveModel) line(st *step) string {
	frames := []rune(spinnerFrames)
	mark := string(frames[m.frame%len(frames)])
	elapsed := st.elapsed(m.now)
	a := m.activity[st.Turn]
	switch {
	case st.NotBefore.After(m.now):
		return m.style.runningLine(m.width, mark, st.Node, elapsed, "again in "+formatElapsed(st.NotBefore.Sub(m.now)))
	case st.Sent.IsZero():
		return m.style.runningLine(m.width, mark, st.Node, elapsed, "starting")
	}
	var tail []string
	if a.tokens > 0 {
		tail = append(tail, formatCount(a.tokens)+" tokens")
	}
	limit := cmp.Or(m.timeouts[st.Node], defaultTurnTimeout)
	tail = append(tail, formatLeft(limit-elapsed)+" left of "+formatLimit(limit))
	what := oneLine(cmp.Or(a.what, "waiting for the model"), 200)
	return m.style.runningLine(m.width, mark, st.Node, elapsed, what, tail...)
}

// formatLimit writes a limit as the team file does: 15m, not 15m00s.
func formatLimit(d time.Duration) string {
	text := formatElapsed(d)
	if strings.ContainsAny(text, "mh") {
		text = strings.TrimSuffix(text, "00s")
	}
	if strings.Contains(text, "h") {
		text = strings.TrimSuffix(text, "00m")
	}
	return text
}

// formatLeft writes what is left of a limit: whole minutes while there are
// some, because nobody reads the seconds of a quarter of an hour.
func formatLeft(d time.Duration) string {
	if d < 2*time.Minute {
		return formatElapsed(d.Truncate(time.Second))
	}
	return formatLimit(d.Truncate(time.Minute))
}
