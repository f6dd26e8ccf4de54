package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/teamtest"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newSchema(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schema [team|scenario|config]",
		Short: "Print the JSON Schema of a kind of file, for editors",
		Long: `Prints the JSON Schema (draft 2020-12) of the team file, of the scenario file that
"orchestrator test" reads, or of the configuration of "orchestrator serve". An editor that knows it completes and explains the
fields and marks mistakes of structure. What needs the whole file, such as names
that must exist, is for "orchestrator validate" and "orchestrator test".

With the YAML language server (VS Code, Neovim, Helix and others) a file names its
schema in a comment, as the first line:

  # yaml-language-server: $schema=team-file.schema.json`,
		Example: `  orchestrator schema > team-file.schema.json
  orchestrator schema scenario > scenario-file.schema.json`,
		Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return a.schema(workflow.Schema) },
	}
	for _, kind := range []struct {
		name, short string
		schema      func() ([]byte, error)
	}{
		{"team", "Print the JSON Schema of the team file", workflow.Schema},
		{"scenario", "Print the JSON Schema of the scenario file", teamtest.Schema},
		{"config", "Print the JSON Schema of the daemon's configuration", config.Schema},
	} {
		cmd.AddCommand(&cobra.Command{
			Use: kind.name, Short: kind.short, Args: noArguments, Example: "  orchestrator schema " + kind.name,
			RunE: func(*cobra.Command, []string) error { return a.schema(kind.schema) },
		})
	}
	return cmd
}

func (a *app) schema(schema func() ([]byte, error)) error {
	text, err := schema()
	if err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	if _, err := a.stdout.Write(text); err != nil {
		return fmt.Errorf("write the schema: %w", err)
	}
	return nil
}
