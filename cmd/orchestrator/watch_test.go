package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// program runs the program without a terminal and returns its standard output.
func program(t *testing.T, dir string, status int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "orchestrator", args...) // TestMain puts it there
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "ORCHESTRATOR_DATA_DIR="+filepath.Join(dir, "data"))
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() != status) || err == nil && status != 0 {
		t.Fatalf("%v: %v, want status %d\n%s", args, err, status, out)
	}
	return string(out)
}

func TestWatchOnATerminal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gate.yaml"), []byte(gateTeam), 0o600); err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`[0-9A-Z]{26}`).FindString(program(t, dir, exitWaiting, "run", "gate.yaml"))
	x := startOnTerminal(t, dir, "watch")
	x.await("1 waiting for a person")
	x.await(id)
	x.press("\r")
	x.await("Merge it?")
	x.await("esc: back")
	x.press("\x1b")
	x.await("q: end")
	program(t, dir, 0, "approve", id)
	x.await("merge ended with approved")
	x.press("q")
	x.exits(0)

	again := startOnTerminal(t, dir, "watch")
	again.await(id)
	again.press(ctrlC)
	again.exits(exitInterrupted)
}

// task makes a state as watch gets it.
func task(id, team string, status workflow.TaskState, change ...func(*workflow.State)) workflow.State {
	at := time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)
	s := workflow.State{Version: 1, Task: id, Team: team, Status: status, Created: at, Updated: at.Add(time.Minute)}
	for _, c := range change {
		c(&s)
	}
	return s
}

func atGate(s *workflow.State) {
	s.Turns = []workflow.Turn{{ID: 1, Node: "merge", Kind: workflow.KindGate, State: workflow.TurnRunning}}
}

func TestBoardOrder(t *testing.T) {
	var b board
	b.with([]workflow.State{
		task("ended", "a", workflow.TaskSucceeded), task("queued", "a", workflow.TaskQueued), task("running", "a", workflow.TaskRunning),
		task("paused", "a", workflow.TaskPaused), task("asks", "a", workflow.TaskWaiting, atGate),
	})
	var got []string
	for _, s := range b.sorted() {
		got = append(got, s.Task)
	}
	if want := []string{"asks", "paused", "running", "queued", "ended"}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	if got, want := b.totals(), "1 waiting for a person · 1 paused · 1 running · 1 queued · 1 ended"; got != want {
		t.Errorf("totals %q, want %q", got, want)
	}
	old := task("running", "a", workflow.TaskQueued)
	old.Version = 0
	b.with([]workflow.State{old})
	if got := b.tasks["running"].Status; got != workflow.TaskRunning {
		t.Errorf("an older state replaces a newer one: %s", got)
	}
}

func TestBatchesAreShown(t *testing.T) {
	m := newWatchModel(palette{}, place{}, nil)
	var views []batch.View
	for range maxBars + 2 {
		views = append(views, batch.View{
			State: batch.State{Name: "upgrade", Items: 4, Status: batch.Running}, Counts: batch.Counts{Succeeded: 1, Failed: 1, Running: 1, Pending: 1},
		})
	}
	shown, _ := m.Update(batchesMsg(views))
	if n := strings.Count(shown.View().Content, "batch upgrade █████████████░░░░░░░░░░░░░ 2/4 · 1 failed · 1 running"); n != maxBars {
		t.Errorf("%d bars are shown, want %d:\n%s", n, maxBars, shown.View().Content)
	}
}

func TestBoardForgetsTheOldest(t *testing.T) {
	var b board
	var states []workflow.State
	for i := range boardEnded + 5 {
		id := string(rune('a'+i%26)) + time.Duration(i).String()
		states = append(states, task(id, "a", workflow.TaskSucceeded, func(s *workflow.State) { s.Updated = s.Updated.Add(time.Duration(i) * time.Second) }))
	}
	b.with(append(states, task("live", "a", workflow.TaskRunning)))
	if got, want := len(b.tasks), boardEnded+1; got != want {
		t.Errorf("%d tasks are kept, want %d", got, want)
	}
	if _, there := b.tasks[states[0].Task]; there {
		t.Error("the oldest is still there")
	}
}

// keyed presses keys in a model.
func keyed(m watchModel, keys ...string) (watchModel, tea.Cmd) {
	var next tea.Cmd
	for _, k := range keys {
		m, next = m.key(k)
	}
	return m, next
}

func TestWatchKeys(t *testing.T) {
	var read []string
	m := newWatchModel(palette{}, place{}, func(task string) storyMsg {
		read = append(read, task)
		return storyMsg{task: task, err: errors.New("it is gone")}
	})
	var states []workflow.State
	for _, id := range []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"} {
		states = append(states, task(id, "a", workflow.TaskRunning))
	}
	resized, _ := m.Update(tea.WindowSizeMsg{Width: 120, Height: 8})
	shown, _ := resized.(watchModel).Update(statesMsg(states))
	m = shown.(watchModel)
	if m.chosen != "1" {
		t.Fatalf("%q is chosen at first", m.chosen)
	}
	m, _ = keyed(m, "up", "down", "down")
	if m.chosen != "3" {
		t.Errorf("%q is chosen, want the third", m.chosen)
	}
	m, _ = keyed(m, "end")
	if text := m.View().Content; m.chosen != "9" || !strings.Contains(text, "›") || strings.Contains(text, "more below") {
		t.Errorf("%q is chosen at the end:\n%s", m.chosen, text)
	}
	m, next := keyed(m, "home", "enter")
	if next == nil {
		t.Fatal("enter reads no story")
	}
	told, _ := m.tell(next().(storyMsg))
	if text := told.View().Content; !strings.Contains(text, "it is gone") || !slices.Equal(read, []string{"1"}) {
		t.Errorf("the story of %v is not shown:\n%s", read, text)
	}
	if back, next := keyed(told, "esc"); back.story != "" || next != nil || !strings.Contains(back.View().Content, "›") {
		t.Error("escape does not go back to the table")
	}
	// What is no longer wanted when it comes is not shown, and what changed meanwhile is read again.
	back, _ := keyed(m, "esc")
	if late, _ := back.tell(storyMsg{task: "1"}); late.story != "" || late.reads {
		t.Error("a story that comes late is shown")
	}
	changed, _ := m.with([]workflow.State{task("1", "a", workflow.TaskSucceeded)})
	if again, next := changed.tell(storyMsg{task: "1"}); next == nil || !again.reads {
		t.Error("a story that has changed while it was read is not read again")
	}
	_, next = keyed(newWatchModel(palette{}, place{}, nil), "q")
	if next == nil {
		t.Error("q does not end")
	}
	lost, _ := m.Update(lostMsg{errors.New("refused")})
	lostModel, _ := keyed(lost.(watchModel), "esc")
	if !strings.Contains(lostModel.View().Content, "does not answer any more") {
		t.Error("a daemon that does not answer is not told")
	}
}
