package main

import (
	"github.com/spf13/cobra"
)

const rootLong = `Runs teams of agents on the Letta App Server: a team file says who works and
what follows what; the orchestrator asks one agent after the other, keeps every
step in a journal, and can tell afterwards why each handoff happened.

Commands work with a daemon ("orchestrator serve") where one serves the data
directory, or where one is named, and else with the data directory itself.

` + exitStatusHelp + `
Environment:

  ORCHESTRATOR_DATA_DIR     where tasks are kept (default: $XDG_STATE_HOME/orchestrator,
                            else ~/.local/state/orchestrator)
  ORCHESTRATOR_DAEMON       the daemon to use, as --daemon
  ORCHESTRATOR_TOKEN_FILE   the file with the token that the daemon wants, where it does;
                            ORCHESTRATOR_TOKEN is the token itself
  ORCHESTRATOR_CONFIG       the configuration of the daemon
  ORCHESTRATOR_APP_SERVER   the App Server to use (default: managed)
  ORCHESTRATOR_MODEL        the model of agents that name none, as provider/model
  ORCHESTRATOR_PRICES       the file with what models cost (default: prices.yaml in the
                            data directory)
  NO_COLOR                  no colour when set`

func newRoot(a *app) *cobra.Command {
	root := &cobra.Command{
		Use:   "orchestrator",
		Short: "Run teams of agents on the Letta App Server",
		Long:  rootLong,
		Example: `  orchestrator validate examples/teams/plan-code-review.yaml
  orchestrator run examples/teams/plan-code-review.yaml --input goal="Add a --json flag"
  orchestrator list`,
		Args:          noArguments,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			a.started = true
			return a.setUpLog()
		},
	}
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVar(&a.logLevel, "log-level", "warn", "least level of the log on the standard error: trace, debug, info, warn, error, disabled")
	flags.StringVar(&a.logFormat, "log-format", "console", "form of that log: console or json")
	flags.StringVar(&a.debugLog, "debug-log", "", "append the whole log, every level, to this file")
	root.AddCommand(
		newServe(a), newRun(a), newSubmit(a), newBatch(a), newWatch(a), newShow(a), newList(a), newTaskEvents(a), newUsage(a), newTranscript(a),
		newGates(a), newApprovals(a), newApprove(a), newReject(a), newAnswer(a),
		newPause(a), newResume(a), newCancel(a), newRetry(a), newFork(a), newPublish(a),
		newServers(a), newTeams(a), newSchedules(a), newNotifications(a),
		newInit(a), newDoctor(a), newCompletion(a), newBackup(a), newVerify(a),
		newValidate(a), newTest(a), newReplay(a), newGraph(a), newSchema(a), newRoles(a), newVersion(a), newAppServer(a),
		&cobra.Command{Use: "exit-status", Short: "What the exit statuses mean", Long: exitStatusHelp, Example: "  orchestrator help exit-status"},
	)
	a.completeArguments(root)
	return root
}
