package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newList(a *app) *cobra.Command {
	var where place
	var team, batch, schedule string
	var states []string
	var limit int
	var all, asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the tasks, the newest first",
		Example: `  orchestrator list
  orchestrator list --state waiting --state paused --all
  orchestrator list --state failed --team plan-code-review --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usage(fmt.Errorf("--limit %d is less than 0", limit))
			}
			filter := store.Filter{Team: team, Batch: batch, Schedule: schedule, Limit: limit, Children: all}
			if limit == 0 {
				filter.Limit = math.MaxInt32 // the store takes 0 for its default
			}
			for _, name := range states {
				state, err := taskState(name)
				if err != nil {
					return usage(err)
				}
				filter.Status = append(filter.Status, state)
			}
			s, err := a.reader(cmd.Context(), where)
			if errors.Is(err, store.ErrNoStore) && where == (place{}) {
				fmt.Fprintln(a.stderr, noTasks(store.Filter{})) // the first thing that many people type
				return nil
			}
			if err != nil {
				return err
			}
			tasks, err := s.List(cmd.Context(), filter)
			if err := closing(s, err); err != nil {
				return err
			}
			if asJSON {
				for _, t := range tasks {
					writeJSONLine(a.stdout, listEntry(t))
				}
				return nil
			}
			if len(tasks) == 0 {
				fmt.Fprintln(a.stderr, noTasks(filter))
				return nil
			}
			writeTable(a.stdout, taskRows(tasks, time.Now()))
			if limit > 0 && len(tasks) == limit {
				fmt.Fprintf(a.stderr, "only the newest %d are shown; --limit 0 shows all\n", limit)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.StringSliceVar(&states, "state", nil, "only tasks in this state (queued, running, waiting, paused, succeeded, failed, cancelled); may be repeated")
	flags.StringVar(&team, "team", "", "only tasks of this team")
	flags.StringVar(&batch, "batch", "", "only tasks of this batch")
	flags.StringVar(&schedule, "schedule", "", "only tasks of this schedule")
	flags.IntVar(&limit, "limit", 100, "at most so many; 0 is all")
	flags.BoolVarP(&all, "all", "a", false, "also the tasks of sub-teams, and those that agents have started")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// noTasks says that nothing is there, and what would be.
func noTasks(f store.Filter) string {
	if len(f.Status) > 0 || f.Team+f.Batch+f.Schedule != "" {
		return "no task fits; without --state, --team, --batch and --schedule all are listed"
	}
	return "no tasks yet: orchestrator run TEAM.yaml starts one"
}

// taskStates are all states of a task.
func taskStates() []workflow.TaskState {
	return []workflow.TaskState{
		workflow.TaskQueued, workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused,
		workflow.TaskSucceeded, workflow.TaskFailed, workflow.TaskCancelled,
	}
}

func taskState(name string) (workflow.TaskState, error) {
	all := taskStates()
	if state := workflow.TaskState(name); slices.Contains(all, state) {
		return state, nil
	}
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	return "", fmt.Errorf("--state %q is none of %s", name, strings.Join(names, ", "))
}

type listJSON struct {
	Task    string             `json:"task"`
	Team    string             `json:"team"`
	State   workflow.TaskState `json:"state"`
	Turns   int                `json:"turns"`
	Tokens  int64              `json:"tokens"`
	Created time.Time          `json:"created"`
	Updated time.Time          `json:"updated"`
	// Explanation is empty while the task has not ended.
	Explanation string `json:"explanation,omitempty"`
	// Cost is in US dollars: what is known of it; Unpriced names models without a price.
	Cost     float64  `json:"cost,omitempty"`
	Unpriced []string `json:"unpriced,omitempty"`
	// Parent is the task that this one belongs to.
	Parent string `json:"parent,omitempty"`
	// Batch and Schedule are where it comes from.
	Batch    string `json:"batch,omitempty"`
	Schedule string `json:"schedule,omitempty"`
	Priority int    `json:"priority,omitempty"`
	// WaitsFor is what people are asked, and Paused why the task is paused.
	WaitsFor []ask `json:"waits_for,omitempty"`
	// WaitsForTask is the task that works in the directory which this one waits for.
	WaitsForTask string      `json:"waits_for_task,omitempty"`
	Paused       *pausedTask `json:"paused,omitempty"`
}

func listEntry(t workflow.State) listJSON {
	entry := listJSON{
		Task: t.Task, Team: t.Team, State: t.Status, Turns: t.Attempts, Tokens: t.Usage.TotalTokens, Created: t.Created, Updated: t.Updated,
		Cost: float64(t.Cost) / 1e6, Unpriced: t.Unpriced, WaitsFor: asksOf(t),
		Batch: t.Batch, Schedule: t.Schedule, Priority: t.Priority, WaitsForTask: t.Place.WaitsFor,
	}
	if t.Parent != nil {
		entry.Parent = t.Parent.Task
	}
	if t.Status == workflow.TaskPaused {
		p := pausedOf(t)
		entry.Paused = &p
	}
	if t.Result != nil {
		entry.Explanation = t.Result.Explanation
	}
	return entry
}

func taskRows(tasks []workflow.State, now time.Time) [][]string {
	rows := [][]string{{"TASK", "TEAM", "STATE", "TURNS", "TOKENS", "COST", "AGE", "NOW"}}
	for _, t := range tasks {
		rows = append(rows, []string{
			t.Task, t.Team, string(t.Status), fmt.Sprint(t.Attempts), formatCount(t.Usage.TotalTokens),
			cmp.Or(spendingOf(t).short(), "-"), formatElapsed(now.Sub(t.Created)), oneLine(currently(t, now), 60),
		})
	}
	return rows
}

// writeTable aligns columns with two spaces between them.
func writeTable(w io.Writer, rows [][]string) {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			b.WriteString(pad(cell, widths[i]+2))
		}
		fmt.Fprintln(w, strings.TrimRight(b.String(), " "))
	}
}
