package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// server is the App Server of these tests: what outlives the orchestrator.
type server struct {
	mu     sync.Mutex
	sent   map[string]int // how often an input arrived, by client_message_id
	order  []string       // node names, in the order of their inputs
	live   int
	most   int // turns that ran at once
	finish map[string]workflow.TurnFinished
}

func newServer() *server {
	return &server{sent: map[string]int{}, finish: map[string]workflow.TurnFinished{}}
}

func (s *server) receive(id, node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent[id]++
	s.order = append(s.order, node)
	s.live++
	s.most = max(s.most, s.live)
}

func (s *server) end(id string, finished workflow.TurnFinished) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	s.finish[id] = finished
}

// inputs counts the inputs that have arrived.
func (s *server) inputs() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sent)
}

// fake is a TurnRunner on a server. Its functions may be replaced before the engine runs.
type fake struct {
	server *server
	// answer ends a turn that has been sent; nil answers end_turn with a text
	// that depends on the node alone.
	answer func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error)
	// reconcile replaces the answer that the server's record gives.
	reconcile func(ctx context.Context, req TurnRequest) (workflow.TurnReconciled, error)
	// runtime is the conversation of a turn; nil gives each agent of a task its own.
	runtime func(req TurnRequest) workflow.Runtime
	// model is what the turns run on.
	model string
}

func (f *fake) Run(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
	rt := req.Conversation
	switch {
	case f.runtime != nil:
		rt = f.runtime(req)
	case rt == workflow.Runtime{}:
		rt = workflow.Runtime{Server: "s", AgentID: "agent-" + req.Agent.Name, ConversationID: "conv-" + req.Task}
	}
	if err := rec.RuntimeStarted(ctx, RuntimeRecord{Runtime: rt, CWD: req.Workspace, Agent: req.Agent.Name, Task: req.Task, Model: f.model, Raw: []byte(`{}`)}); err != nil {
		return workflow.TurnFinished{}, err
	}
	id := fmt.Sprintf("%s.%d.%d", req.Task, req.Turn.ID, req.Turn.Attempt)
	if err := rec.Sending(ctx, id, rt); err != nil {
		return workflow.TurnFinished{}, err
	}
	f.server.receive(id, req.Agent.Name)
	finished, err := f.run(ctx, req, rec)
	f.server.end(id, finished)
	return finished, err
}

func (f *fake) run(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
	if err := rec.Accepted(ctx, "started"); err != nil {
		return workflow.TurnFinished{}, err
	}
	if f.answer != nil {
		return f.answer(ctx, req, rec)
	}
	rec.Progress(Progress{Kind: ProgressText, Text: "working"})
	return endTurn(req), nil
}

func endTurn(req TurnRequest) workflow.TurnFinished {
	return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "by " + req.Agent.Name}
}

func (f *fake) Reconcile(ctx context.Context, req TurnRequest) (workflow.TurnReconciled, error) {
	if f.reconcile != nil {
		return f.reconcile(ctx, req)
	}
	f.server.mu.Lock()
	defer f.server.mu.Unlock()
	if f.server.sent[req.Turn.ClientMessageID] == 0 {
		return workflow.TurnReconciled{Finding: workflow.FindingNotConsumed}, nil
	}
	return workflow.TurnReconciled{Finding: workflow.FindingFinished, Output: endTurn(req).Output}, nil
}

const chain = `
version: 1
name: chain
inputs:
  goal: {type: string, default: go}
  n: {type: int, default: 12345678}
limits: {turns: 9}
agents:
  a: {prompt: A}
  b: {prompt: B}
  c: {prompt: C}
start: a
handoffs:
  - {from: a, on: end_turn, to: b, message: "{{ .input.n }} {{ .output }}"}
  - {from: b, on: end_turn, to: c}
  - {from: c, on: end_turn, to: succeeded}
  - {from: "*", on: connection_lost, retry: {max: 2, backoff: 1h}}
  - {from: "*", on: "*", to: failed}
`

const single = `
version: 1
name: single
on_uncertain: fail
limits: {turns: 3}
agents:
  a: {prompt: A}
start: a
message: begin
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: a, on: "*", to: failed}
`

