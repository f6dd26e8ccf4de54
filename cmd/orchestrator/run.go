package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
)

// defaultGrace is what service managers and container runtimes commonly allow
// before they kill.
const defaultGrace = 30 * time.Second

// runFlags are the flags of `run`.
type runFlags struct {
	submitFlags
	place    place
	server   serverFlags
	roles    string
	json     bool
	resume   string
	verbose  bool
	maxTurns int
	prices   string
	answers  []string
	grace    time.Duration
	// set are the flags that were given.
	set *pflag.FlagSet
}

func newRun(a *app) *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run TEAM [--input name=value ...]",
		Short: "Run a team on a task and show how it goes on",
		Long: `Submits one task and drives it to its end. Progress is redrawn on a terminal
and printed line by line on a pipe. TEAM is a team file.

Where a daemon serves the data directory (see "orchestrator serve --help"), or one is
named with --daemon, it drives the task, and TEAM may also be the name of a team of
the daemon. What is shown and the exit statuses are the same. Ctrl-C and SIGTERM then
only end the watching: the task goes on in the daemon. What chooses App Server, model,
roles and prices is the daemon's, and its flags are refused here.

With --json the standard output gets one line at the end:
  {"task":…,"state":…,"turns":…,"handoffs":[{"from","reason","rule","to"}],"tokens":…,"explanation":…}
and the standard error one JSON object for every committed event.

Gates and questions of agents are asked on a terminal. Elsewhere --answer gives
answers in advance: a gate by its name (merge=approve, "merge=reject: not yet"),
the use of a tool by a pattern ('Bash(git push *)=deny', 'Write=allow'), and what
an agent asks by the agent's name (coder="Use port 8080"). They are given each
time that is asked. When all that is left are gates that nobody has answered, the
run ends with exit status 5 and says what to type; at a limit that no rule is
about it ends with status 6. Both go on with --resume.

Ctrl-C stops: the running turn is aborted and the task can be resumed from its
last committed step. A second Ctrl-C ends the program at once. SIGTERM stops in
good order: no new turn is started, and those that run may end within --grace; a
second SIGTERM, or Ctrl-C, stops as Ctrl-C does. Nothing is lost by either.

When the disk is full, or fails, nothing new is started, what runs goes on, and
the run goes on by itself when there is room.

With --key the same command never starts a second task, however long ago the
first one was: it shows that task, or goes on with it. With other input the key is
refused.`,
		Example: `  orchestrator run examples/teams/plan-code-review.yaml --input goal="Add a --json flag"
  orchestrator run team.yaml --inputs-file inputs.json --app-server ws://127.0.0.1:4500 --json
  orchestrator run release.yaml --input version=1.2 --answer merge=approve
  orchestrator run release --input version=1.2 --daemon http://127.0.0.1:7717
  orchestrator run --resume 01JDQ7`,
		Args: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("resume") {
				return f.checkResume(cmd.Flags(), args)
			}
			if len(args) > 1 {
				return fmt.Errorf("orchestrator run takes one team file, and after it got %q: an input is given as --input name=value", args[1])
			}
			return oneArgument("a team file, or --resume TASK")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.set = cmd.Flags()
			if f.grace < 0 {
				return usage(fmt.Errorf("--grace %s: a time is not negative", f.grace))
			}
			if f.resume != "" {
				return a.resume(cmd.Context(), f)
			}
			return a.run(cmd.Context(), args[0], f)
		},
	}
	f.register(cmd.Flags())
	return cmd
}

func (f *runFlags) register(flags *pflag.FlagSet) {
	f.submitFlags.register(flags)
	f.server.register(flags)
	f.place.register(flags)
	rolesFlag(flags, &f.roles)
	flags.BoolVar(&f.json, "json", false, "print the result as one JSON line")
	flags.StringVar(&f.resume, "resume", "", "go on with this task instead of starting one")
	flags.BoolVarP(&f.verbose, "verbose", "v", false, "also show what goes in and out of each turn, and each tool call")
	flags.StringVar(&f.prices, "prices", "", "file with what models cost (default $"+orchestrator.PricesVariable+", else prices.yaml in the data directory)")
	flags.StringArrayVar(&f.answers, "answer", nil, "an answer given in advance as NAME=ANSWER; may be repeated")
	flags.DurationVar(&f.grace, "grace", defaultGrace, "how long running turns may take to end after SIGTERM")
	flags.IntVar(&f.maxTurns, "max-turns", 0, "how many turns run at the same time (default 16)")
}

