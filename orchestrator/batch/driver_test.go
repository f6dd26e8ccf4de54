package batch

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestBatchRunsEveryItemOnce(t *testing.T) {
	a := newAgents()
	a.fails["r3"] = 1
	l := live(t, t.TempDir(), a, 0, false)
	made := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named(numbered(9)...), Options: Options{MaxParallel: 3, Priority: 7}})
	view, _ := l.until(made.ID, Done)
	if diff := cmp.Diff(Counts{Succeeded: 8, Failed: 1}, view.Counts); diff != "" {
		t.Error(diff)
	}
	if view.Ended.IsZero() || view.LastEnded != 9 || !view.Settled() {
		t.Errorf("%+v", view)
	}
	for name, n := range a.sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", name, n)
		}
	}
	if len(a.sent) != 9 || a.most > 3 {
		t.Errorf("%d messages, and %d at once", len(a.sent), a.most)
	}
	for _, item := range l.items(made.ID) {
		state, err := l.engine.Wait(t.Context(), item.Task)
		if err != nil || state.Batch != made.ID || state.Priority != 7 || state.Revision != made.Revision || string(state.Status) != string(item.State) {
			t.Errorf("task of item %d: %+v, %v", item.Number, state, err)
		}
		if item.Started.IsZero() || item.EndedAt.Before(item.Started) || item.Ended == 0 {
			t.Errorf("%+v", item)
		}
	}
}

// TestNoMoreThanMayRun holds turns and looks at which items have begun.
func TestNoMoreThanMayRun(t *testing.T) {
	a := newAgents()
	a.heard = make(chan string)
	l := live(t, t.TempDir(), a, 0, false)
	made := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named("hold1", "hold2", "hold3", "hold4"), Options: Options{MaxParallel: 2}})
	got := []string{<-a.heard, <-a.heard}
	slices.Sort(got)
	if !slices.Equal(got, []string{"hold1", "hold2"}) {
		t.Errorf("%v began first", got)
	}
	a.hold <- struct{}{}
	if third := <-a.heard; third != "hold3" {
		t.Errorf("%s began third", third)
	}
	view, err := ReadView(t.Context(), l.store, made.ID, l.driver.now())
	if err != nil || view.Counts.Running != 2 || view.Counts.Pending != 1 {
		t.Errorf("%+v, %v", view.Counts, err)
	}
	l.change(made.ID, Pause)
	a.hold <- struct{}{}
	a.hold <- struct{}{}
	select {
	case name := <-a.heard:
		t.Errorf("%s has begun in a batch that is paused", name)
	default:
	}
	l.change(made.ID, Resume)
	if fourth := <-a.heard; fourth != "hold4" {
		t.Errorf("%s began fourth", fourth)
	}
	a.hold <- struct{}{}
	l.until(made.ID, Done)
}

func TestItemsThatWaitForAPersonTakeNoPlace(t *testing.T) {
	l := live(t, t.TempDir(), newAgents(), 0, false)
	updates := l.engine.Subscribe("")
	defer updates.Close()
	made := l.create(Submission{Team: parseTeam(t, withGate), Items: named(numbered(5)...), Options: Options{MaxParallel: 1}})
	var waiting []string
	for len(waiting) < 5 {
		if u := <-updates.Updates(); u.Record != nil && u.Record.State.Status == workflow.TaskWaiting {
			waiting = append(waiting, u.Task)
		}
	}
	var view View
	for view.Counts.Waiting < 5 { // the last one is noted after its task is made
		var err error
		if view, err = ReadView(t.Context(), l.store, made.ID, l.driver.now()); err != nil {
			t.Fatal(err)
		}
	}
	if !view.Settled() {
		t.Errorf("%+v", view)
	}
	for _, task := range waiting {
		if _, err := l.engine.AnswerGate(t.Context(), task, 1, true, "ann", ""); err != nil {
			t.Fatal(err)
		}
	}
	if view, _ := l.until(made.ID, Done); view.Counts.Succeeded != 5 {
		t.Errorf("%+v", view.Counts)
	}
}

