package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
)

// finding is what doctor says about one thing. It is also what `doctor --json` prints.
type finding struct {
	Check  string `json:"check"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
	// Todo is what to do about it; empty where nothing is.
	Todo string `json:"todo,omitempty"`
}

// doctor looks at everything that a run needs.
type doctor struct {
	app      *app
	place    place
	flags    serveFlags
	quick    bool
	settings settings
	daemon   *daemonBackend // nil where there is none
	tell     func(finding)
}

func newDoctor(a *app) *cobra.Command {
	d := doctor{app: a}
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that a run or a daemon needs, and say what to do",
		Long: `Checks the configuration, the data directory and its store, the daemon, git, the
clock, and the App Server: whether it is installed and starts or can be reached, its
version, and the models that it offers. Each line is ✓ or ✗, with what to do.

Nothing is changed. To see its models the installed App Server is started for a moment
where no daemon runs one; --quick leaves that out. The exit status is 0 where all is
well, and 3 where something is not.`,
		Example: `  orchestrator doctor
  orchestrator doctor --config orchestrator.yaml --quick
  orchestrator doctor --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.flags.set, d.flags.dataDir = cmd.Flags(), d.place.dataDir
			bad := 0
			colours := paletteFor(a.stdout)
			d.tell = func(f finding) {
				if !f.OK {
					bad++
				}
				f.Detail, f.Todo = printable(f.Detail), printable(f.Todo)
				if asJSON {
					writeJSONLine(a.stdout, f)
					return
				}
				mark := colours.good("✓")
				if !f.OK {
					mark = colours.bad("✗")
				}
				fmt.Fprintf(a.stdout, "%s %s %s\n", mark, pad(f.Check, 15), f.Detail)
				if f.Todo != "" {
					fmt.Fprintf(a.stdout, "  %s what to do: %s\n", pad("", 15), f.Todo)
				}
			}
			d.examine(cmd.Context())
			if cmd.Context().Err() != nil {
				return quietExit(exitInterrupted)
			}
			if bad > 0 {
				return quietExit(exitEnvironment)
			}
			return nil
		},
	}
	flags := cmd.Flags()
	d.place.register(flags)
	flags.StringVar(&d.flags.config, "config", "", "the configuration of the daemon (default as of orchestrator serve)")
	d.flags.server.register(flags)
	flags.BoolVar(&d.quick, "quick", false, "start no App Server")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// examine makes all checks, in the order in which one depends on another.
func (d *doctor) examine(ctx context.Context) {
	usable := d.checkConfig()
	d.checkDaemon(ctx)
	if d.daemon != nil {
		defer d.daemon.Daemon.Close()
	}
	if d.place.daemon == "" {
		d.checkDataDir()
		d.checkStore(ctx)
	}
	d.checkGit(ctx)
	if usable || d.daemon != nil { // it names the App Servers
		d.checkServers(ctx)
	}
}

// good and bad tell a finding.
func (d *doctor) good(check, format string, args ...any) {
	d.tell(finding{Check: check, OK: true, Detail: fmt.Sprintf(format, args...)})
}

func (d *doctor) bad(check, detail, todo string) {
	d.tell(finding{Check: check, Detail: detail, Todo: todo})
}

// failed tells an error as commands do.
func (d *doctor) failed(check string, err error) {
	what, todo := diagnose(err)
	d.bad(check, what, todo)
}
