//go:build faults

package chaos

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// outcome is what a world came to.
type outcome struct {
	faults                          map[string]int
	tasks, lost, doubled, uncertain int
	continued                       int
	recovery                        time.Duration // the longest
}

// verify looks at how everything ended. mayBeUncertain says that a server was
// killed while it wrote, so that it may have lost what it was asked.
func (w *world) verify(mayBeUncertain bool) outcome {
	w.t.Helper()
	out := outcome{faults: w.faults}
	ctx := context.Background()
	reader, err := store.OpenReader(ctx, w.data())
	if err != nil {
		w.t.Error(err)
		return out
	}
	defer func() { _ = reader.Close() }()
	journals := map[string][]store.Record{}
	unknown := map[string]bool{} // tasks, and their parents, in which something could not be known
	ids, err := reader.TaskIDs(ctx)
	if err != nil {
		w.t.Error(err)
	}
	for _, id := range ids {
		if _, err := reader.VerifyTask(ctx, id); err != nil {
			w.t.Errorf("the journal does not give the state: %v", err)
		}
		if journals[id], err = reader.Events(ctx, id, 0); err != nil {
			w.t.Error(err)
		}
		for _, record := range journals[id] {
			if found, ok := record.Event.Body.(workflow.TurnReconciled); ok && found.Finding == workflow.FindingUnknown {
				out.uncertain++
				root, _, _ := strings.Cut(id, ".")
				unknown[id], unknown[root] = true, true
				if !mayBeUncertain {
					w.t.Errorf("task %s: uncertain, although nothing was lost: %s", id, found.Detail)
				}
			}
		}
	}
	original, continued := w.server.log().counts()
	for _, n := range continued {
		out.continued += n
	}
	for _, s := range w.tasks {
		out.tasks++
		state, err := reader.ByKey(ctx, s.Key)
		ended := err == nil && (state.Status == workflow.TaskSucceeded || state.Status == workflow.TaskCancelled && unknown[state.Task])
		if !ended {
			out.lost++
			w.t.Errorf("task %s (%s) has not ended as its team says: %v %s %+v", s.Key, state.Task, err, state.Status, state.Result)
		}
		team := strings.TrimSuffix(filepath.Base(s.TeamFile), ".yaml")
		for _, turn := range turnsOf(team, s.Key) {
			switch {
			case original[turn] > 1:
				out.doubled++
				w.t.Errorf("%s (task %s): asked %d times, and continued %d times", turn, state.Task, original[turn], continued[turn])
			case original[turn]+continued[turn] == 0 && state.Status == workflow.TaskSucceeded:
				out.lost++
				w.t.Errorf("%s (task %s): never asked", turn, state.Task)
			}
			if ran, err := os.ReadFile(filepath.Join(w.dir, strings.ReplaceAll(turn, " ", "-")+".ran")); err == nil && len(ran) > len("ran\n") { // shorter where it was killed while it wrote
				out.doubled++
				w.t.Errorf("%s: its tool ran %d times", turn, strings.Count(string(ran), "ran"))
			}
		}
	}
	if strange := w.server.log().strange; len(strange) > 0 {
		w.t.Errorf("the model was asked what no task asks: %q", strange)
	}
	if roots := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return strings.Contains(id, ".") }); len(roots) != len(w.tasks) {
		w.t.Errorf("%d tasks for %d keys", len(roots), len(w.tasks))
	}
	out.recovery = w.longestRecovery(journals)
	return out
}

// longestRecovery is the longest time from when everything was up again to the
// next event of a task that had begun and not ended. A task that waits for a
// time of its own, such as a gate, is in it too.
func (w *world) longestRecovery(journals map[string][]store.Record) time.Duration {
	var longest time.Duration
	for i, up := range w.up {
		until := time.Now()
		for _, down := range w.down {
			if down.After(up) && down.Before(until) {
				until = down
			}
		}
		if i == 0 {
			continue // nothing had failed yet
		}
		for _, records := range journals {
			if len(records) < 2 || !records[1].Event.At.Before(up) {
				continue
			}
			for _, record := range records {
				if at := record.Event.At; at.After(up) {
					if at.Before(until) {
						longest = max(longest, at.Sub(up))
					}
					break
				}
			}
		}
	}
	return longest
}
