package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// serveFlags are the flags of `serve`.
type serveFlags struct {
	config   string
	check    bool
	server   serverFlags
	dataDir  string
	roles    string
	prices   string
	teams    string
	listen   []string
	grace    time.Duration
	maxTurns int
	// set are the flags that were given.
	set *pflag.FlagSet
}

func newServe(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: it drives all tasks and serves the other commands",
		Long: `Opens the data directory, drives every task that has not ended, and listens for
the other commands, by default at a Unix socket in the data directory that only
you can use. The other commands find it by themselves.

It needs no configuration. The file that is read is the one given with --config,
else the one that $ORCHESTRATOR_CONFIG names, else orchestrator.yaml in the
working directory, where there is one. A flag counts more than an environment
variable, and that more than the file. With --check nothing is started: the
configuration and what it names are checked, and what would be used is shown.

SIGTERM ends it in good order: no new turn is started, and those that run may end
within the grace period. A second SIGTERM, or Ctrl-C, stops at once. Nothing is
lost by either: the next start goes on where this one ended. SIGHUP reads the
configuration, the teams, the roles and the prices again, and opens the log file
anew; where anything is wrong with them, the old ones stay, and the log says what.`,
		Example: `  orchestrator serve
  orchestrator serve --config orchestrator.yaml --check
  orchestrator serve --app-server ws://127.0.0.1:4500 --listen 127.0.0.1:7717`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f.set = cmd.Flags()
			if f.check {
				return a.checkConfig(f)
			}
			return a.serve(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.config, "config", "", "the configuration (default $"+configVariable+", else "+config.FileName+" in the working directory where there is one)")
	flags.BoolVar(&f.check, "check", false, "check the configuration, show what would be used, and start nothing")
	f.server.register(flags)
	dataDirFlag(flags, &f.dataDir)
	rolesFlag(flags, &f.roles)
	flags.StringVar(&f.prices, "prices", "", "file with what models cost (default $"+orchestrator.PricesVariable+", else prices.yaml in the data directory)")
	flags.StringVar(&f.teams, "teams", "", "directory of the teams that can be named")
	flags.StringArrayVar(&f.listen, "listen", nil, "where to listen: unix, unix:/PATH or HOST:PORT; may be repeated (default unix)")
	flags.DurationVar(&f.grace, "grace", defaultGrace, "how long running turns may take to end after SIGTERM")
	flags.IntVar(&f.maxTurns, "max-turns", 0, "how many turns run at the same time (default 16)")
	return cmd
}

func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	settings, err := f.settings()
	if err != nil {
		return usage(err)
	}
	log := &daemonLog{app: a, flags: f.set, secrets: orchestrator.ConfigSecrets(settings.config)}
	defer a.closing(&err, log.close)
	if err := log.apply(settings.config.Logging); err != nil {
		return usage(err)
	}
	d, err := orchestrator.NewDaemon(ctx, orchestrator.DaemonOptions{
		Config: settings.config, Version: buildVersion(), Log: log.logger(), Redact: log.secrets, Logging: log.apply,
		Load: func() (config.Config, error) {
			s, err := f.settings()
			return s.config, err
		},
		Ready: func(urls []string) { a.listening(settings, urls) },
	})
	if err != nil {
		return beforeSubmission(ctx, err)
	}
	defer a.closing(&err, func() error { return d.Close(context.WithoutCancel(ctx)) })
	return a.superviseDaemon(ctx, d)
}

// listening tells where the daemon can be found.
func (a *app) listening(s settings, urls []string) {
	from := "without a configuration file"
	if s.config.File != "" {
		from = "with the configuration " + s.config.File
	}
	fmt.Fprintf(a.stdout, "orchestrator %s, process %d, %s\ntasks are kept in %s\n", buildVersion(), os.Getpid(), from, s.config.DataDir)
	for _, url := range urls {
		fmt.Fprintln(a.stdout, "listening at", url)
	}
}

// superviseDaemon serves until it ends, and does what signals ask for.
func (a *app) superviseDaemon(ctx context.Context, d *orchestrator.Daemon) error {
	drain, ignoreDrain := a.drain.listen()
	defer ignoreDrain()
	reload, ignoreReload := a.reload.listen()
	defer ignoreReload()
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx) }()
	for interrupted := ctx.Done(); ; {
		select {
		case err := <-ended:
			return err
		case <-reload:
			// What went wrong is in the log and in health; the old configuration goes on.
			_ = d.Reload(ctx)
		case <-drain:
			fmt.Fprintf(a.stderr, "stopping: no new turn is started, and what runs may end within %s (again to stop now)\n", d.Grace())
			d.Drain()
		case <-interrupted:
			interrupted = nil
			if !errors.Is(context.Cause(ctx), errOutput) {
				fmt.Fprintln(a.stderr, "stopping; running turns are aborted (again to stop at once)")
			}
		}
	}
}
