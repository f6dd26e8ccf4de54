package batch

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// adoption is an item that has a task which was not noted, as it is with it.
type adoption struct {
	item store.BatchItem
	// was is the state that the item is stored in.
	was ItemState
}

// unnoted returns items with tasks that are not noted: those that were begun when
// the process died, and those that somebody has gone on with by a retry of their task.
func unnoted(ctx context.Context, s Reader, state State) ([]adoption, error) {
	tasks, err := s.UnnotedTasks(ctx, state.ID)
	if err != nil || len(tasks) == 0 {
		return nil, err
	}
	filter := store.ItemFilter{State: []string{string(ItemPending)}}
	retries := retriesOf(tasks)
	if len(retries) > 0 {
		filter = store.ItemFilter{}
	}
	items, err := s.BatchItems(ctx, state.ID, filter)
	if err != nil {
		return nil, err
	}
	was := map[int]ItemState{} // by the index of the items that are adopted
	for i, item := range items {
		if task, made := tasks[TaskKey(state.ID, item.Key, item.Attempt)]; made && item.State == string(ItemPending) {
			was[i] = ItemPending
			items[i].State, items[i].Task = string(ItemRunning), task
		}
	}
	if state.Status != Cancelled { // who retries a task of a cancelled batch does so beside it
		adoptRetries(items, retries, was)
	}
	var adopted []adoption
	for _, i := range slices.Sorted(maps.Keys(was)) {
		item := items[i]
		task, err := s.Task(ctx, item.Task)
		if err != nil {
			return nil, err
		}
		item.Started = task.Created
		item.TaskStatus, item.TaskUpdated, item.AwaitsPerson = task.Status, task.Updated, awaitsPerson(task)
		item.Finishing = task.PlaceOpen()
		if task.Result != nil {
			item.Explanation = task.Result.Explanation
		}
		adopted = append(adopted, adoption{item, was[i]})
	}
	return adopted, nil
}

// retry is a task that goes on where another one has ended.
type retry struct{ task, from string }

// retriesOf finds the retries among tasks by their keys, the oldest first: IDs are in the order of time.
func retriesOf(tasks map[string]string) []retry {
	var out []retry
	for key, task := range tasks {
		if origin, is := strings.CutPrefix(key, "retry/"); is {
			from, _, _ := strings.Cut(origin, "/")
			out = append(out, retry{task, from})
		}
	}
	slices.SortFunc(out, func(a, b retry) int { return cmp.Compare(a.task, b.task) })
	return out
}

// adoptRetries makes retries the tasks of the items whose tasks they go on with.
// An item that runs keeps its task.
func adoptRetries(items []store.BatchItem, retries []retry, was map[int]ItemState) {
	owner := map[string]int{}
	for i, item := range items {
		for _, task := range append(slices.Clone(item.Earlier), item.Task) {
			owner[task] = i
		}
	}
	for _, r := range retries {
		i, known := owner[r.from]
		_, noted := owner[r.task]
		if !known || noted {
			continue
		}
		item := &items[i]
		if _, adopted := was[i]; !adopted {
			if item.State == string(ItemRunning) {
				continue
			}
			was[i] = ItemState(item.State)
		}
		owner[r.task] = i
		before := item.Attempt
		*item = again(*item)
		if was[i] == ItemPending {
			item.Attempt = before // it was about to have another attempt, which this is
		}
		item.State, item.Task = string(ItemRunning), r.task
	}
}