func rolesFlag(flags *pflag.FlagSet, dir *string) {
	flags.StringVar(dir, "roles", "", "a folder of roles that replace or add to those of the library")
}

// checkResume refuses what only makes sense for a new task.
func (f *runFlags) checkResume(flags *pflag.FlagSet, args []string) error {
	if f.resume == "" {
		return errors.New("--resume needs a task: orchestrator list shows them")
	}
	if len(args) > 0 {
		return fmt.Errorf("--resume goes on with the team that the task was started with: leave %s out", args[0])
	}
	for _, name := range []string{"input", "inputs-file", "workspace", "key", "priority"} {
		if flags.Changed(name) {
			return fmt.Errorf("--resume goes on with the task as it is: leave --%s out", name)
		}
	}
	return nil
}

// withoutDaemon are the flags that say how a run without a daemon is driven.
func withoutDaemon() []string {
	return []string{
		"app-server", "app-server-token-file", "app-server-transport", "letta", "letta-home", "model", "roles", "prices", "max-turns", "grace",
	}
}

// checkDaemon refuses what the daemon decides.
func (f *runFlags) checkDaemon(url string) error {
	for _, name := range withoutDaemon() {
		if f.set.Changed(name) {
			return usage(fmt.Errorf("--%s is for a run without a daemon, and the daemon at %s drives the task: leave it out, or name another --data-dir", name, url))
		}
	}
	return nil
}

// serverFlags choose the App Server of a run.
type serverFlags struct {
	server    string
	tokenFile string
	transport string
	letta     string
	lettaHome string
	model     string
}

func (f *serverFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.server, "app-server", "", "managed (start the installed one), a URL, or scripted:FILE (default $"+orchestrator.AppServerVariable+", else managed)")
	flags.StringVar(&f.tokenFile, "app-server-token-file", "", "file with the bearer token of the App Server")
	flags.StringVar(&f.transport, "app-server-transport", "auto", "auto, single or split")
	flags.StringVar(&f.letta, "letta", "", "the letta program that managed starts (default: letta in PATH)")
	flags.StringVar(&f.lettaHome, "letta-home", "", "HOME of the managed App Server (default: yours)")
	flags.StringVar(&f.model, "model", "", "model of agents that name none, as provider/model (default $"+orchestrator.ModelVariable+", else the one that the App Server offers)")
}

// options are those of the library for these flags.
func (f *runFlags) options(a *app) (orchestrator.Options, error) {
	dir, err := chooseDataDir(f.place.dataDir)
	if err != nil {
		return orchestrator.Options{}, err
	}
	transport, err := parseTransport(f.server.transport)
	if err != nil {
		return orchestrator.Options{}, usage(fmt.Errorf("--app-server-transport %w", err))
	}
	server := f.server.server
	if server == "" {
		server = os.Getenv(orchestrator.AppServerVariable)
	}
	model := f.server.model
	if model == "" {
		model = os.Getenv(orchestrator.ModelVariable)
	}
	prices := f.prices
	if prices == "" {
		prices = os.Getenv(orchestrator.PricesVariable)
	}
	return orchestrator.Options{
		PricesFile: prices, Model: model, DataDir: dir, AppServer: server, TokenFile: f.server.tokenFile, Transport: transport,
		LettaCommand: f.server.letta, LettaHome: f.server.lettaHome, RolesDir: f.roles, MaxTurns: f.maxTurns, Version: buildVersion(), Log: a.log,
	}, nil
}

// usageIfWorkspace marks the errors of a submission that are the user's to mend.
func usageIfWorkspace(err error) error {
	if _, ok := errors.AsType[*orchestrator.WorktreeError](err); ok || errors.Is(err, orchestrator.ErrWorkspace) {
		return usage(err)
	}
	return err
}
