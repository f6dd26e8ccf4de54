package batch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// agents is a TurnRunner that outlives the orchestrator. Messages that begin with
// "fail" fail, so many times; those that begin with "hold" wait to be let go.
type agents struct {
	mu    sync.Mutex
	sent  map[string]int
	fails map[string]int
	live  int
	most  int
	// heard gets the message of every turn that begins, where it is set.
	heard chan string
	hold  chan struct{}
}

func newAgents() *agents {
	return &agents{sent: map[string]int{}, fails: map[string]int{}, hold: make(chan struct{})}
}

func (a *agents) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	rt := workflow.Runtime{Server: "s", AgentID: "agent", ConversationID: req.Task}
	if err := rec.RuntimeStarted(ctx, engine.RuntimeRecord{Runtime: rt, CWD: req.Workspace, Agent: req.Agent.Name, Task: req.Task, Raw: []byte(`{}`)}); err != nil {
		return workflow.TurnFinished{}, err
	}
	if err := rec.Sending(ctx, fmt.Sprintf("%s.%d.%d", req.Task, req.Turn.ID, req.Turn.Attempt), rt); err != nil {
		return workflow.TurnFinished{}, err
	}
	message := strings.TrimSpace(req.Turn.Message)
	a.begin(message)
	defer a.end()
	if a.heard != nil {
		a.heard <- message
	}
	if strings.HasPrefix(message, "hold") {
		select {
		case <-a.hold:
		case <-ctx.Done():
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
	}
	return a.answer(message), nil
}

func (a *agents) begin(message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[message]++
	a.live++
	a.most = max(a.most, a.live)
}

func (a *agents) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.live--
}

func (a *agents) answer(message string) workflow.TurnFinished {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.fails[message] > 0 {
		a.fails[message]--
		return workflow.TurnFinished{Reason: workflow.ReasonError, Error: "it did not work"}
	}
	return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "done"}
}

// Reconcile is never needed: turns end before the orchestrator does.
func (a *agents) Reconcile(context.Context, engine.TurnRequest) (workflow.TurnReconciled, error) {
	return workflow.TurnReconciled{}, errors.New("a turn was cut off")
}

const oneAgent = `
version: 1
name: one
inputs:
  repo: {type: string, required: true}
agents:
  a: {prompt: A}
start: a
message: "{{ .input.repo }}"
limits: {turns: 3}
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: a, on: "*", to: failed}
`

const withGate = `
version: 1
name: gated
inputs:
  repo: {type: string, required: true}
gates:
  ok: {question: "go on?"}
start: ok
handoffs:
  - {from: ok, on: approved, to: succeeded}
  - {from: ok, on: "*", to: failed}
`

// errDead is what the store answers when the process has died.
var errDead = errors.New("the process has died")

// mortal is a store that dies at a write, before or after it was done.
type mortal struct {
	*store.Store
	mu     sync.Mutex
	writes int // until death; negative never dies
	after  bool
	dead   bool
	died   func()
}

func (m *mortal) write(do func() error) error {
	m.mu.Lock()
	m.writes--
	last := m.writes == 0 && !m.dead
	if last {
		m.dead = true
	}
	dead, after := m.dead, m.after
	m.mu.Unlock()
	if !dead {
		return do()
	}
	if last {
		defer m.died()
	}
	if last && after {
		if err := do(); err != nil {
			return err
		}
	}
	return errDead
}

func (m *mortal) CommitBatch(ctx context.Context, prev int64, b store.Batch, items []store.BatchItem, notices []store.Notice) error {
	return m.write(func() error { return m.Store.CommitBatch(ctx, prev, b, items, notices) })
}

func (m *mortal) SetBatchItems(ctx context.Context, batch string, items []store.BatchItem) error {
	return m.write(func() error { return m.Store.SetBatchItems(ctx, batch, items) })
}

// mortalTasks makes the making and the cancelling of tasks a moment to die at, too.
type mortalTasks struct {
	*engine.Engine
	m *mortal
}

func (t mortalTasks) Submit(ctx context.Context, sub engine.Submission) (state workflow.State, created bool, err error) {
	err = t.m.write(func() error { state, created, err = t.Engine.Submit(ctx, sub); return err })
	return state, created, err
}

func (t mortalTasks) Cancel(ctx context.Context, task, by string) (state workflow.State, err error) {
	err = t.m.write(func() error { state, err = t.Engine.Cancel(ctx, task, by); return err })
	return state, err
}

// life is one life of the orchestrator on a data directory.
type life struct {
	t       *testing.T
	store   *mortal
	engine  *engine.Engine
	driver  *Driver
	changed chan State
	dead    chan struct{}
	end     func()
}

// live opens a data directory and drives all in it. writes is how many writes of
// the driver it lives for; with after the last one is done; 0 is for ever.
func live(t *testing.T, dir string, a *agents, writes int, after bool) *life {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l := &life{t: t, changed: make(chan State, 1000), dead: make(chan struct{})}
	l.store = &mortal{Store: s, writes: writes, after: after, died: func() { close(l.dead) }}
	l.engine = engine.New(engine.Options{Store: s, Runner: a})
	l.driver = NewDriver(DriverOptions{Store: l.store, Tasks: mortalTasks{l.engine, l.store}, Changed: func(s State) { l.changed <- s }})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := l.engine.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	running.Go(func() {
		if err := l.driver.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	l.end = sync.OnceFunc(func() {
		if t.Context().Err() == nil {
			l.engine.Drain(time.Minute) // what runs is not what these tests are about
		} else {
			cancel()
		}
		running.Wait()
		cancel()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.end)
	return l
}

// until waits for a status of a batch; false where the process died before.
func (l *life) until(batch string, status Status) (View, bool) {
	l.t.Helper()
	for {
		view, err := ReadView(l.t.Context(), l.store.Store, batch, l.driver.now())
		if err != nil {
			l.t.Fatal(err)
		}
		if view.Status == status {
			return view, true
		}
		select {
		case <-l.changed:
		case <-l.dead:
			return view, false
		case <-l.t.Context().Done():
			l.t.Fatalf("it is %s, %+v, want %s", view.Status, view.Counts, status)
		}
	}
}

func (l *life) create(sub Submission) View {
	l.t.Helper()
	view, _, err := l.driver.Create(l.t.Context(), sub)
	if err != nil {
		l.t.Fatal(err)
	}
	return view
}

func (l *life) change(batch string, verb Verb) View {
	l.t.Helper()
	view, err := l.driver.Change(l.t.Context(), batch, verb, "ann")
	if err != nil {
		l.t.Fatal(err)
	}
	return view
}

func (l *life) items(batch string) []ItemView {
	l.t.Helper()
	items, err := Items(l.t.Context(), l.store.Store, batch, store.ItemFilter{})
	if err != nil {
		l.t.Fatal(err)
	}
	return items
}

// named makes items of names, for a team with the input repo.
func named(names ...string) []Item {
	var out []Item
	for _, name := range names {
		out = append(out, Item{Key: name, Label: name, Input: map[string]any{"repo": name}})
	}
	return out
}

// numbered makes so many names.
func numbered(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("r%d", i+1))
	}
	return out
}
