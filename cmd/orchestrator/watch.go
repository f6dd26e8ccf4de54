package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newWatch(a *app) *cobra.Command {
	var where place
	var filter store.Filter
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Watch all tasks live",
		Long: `Shows all tasks as they go on: state, current nodes, time, tokens, cost, what waits
for a person, and how far batches are. On a terminal the arrows choose a task, Enter
shows its story, Escape goes back and q ends. On a pipe there is one line for every
change of a task; with --json one object, as "orchestrator list --json" prints it.

It only looks: nothing that it shows depends on it, and Ctrl-C ends it at any time.
Where the daemon goes away, it waits for it.`,
		Example: `  orchestrator watch
  orchestrator watch --team release --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r, err := a.reader(cmd.Context(), where)
			if err != nil {
				return err
			}
			defer a.closing(&err, r.Close)
			if isTerminal(a.stdout) && !asJSON && terminalInput(a.stdin) != nil {
				return a.watchLive(cmd.Context(), r, where, filter)
			}
			return a.watchPlain(cmd.Context(), r, filter, asJSON)
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.StringVar(&filter.Team, "team", "", "only tasks of this team")
	flags.StringVar(&filter.Batch, "batch", "", "only tasks of this batch")
	flags.BoolVarP(&filter.Children, "all", "a", false, "also the tasks of sub-teams, and those that agents have started")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line, for every change of a task")
	return cmd
}

// watchPlain prints a line for every change, until somebody interrupts.
func (a *app) watchPlain(ctx context.Context, r reader, filter store.Filter, asJSON bool) error {
	told := map[string]string{}
	f := &feed{reader: r, filter: filter, lost: a.tellLost, states: func(states []workflow.State) {
		slices.SortFunc(states, func(x, y workflow.State) int {
			return cmp.Or(x.Updated.Compare(y.Updated), cmp.Compare(x.Task, y.Task))
		})
		for _, s := range states {
			a.tellState(s, told, asJSON)
		}
	}}
	err := f.run(ctx)
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return quietExit(exitInterrupted)
	}
	return err
}

// tellState prints a task where it has changed in what people see.
func (a *app) tellState(s workflow.State, told map[string]string, asJSON bool) {
	now := time.Now()
	what := oneLine(currently(s, now), 120)
	if text := string(s.Status) + " " + what; told[s.Task] != text {
		told[s.Task] = text
		if asJSON {
			writeJSONLine(a.stdout, listEntry(s))
			return
		}
		fmt.Fprintf(a.stdout, "%s  %s  %s %s  %s · %s tokens  %s\n", s.Updated.Local().Format("15:04:05"), s.Task, printable(s.Team), s.Status,
			formatElapsed(taken(s, now)), formatCount(s.Usage.TotalTokens), what)
	}
}
