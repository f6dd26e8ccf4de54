package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newCompletion(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Write the completion of a shell",
		Long: `Writes a script that completes commands and flags, and the IDs of tasks and the
names of teams.
  bash: orchestrator completion bash > ~/.local/share/bash-completion/completions/orchestrator
  zsh:  orchestrator completion zsh > "${fpath[1]}/_orchestrator"
  fish: orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish`,
		Example:   `  orchestrator completion bash`,
		Args:      oneArgument("a shell: bash, zsh or fish"),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.stdout, true)
			case "zsh":
				return root.GenZshCompletion(a.stdout)
			case "fish":
				return root.GenFishCompletion(a.stdout, true)
			}
			return usage(fmt.Errorf("%s is none of bash, zsh and fish", args[0]))
		},
	}
}

// completionTime bounds looking for tasks and teams: somebody waits for the next key.
const completionTime = 2 * time.Second

// completeArguments has the commands complete what they take.
func (a *app) completeArguments(root *cobra.Command) {
	taskArguments := map[string]func(workflow.State) bool{
		"show": anyTask, "events": anyTask, "fork": anyTask, "verify": anyTask, "replay": anyTask,
		"approve": asksSomething, "reject": asksSomething, "answer": asksSomething,
		"pause": goesOn, "cancel": goesOn, "resume": isPaused, "retry": hasEnded,
	}
	for _, cmd := range root.Commands() {
		name := cmd.Name()
		if fits, ok := taskArguments[name]; ok {
			cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
				if len(args) > 0 {
					return nil, cobra.ShellCompDirectiveNoFileComp
				}
				return a.completeTasks(cmd, prefix, fits)
			}
		}
		if name == "run" || name == "submit" {
			cmd.ValidArgsFunction = a.completeTeams
		}
		complete := func(flag string, do cobra.CompletionFunc) {
			if cmd.Flags().Lookup(flag) != nil {
				_ = cmd.RegisterFlagCompletionFunc(flag, do) // it fails where there is one already
			}
		}
		complete("resume", func(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
			return a.completeTasks(cmd, prefix, goesOn)
		})
		complete("state", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var names []string
			for _, s := range taskStates() {
				names = append(names, string(s))
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		})
	}
}

func anyTask(workflow.State) bool         { return true }
func asksSomething(s workflow.State) bool { return len(asksOf(s)) > 0 }
func goesOn(s workflow.State) bool        { return !s.Status.Terminal() }
func isPaused(s workflow.State) bool      { return s.Status == workflow.TaskPaused }
func hasEnded(s workflow.State) bool      { return s.Status.Terminal() }

// completePlace is the place that the flags typed so far name.
func completePlace(cmd *cobra.Command) place {
	var p place
	if f := cmd.Flags().Lookup("data-dir"); f != nil {
		p.dataDir = f.Value.String()
	}
	if f := cmd.Flags().Lookup("daemon"); f != nil {
		p.daemon = f.Value.String()
	}
	return p
}

// completeTasks offers IDs of the newest tasks that fit. Where they cannot be
// read there are none: an error would stand in the line that somebody types.
func (a *app) completeTasks(cmd *cobra.Command, prefix string, fits func(workflow.State) bool) ([]string, cobra.ShellCompDirective) {
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	r, err := a.reader(ctx, completePlace(cmd))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	tasks, err := r.List(ctx, store.Filter{Limit: 200})
	if closing(r, err) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, t := range tasks {
		if fits(t) && strings.HasPrefix(t.Task, strings.ToUpper(prefix)) {
			out = append(out, t.Task+"\t"+t.Team+", "+string(t.Status))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
}

// completeTeams offers the teams of the daemon, and team files.
func (a *app) completeTeams(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
	defer cancel()
	var out []string
	if d, err := a.daemon(ctx, completePlace(cmd)); err == nil && d != nil {
		teams, err := d.Teams(ctx)
		if closing(d, err) == nil {
			for _, t := range teams {
				if strings.HasPrefix(t.Name, prefix) {
					out = append(out, t.Name)
				}
			}
		}
	}
	files, _ := filepath.Glob(prefix + "*") // a pattern with a mistake completes nothing
	files = slices.DeleteFunc(files, func(name string) bool { return filepath.Ext(name) != ".yaml" && !isDirectory(name) })
	for _, name := range files {
		if isDirectory(name) {
			name += "/"
		}
		out = append(out, name)
	}
	return out, cobra.ShellCompDirectiveNoSpace
}

func isDirectory(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
