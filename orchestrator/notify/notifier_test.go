package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

type noStore struct{ Store }

type realClock struct{}

func (realClock) Now() time.Time                        { return time.Now() }
func (realClock) NewTimer(d time.Duration) engine.Timer { return realTimer{time.NewTimer(d)} }

type realTimer struct{ *time.Timer }

func (t realTimer) C() <-chan time.Time { return t.Timer.C }

// world is a store, a target that answers as it is told, and a Notifier that can be
// stopped and started again.
type world struct {
	t        *testing.T
	store    *store.Store
	targets  []Target
	notifier *Notifier
	cancel   context.CancelFunc
	ended    chan error
	faults   faults

	mu     sync.Mutex
	answer int
	got    []*http.Request
	bodies []Event
}

func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	secret := secretFile(t, "secret")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, answer: http.StatusOK, targets: []Target{{Name: "hook", Webhook: "https://example.org/hidden", SecretFile: secret}}}
		var err error
		if w.store, err = store.Open(t.Context(), store.Options{Dir: t.TempDir()}); err != nil {
			t.Fatal(err)
		}
		if err := w.store.SaveRevision(t.Context(), &workflow.Team{Name: "t", Revision: "rev", File: "t.yaml"}, time.Now()); err != nil {
			t.Fatal(err)
		}
		defer func() {
			w.stop()
			if err := w.store.Close(); err != nil {
				t.Error(err)
			}
		}()
		test(t, w)
	})
}

// RoundTrip implements http.RoundTripper.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var e Event
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil {
		return nil, err
	}
	w.got, w.bodies = append(w.got, r), append(w.bodies, e)
	return &http.Response{StatusCode: w.answer, Body: http.NoBody, Request: r}, nil
}

func (w *world) answers(code int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = code
}

// told are the types of what the target got, with their ids.
func (w *world) told() (types, ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, e := range w.bodies {
		types, ids = append(types, e.Type), append(ids, w.got[i].Header.Get("webhook-id"))
	}
	return types, ids
}

