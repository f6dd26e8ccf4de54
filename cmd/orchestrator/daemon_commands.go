package main

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
)

func newServers(a *app) *cobra.Command {
	cmd := daemonList(a, &cobra.Command{
		Use:   "servers",
		Short: "List the App Servers of the daemon",
		Long: `Lists the App Servers on which the daemon runs turns: their state, how many turns
run and wait there, how many conversations live there, and what is wrong with them.`,
		Example: `  orchestrator servers
  orchestrator servers --json
  orchestrator servers drain big`,
	}, func(cmd *cobra.Command, d *daemonBackend, asJSON bool) error {
		servers, err := d.Servers(cmd.Context())
		if err != nil {
			return err
		}
		rows := [][]string{{"SERVER", "KIND", "STATE", "TURNS", "WAITING", "LIVE", "VERSION", "DETAIL"}}
		for _, s := range servers {
			if asJSON {
				writeJSONLine(a.stdout, s)
			}
			rows = append(rows, serverRow(s, time.Now()))
		}
		switch {
		case asJSON:
		case len(servers) == 0:
			fmt.Fprintln(a.stderr, "the daemon has no App Server: it runs no turn of an agent")
		default:
			writeTable(a.stdout, rows)
		}
		return nil
	})
	cmd.AddCommand(
		changeServer(a, &cobra.Command{
			Use:   "drain SERVER",
			Short: "Give an App Server nothing new",
			Long: `Gives an App Server nothing new: turns that run there go on to their ends, new
conversations begin on the others, and turns whose conversations live there wait
until  orchestrator servers resume, or until the daemon is started again.`,
			Example: `  orchestrator servers drain big`,
		}, (*client.Daemon).DrainServer),
		changeServer(a, &cobra.Command{
			Use:     "resume SERVER",
			Short:   "Go on with an App Server that was drained",
			Long:    `Goes on with an App Server that was drained.`,
			Example: `  orchestrator servers resume big`,
		}, (*client.Daemon).ResumeServer),
	)
	return cmd
}

// changeServer makes a command that changes one App Server.
func changeServer(a *app, cmd *cobra.Command, change func(d *client.Daemon, ctx context.Context, name string) (api.Server, error)) *cobra.Command {
	var where place
	cmd.Args = cobra.ExactArgs(1)
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		d, err := a.needDaemon(cmd.Context(), where)
		if err != nil {
			return err
		}
		defer a.closing(&err, d.Close)
		s, err := change(d.Daemon, cmd.Context(), args[0])
		if err != nil {
			return err
		}
		turns := plural(s.Running, "turn")
		fmt.Fprintf(a.stdout, "%s is %s; %s there now\n", printable(s.Name), s.State, turns+map[bool]string{true: " runs", false: " run"}[s.Running == 1])
		return nil
	}
	where.register(cmd.Flags())
	return cmd
}

func serverRow(s api.Server, now time.Time) []string {
	turns := strconv.Itoa(s.Running)
	if s.Limit > 0 {
		turns += " of " + strconv.Itoa(s.Limit)
	}
	state := s.State
	if !s.Since.IsZero() {
		state += " for " + formatElapsed(now.Sub(s.Since))
	}
	detail := cmp.Or(oneLine(s.Detail, 80), s.URL)
	if s.Restarts > 0 {
		detail = strings.TrimSpace(plural(s.Restarts, "restart") + " " + detail)
	}
	return []string{printable(s.Name), cmp.Or(s.Kind, "-"), state, turns, strconv.Itoa(s.Waiting), strconv.Itoa(s.Conversations), cmp.Or(printable(s.Version), "-"), cmp.Or(detail, "-")}
}

func newTeams(a *app) *cobra.Command {
	return daemonList(a, &cobra.Command{
		Use:   "teams",
		Short: "List the teams of the daemon, which can be submitted by name",
		Long: `Lists the teams of the teams directory of the daemon, with the inputs that they
take; * marks those that must be given. What is wrong with a file is told below the
table.`,
		Example: `  orchestrator teams
  orchestrator teams --json`,
	}, func(cmd *cobra.Command, d *daemonBackend, asJSON bool) error {
		teams, err := d.Teams(cmd.Context())
		if err != nil {
			return err
		}
		rows := [][]string{{"TEAM", "REVISION", "INPUTS", "FILE"}}
		for _, t := range teams {
			if asJSON {
				writeJSONLine(a.stdout, t)
			}
			rows = append(rows, []string{printable(t.Name), cmp.Or(shortRevision(t.Revision), "-"), cmp.Or(inputNames(t.Inputs), "-"), printable(t.File)})
		}
		if asJSON {
			return nil
		}
		if len(teams) == 0 {
			fmt.Fprintln(a.stderr, "the daemon has no teams: name a directory of them as teams in its configuration, or with orchestrator serve --teams")
			return nil
		}
		writeTable(a.stdout, rows)
		for _, t := range teams {
			for _, problem := range t.Problems {
				fmt.Fprintf(a.stdout, "%s %s: %s\n", paletteFor(a.stdout).bad("✗"), printable(t.Name), printable(problem))
			}
		}
		return nil
	})
}

// inputNames are the inputs of a team; * marks those that must be given.
func inputNames(inputs []api.TeamInput) string {
	var names []string
	for _, in := range inputs {
		name := in.Name
		if in.Required {
			name += "*"
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

// daemonList makes a command that lists what only a daemon knows.
func daemonList(a *app, cmd *cobra.Command, list func(*cobra.Command, *daemonBackend, bool) error) *cobra.Command {
	var where place
	var asJSON bool
	cmd.Args = noArguments
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		d, err := a.needDaemon(cmd.Context(), where)
		if err != nil {
			return err
		}
		defer a.closing(&err, d.Close)
		return list(cmd, d, asJSON)
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}
