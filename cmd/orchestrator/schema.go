package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newSchema(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of the team file, for editors",
		Long: `Prints the JSON Schema (draft 2020-12) of the team file. An editor that knows it
completes and explains the fields and marks mistakes of structure. What needs
the whole file, such as names that must exist, is for "orchestrator validate".

With the YAML language server (VS Code, Neovim, Helix and others) a team file
names its schema in a comment, as the first line:

  # yaml-language-server: $schema=team-file.schema.json`,
		Example: `  orchestrator schema > team-file.schema.json`,
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			text, err := workflow.Schema()
			if err != nil {
				return fmt.Errorf("make the schema: %w", err)
			}
			if _, err := a.stdout.Write(text); err != nil {
				return fmt.Errorf("write the schema: %w", err)
			}
			return nil
		},
	}
}
