package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"modernc.org/sqlite"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// commits counts the transactions that are committed from now on.
func commits(t *testing.T, s *Store) *int {
	t.Helper()
	conn, err := s.writes.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	n := new(int)
	if err := conn.Raw(func(driver any) error {
		driver.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			*n++
			return 0
		})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// together has writes wait for each other, in their order, and returns what came of them.
func together(s *Store, writes ...func() error) []error {
	s.writing <- struct{}{}
	results := make([]error, len(writes))
	var all sync.WaitGroup
	for i, write := range writes {
		all.Go(func() { results[i] = write() })
		for waiting := 0; waiting <= i; runtime.Gosched() {
			s.queue.mu.Lock()
			waiting = len(s.queue.items)
			s.queue.mu.Unlock()
		}
	}
	<-s.writing
	all.Wait()
	return results
}

func claimed(ctx context.Context, s *Store, state workflow.State, input string) func() error {
	next := state
	next.Version++
	next.Status, next.Input = workflow.TaskRunning, map[string]any{"goal": input}
	return func() error {
		return s.Commit(ctx, state.Version, next, workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, nil)
	}
}

func TestWritesThatWaitAreOneTransaction(t *testing.T) {
	s := opened(t)
	var writes []func() error
	for i := range 20 {
		writes = append(writes, claimed(t.Context(), s, create(t, s, fmt.Sprint("T", i), 1), "g"))
	}
	stale := create(t, s, "STALE", 1)
	stale.Version = 7
	writes = append(writes[:10:10], append([]func() error{claimed(t.Context(), s, stale, "g")}, writes[10:]...)...)
	n := commits(t, s)
	for i, err := range together(s, writes...) {
		if i == 10 != errors.Is(err, ErrConflict) || i != 10 && err != nil {
			t.Errorf("write %d: %v", i, err)
		}
	}
	if *n != 1 {
		t.Errorf("%d transactions, want 1", *n)
	}
	for i := range 20 {
		if state, err := s.Task(t.Context(), fmt.Sprint("T", i)); err != nil || state.Version != 2 {
			t.Errorf("version %d, %v", state.Version, err)
		}
	}
	if events, err := s.Events(t.Context(), "STALE", 0); err != nil || len(events) != 1 {
		t.Errorf("of the write that failed there are %d events, %v", len(events), err)
	}
}

// A disk that is full for one write, which is too long, is not full for the others.
func TestWriteThatTheFileDoesNotTakeFailsAlone(t *testing.T) {
	s := opened(t)
	a, b, c := create(t, s, "A", 1), create(t, s, "B", 1), create(t, s, "C", 1)
	var pages int
	if err := s.writes.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages+50)); err != nil {
		t.Fatal(err)
	}
	results := together(s, claimed(t.Context(), s, a, "g"), claimed(t.Context(), s, b, strings.Repeat("x", 1<<20)), claimed(t.Context(), s, c, "g"))
	if results[0] != nil || !errors.Is(results[1], ErrUnavailable) || results[2] != nil {
		t.Errorf("%v", results)
	}
	for id, want := range map[string]int64{"A": 2, "B": 1, "C": 2} {
		if state, err := s.Task(t.Context(), id); err != nil || state.Version != want {
			t.Errorf("%s: version %d, want %d, %v", id, state.Version, want, err)
		}
	}
}

func TestWriteThatIsGivenUpLeavesTheOthers(t *testing.T) {
	s := opened(t)
	a := create(t, s, "A", 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	gives := func(*sql.Tx) error {
		cancel(why) // while the others are in the same transaction
		return nil
	}
	given := func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE tasks SET team = 'x'")
		return s.fail(ctx, "be given up", err)
	}
	results := together(s,
		func() error { return s.write(t.Context(), "give up the next", gives) },
		func() error { return s.write(ctx, "be given up", given) },
		claimed(t.Context(), s, a, "g"))
	if results[0] != nil || !errors.Is(results[1], why) || results[2] != nil {
		t.Errorf("%v", results)
	}
	if state, err := s.Task(t.Context(), "A"); err != nil || state.Version != 2 || state.Team != "t" {
		t.Errorf("%+v, %v", state, err)
	}
}

