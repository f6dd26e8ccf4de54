package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is one App Server and its runner.
type fake struct {
	mu     sync.Mutex
	down   error
	agents []string
	checks int
	ran    []string // tasks
	closed int
}

func (f *fake) set(down error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.down = down
}

func (f *fake) Check(context.Context) (appclient.ServerInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checks++
	return appclient.ServerInfo{Version: "1.2.3"}, f.down
}

func (f *fake) checked() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.checks
}

func (f *fake) HasAgent(_ context.Context, id string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, agent := range f.agents {
		if agent == id {
			return true, nil
		}
	}
	return false, f.down
}

func (f *fake) Run(ctx context.Context, req engine.TurnRequest, rec engine.Recorder) (workflow.TurnFinished, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down != nil {
		return workflow.TurnFinished{}, &engine.UnreachableError{Err: f.down}
	}
	f.ran = append(f.ran, req.Task)
	return workflow.TurnFinished{Reason: workflow.ReasonEndTurn}, rec.RuntimeStarted(ctx, engine.RuntimeRecord{})
}

func (f *fake) Reconcile(context.Context, engine.TurnRequest) (workflow.TurnReconciled, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return workflow.TurnReconciled{Finding: workflow.FindingFinished}, f.down
}

func (f *fake) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
	return nil
}

// noted takes what a run says.
type noted struct{ engine.Recorder }

func (noted) RuntimeStarted(context.Context, engine.RuntimeRecord) error { return nil }

// homes is a Registry.
type homes struct {
	mu sync.Mutex
	at map[string]string
}

func (h *homes) AgentHome(_ context.Context, team, agent, offered string, _ []string) (string, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := team + "/" + agent
	if h.at[key] == "" {
		h.at[key] = offered
	}
	return h.at[key], nil
}

// open makes a pool of servers called a, b, c, …, and a count of the times that it said there may be room.
func open(t *testing.T, limits ...int) (*Pool, map[string]*fake, *atomic.Int64) {
	t.Helper()
	fakes := map[string]*fake{}
	var servers []Server
	for i, limit := range limits {
		name := string(rune('a' + i))
		fakes[name] = &fake{}
		servers = append(servers, Server{Name: name, Title: "the " + name, Runner: fakes[name], MaxTurns: limit})
	}
	p, err := New(Options{Servers: servers, Registry: &homes{at: map[string]string{}}, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	rooms := new(atomic.Int64)
	p.OnRoom(func() {
		p.mu.Lock() // as the engine's, it may ask for room
		defer p.mu.Unlock()
		rooms.Add(1)
	})
	return p, fakes, rooms
}

func closePool(t *testing.T, p *Pool, fakes map[string]*fake) {
	t.Helper()
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	for name, f := range fakes {
		if f.closed == 0 {
			t.Errorf("%s was not closed", name)
		}
	}
	if _, ok := p.Take("", false); ok || p.HasRoom() {
		t.Error("a closed pool gives room")
	}
}

// request is a turn that begins anew on the server that was taken.
func request(task, server string) engine.TurnRequest {
	return engine.TurnRequest{Task: task, Server: server, Team: &workflow.Team{Name: "t"}, Agent: &workflow.Agent{Name: "coder"}}
}

func TestTheLeastLoadedIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, fakes, _ := open(t, 2, 4, 0)
		synctest.Wait()
		var got strings.Builder
		for range 12 {
			name, ok := p.Take("", false)
			if !ok {
				t.Fatal("no room on a server without a limit")
			}
			got.WriteString(name)
		}
		// Each by the share of its limit that is in use; 16 stand for no limit.
		if want := "abcccccbccccc"[:12]; len(got.String()) != 12 || strings.Count(got.String(), "a") > 2 || strings.Count(got.String(), "b") > 4 {
			t.Errorf("taken %s; want about %s", got.String(), want)
		}
		for range 20 {
			p.Take("", false)
		}
		for _, s := range p.Servers() {
			if s.Limit > 0 && s.Running != s.Limit {
				t.Errorf("%s runs %d of %d", s.Name, s.Running, s.Limit)
			}
		}
		if _, ok := p.Take("a", false); ok {
			t.Error("there is room on a full server")
		}
		p.Give("a")
		if _, ok := p.Take("a", false); !ok {
			t.Error("there is no room where some was given back")
		}
		closePool(t, p, fakes)
	})
}