func TestCanaryThresholdRetryAndCancel(t *testing.T) {
	a := newAgents()
	for _, name := range []string{"r2", "r4", "r5"} {
		a.fails[name] = 1
	}
	l := live(t, t.TempDir(), a, 0, false)
	made := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named(numbered(20)...), Options: Options{MaxParallel: 1, Canary: 2, StopWhenFailed: Threshold{Percent: 10}}})
	view, _ := l.until(made.ID, WaitingForCanary)
	if view.Counts.Ended() != 2 || view.Counts.Failed != 1 || !view.Settled() {
		t.Errorf("after the canary: %+v", view.Counts)
	}
	l.change(made.ID, Continue)
	view, _ = l.until(made.ID, Stopped)
	if diff := cmp.Diff(Counts{Pending: 15, Succeeded: 2, Failed: 3, CanaryFailed: 1}, view.Counts); diff != "" {
		t.Errorf("stopped: %s", diff)
	}
	l.change(made.ID, RetryFailed)
	view, _ = l.until(made.ID, Done)
	if diff := cmp.Diff(Counts{Succeeded: 20}, view.Counts); diff != "" {
		t.Errorf("done: %s", diff)
	}
	for _, item := range l.items(made.ID) {
		want := 1
		if item.Key == "r2" || item.Key == "r4" || item.Key == "r5" {
			want = 2
		}
		if item.Attempt != want || len(item.Earlier) != want-1 || a.sent[item.Key] != want {
			t.Errorf("%s: attempt %d, earlier %v, sent %d times", item.Key, item.Attempt, item.Earlier, a.sent[item.Key])
		}
		if want == 2 {
			if task, err := l.store.ByKey(t.Context(), "batch/"+made.ID+"/"+item.Key+"#2"); err != nil || task.Task != item.Task {
				t.Errorf("%s: %s, %v", item.Key, task.Task, err)
			}
		}
	}
	if _, err := l.driver.Change(t.Context(), made.ID, Pause, "ann"); !errors.Is(err, ErrRefused) {
		t.Errorf("pause of a batch that is done: %v", err)
	}

	a.heard = make(chan string, 10)
	held := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named("hold1", "hold2", "hold3"), Options: Options{MaxParallel: 2}})
	<-a.heard
	<-a.heard
	view = l.change(held.ID, Cancel)
	if view.Status != Cancelled || view.Counts.Cancelled != 3 {
		t.Errorf("%s, %+v", view.Status, view.Counts)
	}
	for _, item := range l.items(held.ID) {
		if item.State != ItemCancelled || (item.Task != "") != (item.TaskState == workflow.TaskCancelled) {
			t.Errorf("%+v", item)
		}
	}
	if open, err := l.store.Batches(t.Context(), store.BatchFilter{Open: true}); err != nil || len(open) != 0 {
		t.Errorf("still open: %v, %v", open, err)
	}
}

// TestRetryThatHasEnded has a retry end before the batch takes notice of it: the
// batch has run again all the same, and is done once more.
func TestRetryThatHasEnded(t *testing.T) {
	for _, test := range []struct {
		name    string
		notice  func(*life, string) error
		changes []Status
		attempt int
	}{
		{"it is told", func(l *life, batch string) error { return l.driver.Note(t.Context(), batch) }, []Status{Done, Running, Done}, 2},
		{"it is asked for something", func(l *life, batch string) error {
			unlock := l.driver.lock(batch) // a step that is under way says at its end that all is noted
			l.driver.setNoted(batch, false)
			unlock() // as after a start
			_, err := l.driver.Change(t.Context(), batch, RetryFailed, "ann")
			return err
		}, []Status{Done, Running, Done, Running, Done}, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAgents()
			a.fails["r1"] = 3
			l := live(t, t.TempDir(), a, 0, false)
			batch := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named("r1", "r2")}).ID
			l.until(batch, Done)
			retried, err := l.engine.Retry(t.Context(), l.items(batch)[0].Task, 0)
			if err != nil {
				t.Fatal(err)
			}
			if ended, err := l.engine.Wait(t.Context(), retried.Task); err != nil || ended.Status != workflow.TaskFailed {
				t.Fatalf("%+v, %v", ended, err)
			}
			if err := test.notice(l, batch); err != nil {
				t.Fatal(err)
			}
			view, _ := l.until(batch, Done)
			var changes []Status
			for _, c := range view.Changes {
				changes = append(changes, c.To)
			}
			if !slices.Equal(changes, test.changes) || view.Counts.Failed != 1 {
				t.Errorf("%v, %+v", changes, view.Counts)
			}
			if item := l.items(batch)[0]; item.Attempt != test.attempt || len(item.Earlier) != test.attempt-1 || item.State != ItemFailed {
				t.Errorf("%+v", item)
			}
		})
	}
}

