package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/roles"
)

func newRoles(a *app) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "roles [NAME]",
		Short: "List the library of roles, or print one role",
		Example: `  orchestrator roles
  orchestrator roles coder`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return oneArgument("no argument, or the name of one role")(cmd, args)
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			library, err := roles.Load(dir)
			if err != nil {
				return usage(err)
			}
			if len(args) == 0 {
				rows := [][]string{{"ROLE", "DESCRIPTION"}}
				for _, name := range library.Names() {
					role, err := library.Role(name)
					if err != nil {
						return err
					}
					rows = append(rows, []string{name, role.Description})
				}
				writeTable(a.stdout, rows)
				return nil
			}
			role, err := library.Role(args[0])
			if err != nil {
				return usage(err)
			}
			a.printRole(role)
			return nil
		},
	}
	rolesFlag(cmd.Flags(), &dir)
	return cmd
}

func (a *app) printRole(r roles.Role) {
	from := r.File
	if r.BuiltIn() {
		from = "built in"
	}
	fmt.Fprintf(a.stdout, "%s (%s): %s\n", r.Name, from, r.Description)
	for _, field := range []struct{ name, value string }{
		{"receives", r.Receives}, {"hands over", r.HandsOver}, {"permission mode", r.PermissionMode},
		{"tools", strings.Join(r.Tools, ", ")}, {"outcomes", strings.Join(r.Outcomes, ", ")},
	} {
		if field.value != "" {
			fmt.Fprintf(a.stdout, "  %s: %s\n", field.name, field.value)
		}
	}
	fmt.Fprintf(a.stdout, "\n%s\n", strings.TrimSpace(r.Prompt))
}
