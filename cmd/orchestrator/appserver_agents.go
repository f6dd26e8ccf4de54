package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/runner"
)

func newAgents(a *app) *cobra.Command {
	cmd := newAgentsList(a)
	cmd.Use = "agents"
	cmd.Short = "List or remove the agents that the orchestrator made"
	cmd.Long = `The orchestrator makes one agent for each agent of a team and uses it for all
tasks. They are known by their tags; other agents are never touched. Without a
command, this lists them.`
	cmd.Example = `  orchestrator appserver agents --url ws://127.0.0.1:4500
  orchestrator appserver agents remove --url ws://127.0.0.1:4500 --team plan-code-review`
	cmd.AddCommand(newAgentsList(a), newAgentsRemove(a))
	return cmd
}

// agentFlags select agents.
type agentFlags struct {
	connect connectFlags
	team    string
}

func (f *agentFlags) register(flags *pflag.FlagSet) {
	f.connect.register(flags)
	flags.StringVar(&f.team, "team", "", "only those of this team")
}

func newAgentsList(a *app) *cobra.Command {
	var f agentFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the agents that the orchestrator made",
		Example: `  orchestrator appserver agents list --url ws://127.0.0.1:4500`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			r, err := f.runner(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer a.closing(&err, r.Close)
			agents, err := f.list(cmd.Context(), r)
			if err != nil {
				return err
			}
			a.printAgents(agents, asJSON)
			return nil
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func newAgentsRemove(a *app) *cobra.Command {
	var f agentFlags
	var all bool
	cmd := &cobra.Command{
		Use:   "remove [--all | --team TEAM | ID...]",
		Short: "Remove agents that the orchestrator made, with their conversations",
		Example: `  orchestrator appserver agents remove --url ws://127.0.0.1:4500 --team plan-code-review
  orchestrator appserver agents remove --url ws://127.0.0.1:4500 --all`,
		Args: func(_ *cobra.Command, args []string) error {
			if chosen := len(args) > 0 || f.team != ""; chosen == all {
				return errors.New("say which agents: either --all, or --team TEAM, or their ids")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			r, err := f.runner(cmd.Context(), a)
			if err != nil {
				return err
			}
			defer a.closing(&err, r.Close)
			agents, err := f.list(cmd.Context(), r)
			if err != nil {
				return err
			}
			if agents, err = pickAgents(agents, args); err != nil {
				return usage(err)
			}
			return a.removeAgents(cmd.Context(), r, agents)
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}

// runner makes what knows our agents. It connects once beforehand, because a
// runner would wait for a server that is not there.
func (f *agentFlags) runner(ctx context.Context, a *app) (*runner.Runner, error) {
	client, err := f.connect.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := client.Close(); err != nil { //nolint:contextcheck // it bounds itself
		return nil, err
	}
	cfg, err := f.connect.config()
	if err != nil {
		return nil, err
	}
	return runner.New(runner.Options{
		Server: runner.FixedServer(cfg.URL), Token: cfg.Token, Transport: cfg.Transport, Version: buildVersion(), Log: a.log,
	}), nil
}

func (f *agentFlags) list(ctx context.Context, r *runner.Runner) ([]runner.TeamAgent, error) {
	agents, err := r.ListAgents(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(agents, func(agent runner.TeamAgent) bool { return f.team != "" && agent.Team != f.team }), nil
}

// pickAgents keeps those with the given ids; all when there are none.
func pickAgents(agents []runner.TeamAgent, ids []string) ([]runner.TeamAgent, error) {
	if len(ids) == 0 {
		return agents, nil
	}
	var picked []runner.TeamAgent
	for _, id := range ids {
		i := slices.IndexFunc(agents, func(agent runner.TeamAgent) bool { return agent.ID == id })
		if i < 0 {
			return nil, fmt.Errorf("%s is no agent that the orchestrator made there; nothing was removed", id)
		}
		picked = append(picked, agents[i])
	}
	return picked, nil
}

func (a *app) removeAgents(ctx context.Context, r *runner.Runner, agents []runner.TeamAgent) error {
	ids := make([]string, len(agents))
	for i, agent := range agents {
		ids[i] = agent.ID
	}
	removed, err := r.RemoveAgents(ctx, ids...)
	for _, agent := range removed {
		fmt.Fprintf(a.stdout, "removed %s %s\n", agent.ID, agent.Name)
	}
	fmt.Fprintln(a.stdout, plural(len(removed), "agent")+" removed")
	return err
}

func (a *app) printAgents(agents []runner.TeamAgent, asJSON bool) {
	rows := [][]string{{"ID", "TEAM", "AGENT", "MODEL"}}
	for _, agent := range agents {
		if asJSON {
			writeJSONLine(a.stdout, agent)
			continue
		}
		rows = append(rows, []string{agent.ID, agent.Team, agent.Agent, agent.Model})
	}
	if len(agents) == 0 {
		fmt.Fprintln(a.stderr, "the orchestrator made no agents there")
		return
	}
	if !asJSON {
		writeTable(a.stdout, rows)
	}
}
