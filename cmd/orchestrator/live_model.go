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

// turnRef names a turn of one of the tasks that are watched.
type turnRef struct {
	task string
	turn int
}

// liveStep is an attempt that has not ended.
type liveStep struct {
	step
	ref  turnRef
	name string
	// limit is how long it may take; 0 is not known.
	limit time.Duration
}

type (
	// runningMsg replaces the attempts that have not ended.
	runningMsg []liveStep
	// progressMsg is one observation of one of them.
	progressMsg struct {
		ref      turnRef
		progress engine.Progress
	}
	tickMsg time.Time
)

// liveModel is the part of the terminal that is redrawn: one line per running
// turn, and below them what a person is asked.
type liveModel struct {
	style    lineStyle
	width    int
	now      time.Time
	frame    int
	running  []liveStep
	activity map[turnRef]activity
	drawn    chan<- struct{} // closed when frames are drawn for certain; nil is nobody waits
	prompt   prompt
}

// framesDrawn is the number of ticks after which the first frame is on the
// terminal: bubbletea draws many times in the time of one tick.
const framesDrawn = 2

// activity is the last that is known of a running turn.
type activity struct {
	what   string
	tokens int64
}

func newLiveModel(style lineStyle, drawn chan<- struct{}) liveModel {
	return liveModel{style: style, activity: map[turnRef]activity{}, now: time.Now(), drawn: drawn}
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
		known := make(map[turnRef]activity, len(msg))
		for _, st := range msg {
			known[st.ref] = m.activity[st.ref]
		}
		m.activity = known
	case progressMsg:
		if _, live := m.activity[msg.ref]; live {
			m.activity[msg.ref] = m.activity[msg.ref].after(msg.progress)
		}
	case asksMsg:
		m.prompt = m.prompt.with(msg)
	case tea.KeyPressMsg:
		m.prompt = m.prompt.key(msg)
	case tea.PasteMsg:
		m.prompt = m.prompt.typing(msg.Content)
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
	case engine.ProgressOutput:
		if line := lastLine(p.Text); line != "" {
			a.what = line
		}
	case engine.ProgressToolDone, engine.ProgressToolCall, engine.ProgressToolReturn, engine.ProgressStop, engine.ProgressStatus,
		engine.ProgressQuestion, engine.ProgressAnswer:
	}
	return a
}

// lastLine is the last line of a text that says something.
func lastLine(text string) string {
	text = strings.TrimRight(text, " \t\r\n")
	return strings.TrimSpace(text[strings.LastIndexAny(text, "\r\n")+1:])
}

// View implements tea.Model.
func (m liveModel) View() tea.View {
	lines := make([]string, 0, len(m.running)+2)
	for i := range m.running {
		lines = append(lines, m.line(&m.running[i]))
	}
	lines = append(lines, m.prompt.lines(m.style, m.width)...)
	return tea.NewView(strings.Join(lines, "\n"))
}

func (m liveModel) line(st *liveStep) string {
	frames := []rune(spinnerFrames)
	mark := string(frames[m.frame%len(frames)])
	elapsed := st.elapsed(m.now)
	show := func(what string, tail ...string) string {
		return m.style.runningLine(m.width, mark, st.name, elapsed, what, tail...)
	}
	switch {
	case st.NotBefore.After(m.now):
		return show("again in " + formatElapsed(st.NotBefore.Sub(m.now)))
	case st.Kind == workflow.KindGate:
		return show("waits for a person", leftUntil(st.Expires, m.now)...)
	case st.Sent.IsZero():
		return show("starting")
	case st.Kind == workflow.KindTeam:
		return show("task "+st.Child, tokensOf(st.ChildUsage.TotalTokens)...)
	}
	for _, q := range st.Questions {
		if q.Answer == nil {
			return show("asks: "+oneLine(q.Text, 200), leftUntil(q.Expires, m.now)...)
		}
	}
	a := m.activity[st.ref]
	tail := tokensOf(a.tokens)
	if st.limit > 0 {
		tail = append(tail, formatLeft(st.limit-elapsed)+" left of "+formatLimit(st.limit))
	}
	what := cmp.Or(a.what, "waiting for the model")
	if st.Kind == workflow.KindCheck {
		what = cmp.Or(a.what, "running")
	}
	if n := len(st.Progress); n > 0 {
		what = progressText(st.Progress[n-1]) + " · " + what
	}
	return show(oneLine(what, 200), tail...)
}

func tokensOf(n int64) []string {
	if n == 0 {
		return nil
	}
	return []string{formatCount(n) + " tokens"}
}

func leftUntil(deadline, now time.Time) []string {
	if deadline.IsZero() {
		return nil
	}
	return []string{formatLeft(deadline.Sub(now)) + " left"}
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
