package client

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGenerated: the generated part was made from the document that there is.
func TestGenerated(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "docs", "openapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if sum := sha256.Sum256(document); hex.EncodeToString(sum[:]) != specification {
		t.Error("client.gen.go was made from another docs/openapi.yaml: make generate")
	}
}

const team = `
version: 1
name: single
inputs: {goal: {}}
limits: {turns: 3}
agents:
  a: {prompt: A}
start: a
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: a, on: "*", to: failed}
`

// service is a store and an engine that does not run.
type service struct {
	api.Service
	store  *store.Store
	engine *engine.Engine
	team   *workflow.Team
}

type noRunner struct{ engine.TurnRunner }

func newService(t *testing.T) *service {
	t.Helper()
	s, err := store.Open(t.Context(), store.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	parsed, err := workflow.Parse("team.yaml", []byte(team), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return &service{store: s, engine: engine.New(engine.Options{Store: s, Runner: noRunner{}, Log: zerolog.Nop()}), team: parsed}
}

func (s *service) Health(context.Context) api.Health { return api.Health{Status: "ok"} }

func (s *service) Submit(ctx context.Context, sub api.Submission) (workflow.State, bool, error) {
	if sub.Name != "single" {
		return workflow.State{}, false, &api.UnknownTeamError{Name: sub.Name, Known: []string{"single"}}
	}
	input, err := s.team.BindInput(sub.Input)
	if err != nil {
		return workflow.State{}, false, err
	}
	return s.engine.Submit(ctx, engine.Submission{Team: s.team, Input: input, Key: sub.Key, Priority: sub.Priority})
}

func (s *service) Task(ctx context.Context, task string) (workflow.State, error) {
	return s.store.Task(ctx, task)
}

func (s *service) List(ctx context.Context, f store.Filter) ([]workflow.State, error) {
	return s.store.List(ctx, f)
}

func (s *service) Story(ctx context.Context, task string) (api.Story, error) {
	state, err := s.store.Task(ctx, task)
	if err != nil {
		return api.Story{}, err
	}
	revision, err := s.store.Revision(ctx, state.Revision)
	if err != nil {
		return api.Story{}, err
	}
	records, err := s.store.Events(ctx, state.Task, 0)
	return api.Story{State: state, Revision: revision, Records: records}, err
}

func (s *service) Cancel(ctx context.Context, task, by string) (workflow.State, error) {
	return s.engine.Cancel(ctx, task, by)
}

func (s *service) Subscribe(task string) *engine.Subscription { return s.engine.Subscribe(task) }

func (s *service) Events(ctx context.Context, task string, after int64) ([]store.Record, error) {
	return s.store.Events(ctx, task, after)
}

func (s *service) EventsAfter(ctx context.Context, position int64, limit int) ([]store.Positioned, error) {
	return s.store.EventsAfter(ctx, position, limit)
}

func (s *service) LastPosition(ctx context.Context) (int64, error) { return s.store.LastPosition(ctx) }

// daemon serves a Service at a Unix socket, and can be killed.
type daemon struct {
	t       *testing.T
	service api.Service
	socket  string
	server  *http.Server
	ended   chan struct{}
}

func serve(t *testing.T, service api.Service) *daemon {
	t.Helper()
	dir, err := os.MkdirTemp("", "o") //nolint:usetesting // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &daemon{t: t, service: service, socket: filepath.Join(dir, "api.sock")}
	d.start()
	t.Cleanup(d.kill)
	return d
}

func (d *daemon) start() {
	d.t.Helper()
	listener, err := net.Listen("unix", d.socket)
	if err != nil {
		d.t.Fatal(err)
	}
	handler := api.New(api.Options{Service: d.service, Log: zerolog.Nop()}).Handler(api.Listener{Local: true, Unix: true})
	d.server, d.ended = &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}, make(chan struct{})
	go func() {
		defer close(d.ended)
		_ = d.server.Serve(listener)
	}()
}

func (d *daemon) kill() {
	_ = d.server.Close()
	<-d.ended
}

func (d *daemon) client() *Daemon {
	d.t.Helper()
	c, err := Open("unix://"+d.socket, Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

func TestOperations(t *testing.T) {
	c := serve(t, newService(t)).client()
	if h, err := c.Health(t.Context()); err != nil || h.Status != "ok" {
		t.Fatal(h, err)
	}
	_, err := c.Submit(t.Context(), api.SubmitRequest{Team: "sinlge"}, "")
	if unknown, ok := errors.AsType[*api.UnknownTeamError](err); !ok || unknown.Known[0] != "single" {
		t.Errorf("%v", err)
	}
	if _, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"gaol": "x"}}, ""); !isProblems(err) {
		t.Errorf("%v", err)
	}
	first, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "x"}, Priority: 3}, "k")
	if err != nil || !first.Created || first.Task.Priority != 3 {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "x"}, Priority: 3}, "k")
	if err != nil || again.Created || again.Task.Task != first.Task.Task {
		t.Errorf("%+v, %v", again, err)
	}
	if _, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "y"}}, "k"); !errors.Is(err, engine.ErrKeyTaken) {
		t.Errorf("%v", err)
	}
	for range 3 {
		if _, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "x"}}, ""); err != nil {
			t.Fatal(err)
		}
	}
	if tasks, err := c.List(t.Context(), ListOptions{States: []workflow.TaskState{workflow.TaskQueued}}); err != nil || len(tasks) != 4 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
	if tasks, err := c.List(t.Context(), ListOptions{Limit: 2}); err != nil || len(tasks) != 2 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
	story, err := c.Story(t.Context(), first.Task.Task)
	if err != nil || story.Team.Source != team || len(story.Records) != 1 {
		t.Fatalf("%+v, %v", story, err)
	}
	if body, ok := story.Records[0].Event.Body.(workflow.TaskSubmitted); !ok || body.Input["goal"] != "x" {
		t.Errorf("%+v", story.Records[0])
	}
	if state, err := c.Cancel(t.Context(), first.Task.Task, "me"); err != nil || state.Status != workflow.TaskCancelled {
		t.Errorf("%+v, %v", state, err)
	}
	if _, err := c.Cancel(t.Context(), first.Task.Task, "me"); !errors.Is(err, workflow.ErrTerminal) {
		t.Errorf("%v", err)
	}
	if _, err := c.Task(t.Context(), "nothing"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func isProblems(err error) bool {
	_, ok := errors.AsType[workflow.Problems](err)
	return ok
}

func TestUnreachable(t *testing.T) {
	d := serve(t, newService(t))
	c := d.client()
	d.kill()
	_, err := c.Health(t.Context())
	if u, ok := errors.AsType[*UnreachableError](err); !ok || u.URL != c.URL() || !gone(err) {
		t.Errorf("%v", err)
	}
	for _, address := range []string{"", "unix://host/path", "unix:///", "ftp://x", "http://", "http://user:secret@x", "http://x?token=secret", "::"} {
		if c, err := Open(address, Options{}); !errors.Is(err, ErrURL) && address != "unix:///" {
			t.Errorf("%q: %v, %v", address, c, err)
		}
	}
}

func TestDiscover(t *testing.T) {
	dir := t.TempDir()
	if _, err := Discover(t.Context(), dir, Options{}); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("nothing there: %v", err)
	}
	d := serve(t, newService(t))
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, DiscoveryFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := json.Marshal(Discovery{URL: "unix://" + d.socket, PID: 1, Version: "v"})
	if err != nil {
		t.Fatal(err)
	}
	write(string(text))
	c, err := Discover(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	d.kill()
	if _, err := Discover(t.Context(), dir, Options{}); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("a killed one: %v", err)
	}
	write("{")
	if _, err := Discover(t.Context(), dir, Options{}); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("half a file: %v", err)
	}
}

