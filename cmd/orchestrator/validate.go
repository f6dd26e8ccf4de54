package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newValidate(a *app) *cobra.Command {
	var rolesDir string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "validate FILE|DIR...",
		Short: "Check team files and say how to mend them",
		Long: `Checks team files: names, rules, templates, expressions, and that every reason
for which an agent can stop is covered. Prints all problems at once with their
places, and for a team without one the worst case: the most turns that a task
can take, counting retries and reminders and those of sub-teams, the most time,
which is the timeout of every turn and check and the back-offs, of parallel
branches the longest, and how long it can wait at gates. Recoveries of turns
after contact with the App Server was lost come on top unless limits.turns
bounds the task.

Of a directory every *.yaml below it is checked that has a field "handoffs".
Exit status 1 when a file has an error, 2 when one cannot be read; warnings do
not count.`,
		Example: `  orchestrator validate examples/teams/plan-code-review.yaml
  orchestrator validate examples/teams other/team.yaml
  orchestrator validate --json examples/teams`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return oneArgument("a team file")(cmd, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			files, err := teamFiles(args)
			if err != nil {
				return usage(err)
			}
			bad, unread := false, error(nil)
			for _, file := range files {
				v, err := validate(file, rolesDir)
				if err != nil { // it cannot be read; the others are checked all the same
					unread = errors.Join(unread, err)
					continue
				}
				if asJSON {
					writeJSONLine(a.stdout, v)
				} else {
					a.printValidation(v)
				}
				bad = bad || !v.OK
			}
			if unread != nil {
				return usage(unread)
			}
			if bad {
				return quietExit(exitTaskFailed)
			}
			return nil
		},
	}
	rolesFlag(cmd.Flags(), &rolesDir)
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per file: file, ok, problems, warnings, worst_case")
	return cmd
}

// validation is what is found out about a file; with --json it is one line.
type validation struct {
	File     string            `json:"file"`
	OK       bool              `json:"ok"`
	Problems workflow.Problems `json:"problems"`
	Warnings workflow.Problems `json:"warnings"`
	// WorstCase is nil for a file with problems.
	WorstCase *workflow.WorstCase `json:"worst_case,omitempty"`

	team *workflow.Team
}

// validate checks one file. The error says that it could not be checked.
func validate(file, rolesDir string) (validation, error) {
	v := validation{File: file, Problems: workflow.Problems{}, Warnings: workflow.Problems{}}
	team, err := orchestrator.LoadTeam(file, rolesDir)
	if ps, is := errors.AsType[workflow.Problems](err); is {
		v.Problems = ps
		return v, nil
	}
	if err != nil {
		return v, err
	}
	worst := team.WorstCase()
	v.OK, v.team, v.WorstCase = true, team, &worst
	v.Warnings = append(v.Warnings, team.Warnings...)
	return v, nil
}

func (a *app) printValidation(v validation) {
	if !v.OK {
		fmt.Fprintln(a.stdout, explain(v.Problems)+". Not checked: worst case.")
		return
	}
	for _, w := range v.Warnings {
		fmt.Fprintln(a.stdout, "warning:", w.String())
	}
	fmt.Fprintf(a.stdout, "%s: ok: %s, %s\n", v.File, nodeCounts(v.team), plural(len(v.team.Handoffs), "rule"))
	fmt.Fprintf(a.stdout, "  worst case: %s\n", formatWorstCase(*v.WorstCase, v.team.Limits.Turns))
}

// nodeCounts says how many nodes of each kind a team has.
func nodeCounts(t *workflow.Team) string {
	counts := []string{plural(len(t.AgentNames), "agent")}
	for _, kind := range []struct {
		n    int
		noun string
	}{{len(t.Checks), "check"}, {len(t.Gates), "gate"}, {len(t.Teams), "sub-team"}} {
		if kind.n > 0 {
			counts = append(counts, plural(kind.n, kind.noun))
		}
	}
	return strings.Join(counts, ", ")
}
