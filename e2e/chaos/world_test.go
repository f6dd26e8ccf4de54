//go:build faults

package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// lifeLimit bounds one life of a daemon that nothing kills, with all that goes
	// on around it. It is long, because the machine may be busy.
	lifeLimit = 4 * time.Minute
	maxTurns  = 16
)

// world is one data directory, one App Server, and the daemons that follow each other on it.
type world struct {
	t      *testing.T
	server server
	dir    string // of the team files and of what tools write
	tasks  []submission
	output string // file, of all daemons
	// address is that of the App Server, or of a proxy before it.
	address string
	// requests submit the tasks, and accepted are their IDs by key. The client of the one daemon that lives uses them.
	requests []api.SubmitRequest
	accepted map[string]string

	mu     sync.Mutex
	faults map[string]int // by kind
	// up are the times at which everything was up again, and down those at which it was not.
	down, up []time.Time
	ended    bool
	finished chan struct{} // closed when all tasks have ended
}

// newWorld makes a world with n tasks. address is that of the server, or of a proxy before it.
func newWorld(t *testing.T, dir string, s server, address string, n int) *world {
	t.Helper()
	w := &world{
		t: t, server: s, dir: dir, tasks: tasksOf(t, dir, n), faults: map[string]int{},
		address: address, accepted: map[string]string{}, output: filepath.Join(dir, "daemon.log"), finished: make(chan struct{}),
	}
	for _, task := range w.tasks {
		request, err := task.request()
		if err != nil {
			t.Fatal(err)
		}
		w.requests = append(w.requests, request)
	}
	return w
}

func (w *world) data() string { return filepath.Join(w.dir, "data") }

// death is how a daemon is to die: by its own hand where fault is set, from
// outside after a time, or, for the zero death, not at all.
type death struct {
	fault string
	after time.Duration
}

func (d death) kind() string {
	_, place, _ := strings.Cut(d.fault, ":")
	place, _, _ = strings.Cut(place, ":")
	switch place {
	case "":
		return "daemon killed at any time"
	case "during":
		return "daemon killed during a commit"
	case "middle":
		return "daemon killed before COMMIT"
	}
	return "daemon killed " + place + " a commit"
}

// live runs a daemon until it dies, or until all tasks have ended, and reports
// whether it was the latter.
func (w *world) live(dies death) bool {
	w.t.Helper()
	output, err := os.OpenFile(w.output, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = output.Close() }()
	fmt.Fprintf(output, "--- life: %+v\n", dies)
	w.isUp()
	d, err := w.startDaemon(dies.fault, output)
	if err != nil {
		w.t.Fatal(err)
	}
	limit := lifeLimit
	if dies.after > 0 {
		limit = dies.after
	}
	timer := time.AfterFunc(limit, func() { _ = d.cmd.Process.Kill() })
	d.wait()
	killed := !timer.Stop()
	switch status, _ := d.cmd.ProcessState.Sys().(syscall.WaitStatus); {
	case d.cmd.ProcessState.Success():
		return true
	case killed && dies.after == 0:
		w.t.Fatalf("the tasks did not end within %s\n%s\n%s", lifeLimit, w.unfinished(), w.tail())
	case status.Signaled() && status.Signal() == syscall.SIGKILL:
		w.isDown(dies.kind())
	default:
		w.t.Fatalf("the daemon ended by itself: %s\n%s", d.cmd.ProcessState, w.tail())
	}
	return false
}

// run lets daemons die, one after the other, until there are no deaths left or
// all tasks have ended, and then lets one live.
func (w *world) run(deaths func() (death, bool)) {
	w.t.Helper()
	defer w.end()
	for {
		d, ok := deaths()
		if !ok {
			w.live(death{})
			return
		}
		if w.live(d) {
			return
		}
	}
}

func (w *world) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.ended {
		w.ended = true
		close(w.finished)
	}
}

func (w *world) isUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.up = append(w.up, time.Now())
}

func (w *world) isDown(kind string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = append(w.down, time.Now())
	w.faults[kind]++
}

// tail is the end of what the daemons said.
func (w *world) tail() string {
	data, err := os.ReadFile(w.output)
	if err != nil {
		return err.Error()
	}
	const most = 8000
	if len(data) > most {
		data = append([]byte("…"), data[bytes.IndexByte(data[len(data)-most:], '\n')+len(data)-most:]...)
	}
	return string(data)
}

func (w *world) unfinished() string {
	var out strings.Builder
	for _, state := range w.states() {
		if !state.Status.Terminal() {
			fmt.Fprintf(&out, "%s %s %s: %+v\n", state.Task, state.Team, state.Status, state.Turns)
		}
	}
	return out.String()
}

// states reads all tasks, while a daemon writes them or after. There are none before there is a store.
func (w *world) states() []workflow.State {
	reader, err := store.OpenReader(context.Background(), w.data())
	if err != nil {
		return nil
	}
	defer func() { _ = reader.Close() }()
	states, err := reader.List(context.Background(), store.Filter{Children: true, Limit: 100_000})
	if err != nil {
		return nil
	}
	return states
}

// anyTurn says whether a turn of any task is in a state.
func (w *world) anyTurn(in workflow.TurnState) bool {
	for _, state := range w.states() {
		for _, turn := range state.Turns {
			if turn.Kind == workflow.KindAgent && turn.State == in {
				return true
			}
		}
	}
	return false
}

// The moments at which an App Server is killed.
const (
	whenAccepted = "just after input_accepted"
	whenStreams  = "mid-stream"
	whenTool     = "mid-tool"
	whenApproval = "with an approval pending"
)

// momentLimit bounds how long a moment is waited for; not every one comes.
const momentLimit = 5 * time.Second

// await waits for a moment, and is false when it does not come.
func (w *world) await(moment string, r *rand.Rand) bool {
	limit := time.NewTimer(momentLimit)
	defer limit.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-w.finished:
			return false
		case <-limit.C:
			return false
		case m := <-w.server.log().moments:
			if m == moment || m == "stream" && moment == whenStreams || m == "tool" && moment == whenTool {
				return w.pause(time.Duration(20+r.IntN(100)) * time.Millisecond)
			}
		case <-look.C:
			if moment == whenAccepted && w.anyTurn(workflow.TurnRunning) || moment == whenApproval && w.anyTurn(workflow.TurnAwaitingApproval) {
				return true
			}
		}
	}
}

// pause waits, and is false when all tasks have ended.
func (w *world) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.finished:
		return false
	}
}

// killServer kills the App Server n times, at every kind of moment in turn, and
// starts it again after a while. With wild it is killed also while it writes.
func (w *world) killServer(r *rand.Rand, n int, wild bool) error {
	moments := []string{whenAccepted, whenStreams, whenTool, whenApproval}
	for i := 0; i < n; {
		moment := moments[r.IntN(len(moments))]
		if !w.await(moment, r) {
			select {
			case <-w.finished:
				return nil
			default:
				continue
			}
		}
		kind := "App Server killed " + moment
		if wild {
			kind += ", also while it writes"
		}
		if err := w.server.kill(wild); err != nil {
			return fmt.Errorf("kill the App Server: %w", err)
		}
		w.isDown(kind)
		w.pause(time.Duration(r.IntN(500)) * time.Millisecond)
		if err := w.server.start(); err != nil {
			return errors.Join(errors.New("start the App Server again"), err)
		}
		w.isUp()
		i++
		w.pause(time.Duration(r.IntN(300)) * time.Millisecond)
	}
	return nil
}
