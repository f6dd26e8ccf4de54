package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// fullStore is a store whose disk is full from its nth write on, until there
// is room again.
type fullStore struct {
	*store.Store
	mu   sync.Mutex
	left int  // writes until the disk is full; 0 is full
	kept bool // the first write that fails is on the disk all the same
	// probes is how many attempts fail before there is room; -1 is all.
	probes int
	met    bool // the disk was full
	failed int  // writes that failed
}

func noRoom(op string) error { return &store.StorageError{Op: op, Dir: "d", Err: syscall.ENOSPC} }

func (s *fullStore) write(do func() error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left > 0 {
		s.left--
		return do()
	}
	if s.kept && !s.met {
		if err := do(); err != nil {
			return err
		}
	}
	s.met = true
	s.failed++
	return noRoom("write")
}

// fill makes the disk full for so many probes.
func (s *fullStore) fill(probes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left, s.probes = 0, probes
}

func (s *fullStore) CommitAll(ctx context.Context, decisions []store.Decision) error {
	return s.write(func() error { return s.Store.CommitAll(ctx, decisions) })
}

func (s *fullStore) SaveRevision(ctx context.Context, team *workflow.Team, at time.Time) error {
	return s.write(func() error { return s.Store.SaveRevision(ctx, team, at) })
}

func (s *fullStore) Create(ctx context.Context, state workflow.State, event workflow.Event, effects []workflow.Effect, key string) (id string, created bool, err error) {
	err = s.write(func() (err error) {
		id, created, err = s.Store.Create(ctx, state, event, effects, key)
		return err
	})
	return id, created, err
}

func (s *fullStore) Probe(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probes != 0 {
		s.probes--
		return noRoom("probe")
	}
	s.left = 1 << 30
	return s.Store.Probe(ctx)
}

// plenty is a number of writes that no test makes.
const plenty = 1 << 30

// TestDiskFullAtEveryWrite: the disk is full from one write of a task on, for
// every write, and has room again later. The failing write is on the disk or not.
func TestDiskFullAtEveryWrite(t *testing.T) {
	for name, source := range map[string]map[string]string{
		"chain": {"team.yaml": chain},
		"nodes": {"team.yaml": nodesOfAllKinds, "child.yaml": single},
	} {
		t.Run(name, func(t *testing.T) {
			team := parseFiles(t, source)
			var want map[string]string
			for at, met := 0, true; met; at++ {
				for _, kept := range []bool{false, true} {
					dir := t.TempDir()
					synctest.Test(t, func(t *testing.T) {
						f := &fake{server: newServer()}
						full := &fullStore{Store: openStore(t, dir), left: plenty, kept: kept, probes: 3}
						e := newEngine(full, f, withChecks(&commands{}))
						id := e.mustSubmit(t, team)
						full.left = at
						if want == nil {
							full.left = plenty
						}
						d := run(t, e)
						state := e.wait(t, id)
						if want == nil {
							want = story(state)
						}
						if diff := cmp.Diff(want, story(state)); diff != "" {
							t.Errorf("full at write %d, kept %v (-want +got):\n%s", at, kept, diff)
						}
						for id, n := range f.server.sent {
							if n != 1 {
								t.Errorf("full at write %d, kept %v: %s was sent %d times", at, kept, id, n)
							}
						}
						if err := d.stop(); err != nil {
							t.Error(err)
						}
						if at == 1 && !full.met {
							t.Fatal("the disk was never full")
						}
						met = full.met
					})
				}
				if at > 100 {
					t.Fatal("no end")
				}
			}
		})
	}
}

