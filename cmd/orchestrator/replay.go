package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newReplay(a *app) *cobra.Command {
	var teamFile, rolesDir string
	var where place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "replay TASK|JOURNAL --team FILE",
		Short: "Show where a past task would have gone with another team file",
		Long: `Takes a team file through the recorded ends of the nodes of a past task: the
n-th time that a node is asked, it ends as it did then. Shows both routes, where
they part, and why. No model is asked and nothing is run. Where a node is asked
more often than was recorded, the replay stops there.

JOURNAL is a file as "orchestrator events TASK --json" prints it, "-" the
standard input. Exit status 0 when the route is the same, 1 when it is another.`,
		Example: `  orchestrator replay 01JDQ7 --team examples/teams/plan-code-review.yaml
  orchestrator replay journal.json --team examples/teams/plan-code-review.yaml
  orchestrator replay 01JDQ7 --team examples/teams/plan-code-review.yaml --json`,
		Args: oneArgument("a task or a journal"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if teamFile == "" {
				return usage(errors.New("no team file is given\n  what to do: name the changed team file with --team FILE"))
			}
			team, err := orchestrator.LoadTeam(teamFile, rolesDir)
			if err != nil {
				return usage(err)
			}
			journal, err := a.journal(cmd.Context(), args[0], where)
			if err != nil {
				return err
			}
			replayed, err := workflow.Replay(team, journal)
			if err != nil {
				return usage(err)
			}
			return a.showReplay(team, teamFile, journal, replayed, asJSON)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&teamFile, "team", "", "the team file to take the task through")
	flags.BoolVar(&asJSON, "json", false, "print both routes and where they part as one JSON object")
	where.register(flags)
	rolesFlag(flags, &rolesDir)
	return cmd
}

// journal reads the journal of a file, or that of a task of the data directory.
func (a *app) journal(ctx context.Context, from string, where place) ([]workflow.Recorded, error) {
	if from == "-" {
		journal, err := readJournal("the standard input", a.stdin)
		return journal, usage(err)
	}
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		file, err := os.Open(from)
		if err != nil {
			return nil, usage(err)
		}
		journal, err := readJournal(from, file)
		return journal, usage(errors.Join(err, file.Close()))
	}
	s, err := a.reader(ctx, where)
	if err != nil {
		return nil, err
	}
	var journal []workflow.Recorded
	_, records, _, err := s.Look(ctx, from, 0)
	for _, r := range records {
		journal = append(journal, workflow.Recorded{Seq: r.Seq, Event: r.Event, Effects: r.Effects})
	}
	return journal, closing(s, err)
}

// replayJSON is what `replay --json` prints.
type replayJSON struct {
	Same     bool            `json:"same"`
	Recorded []workflow.Step `json:"recorded"`
	Replayed []workflow.Step `json:"replayed"`
	// Differs is the index of the first step that differs; nil where the routes are the same.
	Differs *int                  `json:"differs,omitempty"`
	Missing []workflow.MissingEnd `json:"not_recorded,omitempty"`
	State   workflow.TaskState    `json:"state"`
}

// showReplay prints both routes; its error is the exit status.
func (a *app) showReplay(team *workflow.Team, file string, journal []workflow.Recorded, replayed workflow.ReplayResult, asJSON bool) error {
	before := workflow.InBranchOrder(workflow.Steps(journal))
	after := workflow.InBranchOrder(workflow.Steps(replayed.Journal))
	difference := workflow.Differ(before, after)
	var status error
	if difference != nil {
		status = quietExit(exitTaskFailed)
	}
	if asJSON {
		out := replayJSON{Same: difference == nil, Recorded: before, Replayed: after, Missing: replayed.Missing, State: replayed.State.Status}
		if difference != nil {
			out.Differs = &difference.Index
		}
		writeJSONLine(a.stdout, out)
		return status
	}
	p := paletteFor(a.stdout)
	a.printRoutes(p, file, before, after, difference)
	for _, m := range replayed.Missing {
		where := m.Node
		if m.Label != "" && m.Label != m.Node {
			where += " in branch " + m.Label
		}
		fmt.Fprintf(a.stdout, "not recorded: how %s ends the next time (%s recorded); the replay stops there\n", where, plural(m.Recorded, "end"))
	}
	if difference == nil {
		fmt.Fprintf(a.stdout, "%s the route is the same: %s\n", p.good("✓"), plural(len(after), "step"))
		return nil
	}
	a.printDifference(p, team, file, difference)
	return status
}

// printRoutes prints two routes side by side.
func (a *app) printRoutes(p palette, file string, before, after []workflow.Step, d *workflow.Difference) {
	const widest = 60
	text := func(steps []workflow.Step, i int) string {
		if i < len(steps) {
			return oneLine(strings.ReplaceAll(steps[i].String(), "  rule", " · rule"), widest)
		}
		return ""
	}
	left := "recorded"
	width := utf8.RuneCountInString(left)
	for i := range before {
		width = max(width, utf8.RuneCountInString(text(before, i)))
	}
	fmt.Fprintf(a.stdout, "    %s  %s\n", p.bold(pad(left, width)), p.bold(file))
	for i := range max(len(before), len(after)) {
		mark := "  "
		if d != nil && i >= d.Index {
			mark = "≠ "
		}
		line := fmt.Sprintf("  %s%s  %s", mark, pad(text(before, i), width), text(after, i))
		if mark != "  " {
			line = p.bad(line)
		}
		fmt.Fprintln(a.stdout, strings.TrimRight(line, " "))
	}
}

// printDifference says where the routes part, and why the rules say so.
func (a *app) printDifference(p palette, team *workflow.Team, file string, d *workflow.Difference) {
	fmt.Fprintf(a.stdout, "%s the routes part at step %d\n", p.bad("✗"), d.Index+1)
	switch {
	case d.Replayed == nil:
		fmt.Fprintf(a.stdout, "  recorded: %s\n  %s: the route ends before\n", d.Recorded, file)
		return
	case d.Recorded == nil:
		fmt.Fprintf(a.stdout, "  recorded: the route ends before\n")
	default:
		fmt.Fprintf(a.stdout, "  recorded: %s\n", printable(d.Recorded.String()))
	}
	fmt.Fprintf(a.stdout, "  %s: %s\n", file, printable(d.Replayed.String()))
	rule := func(number int) string {
		if number < 1 || number > len(team.Handoffs) {
			return cmp.Or(d.Replayed.Note, "the orchestrator decided it")
		}
		r := team.Handoffs[number-1]
		return fmt.Sprintf("%s:%d:%d: %s", file, r.Pos.Line, r.Pos.Column, r)
	}
	for _, s := range d.Replayed.Skipped {
		fmt.Fprintf(a.stdout, "    %s: does not match: %s\n", rule(s.Rule), printable(s.Why))
	}
	fmt.Fprintf(a.stdout, "    %s%s\n", rule(d.Replayed.Rule), map[bool]string{true: ": matches"}[d.Replayed.Rule > 0])
}