func (w *world) start() {
	w.t.Helper()
	w.stop()
	w.notifier = New(Options{Store: faultyStore{w.store, &w.faults}, Clock: realClock{}, Client: &http.Client{Transport: w}, Keep: 5})
	if err := w.notifier.SetTargets(w.targets); err != nil {
		w.t.Fatal(err)
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(w.t.Context())
	w.ended = make(chan error, 1)
	go func() { w.ended <- w.notifier.Run(ctx) }()
	synctest.Wait()
}

func (w *world) stop() error {
	if w.cancel == nil {
		return nil
	}
	w.cancel()
	w.cancel = nil
	return <-w.ended
}

func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// fail stores a task that has failed.
func (w *world) fail(id string) {
	w.t.Helper()
	now := time.Now().UTC()
	state := workflow.State{Version: 1, Task: id, Team: "t", Revision: "rev", Status: workflow.TaskFailed, Created: now, Updated: now,
		Result: &workflow.Result{State: workflow.TaskFailed, Explanation: "it broke", At: now}}
	w.create(state, workflow.TaskSubmitted{Task: id, Team: "t"}, workflow.FinishTask{Result: *state.Result})
}

// pause stores a task that is paused, by whom body says.
func (w *world) pause(id string, body workflow.EventBody) workflow.State {
	w.t.Helper()
	now := time.Now().UTC().Truncate(time.Microsecond)
	state := workflow.State{Version: 1, Task: id, Team: "t", Revision: "rev", Status: workflow.TaskPaused, Created: now, Updated: now,
		Pause: &workflow.Pause{At: now, Note: "the task has used 10 turns of 10"}}
	w.create(state, body, workflow.PauseTask{Pause: *state.Pause})
	return state
}

// ask stores a task in which a question and a gate are open.
func (w *world) ask(id string) workflow.State {
	w.t.Helper()
	now := time.Now().UTC()
	q := workflow.Question{ID: 1, Turn: 1, Attempt: 1, Text: "May I?", Tool: "Bash", Asked: now}
	state := workflow.State{Version: 1, Task: id, Team: "t", Revision: "rev", Status: workflow.TaskRunning, Created: now, Updated: now, LastQuestion: 1, Questions: []workflow.Question{q},
		Turns: []workflow.Turn{{ID: 1, Node: "a", Attempt: 1}, {ID: 2, Node: "merge", Kind: workflow.KindGate, Message: "Merge?", Attempt: 1}}}
	w.create(state, workflow.QuestionAsked{Turn: 1, Attempt: 1}, workflow.StartTurn{Turn: 2, Node: "merge", Kind: workflow.KindGate})
	return state
}

func (w *world) create(state workflow.State, body workflow.EventBody, effect workflow.Effect) {
	w.t.Helper()
	if _, _, err := w.store.Create(w.t.Context(), state, workflow.Event{At: state.Created, Body: body}, []workflow.Effect{effect}, ""); err != nil {
		w.t.Fatal(err)
	}
	if w.notifier != nil {
		w.notifier.Wake()
	}
	synctest.Wait()
}

func (w *world) list() []View {
	w.t.Helper()
	list, err := List(w.t.Context(), w.store, false, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return list
}

func TestTellsOnce(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.start()
		w.fail("one")
		w.ask("two")
		w.pause("three", workflow.TurnFinished{Turn: 1, Attempt: 1})
		if err := w.store.AddNotice(t.Context(), store.Notice{Key: "batch/b/done", Kind: store.NoticeBatchDone, Data: []byte(`{"batch":"b","text":"198 of 200 succeeded"}`), At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		w.pass(2 * longestSleep)
		types, ids := w.told()
		slices.Sort(types)
		if want := []string{"approval.wanted", "batch.done", "gate.opened", "task.failed", "task.paused"}; !slices.Equal(types, want) {
			t.Errorf("got %q, want %q", types, want)
		}
		slices.Sort(ids)
		if len(slices.Compact(ids)) != 5 {
			t.Errorf("the ids are %q", ids)
		}
		for _, e := range w.bodies {
			if e.Data.Text == "" || e.Data.Do == "" || e.Timestamp.IsZero() {
				t.Errorf("got %+v", e)
			}
		}
		for _, v := range w.list() {
			if v.State != store.NotificationDelivered || v.Attempts != 1 || len(v.Journal) != 1 || !v.Journal[0].OK || v.Status != "200 OK" {
				t.Errorf("got %+v", v)
			}
		}
		// The same again: a batch that is not known to have been told, a restart.
		if err := w.store.AddNotice(t.Context(), store.Notice{Key: "batch/b/done", Kind: store.NoticeBatchDone, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		w.start()
		w.pass(2 * longestSleep)
		if types, _ := w.told(); len(types) != 5 {
			t.Errorf("got %q", types)
		}
		text, err := json.Marshal(w.list())
		if err != nil || strings.Contains(string(text), "hidden") || strings.Contains(string(text), `"secret"`) {
			t.Errorf("a secret is in %s (%v)", text, err)
		}
	})
}

// TestTellsOfPausesByLimits: not of those that somebody asked for, nor of those
// that somebody has ended.
func TestTellsOfPausesByLimits(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.pause("asked", workflow.PauseRequested{By: "ada"})
		next := w.pause("over", workflow.TurnFinished{Turn: 1, Attempt: 1})
		next.Version, next.Status, next.Pause = 2, workflow.TaskRunning, nil
		if err := w.store.Commit(t.Context(), 1, next, workflow.Event{At: time.Now(), Body: workflow.ResumeRequested{By: "ada"}}, nil); err != nil {
			t.Fatal(err)
		}
		w.pause("limit", workflow.TurnFinished{Turn: 1, Attempt: 1})
		w.start()
		if types, _ := w.told(); !slices.Equal(types, []string{"task.paused"}) {
			t.Fatalf("got %q", types)
		}
		if d := w.bodies[0].Data; d.Task != "limit" || d.Do != "orchestrator resume limit" || d.Detail != "the task has used 10 turns of 10" {
			t.Errorf("got %+v", d)
		}
	})
}

// TestTellsWhatMatters: nothing that was answered meanwhile, nothing that the target
// does not want, nothing of sub-teams that failed, and nothing that is old.
func TestTellsWhatMatters(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.targets[0].On = []store.NoticeKind{store.NoticeApproval, store.NoticeFailed}
		answered := w.ask("one")
		next := answered
		next.Version, next.Questions = 2, nil
		event := workflow.Event{At: time.Now(), Body: workflow.QuestionAnswered{Question: 1, Answer: "allow"}}
		if err := w.store.Commit(t.Context(), 1, next, event, nil); err != nil {
			t.Fatal(err)
		}
		now := time.Now().UTC()
		child := workflow.State{Version: 1, Task: "one.1.1", Team: "t", Revision: "rev", Status: workflow.TaskFailed, Created: now, Updated: now, Parent: &workflow.Parent{Task: "one"},
			Result: &workflow.Result{State: workflow.TaskFailed}}
		w.create(child, workflow.TaskSubmitted{Task: "one.1.1"}, workflow.FinishTask{Result: *child.Result})
		w.fail("old")
		w.pass(25 * time.Hour)
		w.fail("new")
		w.start()
		if types, _ := w.told(); !slices.Equal(types, []string{"task.failed"}) || w.bodies[0].Data.Task != "new" {
			t.Errorf("got %q", types)
		}
		left, err := w.store.OpenNotices(t.Context(), 10)
		if err != nil || len(left) != 0 {
			t.Errorf("left %v (%v)", left, err)
		}
	})
}

