package store

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func at(seconds int) time.Time {
	return time.Date(2026, 1, 2, 3, 4, seconds, 0, time.UTC)
}

func team() *workflow.Team {
	return &workflow.Team{Name: "t", Revision: "rev", File: "t.yaml", Source: []byte("version: 1\n")}
}

func open(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), Options{Dir: dir, Command: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func opened(t *testing.T) *Store {
	t.Helper()
	s := open(t, t.TempDir())
	if err := s.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Fatal(err)
	}
	return s
}

func queued(id string, seconds int) (workflow.State, workflow.Event) {
	state := workflow.State{Version: 1, Task: id, Team: "t", Revision: "rev", Status: workflow.TaskQueued, Created: at(seconds), Updated: at(seconds),
		Input: map[string]any{"goal": "g"}}
	return state, workflow.Event{At: at(seconds), Body: workflow.TaskSubmitted{Task: id, Team: "t", Revision: "rev", Input: state.Input}}
}

func create(t *testing.T, s *Store, id string, seconds int) workflow.State {
	t.Helper()
	state, event := queued(id, seconds)
	if _, created, err := s.Create(t.Context(), state, event, nil, ""); err != nil || !created {
		t.Fatalf("create %s: created %v, %v", id, created, err)
	}
	return state
}

// step commits an event that changes the state as change says.
func step(t *testing.T, s *Store, state *workflow.State, body workflow.EventBody, change func(*workflow.State)) error {
	t.Helper()
	next := *state
	next.Version++
	if change != nil {
		change(&next)
	}
	err := s.Commit(t.Context(), state.Version, next, workflow.Event{At: next.Updated, Body: body}, nil)
	if err == nil {
		*state = next
	}
	return err
}

func TestCreateAndCommitAreKept(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Fatal(err)
	}
	state := create(t, s, "A", 1)
	effects := []workflow.Effect{workflow.Handoff{To: "coder", ToTurn: 1}, workflow.StartTurn{Turn: 1, Node: "coder", Attempt: 1, Message: "m"}}
	next := state
	next.Version, next.Status, next.Updated = 2, workflow.TaskRunning, at(2)
	next.Turns = []workflow.Turn{{ID: 1, Node: "coder", Attempt: 1, State: workflow.TurnPending, Message: "m"}}
	if err := s.Commit(t.Context(), 1, next, workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, effects); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	s = open(t, dir)
	got, err := s.Task(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(next, got); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	events, err := s.Events(t.Context(), "A", 0)
	if err != nil {
		t.Fatal(err)
	}
	_, first := queued("A", 1)
	want := []Record{
		{Task: "A", Seq: 1, Event: first, Effects: workflow.Effects{}},
		{Task: "A", Seq: 2, Event: workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, Effects: effects},
	}
	if diff := cmp.Diff(want, events, cmp.Transformer("list", func(e workflow.Effects) []workflow.Effect { return e })); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if events, err = s.Events(t.Context(), "A", 1); err != nil || len(events) != 1 || events[0].Seq != 2 {
		t.Errorf("events after 1: %v, %v", events, err)
	}
	revision, err := s.Revision(t.Context(), "rev")
	if err != nil || revision.Name != "t" || revision.File != "t.yaml" || string(revision.Source) != "version: 1\n" || !revision.Created.Equal(at(0)) {
		t.Errorf("revision: %+v, %v", revision, err)
	}
	if _, err := s.Revision(t.Context(), "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown revision: %v", err)
	}
}