func TestPanicIsTheErrorOfOneWrite(t *testing.T) {
	s := opened(t)
	a, b := create(t, s, "A", 1), create(t, s, "B", 1)
	panics := func() error { return s.write(t.Context(), "do it", func(*sql.Tx) error { panic("wrong") }) }
	results := together(s, claimed(t.Context(), s, a, "g"), panics, claimed(t.Context(), s, b, "g"))
	if results[0] != nil || results[2] != nil || results[1] == nil || !strings.Contains(results[1].Error(), "do it: panic: wrong") {
		t.Errorf("%v", results)
	}
	if err := panics(); err == nil || errors.Is(err, ErrStorage) {
		t.Errorf("alone: %v", err)
	}
	if state, err := s.Task(t.Context(), "B"); err != nil || state.Version != 2 {
		t.Errorf("version %d, %v", state.Version, err)
	}
}

// Those who wait when the store is closed get an answer, and those who come later.
func TestCloseAnswersAllWrites(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	s.writing <- struct{}{}
	var all sync.WaitGroup
	var waited, closed error
	all.Go(func() { waited = claimed(t.Context(), s, state, "g")() })
	for waiting := 0; waiting == 0; runtime.Gosched() {
		s.queue.mu.Lock()
		waiting = len(s.queue.items)
		s.queue.mu.Unlock()
	}
	all.Go(func() { closed = s.Close() })
	for !s.closed.Load() {
		runtime.Gosched()
	}
	<-s.writing
	all.Wait()
	if closed != nil || waited != nil && !errors.Is(waited, ErrClosed) {
		t.Errorf("%v, %v", closed, waited)
	}
	if err := claimed(t.Context(), s, state, "g")(); !errors.Is(err, ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestSeveralDecisionsAreStoredAllOrNone(t *testing.T) {
	s := opened(t)
	first := create(t, s, "A", 1)
	second := first
	second.Version, second.Status = 2, workflow.TaskRunning
	third := second
	third.Version = 3
	rt := &Runtime{Runtime: workflow.Runtime{Server: "s", AgentID: "a", ConversationID: "c"}, CWD: "/w", Agent: "coder", Task: "A", Raw: []byte(`{}`)}
	decisions := []Decision{
		{Prev: 1, Was: &first, State: &second, Event: workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, Runtime: rt},
		{Prev: 1, Was: &second, State: &third, Event: workflow.Event{At: at(3), Body: workflow.ProgressReported{Turn: 1}}},
	}
	if err := s.CommitAll(t.Context(), decisions); !errors.Is(err, ErrConflict) {
		t.Errorf("the second is on an old version: %v", err)
	}
	if state, err := s.Task(t.Context(), "A"); err != nil || state.Version != 1 {
		t.Errorf("version %d, %v", state.Version, err)
	}
	if found, err := s.Runtimes(t.Context(), RuntimeFilter{}); err != nil || len(found) != 0 {
		t.Errorf("runtimes %+v, %v", found, err)
	}
	decisions[1].Prev = 2
	if err := s.CommitAll(t.Context(), decisions); err != nil {
		t.Fatal(err)
	}
	state, err := s.Task(t.Context(), "A")
	if diff := cmp.Diff(third, state); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if found, err := s.Runtimes(t.Context(), RuntimeFilter{}); err != nil || len(found) != 1 || found[0].CWD != "/w" || !found[0].FirstStarted.Equal(at(2)) {
		t.Errorf("runtimes %+v, %v", found, err)
	}
}

func TestCheckpointEmptiesTheLog(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	for range 3 {
		if err := step(t, s, &state, workflow.TaskClaimed{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	s.checkpoint()
	var busy, pages, copied int
	if err := s.writes.QueryRowContext(t.Context(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &copied); err != nil || pages != copied {
		t.Errorf("%d of %d pages are copied, %v", copied, pages, err)
	}
}
