package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/workflow"
	"github.com/seed-e05a5b32/orchestrator/workflow/graph"
)

// drawFormat is a way to draw a team.
type drawFormat struct {
	name string
	draw func(*workflow.Team) string
}

func drawFormats() []drawFormat {
	return []drawFormat{{"mermaid", graph.Mermaid}, {"dot", graph.DOT}, {"svg", graph.SVG}}
}

func newGraph(a *app) *cobra.Command {
	var format, rolesDir string
	cmd := &cobra.Command{
		Use:   "graph FILE",
		Short: "Draw the nodes and rules of a team",
		Long: `Draws a team file on the standard output: the agents, checks, gates and
sub-teams, the ends of the task and the rules between them, each with its
number, its reasons and how often it may fire. Rules about every node
(from: "*") are drawn once, from a node that stands for all of them. Branches
that wait for each other meet in a node of their own, "join: all".

  mermaid   text that GitHub, GitLab and many editors show as a picture
  dot       text for Graphviz
  svg       a picture, complete in itself`,
		Example: `  orchestrator graph examples/teams/plan-code-review.yaml
  orchestrator graph examples/teams/plan-code-review.yaml --format svg > team.svg
  orchestrator graph examples/teams/plan-code-review.yaml --format dot | dot -Tpng > team.png`,
		Args: oneArgument("a team file"),
		RunE: func(_ *cobra.Command, args []string) error {
			draw, err := findFormat(format)
			if err != nil {
				return usage(err)
			}
			team, err := orchestrator.LoadTeam(args[0], rolesDir)
			if err != nil {
				return usage(err)
			}
			if _, err := io.WriteString(a.stdout, draw(team)); err != nil {
				return fmt.Errorf("write the drawing: %w", err)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "mermaid", "mermaid, dot or svg")
	rolesFlag(cmd.Flags(), &rolesDir)
	return cmd
}

func findFormat(name string) (func(*workflow.Team) string, error) {
	var names []string
	for _, f := range drawFormats() {
		if f.name == name {
			return f.draw, nil
		}
		names = append(names, f.name)
	}
	return nil, fmt.Errorf("--format %q is none of %s", name, strings.Join(names, ", "))
}