func TestCommitWithAnOldVersionChangesNothing(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	stale := state
	if err := step(t, s, &state, workflow.TaskClaimed{}, func(n *workflow.State) { n.Status = workflow.TaskRunning }); err != nil {
		t.Fatal(err)
	}
	err := step(t, s, &stale, workflow.CancelRequested{}, func(n *workflow.State) { n.Status = workflow.TaskCancelled })
	if !errors.Is(err, ErrConflict) {
		t.Fatalf("commit on an old version: %v, want ErrConflict", err)
	}
	got, err := s.Task(t.Context(), "A")
	if err != nil || got.Status != workflow.TaskRunning || got.Version != 2 {
		t.Errorf("task: %+v, %v", got, err)
	}
	if events, err := s.Events(t.Context(), "A", 0); err != nil || len(events) != 2 {
		t.Errorf("%d events, %v; want 2", len(events), err)
	}
}

func TestIdempotencyKeyHoldsForEver(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if err := s.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Fatal(err)
	}
	state, event := queued("A", 1)
	if id, created, err := s.Create(t.Context(), state, event, nil, "key"); id != "A" || !created || err != nil {
		t.Fatalf("first: %s %v %v", id, created, err)
	}
	if err := step(t, s, &state, workflow.CancelRequested{}, func(n *workflow.State) { n.Status = workflow.TaskCancelled }); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir)
	again, event := queued("B", 2)
	if id, created, err := s.Create(t.Context(), again, event, nil, "key"); id != "A" || created || err != nil {
		t.Errorf("second: %s %v %v, want A, not created", id, created, err)
	}
	if _, err := s.Task(t.Context(), "B"); !errors.Is(err, ErrNotFound) {
		t.Errorf("task B: %v", err)
	}
	if got, err := s.ByKey(t.Context(), "key"); err != nil || got.Task != "A" {
		t.Errorf("by key: %+v, %v", got, err)
	}
	if _, err := s.ByKey(t.Context(), "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("by unknown key: %v", err)
	}
	// No key is not a key that two tasks share.
	create(t, s, "C", 3)
	create(t, s, "D", 3)
}

func TestTaskByPartOfItsID(t *testing.T) {
	s := opened(t)
	for i, id := range []string{"01AB", "01AC", "02AC", "0_%X", "01AB99"} {
		create(t, s, id, i)
	}
	for _, tt := range []struct {
		name, want string
		err        error
		matches    []string
	}{
		{name: "01AB", want: "01AB"}, // equal, although it is a prefix too
		{name: "02", want: "02AC"},
		{name: "02a", want: "02AC"},
		{name: "b99", want: "01AB99"},
		{name: "AC", err: ErrAmbiguous, matches: []string{"02AC", "01AC"}},
		{name: "0_", want: "0_%X"}, // no wildcards
		{name: "%", err: ErrNotFound},
		{name: "zz", err: ErrNotFound},
		{name: "", err: ErrNotFound},
	} {
		state, err := s.Task(t.Context(), tt.name)
		if state.Task != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Task(%q) = %q, %v; want %q, %v", tt.name, state.Task, err, tt.want, tt.err)
		}
		if ambiguous, ok := errors.AsType[*AmbiguousError](err); ok && cmp.Diff(tt.matches, ambiguous.Matches) != "" {
			t.Errorf("Task(%q) lists %v, want %v", tt.name, ambiguous.Matches, tt.matches)
		}
	}
}

func TestAmbiguousListIsBounded(t *testing.T) {
	s := opened(t)
	for i := range maxMatches + 2 {
		create(t, s, fmt.Sprintf("X%02d", i), i)
	}
	_, err := s.Task(t.Context(), "x")
	ambiguous, ok := errors.AsType[*AmbiguousError](err)
	if !ok || len(ambiguous.Matches) != maxMatches || !ambiguous.More {
		t.Errorf("got %v", err)
	}
}

