package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newValidate(a *app) *cobra.Command {
	var rolesDir string
	cmd := &cobra.Command{
		Use:   "validate FILE...",
		Short: "Check team files and say how to mend them",
		Long: `Checks team files: names, rules, templates, expressions, and that every reason
for which an agent can stop is covered. Prints all problems at once with their
places. Exit status 2 when there is an error; warnings do not count.`,
		Example: `  orchestrator validate examples/teams/plan-code-review.yaml
  orchestrator validate examples/teams/*.yaml`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return oneArgument("a team file")(cmd, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			bad := false
			for _, file := range args {
				ok, err := a.validate(file, rolesDir)
				if err != nil {
					return usage(err)
				}
				bad = bad || !ok
			}
			if bad {
				return quietExit(exitUsage)
			}
			return nil
		},
	}
	rolesFlag(cmd.Flags(), &rolesDir)
	return cmd
}

func (a *app) validate(file, rolesDir string) (ok bool, err error) {
	team, err := orchestrator.LoadTeam(file, rolesDir)
	if ps, is := errors.AsType[workflow.Problems](err); is {
		fmt.Fprintln(a.stdout, explain(ps))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, w := range team.Warnings {
		fmt.Fprintln(a.stdout, "warning:", w.String())
	}
	fmt.Fprintf(a.stdout, "%s: ok: %s, %s\n", file, plural(len(team.AgentNames), "agent"), plural(len(team.Handoffs), "rule"))
	return true, nil
}
