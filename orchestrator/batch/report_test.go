package batch

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func sampleReport() Report {
	tasks := map[string]workflow.State{
		"T1": {
			Task: "T1", Status: workflow.TaskSucceeded, GitBranch: "m/T1", Attempts: 3, Cost: 1_250_000, Usage: workflow.Usage{TotalTokens: 1000}, Unpriced: []string{"x/y"},
			Place:   workflow.Place{Status: workflow.PlaceFinished, Kind: workflow.PlaceWorktree, Repo: "/r/a", Files: 2, Insertions: 10, Deletions: 3, Publish: workflow.PublishDone, PublishDetail: "a.patch"},
			Started: time.Unix(100, 0), Waited: 10 * time.Second, Result: &workflow.Result{State: workflow.TaskSucceeded, At: time.Unix(160, 0), Explanation: "approved"},
		},
		"T2": {Task: "T2", Status: workflow.TaskFailed, Attempts: 1, Usage: workflow.Usage{TotalTokens: 7}, Result: &workflow.Result{State: workflow.TaskFailed, Explanation: "first try"}},
		"T3": {
			Task: "T3", Status: workflow.TaskFailed, Attempts: 2, Created: time.Unix(100, 0), Usage: workflow.Usage{TotalTokens: 30},
			Result: &workflow.Result{State: workflow.TaskFailed, At: time.Unix(103, 0), Explanation: "tests ended with *failed*"},
		},
		"T4": {Task: "T4", Status: workflow.TaskWaiting, Turns: []workflow.Turn{{Kind: workflow.KindGate, Node: "merge"}}},
	}
	r := Report{Batch: View{
		State:  State{ID: "B", Name: "spring | clean", Team: "maintain", Status: Stopped, Items: 5, Note: "too many"},
		Counts: Counts{Succeeded: 1, Failed: 1, Cancelled: 1, Waiting: 1, Pending: 1},
	}}
	for _, item := range []ItemView{
		{Number: 1, Label: "a", State: ItemSucceeded, Attempt: 1, Task: "T1"},
		{Number: 2, Label: "b|c", State: ItemFailed, Attempt: 2, Task: "T3", Earlier: []string{"T2"}},
		{Number: 3, Label: "d", State: ItemRunning, Waits: true, Attempt: 1, Task: "T4"},
		{Number: 4, Label: "e", State: ItemCancelled, Attempt: 1, Detail: "it was cancelled before it began"},
		{Number: 5, Label: "f", State: ItemPending, Attempt: 1},
	} {
		row := reportItem(item, tasks)
		r.Items = append(r.Items, row)
		r.Totals.add(row)
	}
	r.Totals.Elapsed = 90 * time.Second
	return r
}

func TestReportText(t *testing.T) {
	var table, markdown, encoded strings.Builder
	r := sampleReport()
	for _, err := range []error{r.WriteTable(&table), r.WriteMarkdown(&markdown), r.WriteJSON(&encoded)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantTable := `batch B  spring | clean  stopped: 1 succeeded, 1 failed, 1 cancelled, 1 waiting, 1 pending (too many), 1m30s

#  item     state               branch  diff            turns  tokens  cost    time  task
1  a        succeeded           m/T1    2 files +10 -3  3      1000    $1.25?  50s   T1
2  b|c      failed (attempt 2)                          3      37              3s    T3
3  d        waiting                                                                  T4
4  e        cancelled
5  f        pending
   5 items                              2 files +10 -3  6      1037    $1.25?  53s

✗ b|c: tests ended with *failed*
    orchestrator show T3

- d: waits for an answer to the gate merge
    orchestrator show T4

✗ e: it was cancelled before it began
`
	if diff := cmp.Diff(wantTable, table.String()); diff != "" {
		t.Error(diff)
	}
	for _, want := range []string{
		"# Batch spring \\| clean\n", "| 1 | a | succeeded | m/T1 | 2 files +10 -3 | 3 | 1000 | $1.25? | 50s | T1 |\n", "| 2 | b\\|c | failed (attempt 2) |",
		"- **b\\|c** failed: tests ended with \\*failed\\* (`orchestrator show T3`)\n", "without a known price: x/y.\n", "| **1037** |",
	} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, &markdown)
		}
	}
	var back Report
	if err := json.Unmarshal([]byte(encoded.String()), &back); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(r, back); diff != "" {
		t.Errorf("the JSON loses something: %s", diff)
	}
	if back.Items[0].Published != "a.patch" || back.Items[1].Tokens != 37 {
		t.Errorf("%+v", back.Items)
	}
}

func TestShortened(t *testing.T) {
	r := sampleReport()
	if got := r.Shortened(5); len(got.Items) != 5 {
		t.Errorf("%d items of 5", len(got.Items))
	}
	got := r.Shortened(3)
	if len(got.Items) != 3 || got.Items[0].Label != "b|c" || len(r.Items) != 5 || got.Totals.Turns != 6 {
		t.Errorf("%+v", got)
	}
}

func TestTimeLeft(t *testing.T) {
	for _, c := range []struct {
		counts   Counts
		parallel int
		want     time.Duration
	}{
		{Counts{Pending: 10, Running: 2}, 2, 55 * time.Second},
		{Counts{Running: 1}, 8, 5 * time.Second},
		{Counts{Pending: 3}, 8, 10 * time.Second},
		{Counts{}, 8, 0},
	} {
		if got := timeLeft(c.counts, c.parallel, 10*time.Second); got != c.want {
			t.Errorf("%+v with %d at once: %s, want %s", c.counts, c.parallel, got, c.want)
		}
	}
}
