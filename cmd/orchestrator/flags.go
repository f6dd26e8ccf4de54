package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/internal/suggest"
)

// flagError adds the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	if invalid, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usage(fmt.Errorf("--%s %q is not %s\n  see: %s --help", invalid.GetFlag().Name, invalid.GetValue(), valueKind(invalid.GetFlag()), cmd.CommandPath()))
	}
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok {
		return usage(fmt.Errorf("%w\n  see: %s --help", err, cmd.CommandPath()))
	}
	text := fmt.Sprintf("%s has no flag --%s", cmd.CommandPath(), unknown.GetSpecifiedName())
	if near := nearestFlag(cmd, unknown.GetSpecifiedName()); near != "" {
		text += fmt.Sprintf("; did you mean --%s?", near)
	}
	return usage(fmt.Errorf("%s\n  see: %s --help", text, cmd.CommandPath()))
}

// valueKind says what a flag takes.
func valueKind(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "duration":
		return "a duration such as 90s or 15m"
	}
	return "a " + f.Value.Type()
}

func nearestFlag(cmd *cobra.Command, name string) string {
	var names []string
	visit := func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	}
	cmd.Flags().VisitAll(visit)
	cmd.InheritedFlags().VisitAll(visit)
	return suggest.Nearest(name, names)
}

// oneArgument asks for exactly one argument and says which.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return fmt.Errorf("%s needs %s\n  example: %s", cmd.CommandPath(), what, firstExample(cmd))
	}
}

// arguments asks for so many arguments and says which.
func arguments(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) >= least && len(args) <= most {
			return nil
		}
		return fmt.Errorf("%s needs %s\n  example: %s", cmd.CommandPath(), what, firstExample(cmd))
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	// A word after a command that only groups others is a misspelt command.
	text := fmt.Sprintf("%s takes no argument, got %q", cmd.CommandPath(), args[0])
	if cmd.HasAvailableSubCommands() {
		text = fmt.Sprintf("%s has no command %q", cmd.CommandPath(), args[0])
		if cmd.SuggestionsMinimumDistance <= 0 {
			cmd.SuggestionsMinimumDistance = 2 // cobra sets it for the root alone
		}
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			text += fmt.Sprintf("; did you mean %q?", near[0])
		}
	}
	return fmt.Errorf("%s\n  see: %s --help", text, cmd.CommandPath())
}

func firstExample(cmd *cobra.Command) string {
	line, _, _ := strings.Cut(strings.TrimSpace(cmd.Example), "\n")
	return line
}
