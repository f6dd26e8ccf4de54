package transcript

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The file of a task goes when none of its transcripts was written for a time, and
// not while one of them is open.
func TestTaskGoesAsAWhole(t *testing.T) {
	dir := t.TempDir()
	f := newFiles(t, dir)
	open := f.Begin(start("OPEN", 1))
	for turn := 1; turn <= 2; turn++ {
		f.Begin(start("OVER.3.a", turn)).Close(nil)
	}
	f.Begin(start("YOUNG", 1)).Close(nil)
	flushed(f)
	old := time.Now().Add(-2 * time.Hour)
	for _, task := range []string{"OPEN", "OVER.3.a"} {
		if err := os.Chtimes(fileOf(dir, task), old, old); err != nil {
			t.Fatal(err)
		}
	}
	left := func() (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			names = append(names, TaskOf(entry))
		}
		return names
	}
	if diff := cmp.Diff([]string{"OPEN", "OVER.3.a", "YOUNG"}, left()); diff != "" {
		t.Error(diff)
	}
	if removed, err := RemoveBefore(dir, time.Now().Add(-time.Hour), f); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	if diff := cmp.Diff([]string{"OPEN", "YOUNG"}, left()); diff != "" {
		t.Error(diff)
	}
	open.Close(nil)
	flushed(f)
	if removed, err := RemoveBefore(dir, time.Now().Add(-time.Hour), f); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	if removed, err := RemoveBefore(dir, time.Now().Add(time.Hour), f); removed != 1 || err != nil {
		t.Errorf("%d removed, %v", removed, err)
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		t.Errorf("the directory of all: %v", err)
	}
}

// A task that runs may not take more than all may: its turns lose all but their
// ends, until there is room.
func TestRunningTaskIsBoundedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var log strings.Builder
		f := newFiles(t, dir, func(o *Options) {
			o.MaxTotal = 3000
			o.Log = o.Log.Output(&log)
		})
		defer closeFiles(t, f)
		first := f.Begin(start("T", 1))
		say(f, first, 1, 6000)
		second := f.Begin(start("T", 2))
		for i := range 5 {
			say(f, second, i, 6000)
		}
		second.Close(workflow.TurnFinished{Reason: workflow.ReasonEndTurn})
		flushed(f)
		if got := kinds(told(t, dir, "T", 2)); !cmp.Equal(got, []string{"cut all transcripts together are longer than 3000 bytes", "end end_turn"}) {
			t.Errorf("%v", got)
		}
		if n := strings.Count(log.String(), "no more is kept until there is room"); n != 1 || strings.Contains(log.String(), "removed") {
			t.Errorf("logged %d times: %s", n, log.String())
		}
		first.Close(nil)
		<-time.After(2 * again) // by the clock of the bubble
		synctest.Wait()
		f.Begin(start("OTHER", 1)).Close(nil)
		flushed(f)
		if got := fmt.Sprint(kinds(told(t, dir, "OTHER", 1)), kinds(told(t, dir, "T", 1))); got != "[begin prompt do it] []" {
			t.Errorf("when there is room again: %v", got)
		}
	})
}