// TestFollow: a daemon that dies and comes back is followed without a gap and
// without anything twice, by task and over all of them.
func TestFollow(t *testing.T) {
	for name, all := range map[string]bool{"one task": false, "all tasks": true} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			d := serve(t, s)
			c := d.client()
			submit := func() workflow.State {
				made, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "x"}}, "")
				if err != nil {
					t.Fatal(err)
				}
				return made.Task
			}
			task := submit()
			o := FollowOptions{Task: task.Task, Begin: true, Patience: time.Minute}
			if all {
				o.Task = ""
			}
			lost, found := 0, 0
			o.Lost = func(err error) {
				if err == nil {
					found++
					return
				}
				lost++
				d.start()
			}
			var ids []int64
			var types []string
			for e, err := range c.Follow(t.Context(), o) {
				if err != nil {
					t.Fatal(err)
				}
				ids, types = append(ids, e.ID), append(types, e.Record.Event.Body.EventType())
				if len(ids) == 1 {
					// While nobody is connected.
					d.kill()
					if _, err := s.engine.Cancel(t.Context(), task.Task, "me"); err != nil {
						t.Fatal(err)
					}
					continue
				}
				break
			}
			if lost != 1 || found != 1 || len(ids) != 2 || ids[0] >= ids[1] || types[0] != "task_submitted" || types[1] != "cancel_requested" {
				t.Errorf("lost %d, found %d, %v, %v", lost, found, ids, types)
			}
		})
	}
}

func TestFollowOnce(t *testing.T) {
	c := serve(t, newService(t)).client()
	made, err := c.Submit(t.Context(), api.SubmitRequest{Team: "single", Input: map[string]any{"goal": "x"}}, "")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, err := range c.Follow(t.Context(), FollowOptions{Task: made.Task.Task, Once: true}) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if n != 1 {
		t.Errorf("%d events", n)
	}
	for _, err := range c.Follow(t.Context(), FollowOptions{Task: "nothing"}) {
		if !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%v", err)
		}
	}
}
