package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

func newGates(a *app) *cobra.Command {
	return openCommand(a, "no gate is open", func(k ask) bool { return k.Kind == askGate }, &cobra.Command{
		Use:   "gates",
		Short: "List the open gates: what people have to decide",
		Long: `Lists the gates that are open, the one that expires first at the top, with what
to type. The tasks of sub-teams are included.`,
		Example: `  orchestrator gates
  orchestrator gates --json`,
	})
}

func newApprovals(a *app) *cobra.Command {
	return openCommand(a, "no agent asks anything", func(k ask) bool { return k.Kind != askGate }, &cobra.Command{
		Use:   "approvals",
		Short: "List what agents ask: the use of tools, and questions",
		Long: `Lists the open questions of agents, the one that expires first at the top. What
runs is answered in the terminal of its run; see "orchestrator answer --help".`,
		Example: `  orchestrator approvals
  orchestrator approvals --json`,
	})
}

func openCommand(a *app, none string, wanted func(ask) bool, cmd *cobra.Command) *cobra.Command {
	var where place
	var asJSON bool
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		asks, err := a.openAsks(cmd.Context(), where)
		if err != nil {
			return err
		}
		asks = slices.DeleteFunc(asks, func(k ask) bool { return !wanted(k) })
		if asJSON {
			for _, k := range asks {
				writeJSONLine(a.stdout, k)
			}
			return nil
		}
		if len(asks) == 0 {
			fmt.Fprintln(a.stderr, none)
		}
		for _, k := range asks {
			writeAsk(a, k, where)
		}
		return nil
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// openAsks lists what is asked in all tasks, the first that expires first.
func (a *app) openAsks(ctx context.Context, where place) ([]ask, error) {
	s, err := a.reader(ctx, where)
	if errors.Is(err, store.ErrNoStore) && where == (place{}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tasks, err := s.Waiting(ctx)
	if err := closing(s, err); err != nil {
		return nil, err
	}
	var out []ask
	for _, t := range tasks {
		out = append(out, asksOf(t)...)
	}
	slices.SortStableFunc(out, func(a, b ask) int {
		if a.Expires.IsZero() != b.Expires.IsZero() { // what does not expire comes last
			return cmp.Compare(b.Expires.Unix(), a.Expires.Unix())
		}
		return a.Expires.Compare(b.Expires)
	})
	return out, nil
}

// left says how long an answer is waited for.
func left(expires time.Time) string {
	if expires.IsZero() {
		return "it does not expire"
	}
	return fmt.Sprintf("%s left, until %s", formatLeft(time.Until(expires)), formatClock(expires))
}

// writeAsk prints what is asked, whole, and what to type.
func writeAsk(a *app, k ask, where place) {
	p := paletteFor(a.stdout)
	kind := string(k.Kind)
	if k.Question > 0 {
		kind = fmt.Sprintf("question %d of", k.Question)
	}
	fmt.Fprintf(a.stdout, "%s %s · task %s · %s · %s\n", kind, p.name(k.name()), k.Task, printable(k.Team),
		left(k.Expires))
	text := k.Text
	if len(k.Choices) > 0 {
		text += "\n(" + strings.Join(k.Choices, " | ") + ")"
	}
	lines, _ := excerpt(text, 0)
	for _, line := range lines {
		fmt.Fprintln(a.stdout, strings.TrimRight("  "+line, " "))
	}
	for _, command := range k.commands(where) {
		fmt.Fprintln(a.stdout, "    "+command)
	}
}