// A server that dies gets nothing, its waiting work goes elsewhere where it may,
// and one attempt at a time finds out when it is back.
func TestDeadServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, fakes, rooms := open(t, 4, 4)
		synctest.Wait()
		fakes["a"].set(errors.New("connection refused"))
		name, _ := p.Take("a", false)
		_, err := p.Run(t.Context(), request("T1", name), noted{})
		if unreachable, ok := errors.AsType[*engine.UnreachableError](err); !ok || unreachable.Server != "a" {
			t.Fatalf("run: %v", err)
		}
		p.Give(name)
		if _, ok := p.Take("a", false); ok {
			t.Fatal("a dead server has room")
		}
		if name, ok := p.Take("", false); !ok || name != "b" {
			t.Errorf("what begins anew goes to %q", name)
		}
		before := fakes["a"].checked()
		<-time.After(time.Hour)
		if n := fakes["a"].checked() - before; n < 100 || n > 400 {
			t.Errorf("%d attempts in an hour", n)
		}
		if s := p.Servers()[0]; s.State != StateUnreachable || !strings.Contains(s.Detail, "refused") || time.Since(s.Since) < time.Hour {
			t.Errorf("%+v", s)
		}
		n := rooms.Load()
		fakes["a"].set(nil)
		<-time.After(2 * lastRetry)
		if rooms.Load() != n+1 {
			t.Errorf("said %d times that there is room", rooms.Load()-n)
		}
		if s := p.Servers()[0]; s.State != StateReady || s.Version != "1.2.3" {
			t.Errorf("%+v", s)
		}
		if _, ok := p.Take("a", false); !ok {
			t.Error("it has no room when it is back")
		}
		closePool(t, p, fakes)
	})
}

// A server that is away when the pool is made is known for that before a turn is lost to it.
func TestServerAwayFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		away := &fake{down: errors.New("no route to host")}
		p, err := New(Options{
			Servers:  []Server{{Name: "a", Runner: away}, {Name: "b", Runner: &fake{}}},
			Registry: &homes{at: map[string]string{}}, Log: zerolog.Nop(),
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 5 {
			if name, ok := p.Take("", false); !ok || name != "b" {
				t.Fatalf("taken %q, %v", name, ok)
			}
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestDrainAndResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, fakes, rooms := open(t, 4, 4)
		synctest.Wait()
		if err := p.Drain("a"); err != nil {
			t.Fatal(err)
		}
		if name, _ := p.Take("", false); name != "b" {
			t.Errorf("a new conversation begins on %s", name)
		}
		if _, ok := p.Take("a", false); ok {
			t.Error("a turn begins on a server that is drained")
		}
		if _, ok := p.Take("a", true); !ok {
			t.Error("a turn that was sent is not found out about")
		}
		if s := p.Servers()[0]; s.State != StateDraining || s.Running != 1 {
			t.Errorf("%+v", s)
		}
		n := rooms.Load()
		if err := p.Resume("a"); err != nil || rooms.Load() != n+1 {
			t.Errorf("resume: %v; said %d times that there is room", err, rooms.Load()-n)
		}
		if _, ok := p.Take("a", false); !ok {
			t.Error("it has no room after resume")
		}
		if err := p.Drain("nobody"); !errors.Is(err, ErrUnknownServer) {
			t.Errorf("drain: %v", err)
		}
		if err := p.SetMaxTurns("a", 1); err != nil {
			t.Error(err)
		}
		if _, ok := p.Take("a", false); ok {
			t.Error("a limit that was lowered does not count")
		}
		closePool(t, p, fakes)
	})
}