func parse(t testing.TB, source string) *workflow.Team {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// openStore opens a data directory, and verifies its journals at the end of the test.
func openStore(t testing.TB, dir string) *store.Store {
	t.Helper()
	s := openUnverified(t, dir)
	t.Cleanup(func() { verify(t, dir) })
	return s
}

// openUnverified is openStore for journals that this version would write differently.
func openUnverified(t testing.TB, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// verify takes every journal of a data directory through Decide once more and
// compares it with what is stored.
func verify(t testing.TB, dir string) {
	t.Helper()
	ctx := context.Background() // it is called when the test has ended
	s, err := store.OpenReader(ctx, dir)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	ids, err := s.TaskIDs(ctx)
	if err != nil {
		t.Error(err)
	}
	for _, id := range ids {
		if _, err := s.VerifyTask(ctx, id); err != nil {
			t.Errorf("the history of a task does not hold: %v", err)
		}
	}
}

// daemon is an engine that runs.
type daemon struct {
	*Engine
	t     testing.TB
	end   context.CancelFunc
	ended chan error
}

func newEngine(s Store, runner TurnRunner, change ...func(*Options)) *Engine {
	o := Options{Store: s, Runner: runner, Log: zerolog.New(os.Stderr).Level(zerolog.Disabled)}
	for _, f := range change {
		f(&o)
	}
	return New(o)
}

// run starts an engine; stop or the end of the test ends it.
func run(t testing.TB, e *Engine, only ...string) *daemon {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	d := &daemon{Engine: e, t: t, end: cancel, ended: make(chan error, 1)}
	go func() { d.ended <- e.Run(ctx, only...) }()
	t.Cleanup(func() {
		cancel()
		<-e.done
	})
	return d
}

// stop ends the engine and returns what Run returned.
func (d *daemon) stop() error {
	d.end()
	return <-d.ended
}

func (e *Engine) mustSubmit(t testing.TB, team *workflow.Team) string {
	t.Helper()
	input, err := team.BindInput(nil)
	if err != nil {
		t.Fatal(err)
	}
	state, created, err := e.Submit(t.Context(), Submission{Team: team, Input: input, Workspace: "/w"})
	if err != nil || !created {
		t.Fatalf("submit: created %v, %v", created, err)
	}
	return state.Task
}

// wait returns the final state of a task.
func (e *Engine) wait(t testing.TB, task string) workflow.State {
	t.Helper()
	state, err := e.Wait(t.Context(), task)
	if err != nil {
		t.Fatalf("wait: %v", err)
	}
	return state
}

// await returns the first update that fits.
func await(t testing.TB, sub *Subscription, fits func(Update) bool) Update {
	t.Helper()
	for u := range sub.Updates() {
		if fits(u) {
			return u
		}
	}
	t.Fatalf("the subscription ended: %v", sub.Err())
	return Update{}
}

// blockUntilStopped is an answer that lasts until the turn is stopped. It says when it has begun.
func blockUntilStopped(begun chan<- string) func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
	return func(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		begun <- req.Task
		<-ctx.Done()
		return workflow.TurnFinished{}, context.Cause(ctx)
	}
}

var errCrash = errors.New("crash")

// crashStore is a store of a process that is killed at its nth write: the
// write itself is done or not done, and nothing works from then on.
type crashStore struct {
	*store.Store
	mu     sync.Mutex
	left   int  // writes until the crash
	before bool // the last write is not done
	dead   bool
}

func (c *crashStore) write(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	died := &store.StorageError{Op: "write", Err: errCrash}
	if c.dead {
		return died
	}
	c.left--
	if c.left > 0 {
		return do()
	}
	c.dead = true
	if !c.before {
		if err := do(); err != nil {
			return err
		}
	}
	return died
}

func (c *crashStore) CommitAll(ctx context.Context, decisions []store.Decision) error {
	return c.write(func() error { return c.Store.CommitAll(ctx, decisions) })
}

func (c *crashStore) Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (id string, created bool, err error) {
	err = c.write(func() (err error) {
		id, created, err = c.Store.Create(ctx, state, event, effects, key)
		return err
	})
	return id, created, err
}

func (c *crashStore) SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error {
	return c.write(func() error { return c.Store.SaveRevision(ctx, team, at) })
}

// commands is a CheckRunner.
type commands struct {
	mu   sync.Mutex
	ran  []CheckRequest
	end  func(ctx context.Context, req CheckRequest) (workflow.TurnFinished, error)
	runs map[string]int // by check
}

func (c *commands) RunCheck(ctx context.Context, req CheckRequest) (workflow.TurnFinished, error) {
	c.mu.Lock()
	c.ran = append(c.ran, req)
	if c.runs == nil {
		c.runs = map[string]int{}
	}
	c.runs[req.Check.Name]++
	c.mu.Unlock()
	if c.end != nil {
		return c.end(ctx, req)
	}
	return workflow.TurnFinished{Reason: workflow.ReasonPassed, Output: "ok"}, nil
}

func withChecks(c CheckRunner) func(*Options) { return func(o *Options) { o.Checks = c } }

// parseFiles parses team.yaml among files.
func parseFiles(t testing.TB, files map[string]string) *workflow.Team {
	t.Helper()
	sources := map[string][]byte{}
	for name, text := range files {
		sources[name] = []byte(text)
	}
	team, err := workflow.Parse("team.yaml", sources["team.yaml"], workflow.ParseOptions{Load: workflow.LoadSources("team.yaml", sources)})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// tree returns the states of a task and of all that it started.
func tree(t testing.TB, s *store.Store, task string) []workflow.State {
	t.Helper()
	state, err := s.Task(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	out := []workflow.State{state}
	children, err := s.Children(t.Context(), task)
	if err != nil {
		t.Fatal(err)
	}
	for _, child := range children {
		out = append(out, tree(t, s, child.Task)...)
	}
	return out
}

// record returns the first record of a task that fits, be it stored or to come.
func record(t testing.TB, s *store.Store, sub *Subscription, task string, fits func(workflow.State) bool) workflow.State {
	t.Helper()
	if state, err := s.Task(t.Context(), task); err == nil && fits(state) {
		return state
	}
	return *await(t, sub, func(u Update) bool { return u.Task == task && u.Record != nil && fits(*u.Record.State) }).Record.State
}

func openGate(state workflow.State) int {
	for _, turn := range state.Turns {
		if turn.Kind == workflow.KindGate && turn.State == workflow.TurnPending {
			return turn.ID
		}
	}
	return 0
}
