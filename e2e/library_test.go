//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
	lib "github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// runTasks submits n tasks of a team, each with a goal of its own, to one
// orchestrator in this process, and returns how they ended.
func runTasks(t *testing.T, team *workflow.Team, n int, options lib.Options, watch func(workflow.EventBody)) []workflow.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	o, err := lib.New(ctx, options)
	if err != nil {
		t.Fatal(err)
	}
	all := o.Engine().Subscribe("")
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for u := range all.Updates() {
			if u.Record != nil {
				watch(u.Record.Event.Body)
			}
		}
	}()
	ended := make(chan error, 1)
	runCtx, stop := context.WithCancel(ctx)
	go func() { ended <- o.Run(runCtx) }()
	defer func() {
		stop()
		if err := errors.Join(<-ended, o.Close(context.WithoutCancel(ctx))); err != nil {
			t.Error(err)
		}
		all.Close()
		<-watched
	}()
	var tasks []string
	for i := range n {
		input, err := team.BindInput(map[string]any{"goal": goal(i)})
		if err != nil {
			t.Fatal(err)
		}
		state, _, err := o.Submit(ctx, lib.Submission{Team: team, Input: input})
		if err != nil {
			t.Fatal(err)
		}
		tasks = append(tasks, state.Task)
	}
	states := make([]workflow.State, n)
	for i, task := range tasks {
		if states[i], err = o.Engine().Wait(ctx, task); err != nil {
			t.Errorf("task %d: %v, %s with %+v", i, err, states[i].Status, states[i].Turns)
		}
	}
	return states
}

func goal(i int) string { return fmt.Sprintf("task %d.", i) }

func parseTeam(t *testing.T, source string) *workflow.Team {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(source), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// TestTwentyTasks runs through one engine and one connection.
func TestTwentyTasks(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply {
		return scriptedmodel.Reply{Text: "done", Delay: 20 * time.Millisecond}
	})
	server := startAppServer(t, environment(t, model))
	const n = 20
	for i, state := range runTasks(t, parseTeam(t, relay), n, lib.Options{DataDir: t.TempDir(), AppServer: server.url, MaxTurns: 8}, func(workflow.EventBody) {}) {
		if state.Status != workflow.TaskSucceeded || state.Attempts != 3 {
			t.Errorf("task %d: %s after %d attempts: %+v", i, state.Status, state.Attempts, state.Result)
		}
		for _, name := range runners {
			if original, continued := asked(model, name+" "+goal(i)); original != 1 || continued != 0 {
				t.Errorf("task %d: %s was asked %d times, continued %d times", i, name, original, continued)
			}
		}
	}
	if total := len(model.Requests()); total != 3*n {
		t.Errorf("%d requests, want %d", total, 3*n)
	}
}

// proxy passes connections on to a server until it is told to cut them.
type proxy struct {
	listener net.Listener
	target   string
	wg       sync.WaitGroup
	mu       sync.Mutex
	conns    map[net.Conn]bool
	clients  []net.Conn // in the order in which they came
}

func startProxy(t *testing.T, target string) *proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: listener, target: u.Host, conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.pass(client) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		p.cut()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) url() string { return "ws://" + p.listener.Addr().String() + "/ws" }

func (p *proxy) pass(client net.Conn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.clients = append(p.clients, client)
	p.mu.Unlock()
	both := func() { _, _ = client.Close(), server.Close() }
	p.wg.Go(func() {
		defer both()
		_, _ = io.Copy(server, client)
	})
	_, _ = io.Copy(client, server)
	both()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.clients = slices.DeleteFunc(p.clients, func(c net.Conn) bool { return c == client })
	p.mu.Unlock()
}

// cut resets all connections, in both directions.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		reset(conn)
	}
}

// TestConnectionCutAgainAndAgain cuts the connection at random moments while
// tasks run. Whatever moment that hits (the input on its way, its acknowledgement,
// the answer, the end), no message is asked of the model twice.
func TestConnectionCutAgainAndAgain(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply {
		return scriptedmodel.Reply{Text: "one two three four five six", ChunkDelay: 5 * time.Millisecond}
	})
	p := startProxy(t, startAppServer(t, environment(t, model)).url)
	var cutter sync.WaitGroup
	cuts, found := 0, map[workflow.Finding]int{} // touched by watch alone
	const n = 16
	states := runTasks(t, parseTeam(t, strings.ReplaceAll(relay, "limits: {turns: 12}", "limits: {turns: 100}")), n,
		lib.Options{DataDir: t.TempDir(), AppServer: p.url(), MaxTurns: 8}, func(body workflow.EventBody) {
			switch b := body.(type) {
			case workflow.TurnSending:
				if cuts < 25 && rand.IntN(3) == 0 {
					cuts++
					cutter.Go(func() {
						<-time.After(time.Duration(rand.IntN(80_000)) * time.Microsecond)
						p.cut()
					})
				}
			case workflow.TurnReconciled:
				found[b.Finding]++
			}
		})
	cutter.Wait()
	continuations := 0
	for i, state := range states {
		if state.Status != workflow.TaskSucceeded {
			t.Errorf("task %d: %s: %+v", i, state.Status, state.Result)
		}
		for _, name := range runners {
			original, continued := asked(model, name+" "+goal(i))
			if continuations += continued; original > 1 || original+continued == 0 {
				t.Errorf("task %d: %s was asked %d times, continued %d times", i, name, original, continued)
			}
		}
	}
	if found[workflow.FindingInterrupted] == 0 || continuations == 0 {
		t.Error("no cut hit a turn")
	}
	t.Logf("%d cuts, found %v, %d continuations asked for", cuts, found, continuations)
}

// TestAppServerKilledAgainAndAgain kills the App Server with SIGKILL at random
// moments in which it does not write, and starts it again.
func TestAppServerKilledAgainAndAgain(t *testing.T) {
	t.Parallel()
	model := startModel(t, func(scriptedmodel.Request) scriptedmodel.Reply {
		return scriptedmodel.Reply{Text: "one two three four five six", Delay: 100 * time.Millisecond, ChunkDelay: 20 * time.Millisecond}
	})
	server := startAppServer(t, environment(t, model))
	kill := make(chan time.Duration, 1)
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		for after := range kill {
			<-time.After(after)
			if err := errors.Join(server.KillWhole(), server.Restart()); err != nil {
				t.Error(err)
			}
		}
	}()
	kills, found := 0, map[workflow.Finding]int{} // touched by watch alone
	const n = 8
	states := runTasks(t, parseTeam(t, strings.ReplaceAll(relay, "limits: {turns: 12}", "limits: {turns: 100}")), n,
		lib.Options{DataDir: t.TempDir(), AppServer: server.url, MaxTurns: 4}, func(body workflow.EventBody) {
			switch b := body.(type) {
			case workflow.TurnSending:
				if kills < 6 {
					select {
					case kill <- time.Duration(rand.IntN(200)) * time.Millisecond:
						kills++
					default: // one is on its way
					}
				}
			case workflow.TurnReconciled:
				found[b.Finding]++
			}
		})
	close(kill)
	<-killed
	for i, state := range states {
		if state.Status != workflow.TaskSucceeded {
			t.Errorf("task %d: %s: %+v", i, state.Status, state.Result)
		}
		for _, name := range runners {
			if original, continued := asked(model, name+" "+goal(i)); original > 1 || original+continued == 0 {
				t.Errorf("task %d: %s was asked %d times, continued %d times", i, name, original, continued)
			}
		}
	}
	t.Logf("%d kills, found %v", kills, found)
}