// TestRetries: with longer and longer waits for a day, with the same id, and then
// it is given up; a target that works again gets what waited.
func TestRetries(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.start()
		w.answers(http.StatusInternalServerError)
		w.fail("one")
		w.pass(26 * time.Hour)
		_, ids := w.told()
		if n := len(ids); n < 25 || n > 45 || len(slices.Compact(slices.Clone(ids))) != 1 {
			t.Errorf("%d attempts, ids %q", n, slices.Compact(ids))
		}
		list := w.list()
		if len(list) != 1 || list[0].State != store.NotificationFailed || list[0].Attempts != len(ids) || len(list[0].Journal) != len(ids) {
			t.Fatalf("got %+v", list)
		}
		journal := list[0].Journal
		for i := 1; i < len(journal); i++ {
			if wait := journal[i].At.Sub(journal[i-1].At); wait < firstWait*4/5 || wait > longestWait*6/5+time.Second {
				t.Errorf("attempt %d came %s after the one before", i+1, wait)
			}
		}
		if last := journal[len(journal)-1].At.Sub(list[0].Created); last > giveUpAfter || last < giveUpAfter-2*longestWait {
			t.Errorf("the last attempt was after %s", last)
		}
		w.fail("two")
		w.fail("three")
		_, before := w.told()
		w.answers(http.StatusNoContent)
		w.pass(time.Minute)
		if _, after := w.told(); len(after) != len(before)+2 || len(before) != len(ids)+2 {
			t.Errorf("%d, then %d attempts", len(before)-len(ids), len(after)-len(ids))
		}
		if failed, err := List(t.Context(), w.store, true, 0); err != nil || len(failed) != 1 {
			t.Errorf("got %+v, %v", failed, err)
		}
		for i := range 10 {
			w.fail(fmt.Sprint("more", i))
		}
		if n := len(w.list()); n > 6 {
			t.Errorf("%d are kept", n)
		}
	})
}

func TestTargetIsGone(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.start()
		w.answers(http.StatusInternalServerError)
		w.fail("one")
		w.targets = nil
		w.start()
		w.pass(time.Minute)
		if list := w.list(); len(list) != 1 || list[0].State != store.NotificationFailed || !strings.Contains(list[0].Status, "no such target") {
			t.Errorf("got %+v", list)
		}
	})
}

func TestTest(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, w *world) {
		w.start()
		w.answers(http.StatusTeapot)
		got, err := w.notifier.Test(t.Context(), "")
		if err != nil || len(got) != 1 || got[0].State != store.NotificationFailed || got[0].Status != "418 I'm a teapot" {
			t.Errorf("got %+v, %v", got, err)
		}
		w.pass(time.Hour)
		if types, _ := w.told(); len(types) != 1 || types[0] != "test" {
			t.Errorf("got %q", types)
		}
		if _, err := w.notifier.Test(t.Context(), "other"); err == nil || err.Error() != `there is no target "other"; there are: hook` {
			t.Errorf("got %v", err)
		}
	})
}

// TestKilledAtEveryWrite: nothing is lost, and what comes twice has the same id.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for at := 1; at <= 8; at++ {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprint(at, after), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, w *world) {
					w.faults.set(at, after)
					w.start()
					w.ask("one")
					w.fail("two")
					w.fail("three")
					w.pass(time.Minute)
					if killed := w.faults.done(); killed != (at <= 8) {
						t.Errorf("killed: %v", killed)
					}
					w.faults.set(0, false)
					w.start()
					w.pass(time.Minute)
					types, ids := w.told()
					slices.Sort(ids)
					if unique := len(slices.Compact(slices.Clone(ids))); unique != 4 || len(types) > 5 {
						t.Errorf("got %q as %q", types, ids)
					}
					for _, v := range w.list() {
						if v.State != store.NotificationDelivered {
							t.Errorf("got %+v", v)
						}
					}
				})
			})
		}
	}
}

var errKilled = errors.New("killed")

type faults struct {
	mu         sync.Mutex
	writes, at int
	after      bool
}

func (f *faults) set(at int, after bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes, f.at, f.after = 0, at, after
}

func (f *faults) done() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.at > 0 && f.writes >= f.at
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

func (s faultyStore) MakeNotifications(ctx context.Context, notice int64, made []store.Notification, keep int) error {
	return s.faults.around(func() error { return s.Store.MakeNotifications(ctx, notice, made, keep) })
}

func (s faultyStore) NoteAttempt(ctx context.Context, n store.Notification, a store.NotificationAttempt) error {
	return s.faults.around(func() error { return s.Store.NoteAttempt(ctx, n, a) })
}
