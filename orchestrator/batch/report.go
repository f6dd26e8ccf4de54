package batch

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Report is what became of a batch, item by item.
type Report struct {
	Batch  View         `json:"batch"`
	Items  []ReportItem `json:"items"`
	Totals Totals       `json:"totals"`
}

// ReportItem is what became of one item.
type ReportItem struct {
	ItemView
	// Branch is the git branch with the result, of the repository Repo.
	Branch string `json:"branch,omitempty"`
	Repo   string `json:"repo,omitempty"`
	// Files, Insertions and Deletions compare the result with where the branch
	// began; they are known when HasDiff.
	HasDiff    bool `json:"has_diff,omitempty"`
	Files      int  `json:"files,omitempty"`
	Insertions int  `json:"insertions,omitempty"`
	Deletions  int  `json:"deletions,omitempty"`
	// SavedRef holds what was saved of the worktree, and Published says where the result went.
	SavedRef  string `json:"saved_ref,omitempty"`
	Published string `json:"published,omitempty"`
	// Turns, Tokens and Cost (in millionths of a US dollar) count all attempts.
	Turns  int   `json:"turns"`
	Tokens int64 `json:"tokens"`
	Cost   int64 `json:"cost"`
	// Unpriced are models without a known price, which Cost leaves out.
	Unpriced []string `json:"unpriced,omitempty"`
	// Duration is that of the last attempt, waiting for people left out.
	Duration time.Duration `json:"duration,omitempty"`
	// Explanation says in a sentence why it ended as it did, or what it waits for.
	Explanation string `json:"explanation,omitempty"`
	// Story is the command that tells all of it; empty where there is no task.
	Story string `json:"story,omitempty"`
}

// Totals are the sums of a report.
type Totals struct {
	Turns      int           `json:"turns"`
	Tokens     int64         `json:"tokens"`
	Cost       int64         `json:"cost"`
	Unpriced   []string      `json:"unpriced,omitempty"`
	Files      int           `json:"files"`
	Insertions int           `json:"insertions"`
	Deletions  int           `json:"deletions"`
	Duration   time.Duration `json:"duration"`
	// Elapsed is from the creation of the batch to its end, or to now.
	Elapsed time.Duration `json:"elapsed"`
}

// ReadReport reads all that became of a batch, which is named as in store.Batch.
// It can be made while the batch runs. Errors: store.ErrBatchNotFound,
// store.ErrAmbiguous, store.ErrStorage.
func ReadReport(ctx context.Context, s Reader, batch string, now time.Time) (Report, error) {
	view, err := ReadView(ctx, s, batch, now)
	if err != nil {
		return Report{}, err
	}
	items, err := Items(ctx, s, view.ID, store.ItemFilter{})
	if err != nil {
		return Report{}, err
	}
	states, err := s.BatchTasks(ctx, view.ID)
	if err != nil {
		return Report{}, err
	}
	tasks := make(map[string]workflow.State, len(states))
	for _, state := range states {
		tasks[state.Task] = state
	}
	r := Report{Batch: view, Items: make([]ReportItem, len(items))}
	for i, item := range items {
		r.Items[i] = reportItem(item, tasks)
		r.Totals.add(r.Items[i])
	}
	r.Totals.Elapsed = now.Sub(view.Created)
	if !view.Ended.IsZero() {
		r.Totals.Elapsed = view.Ended.Sub(view.Created)
	}
	return r, nil
}

func reportItem(item ItemView, tasks map[string]workflow.State) ReportItem {
	r := ReportItem{ItemView: item, Explanation: item.Detail}
	for _, task := range append(slices.Clone(item.Earlier), item.Task) {
		if state, ok := tasks[task]; ok {
			r.Turns, r.Tokens, r.Cost = r.Turns+state.Attempts, r.Tokens+state.Usage.TotalTokens, r.Cost+state.Cost
			r.Unpriced = union(r.Unpriced, state.Unpriced)
		}
	}
	state, ok := tasks[item.Task]
	if !ok {
		return r
	}
	r.Story = "orchestrator show " + state.Task
	p := state.Place
	r.Branch, r.Repo, r.SavedRef = state.GitBranch, p.Repo, p.SavedRef
	if p.Status == workflow.PlaceSaved || p.Status == workflow.PlaceFinished {
		r.HasDiff, r.Files, r.Insertions, r.Deletions = p.Kind == workflow.PlaceWorktree, p.Files, p.Insertions, p.Deletions
	}
	if p.Publish == workflow.PublishDone {
		r.Published = p.PublishDetail
	}
	switch {
	case state.Result != nil:
		r.Duration = max(0, state.Result.At.Sub(cmp.Or(state.Started, state.Created))-state.Waited)
		if state.Status != workflow.TaskSucceeded {
			r.Explanation = state.Result.Explanation
		}
		if p.Publish == workflow.PublishFailed {
			r.Explanation = excerpt("its result was not published: "+p.PublishDetail, 500)
		}
	case item.Waits:
		r.Explanation = waitsFor(state)
	}
	return r
}

// waitsFor says what a task wants of a person.
func waitsFor(state workflow.State) string {
	if state.Pause != nil {
		return "paused: " + cmp.Or(state.Pause.Note, "orchestrator resume "+state.Task)
	}
	for _, t := range state.Turns {
		if t.Kind == workflow.KindGate {
			return "waits for an answer to the gate " + t.Node
		}
	}
	return "waits for a person"
}

func (t *Totals) add(r ReportItem) {
	t.Turns, t.Tokens, t.Cost = t.Turns+r.Turns, t.Tokens+r.Tokens, t.Cost+r.Cost
	t.Unpriced = union(t.Unpriced, r.Unpriced)
	t.Files, t.Insertions, t.Deletions = t.Files+r.Files, t.Insertions+r.Insertions, t.Deletions+r.Deletions
	t.Duration += r.Duration
}

func union(a, b []string) []string {
	all := append(slices.Clone(a), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// Shortened leaves out items that succeeded where there are more than most, and
// then those that are too many. The totals stay.
func (r Report) Shortened(most int) Report {
	if len(r.Items) <= most {
		return r
	}
	r.Items = slices.DeleteFunc(slices.Clone(r.Items), func(item ReportItem) bool { return item.State == ItemSucceeded })
	r.Items = r.Items[:min(most, len(r.Items))]
	return r
}