func TestKeysAndGoingOn(t *testing.T) {
	l := live(t, t.TempDir(), newAgents(), 0, false)
	team := parseTeam(t, oneAgent)
	sub := Submission{Team: team, Items: named("hold1", "hold2"), GoOn: true}
	first := l.create(sub)
	again, created, err := l.driver.Create(t.Context(), sub)
	if err != nil || created || again.ID != first.ID {
		t.Errorf("the same items: %s, %v, %v", again.ID, created, err)
	}
	l.change(first.ID, Cancel)
	if other, created, err := l.driver.Create(t.Context(), sub); err != nil || !created || other.ID == first.ID {
		t.Errorf("the same items after the end: %s, %v, %v", other.ID, created, err)
	}
	sub.Key = "k"
	keyed := l.create(sub)
	l.change(keyed.ID, Cancel)
	if same := l.create(sub); same.ID != keyed.ID {
		t.Errorf("the same key gives another batch")
	}
	sub.Items = named("other")
	if _, _, err := l.driver.Create(t.Context(), sub); !errors.Is(err, ErrKeyTaken) {
		t.Errorf("a key with other items: %v", err)
	}
}

// TestItemsThatCannotBeSubmitted fails one item whose task is refused.
func TestItemsThatCannotBeSubmitted(t *testing.T) {
	l := live(t, t.TempDir(), newAgents(), 0, false)
	team := parseTeam(t, oneAgent)
	ids := []string{"B"}
	l.driver.o.IDs = func() string { return ids[0] }
	if _, _, err := l.engine.Submit(t.Context(), engine.Submission{Team: team, Input: map[string]any{"repo": "else"}, Key: "batch/B/r2"}); err != nil {
		t.Fatal(err)
	}
	l.create(Submission{Team: team, Items: named("r1", "r2", "r3")})
	view, _ := l.until("B", Done)
	items := l.items("B")
	if view.Counts.Failed != 1 || items[1].State != ItemFailed || items[1].Task != "" || items[1].Detail == "" {
		t.Errorf("%+v, %+v", view.Counts, items[1])
	}
}

// TestDeathAtEveryWrite ends the process at every write of the driver, before
// and after it was done, and goes on in another one.
func TestDeathAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		t.Run(fmt.Sprintf("after it was done: %v", after), func(t *testing.T) {
			t.Parallel()
			for writes := 1; dies(t, writes, after); writes++ {
			}
		})
	}
}

// dies runs a batch to its end, and its failed items once more, by a process that
// dies at a write and by one that does not. It is false where there are not so many writes.
func dies(t *testing.T, writes int, after bool) bool {
	a := newAgents()
	a.fails["r2"] = 1
	dir := t.TempDir()
	l := live(t, dir, a, writes, after)
	batch := l.create(Submission{Team: parseTeam(t, oneAgent), Items: named("r1", "r2", "r3"), Options: Options{MaxParallel: 2}}).ID
	died := false
	survive := func() {
		if !died {
			died = true
			l.end()
			l = live(t, dir, a, 0, false)
		}
	}
	if _, alive := l.until(batch, Done); !alive {
		survive()
		l.until(batch, Done)
	}
	if _, err := l.driver.Change(t.Context(), batch, RetryFailed, "ann"); errors.Is(err, errDead) {
		survive()
		// It may have been done all the same.
		if _, err := l.driver.Change(t.Context(), batch, RetryFailed, "ann"); err != nil && !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
	} else if err != nil {
		t.Fatal(err)
	}
	for view := (View{}); view.Counts.Succeeded < 3; {
		var alive bool
		if view, alive = l.until(batch, Done); !alive {
			survive()
		}
	}
	l.end()
	check(t, dir, batch, a)
	return died
}

// check asserts that every attempt of every item has one task, and was sent once.
func check(t *testing.T, dir, batch string, a *agents) {
	t.Helper()
	s, err := store.OpenReader(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	tasks, err := s.BatchTasks(t.Context(), batch)
	if err != nil || len(tasks) != 4 {
		t.Errorf("%d tasks, %v", len(tasks), err)
	}
	if diff := cmp.Diff(map[string]int{"r1": 1, "r2": 2, "r3": 1}, a.sent); diff != "" {
		t.Error(diff)
	}
	items, err := Items(t.Context(), s, batch, store.ItemFilter{})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[int64]bool{}
	for _, item := range items {
		if item.State != ItemSucceeded || item.Attempt != a.sent[item.Key] || seen[item.Ended] {
			t.Errorf("%+v", item)
		}
		seen[item.Ended] = true
	}
}
