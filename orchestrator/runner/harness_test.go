package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder keeps what a turn records, and fails where it is told to.
type recorder struct {
	mu       sync.Mutex
	calls    []string
	runtimes []engine.RuntimeRecord
	progress []engine.Progress

	failStarted, failSending, failAccepted error
	// onProgress is called for each progress.
	onProgress func(engine.Progress)
	// ask answers questions; nil answers none.
	ask func(context.Context, engine.Question) (engine.Answer, error)
	// failReport and spawn are what Report and Spawn return.
	failReport error
	spawn      func(id, team string, input map[string]any) (string, error)
	reported   []string
	questions  []engine.Question
}

func (r *recorder) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, fmt.Sprintf(format, args...))
}

func (r *recorder) RuntimeStarted(_ context.Context, rt engine.RuntimeRecord) error {
	r.note("started %s", rt.Agent)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runtimes = append(r.runtimes, rt)
	return r.failStarted
}

func (r *recorder) Sending(_ context.Context, id string, _ workflow.Runtime) error {
	r.note("sending %s", id)
	return r.failSending
}

func (r *recorder) Accepted(_ context.Context, disposition string) error {
	r.note("accepted %s", disposition)
	return r.failAccepted
}

func (r *recorder) Progress(p engine.Progress) {
	r.mu.Lock()
	r.progress = append(r.progress, p)
	r.mu.Unlock()
	if r.onProgress != nil {
		r.onProgress(p)
	}
}

// kinds lists the progress as "kind tool argument text", texts joined.
func (r *recorder) kinds(without ...engine.ProgressKind) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, p := range r.progress {
		if slices.Contains(without, p.Kind) {
			continue
		}
		out = append(out, fmt.Sprintf("%s|%s|%s|%s", p.Kind, p.Tool, p.Argument, p.Text))
	}
	return out
}

func (r *recorder) conversation() workflow.Runtime {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runtimes[len(r.runtimes)-1].Runtime
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// world is a scripted server and a runner for it.
type world struct {
	*apptest.Server
	runner *Runner
	opts   Options
	log    *logBuffer
	dir    string
}

func newWorld(t *testing.T, server apptest.Options, change func(*Options)) *world {
	t.Helper()
	s, err := apptest.New(server)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	library, err := roles.Load("")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: s, log: &logBuffer{}, dir: t.TempDir()}
	w.opts = Options{
		Server: FixedServer(s.URL()), Roles: library, Local: true, Log: zerolog.New(w.log),
		ConnectTimeout: 20 * time.Second, AbortGrace: 5 * time.Second, StandByAfter: time.Nanosecond,
	}
	if change != nil {
		change(&w.opts)
	}
	w.runner = w.another(t)
	return w
}

// another makes one more runner for the same server.
func (w *world) another(t *testing.T) *Runner {
	t.Helper()
	r := New(w.opts)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func request(message string, agent *workflow.Agent) engine.TurnRequest {
	if agent == nil {
		agent = &workflow.Agent{Prompt: "You work."}
	}
	if agent.Name == "" {
		agent.Name = "worker"
	}
	return engine.TurnRequest{
		Task: "T1", Team: &workflow.Team{Name: "team"}, Agent: agent,
		Turn: workflow.Turn{ID: 3, Node: agent.Name, Attempt: 2, Message: message},
	}
}

// run runs one turn and fails the test when it has an error.
func (w *world) run(t *testing.T, req engine.TurnRequest, rec *recorder) workflow.TurnFinished {
	t.Helper()
	if req.Workspace == "" {
		req.Workspace = w.dir
	}
	finished, err := w.runner.Run(t.Context(), req, rec)
	if err != nil {
		t.Fatal(err)
	}
	return finished
}

func script(turns ...apptest.Turn) apptest.Options {
	return apptest.Options{Script: &apptest.Script{Agents: map[string]apptest.AgentScript{"worker": {Turns: turns}}}}
}

func client(t *testing.T, w *world) *appclient.Client {
	t.Helper()
	c, err := appclient.Dial(t.Context(), appclient.Config{URL: w.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (r *recorder) Ask(ctx context.Context, q engine.Question) (engine.Answer, error) {
	r.mu.Lock()
	r.questions = append(r.questions, q)
	r.mu.Unlock()
	if r.ask == nil {
		return engine.Answer{}, errors.New("nobody is there")
	}
	return r.ask(ctx, q)
}

func (r *recorder) Report(_ context.Context, text string, percent *int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if percent != nil {
		text = fmt.Sprintf("%s (%d%%)", text, *percent)
	}
	r.reported = append(r.reported, text)
	return r.failReport
}

func (r *recorder) Spawn(_ context.Context, id, team string, input map[string]any) (string, error) {
	if r.spawn == nil {
		return "", errors.New("nothing can be spawned")
	}
	return r.spawn(id, team, input)
}

// asked is how many questions there were.
func (r *recorder) asked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.questions)
}
