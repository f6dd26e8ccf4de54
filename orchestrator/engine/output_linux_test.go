package engine

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// limitFiles sets how long files may become: writing more fails as on a full disk.
func limitFiles(t *testing.T, limit uint64) (undo func()) {
	t.Helper()
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		t.Fatal(err)
	}
	set := func(limit syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Error(err)
		}
	}
	set(syscall.Rlimit{Cur: limit, Max: before.Max})
	return func() { set(before) }
}

// There is room for the store, and none for the file of a long output. The turn has
// ended, its output is kept in memory, and recorded, once and whole, when there is room.
func TestLongOutputThatDoesNotFitOnTheDisk(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	f, dir := &fake{server: newServer()}, t.TempDir()
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		out := endTurn(req)
		if req.Agent.Name == "coder" {
			out.Output = long
		}
		return out, nil
	}
	s := openStore(t, t.TempDir())
	e := newEngine(s, f, withChecks(&commands{}), func(o *Options) { o.OutputDir = dir })
	news := e.Subscribe("nobody")
	defer news.Close()
	room := limitFiles(t, 2<<20) // more than the store, and the prober's file, need
	defer func() { room() }()
	run(t, e)
	id := e.mustSubmit(t, parse(t, checked))
	told := await(t, news, func(u Update) bool { return u.Storage != nil })
	if !errors.Is(told.Storage.Err, store.ErrUnavailable) || !strings.Contains(told.Storage.Err.Error(), "keep the output") {
		t.Errorf("told %v", told.Storage.Err)
	}
	if state, err := s.Task(t.Context(), id); err != nil || len(state.Turns) != 1 || state.Turns[0].State != workflow.TurnRunning {
		t.Errorf("%+v, %v", state, err)
	}
	if left, err := os.ReadDir(dir + "/" + id); err == nil && len(left) > 1 {
		t.Errorf("left on the disk: %v", left)
	}
	room()
	room = func() {}
	await(t, news, func(u Update) bool { return u.Storage != nil && !u.Storage.Over.IsZero() })
	sub := e.Subscribe(id)
	defer sub.Close()
	state := record(t, s, sub, id, func(s workflow.State) bool { return s.Nodes["coder"].Output != "" })
	if whole, err := os.ReadFile(state.Nodes["coder"].OutputFile); err != nil || string(whole) != long {
		t.Errorf("%d bytes are kept, %v", len(whole), err)
	}
	if f.server.sent[id+".1.1"] != 1 {
		t.Errorf("inputs %v", f.server.sent)
	}
}