// Where a turn has to run does not depend on where there is room.
func TestWhereATurnRuns(t *testing.T) {
	memory := request("T", "b")
	memory.Agent = &workflow.Agent{Name: "keeper", Memory: true}
	byID := request("T", "b")
	byID.Agent = &workflow.Agent{Name: "known", AgentID: "agent-7"}
	lives := request("T", "b")
	lives.Conversation = workflow.Runtime{Server: "a", ConversationID: "c"}
	elsewhere := request("T", "b")
	elsewhere.Conversation = workflow.Runtime{Server: "gone", ConversationID: "c"}
	for name, c := range map[string]struct {
		req     engine.TurnRequest
		other   string // the server that it has to be
		refused string
	}{
		"anew":                     {req: request("T", "b")},
		"its conversation lives":   {req: lives, other: "a"},
		"an agent with memory":     {req: memory, other: "a"},
		"an agent named by its ID": {req: byID, other: "a"},
		"a server nobody knows":    {req: elsewhere, refused: "lives on the App Server gone"},
	} {
		t.Run(name, func(t *testing.T) {
			p, fakes, _ := open(t, 4, 4)
			defer closePool(t, p, fakes)
			p.registry = &homes{at: map[string]string{"t/keeper": "a"}}
			fakes["a"].agents = []string{"agent-7"}
			finished, err := p.Run(t.Context(), c.req, noted{})
			other, isOther := errors.AsType[*engine.OtherServerError](err)
			switch {
			case c.other != "":
				if !isOther || other.Server != c.other {
					t.Fatalf("run: %v", err)
				}
				c.req.Server = c.other
				if finished, err = p.Run(t.Context(), c.req, noted{}); err != nil || len(fakes[c.other].ran) != 1 {
					t.Errorf("run there: %+v, %v", finished, err)
				}
			case err != nil:
				t.Error(err)
			case !strings.Contains(finished.Error, c.refused):
				t.Errorf("%+v", finished)
			case c.refused == "" && len(fakes["b"].ran) != 1:
				t.Error("it did not run where there was room")
			}
		})
	}
}

// What was sent is found out about where it was sent.
func TestReconcile(t *testing.T) {
	p, fakes, _ := open(t, 4, 4)
	defer closePool(t, p, fakes)
	req := request("T", "b")
	req.Turn = workflow.Turn{ID: 3, Attempt: 2, Runtime: workflow.Runtime{Server: "a"}}
	if _, err := p.Reconcile(t.Context(), req); err == nil || err.Error() != (&engine.OtherServerError{Server: "a"}).Error() {
		t.Errorf("at another one: %v", err)
	}
	req.Server = "a"
	if found, err := p.Reconcile(t.Context(), req); err != nil || found.Finding != workflow.FindingFinished {
		t.Errorf("%+v, %v", found, err)
	}
	req.Turn.Runtime.Server = "gone"
	if found, err := p.Reconcile(t.Context(), req); err != nil || found.Finding != workflow.FindingUnknown || found.Attempt != 2 {
		t.Errorf("%+v, %v", found, err)
	}
	req.Turn.Runtime.Server = "a"
	fakes["a"].set(fmt.Errorf("dial: %w", appclient.ErrConnectionLost))
	_, err := p.Reconcile(t.Context(), req)
	if unreachable, ok := errors.AsType[*engine.UnreachableError](err); !ok || unreachable.Server != "a" {
		t.Errorf("%v", err)
	}
}

// starting is a Process that is not up.
type starting struct{ trouble error }

func (s *starting) Trouble() error  { return s.trouble }
func (s *starting) Version() string { return "0.30.28" }
func (s *starting) Restarts() int   { return 2 }

// A process that its watcher knows to be gone gets nothing from that moment on.
func TestProcessThatIsNotUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		process := &starting{}
		p, err := New(Options{Servers: []Server{{Name: "a", Runner: &fake{}, Process: process}}, Registry: &homes{at: map[string]string{}}, Log: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		if !p.HasRoom() {
			t.Error("a server that is up has no room")
		}
		p.mu.Lock()
		process.trouble = errors.New("exit status 137")
		p.mu.Unlock()
		if _, ok := p.Take("", false); ok {
			t.Error("it gets a turn")
		}
		if s := p.Servers()[0]; s.State != StateStarting || s.Restarts != 2 || s.Version != "0.30.28" || s.Detail != "exit status 137" {
			t.Errorf("%+v", s)
		}
		p.mu.Lock()
		process.trouble = nil
		p.mu.Unlock()
		<-time.After(time.Minute)
		if !p.HasRoom() {
			t.Error("it is up again, and has no room")
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no servers":          {Registry: &homes{}},
		"no registry":         {Servers: []Server{{Name: "a"}}},
		"two of the same":     {Servers: []Server{{Name: "a"}, {Name: "a"}}, Registry: &homes{}},
		"nothing at all here": {},
	} {
		if p, err := New(o); err == nil {
			t.Errorf("%s: %v", name, p)
		}
	}
}
