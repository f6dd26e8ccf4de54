package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
)

// serveFlags are the flags of `serve`.
type serveFlags struct {
	server   serverFlags
	dataDir  string
	roles    string
	prices   string
	listen   []string
	grace    time.Duration
	maxTurns int
}

func newServe(a *app) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the daemon: it drives all tasks and serves the other commands",
		Long: `Opens the data directory, drives every task that has not ended, and listens for
the other commands, by default at a Unix socket in the data directory that only
you can use. The other commands find it by themselves.

SIGTERM ends it in good order: no new turn is started, and those that run may end
within --grace. A second SIGTERM, or Ctrl-C, stops at once. Nothing is lost by
either: the next start goes on where this one ended.`,
		Example: `  orchestrator serve
  orchestrator serve --app-server ws://127.0.0.1:4500 --listen 127.0.0.1:7717`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.serve(cmd.Context(), f) },
	}
	flags := cmd.Flags()
	f.server.register(flags)
	dataDirFlag(flags, &f.dataDir)
	rolesFlag(flags, &f.roles)
	flags.StringVar(&f.prices, "prices", "", "file with what models cost (default $"+orchestrator.PricesVariable+", else prices.yaml in the data directory)")
	flags.StringArrayVar(&f.listen, "listen", nil, "where to listen: unix, unix:/PATH or HOST:PORT; may be repeated (default unix)")
	flags.DurationVar(&f.grace, "grace", defaultGrace, "how long running turns may take to end after SIGTERM")
	flags.IntVar(&f.maxTurns, "max-turns", 0, "how many turns run at the same time (default 16)")
	return cmd
}

func (f *serveFlags) options(a *app) (orchestrator.DaemonOptions, error) {
	if f.grace < 0 {
		return orchestrator.DaemonOptions{}, usage(fmt.Errorf("--grace %s: a time is not negative", f.grace))
	}
	run := runFlags{server: f.server, dataDir: f.dataDir, roles: f.roles, prices: f.prices, maxTurns: f.maxTurns}
	options, err := run.options(a)
	return orchestrator.DaemonOptions{Options: options, Listen: f.listen, Grace: f.grace}, err
}

func (a *app) serve(ctx context.Context, f serveFlags) (err error) {
	options, err := f.options(a)
	if err != nil {
		return err
	}
	options.Ready = func(urls []string) {
		for _, url := range urls {
			fmt.Fprintln(a.stdout, "listening at", url)
		}
		fmt.Fprintf(a.stdout, "tasks are kept in %s; this is process %d\n", options.DataDir, os.Getpid())
	}
	d, err := orchestrator.NewDaemon(ctx, options)
	if err != nil {
		return beforeSubmission(ctx, err)
	}
	defer a.closing(&err, func() error { return d.Close(context.WithoutCancel(ctx)) })
	requests, ignore := a.drain.listen()
	defer ignore()
	ended := make(chan error, 1)
	go func() { ended <- d.Serve(ctx) }()
	interrupted := ctx.Done()
	for {
		select {
		case err := <-ended:
			return err
		case <-requests:
			fmt.Fprintf(a.stderr, "stopping: no new turn is started, and what runs may end within %s (again to stop now)\n", f.grace)
			d.Drain()
		case <-interrupted:
			interrupted = nil
			if !errors.Is(context.Cause(ctx), errOutput) {
				fmt.Fprintln(a.stderr, "stopping; running turns are aborted (again to stop at once)")
			}
		}
	}
}