const nodesOfAllKinds = `
version: 1
name: nodes
limits: {turns: 20}
agents:
  a: {prompt: A}
  b: {prompt: B}
checks: {c: {run: "true"}}
teams: {s: {team: child.yaml}}
start: a
message: go
handoffs:
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: "*", join: all, to: s}
  - {from: s, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// TestDiskFullWhileATurnRuns: the turn goes on and its end is kept; nothing new
// is started, people are told and refused; then all goes on by itself.
func TestDiskFullWhileATurnRuns(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		begun, end, f := make(chan string, 2), make(chan bool), &fake{server: newServer()}
		f.answer = func(_ context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			begun <- req.Task
			<-end
			// Watching what it uses must not wait for the disk.
			rec.Progress(Progress{Kind: ProgressUsage, Usage: workflow.Usage{TotalTokens: 5}})
			return endTurn(req), nil
		}
		full := &fullStore{Store: openStore(t, dir), left: plenty}
		e := newEngine(full, f)
		d := run(t, e)
		news := e.Subscribe("nobody")
		defer news.Close()
		id := e.mustSubmit(t, parse(t, single))
		<-begun
		full.fill(20)
		if _, _, err := e.Submit(t.Context(), Submission{Team: parse(t, single), Workspace: "/w"}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("submit: %v", err)
		}
		told := await(t, news, func(u Update) bool { return u.Storage != nil })
		if !errors.Is(told.Storage.Err, store.ErrUnavailable) || !told.Storage.Over.IsZero() || e.StorageTrouble() == nil {
			t.Errorf("told %+v", told.Storage)
		}
		end <- true
		synctest.Wait()
		if state, err := e.raw.Task(t.Context(), id); err != nil || state.Status != workflow.TaskRunning {
			t.Fatalf("task: %+v, %v", state, err)
		}
		for _, refused := range []func() error{
			func() error { _, err := e.Cancel(t.Context(), id, "me"); return err },
			func() error { _, err := e.AnswerGate(t.Context(), id, 1, true, "me", ""); return err },
			func() error {
				_, _, err := e.Submit(t.Context(), Submission{Team: parse(t, single), Workspace: "/w"})
				return err
			},
		} {
			if err := refused(); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "free disk space") {
				t.Errorf("refused with %v", err)
			}
		}
		before := time.Now()
		told = await(t, news, func(u Update) bool { return u.Storage != nil })
		if told.Storage.Over.IsZero() || e.StorageTrouble() != nil {
			t.Errorf("told %+v", told.Storage)
		}
		if waited := time.Since(before); waited > 22*storageLastWait {
			t.Errorf("it was tried again after %s", waited)
		}
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || f.server.sent[id+".1.1"] != 1 {
			t.Errorf("task: %+v", state.Result)
		}
		if len(news.Updates()) != 0 {
			t.Error("told more than once")
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// TestNothingIsClaimedWhileTheDiskIsFull: tasks that wait for a slot stay where
// they are.
func TestNothingIsClaimedWhileTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		full := &fullStore{Store: openStore(t, dir), left: plenty, probes: 10}
		e := newEngine(full, f, func(o *Options) { o.MaxTurns = 2 })
		var ids []string
		for range 9 {
			ids = append(ids, e.mustSubmit(t, parse(t, single)))
		}
		full.left = 0
		run(t, e)
		synctest.Wait()
		if full.failed > 2 {
			t.Errorf("%d writes were tried while the disk was full", full.failed)
		}
		for _, id := range ids {
			if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
				t.Errorf("task: %+v", state.Result)
			}
		}
	})
}

// TestStoppedWhileTheDiskIsFull: what could not be recorded is found out by the
// next engine.
func TestStoppedWhileTheDiskIsFull(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		f := &fake{server: newServer()}
		full := &fullStore{Store: openUnverified(t, dir), left: plenty, probes: -1}
		f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
			full.fill(-1)
			return endTurn(req), nil
		}
		e := newEngine(full, f)
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		synctest.Wait()
		if err := d.stop(); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("run: %v", err)
		}
		f.answer = nil
		second := newEngine(full.Store, f)
		run(t, second)
		if state := second.wait(t, id); state.Status != workflow.TaskSucceeded || f.server.sent[id+".1.1"] != 1 {
			t.Errorf("task: %+v", state.Result)
		}
	})
	verify(t, dir)
}

// TestPeopleDoNotWaitForTheDisk: whoever waits for a task that is being
// committed when the disk is found full is refused then.
func TestPeopleDoNotWaitForTheDisk(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		holding, proceed := make(chan bool), make(chan bool)
		f := &fake{server: newServer()}
		full := &fullStore{Store: openStore(t, dir), left: plenty, probes: 2}
		slow := &commitStore{Store: full.Store, commit: func(_ context.Context, body workflow.EventBody) error {
			if _, ok := body.(workflow.TurnFinished); ok && !full.met {
				holding <- true
				<-proceed
				full.fill(2)
			}
			return full.write(func() error { return nil })
		}}
		e := newEngine(struct {
			*commitStore
			prober
		}{slow, full}, f)
		run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		<-holding
		refused := make(chan error)
		go func() {
			_, err := e.Cancel(t.Context(), id, "me")
			refused <- err
		}()
		synctest.Wait()
		proceed <- true
		if err := <-refused; !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("cancel: %v", err)
		}
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Errorf("task: %+v", state.Result)
		}
	})
}

type prober interface {
	Probe(ctx context.Context) error
}