func TestListFiltersAndPages(t *testing.T) {
	s := opened(t)
	for i, id := range []string{"A", "B", "C", "D"} {
		state := create(t, s, id, min(i, 2)) // C and D at the same time
		if id == "B" {
			if err := step(t, s, &state, workflow.CancelRequested{}, func(n *workflow.State) { n.Status = workflow.TaskCancelled }); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name   string
		filter Filter
		want   string
	}{
		{"all", Filter{}, "D C B A"},
		{"limit", Filter{Limit: 2}, "D C"},
		{"next page", Filter{Limit: 2, After: "C"}, "B A"},
		{"same time", Filter{Limit: 1, After: "D"}, "C"},
		{"status", Filter{Status: []workflow.TaskState{workflow.TaskCancelled, workflow.TaskFailed}}, "B"},
		{"team", Filter{Team: "t", Status: []workflow.TaskState{workflow.TaskQueued}}, "D C A"},
		{"other team", Filter{Team: "u"}, ""},
	} {
		list, err := s.List(t.Context(), tt.filter)
		var ids []string
		for _, state := range list {
			ids = append(ids, state.Task)
		}
		if got := strings.Join(ids, " "); got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	refs, err := s.Unfinished(t.Context())
	if want := []Ref{{"A", "queued"}, {"C", "queued"}, {"D", "queued"}}; err != nil || cmp.Diff(want, refs) != "" {
		t.Errorf("unfinished: %v, %v", refs, err)
	}
}

func TestWakeTimes(t *testing.T) {
	s := opened(t)
	a, b := create(t, s, "A", 1), create(t, s, "B", 2)
	wait := func(state *workflow.State, wake time.Time) {
		t.Helper()
		if err := step(t, s, state, workflow.TimerFired{}, func(n *workflow.State) { n.Status, n.WakeAt = workflow.TaskWaiting, wake }); err != nil {
			t.Fatal(err)
		}
	}
	wait(&a, at(10).Add(1500*time.Nanosecond))
	wait(&b, at(20))
	for _, tt := range []struct {
		now  time.Time
		only []string
		due  string
		next time.Time
	}{
		{at(5), nil, "", at(10).Add(2 * time.Microsecond)},
		{at(10).Add(time.Microsecond), nil, "", at(10).Add(2 * time.Microsecond)}, // rounded up, not down
		{at(10).Add(2 * time.Microsecond), nil, "A", at(20)},
		{at(20), nil, "A B", time.Time{}},
		{at(20), []string{"B"}, "B", time.Time{}},
		{at(5), []string{"B"}, "", at(20)},
		{at(30), []string{}, "", time.Time{}},
	} {
		due, err := s.Due(t.Context(), tt.now, tt.only)
		if got := strings.Join(due, " "); got != tt.due || err != nil {
			t.Errorf("due at %s of %v: %q, %v; want %q", tt.now, tt.only, got, err, tt.due)
		}
		next, err := s.NextWake(t.Context(), tt.now, tt.only)
		if !next.Equal(tt.next) || err != nil {
			t.Errorf("next wake after %s of %v: %s, %v; want %s", tt.now, tt.only, next, err, tt.next)
		}
	}
	wait(&a, time.Time{})
	if due, err := s.Due(t.Context(), at(15), nil); len(due) != 0 || err != nil {
		t.Errorf("due after the wake time was cleared: %v, %v", due, err)
	}
}

func TestOneTurnAtATimePerConversation(t *testing.T) {
	s := opened(t)
	a, b := create(t, s, "A", 1), create(t, s, "B", 2)
	rt := workflow.Runtime{Server: "s", AgentID: "agent", ConversationID: "c"}
	if err := s.SaveRuntime(t.Context(), Runtime{Runtime: rt, CWD: "/w", Mode: "standard", Role: "coder", Agent: "coder", Task: "A", Raw: []byte(`{"x": 1}`)}, at(3)); err != nil {
		t.Fatal(err)
	}
	live := func(state workflow.TurnState) func(*workflow.State) {
		return func(n *workflow.State) {
			n.Turns = []workflow.Turn{{ID: 1, Attempt: 1, State: state, Runtime: rt}}
		}
	}
	sending := workflow.TurnSending{Turn: 1, Attempt: 1, ClientMessageID: "m", Runtime: rt}
	if err := step(t, s, &a, sending, live(workflow.TurnSent)); err != nil {
		t.Fatal(err)
	}
	before := b
	err := step(t, s, &b, sending, live(workflow.TurnSent))
	busy, ok := errors.AsType[*BusyError](err)
	if !ok || !errors.Is(err, ErrConversationBusy) || busy.Holder != (ActiveTurn{"A", 1, 1}) {
		t.Fatalf("second turn: %v, want busy with turn 1 of A", err)
	}
	if got, err := s.Task(t.Context(), "B"); err != nil || got.Version != before.Version {
		t.Errorf("the refused turn left version %d, %v", got.Version, err)
	}
	// Saving the runtime again and accepting the input keep the mark.
	if err := s.SaveRuntime(t.Context(), Runtime{Runtime: rt, CWD: "/w2", Task: "B"}, at(4)); err != nil {
		t.Fatal(err)
	}
	if err := step(t, s, &a, workflow.TurnAccepted{Turn: 1, Attempt: 1}, live(workflow.TurnRunning)); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Runtimes(t.Context(), RuntimeFilter{Active: true})
	want := []Runtime{{Runtime: rt, CWD: "/w2", Task: "B", FirstStarted: at(3), LastStarted: at(4), Active: ActiveTurn{"A", 1, 1}}}
	if diff := cmp.Diff(want, rows); diff != "" || err != nil {
		t.Errorf("runtimes (-want +got), %v:\n%s", err, diff)
	}
	if err := step(t, s, &a, workflow.TurnFinished{Turn: 1, Attempt: 1}, func(n *workflow.State) { n.Turns = nil }); err != nil {
		t.Fatal(err)
	}
	if err := step(t, s, &b, sending, live(workflow.TurnSent)); err != nil {
		t.Errorf("after the first turn ended: %v", err)
	}
	// Whatever ends the turn gives the conversation back, also another attempt to come.
	for _, end := range []workflow.EventBody{workflow.TurnReconciled{Turn: 1, Attempt: 1}, workflow.CancelRequested{}} {
		if err := step(t, s, &b, end, live(workflow.TurnPending)); err != nil {
			t.Fatal(err)
		}
		if rows, err := s.Runtimes(t.Context(), RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
			t.Errorf("%T left %+v, %v", end, rows, err)
		}
		if err := step(t, s, &b, sending, live(workflow.TurnSent)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRuntimesFilter(t *testing.T) {
	s := opened(t)
	for i, rt := range []workflow.Runtime{{Server: "s", AgentID: "a", ConversationID: "1"}, {Server: "s", AgentID: "a", ConversationID: "2"}, {Server: "u", AgentID: "b", ConversationID: "1"}} {
		if err := s.SaveRuntime(t.Context(), Runtime{Runtime: rt, Task: fmt.Sprint("T", i)}, at(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		filter RuntimeFilter
		want   string
	}{
		{RuntimeFilter{}, "T2 T1 T0"},
		{RuntimeFilter{Server: "s"}, "T1 T0"},
		{RuntimeFilter{AgentID: "b"}, "T2"},
		{RuntimeFilter{ConversationID: "1"}, "T2 T0"},
		{RuntimeFilter{Task: "T1"}, "T1"},
		{RuntimeFilter{Active: true}, ""},
	} {
		rows, err := s.Runtimes(t.Context(), tt.filter)
		var tasks []string
		for _, row := range rows {
			tasks = append(tasks, row.Task)
		}
		if got := strings.Join(tasks, " "); got != tt.want || err != nil {
			t.Errorf("%+v: %q, %v; want %q", tt.filter, got, err, tt.want)
		}
	}
}

// holdLock opens a data directory until its standard input ends.
func holdLock(dir string) {
	s, err := Open(context.Background(), Options{Dir: dir, Command: "holder"})
	if err != nil {
		fmt.Fprintln(os.Stdout, err)
		return
	}
	fmt.Fprintln(os.Stdout, "open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Close()
}

func TestSecondProcessIsRefused(t *testing.T) {
	dir := t.TempDir()
	holder := exec.Command(os.Args[0])
	holder.Env = append(os.Environ(), holdLockEnv+"="+dir)
	in, err := holder.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := holder.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("holder says %q, %v", line, err)
	}
	_, err = Open(t.Context(), Options{Dir: dir})
	locked, ok := errors.AsType[*LockedError](err)
	if !ok || !errors.Is(err, ErrLocked) || locked.PID != holder.Process.Pid || locked.Command != "holder" {
		t.Errorf("second opener: %v, want locked by process %d", err, holder.Process.Pid)
	}
	// Reading needs no lock.
	reader, err := OpenReader(t.Context(), dir)
	if err != nil {
		t.Errorf("reader: %v", err)
	} else if err := reader.Close(); err != nil {
		t.Error(err)
	}
	// A killed holder leaves no lock behind.
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait() // "signal: killed"
	_ = in.Close()
	open(t, dir)
}

func TestSecondOpenerInTheSameProcess(t *testing.T) {
	dir := t.TempDir()
	first := open(t, dir)
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrLocked) {
		t.Fatalf("second opener: %v", err)
	}
	if err := first.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Errorf("the first one after a refused second one: %v", err)
	}
}

func TestReader(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenReader(t.Context(), filepath.Join(dir, "none")); !errors.Is(err, ErrNoStore) {
		t.Errorf("no directory: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReader(t.Context(), dir); !errors.Is(err, ErrNoStore) {
		t.Errorf("empty file: %v", err)
	}
	s := open(t, dir)
	if err := s.SaveRevision(t.Context(), team(), at(0)); err != nil {
		t.Fatal(err)
	}
	create(t, s, "A", 1)
	read := func(when string) {
		t.Helper()
		reader, err := OpenReader(t.Context(), dir)
		if err != nil {
			t.Fatalf("%s: %v", when, err)
		}
		if state, err := reader.Task(t.Context(), "A"); err != nil || state.Task != "A" {
			t.Errorf("%s: %+v, %v", when, state, err)
		}
		if err := reader.SaveRevision(t.Context(), team(), at(0)); !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: write: %v, want ErrReadOnly", when, err)
		}
		if err := reader.Close(); err != nil {
			t.Error(err)
		}
	}
	read("beside the writer")
	create(t, s, "B", 2) // the reader's Close took no lock of the writer away
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	read("after the writer")
}

func TestDirectoryIsPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b?c#d%e", "data")
	open(t, dir)
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	// SQLite gives the files beside it the same permissions.
	for _, name := range []string{FileName, FileName + "-wal", FileName + "-shm"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestOtherSchemaIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.writes.ExecContext(t.Context(), "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), Options{Dir: dir})
	if schema, ok := errors.AsType[*SchemaError](err); !ok || schema.Found != 9999 || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("writer: %v", err)
	}
	if _, err := OpenReader(t.Context(), dir); !errors.Is(err, ErrSchema) {
		t.Errorf("reader: %v", err)
	}
	// A refused opener gives the lock back.
	if _, err := Open(t.Context(), Options{Dir: dir}); errors.Is(err, ErrLocked) {
		t.Errorf("again: %v", err)
	}
}

func TestDamagedFileIsFoundAtTheStart(t *testing.T) {
	dir := t.TempDir()
	s := opened(t)
	for i := range 200 {
		create(t, s, fmt.Sprintf("T%03d", i), i%60)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(s.file())
	if err != nil {
		t.Fatal(err)
	}
	for i := len(content) / 2; i < len(content); i++ {
		content[i] = 0xa5
	}
	if err := os.WriteFile(filepath.Join(dir, FileName), content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{Dir: dir}); !errors.Is(err, ErrStorage) || !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestFullDiskLeavesNothingHalfWritten(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	var pages int
	if err := s.writes.QueryRowContext(t.Context(), "PRAGMA page_count").Scan(&pages); err != nil {
		t.Fatal(err)
	}
	if _, err := s.writes.ExecContext(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages)); err != nil {
		t.Fatal(err)
	}
	err := step(t, s, &state, workflow.TaskClaimed{}, func(n *workflow.State) {
		n.Status, n.Input = workflow.TaskRunning, map[string]any{"goal": strings.Repeat("x", 1<<20)}
	})
	if !errors.Is(err, ErrStorage) || !strings.Contains(err.Error(), "free disk space") {
		t.Fatalf("commit on a full disk: %v", err)
	}
	got, err := s.Task(t.Context(), "A")
	if err != nil || got.Status != workflow.TaskQueued {
		t.Errorf("task: %+v, %v", got, err)
	}
	if events, err := s.Events(t.Context(), "A", 0); err != nil || len(events) != 1 {
		t.Errorf("%d events, %v; want 1", len(events), err)
	}
	if err := step(t, s, &state, workflow.TaskClaimed{}, nil); err != nil {
		t.Errorf("a commit that fits, afterwards: %v", err)
	}
}

func TestUnreadableEventIsNoFailureOfTheStore(t *testing.T) {
	s := opened(t)
	create(t, s, "A", 1)
	if _, err := s.writes.ExecContext(t.Context(), `UPDATE events SET event = '{"type":"from_the_future","body":{}}'`); err != nil {
		t.Fatal(err)
	}
	_, err := s.Events(t.Context(), "A", 0)
	if !errors.Is(err, ErrUnreadable) || errors.Is(err, ErrStorage) || !strings.Contains(err.Error(), "from_the_future") {
		t.Errorf("got %v", err)
	}
}

func TestEndedContextAndClosedStore(t *testing.T) {
	s := opened(t)
	state := create(t, s, "A", 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("why")
	cancel(why)
	next := state
	next.Version++
	err := s.Commit(ctx, state.Version, next, workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, nil)
	if !errors.Is(err, why) || errors.Is(err, ErrStorage) {
		t.Errorf("ended ctx: %v", err)
	}
	s.writing <- struct{}{} // somebody writes
	if err := s.Commit(ctx, state.Version, next, workflow.Event{At: at(2), Body: workflow.TaskClaimed{}}, nil); !errors.Is(err, why) {
		t.Errorf("ended ctx while another one writes: %v", err)
	}
	<-s.writing
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Errorf("close twice: %v", err)
	}
	if _, err := s.Task(t.Context(), "A"); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	if err := step(t, s, &state, workflow.TaskClaimed{}, nil); !errors.Is(err, ErrClosed) {
		t.Errorf("write after close: %v", err)
	}
}

func TestDurabilitySettings(t *testing.T) {
	s := opened(t)
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "foreign_keys": "1", "busy_timeout": "5000"} {
		var got string
		if err := s.writes.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s = %q, %v; want %q", pragma, got, err, want)
		}
	}
	state, event := queued("A", 1)
	state.Revision = "unknown"
	if _, _, err := s.Create(t.Context(), state, event, nil, ""); !errors.Is(err, ErrStorage) {
		t.Errorf("task of an unknown revision: %v", err)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := Open(b.Context(), Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.SaveRevision(b.Context(), team(), at(0)); err != nil {
		b.Fatal(err)
	}
	state, event := queued("A", 1)
	if _, _, err := s.Create(b.Context(), state, event, nil, ""); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		next := state
		next.Version++
		if err := s.Commit(b.Context(), state.Version, next, workflow.Event{At: at(2), Body: workflow.TurnAccepted{Turn: 1, Attempt: 1}}, nil); err != nil {
			b.Fatal(err)
		}
		state = next
	}
}
