package schedule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const teamSource = `version: 1
name: maintenance
inputs: {goal: {}}
agents: {a: {prompt: x}}
start: a
handoffs:
  - {from: "*", on: "*", to: succeeded}
`

// world is a store, an engine that keeps tasks and runs none, and a driver that
// can be stopped and started again, on a clock that can be set.
type world struct {
	t      *testing.T
	clock  wallClock
	store  *store.Store
	engine *engine.Engine
	team   *workflow.Team
	driver *Driver
	faults faults
	cancel context.CancelFunc
	ended  chan error
	// submit is an error for Submit to return; none submits.
	submit atomic.Pointer[error]
}

// wallClock is the clock of the bubble, set forward or back by offset.
type wallClock struct{ offset atomic.Int64 }

func (c *wallClock) Now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }
func (c *wallClock) NewTimer(d time.Duration) engine.Timer {
	return bubbleTimer{time.NewTimer(d)}
}
func (c *wallClock) set(by time.Duration) { c.offset.Add(int64(by)) }

type bubbleTimer struct{ *time.Timer }

func (t bubbleTimer) C() <-chan time.Time { return t.Timer.C }

// inBubble runs a test in a bubble whose clock shows start.
func inBubble(t *testing.T, start string, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.clock.set(time.Until(parse(t, start)))
		var err error
		if w.store, err = store.Open(t.Context(), store.Options{Dir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		if w.team, err = workflow.Parse("maintenance.yaml", []byte(teamSource), workflow.ParseOptions{}); err != nil {
			t.Fatal(err)
		}
		w.engine = engine.New(engine.Options{Store: w.store, Runner: noRunner{}, Clock: &w.clock})
		defer func() {
			w.stop()
			if err := w.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, w)
	})
}

type noRunner struct{ engine.TurnRunner }

// start makes a new driver, as a new process does, and runs it.
func (w *world) start(specs ...Spec) {
	w.t.Helper()
	w.stop()
	w.driver = New(Options{Store: faultyStore{w.store, &w.faults}, Tasks: w, Clock: &w.clock, Log: zerolog.Nop(), Keep: 20})
	if err := w.driver.Set(w.t.Context(), specs); err != nil && !errors.Is(err, errKilled) {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(w.t.Context())
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.driver.Run(ctx) }()
	synctest.Wait()
}

// stop ends the driver; it returns what Run returned.
func (w *world) stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	w.cancel = nil
	return <-w.ended
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// Submit implements Tasks.
func (w *world) Submit(ctx context.Context, r Request) (string, error) {
	if err := w.submit.Load(); err != nil {
		return "", *err
	}
	task := ""
	err := w.faults.around(func() error {
		input, err := w.team.BindInput(r.Input)
		if err != nil {
			return err
		}
		state, _, err := w.engine.Submit(ctx, engine.Submission{Team: w.team, Input: input, Key: r.Key, Schedule: r.Schedule, Priority: r.Priority})
		task = state.Task
		return err
	})
	return task, err
}

// Cancel implements Tasks.
func (w *world) Cancel(ctx context.Context, task, by string) error {
	return w.faults.around(func() error {
		_, err := w.engine.Cancel(ctx, task, by)
		return err
	})
}

// Subscribe implements Tasks.
func (w *world) Subscribe() *engine.Subscription { return w.engine.Subscribe("") }

// finish ends the tasks of a schedule that have not ended, and returns how many.
func (w *world) finish(schedule string) int {
	w.t.Helper()
	tasks := w.open(schedule)
	for _, task := range tasks {
		if _, err := w.engine.Cancel(w.t.Context(), task.Task, "test"); err != nil {
			w.t.Fatal(err)
		}
	}
	synctest.Wait()
	return len(tasks)
}

func (w *world) open(schedule string) []workflow.State { return w.tasks(schedule, open()...) }

func (w *world) tasks(schedule string, states ...workflow.TaskState) []workflow.State {
	w.t.Helper()
	tasks, err := w.store.List(w.t.Context(), store.Filter{Schedule: schedule, Status: states, Limit: 10000})
	if err != nil {
		w.t.Fatal(err)
	}
	return tasks
}

// fires are what became of the fires of a schedule, the oldest first: "HH:MM:SS state".
func (w *world) fires(schedule string) []string {
	w.t.Helper()
	history, err := w.store.Fires(w.t.Context(), schedule, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	out := make([]string, len(history))
	for i, f := range history {
		out[len(history)-1-i] = f.Scheduled.Format("02 15:04:05 ") + string(f.State)
		if (f.State == store.FireSubmitted) != (f.Task != "") {
			w.t.Errorf("fire %s is %s and has the task %q", f.Key, f.State, f.Task)
		}
	}
	return out
}

func (w *world) expect(schedule string, want ...string) {
	w.t.Helper()
	got := w.fires(schedule)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("got  %q\nwant %q", got, want)
	}
}

// lastReason is why the last fire of a schedule ended as it did.
func (w *world) lastReason(schedule string) string {
	w.t.Helper()
	history, err := w.store.Fires(w.t.Context(), schedule, 1)
	if err != nil || len(history) == 0 {
		w.t.Fatalf("%d fires, %v", len(history), err)
	}
	return history[0].Reason
}

// errKilled stands for the end of the process.
var errKilled = errors.New("killed")

// faults makes one of the writes of a driver the last thing that it does.
type faults struct {
	mu     sync.Mutex
	writes int
	// at is the write to die at, counted from 1; 0 is none. after says that it is still carried out.
	at    int
	after bool
}

func (f *faults) set(at int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes, f.at, f.after = 0, at, after
}

func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

func (f *faults) around(do func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	switch {
	case f.at == 0 || f.writes < f.at:
		return do()
	case f.writes == f.at && f.after:
		_ = do()
	}
	return errKilled
}

// faultyStore is a store whose writes may be the last.
type faultyStore struct {
	*store.Store
	faults *faults
}

func (s faultyStore) SetSchedules(ctx context.Context, specs []store.ScheduleSpec, at time.Time) error {
	return s.faults.around(func() error { return s.Store.SetSchedules(ctx, specs, at) })
}

func (s faultyStore) PlanFires(ctx context.Context, name string, fires []store.Fire, considered time.Time, keep int) error {
	return s.faults.around(func() error { return s.Store.PlanFires(ctx, name, fires, considered, keep) })
}

func (s faultyStore) DecideFire(ctx context.Context, f store.Fire) error {
	return s.faults.around(func() error { return s.Store.DecideFire(ctx, f) })
}
