package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// batchFlags are the flags of `batch`.
type batchFlags struct {
	runFlags
	items     string
	dirs      []string
	mapping   []string
	keyColumn string
	name      string
	parallel  int
	canary    int
	threshold string
	detach    bool
	follow    bool
}

func newBatch(a *app) *cobra.Command {
	var f batchFlags
	cmd := &cobra.Command{
		Use:   "batch TEAM --items FILE|-|--dirs GLOB",
		Short: "Run a team on many items, one task for each",
		Long: `Makes one task for each item: for each record of a CSV file with a header, for
each line of a file of JSON objects (jsonl), or for each directory that a pattern
fits. Columns are the inputs with the same names; --map says which column is for
which input, and --input gives an input to all items. Everything that is wrong
with the file is told at once, and nothing is started then.

So many items run at once as --max-parallel says; those that wait for a person do
not count. With --canary 3 the first three run, and then the batch asks whether
to go on ("orchestrator batch continue BATCH"). With --stop-when-failed 20% no more
items begin when so many of all items have failed.

No item ever runs twice, whatever is stopped or killed when: the same command, or
"orchestrator batch resume BATCH", goes on. Where a daemon serves the data directory
it drives the batch, and this command watches; else the batch is driven in the
foreground, and Ctrl-C and SIGTERM stop it as they do a run.

A line is printed for every item that ends, and a report at the end.`,
		Example: `  orchestrator batch maintain.yaml --items repos.csv --max-parallel 4 --canary 3
  orchestrator batch maintain.yaml --dirs '/srv/repos/*' --input goal="Update the licence"
  jq -c '.[]' repos.json | orchestrator batch maintain.yaml --items - --map path=repo --stop-when-failed 10%
  orchestrator batch report 01JDQ7 --format markdown -o report.md`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return fmt.Errorf("orchestrator batch takes one team, and after it got %q: put the pattern of --dirs between quotes, so that the shell leaves it as it is", args[1])
			}
			return oneArgument("a team file, or the name of a team of the daemon")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return usage(err)
			}
			return a.batch(cmd.Context(), args[0], f)
		},
	}
	f.register(cmd.Flags())
	cmd.AddCommand(newBatchList(a), newBatchShow(a), newBatchItems(a), newBatchReport(a))
	for _, change := range batchChanges() {
		cmd.AddCommand(change.command(a))
	}
	return cmd
}

func (f *batchFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.items, "items", "", "file with the items, CSV with a header or JSON objects line by line; - is the standard input")
	flags.StringArrayVar(&f.dirs, "dirs", nil, "pattern of directories, each of which is an item with the columns directory and name; may be repeated")
	flags.StringArrayVar(&f.mapping, "map", nil, "a column for an input of another name as COLUMN=INPUT, or COLUMN= to leave it out; may be repeated")
	flags.StringVar(&f.keyColumn, "key-column", "", "the column that tells the items apart (default: all their inputs)")
	flags.StringArrayVar(&f.inputs, "input", nil, "an input of all items as name=value; may be repeated")
	flags.StringVar(&f.inputsFile, "inputs-file", "", "read inputs of all items from a JSON or YAML file")
	flags.IntVar(&f.parallel, "max-parallel", batch.DefaultMaxParallel, "how many items run at once")
	flags.IntVar(&f.canary, "canary", 0, "run so many items first, and then ask whether to go on")
	flags.StringVar(&f.threshold, "stop-when-failed", "", "begin no more items when so many have failed: a number, or a part of all items as 20%")
	flags.StringVar(&f.name, "name", "", "name of the batch (default: that of the team)")
	flags.StringVar(&f.key, "key", "", "idempotency key: the same key never makes a second batch, also when that has ended")
	flags.IntVar(&f.priority, "priority", 0, "tasks with a higher one begin first, from -1000 to 1000")
	f.registerDriving(flags)
}

// registerDriving adds the flags of commands that drive a batch or watch it.
func (f *batchFlags) registerDriving(flags *pflag.FlagSet) {
	f.set = flags
	f.server.register(flags)
	f.place.register(flags)
	rolesFlag(flags, &f.roles)
	flags.BoolVar(&f.json, "json", false, "print how the batch stands at the end as one JSON line, and on the standard error one for every item that ends")
	flags.StringVar(&f.prices, "prices", "", "file with what models cost (default $"+orchestrator.PricesVariable+", else prices.yaml in the data directory)")
	flags.DurationVar(&f.grace, "grace", defaultGrace, "how long running turns may take to end after SIGTERM")
	flags.IntVar(&f.maxTurns, "max-turns", 0, "how many turns run at the same time (default 16)")
	flags.BoolVar(&f.detach, "detach", false, "do not wait for the end")
	flags.BoolVar(&f.follow, "follow", false, "wait for the end and show how it goes on; the default")
}

func (f *batchFlags) check() error {
	switch {
	case f.items == "" && len(f.dirs) == 0:
		return errors.New("a batch needs items: --items FILE, --items - for the standard input, or --dirs 'PATTERN'")
	case f.items != "" && len(f.dirs) > 0:
		return errors.New("--items and --dirs are two ways to give the items: leave one out")
	case f.items == "-" && f.inputsFile == "-":
		return errors.New("--items - and --inputs-file - would read the standard input twice")
	case f.priority < -1000 || f.priority > 1000:
		return fmt.Errorf("--priority %d is not from -1000 to 1000", f.priority)
	case f.parallel < 1:
		return fmt.Errorf("--max-parallel %d is less than 1", f.parallel)
	case f.canary < 0:
		return fmt.Errorf("--canary %d is less than 0", f.canary)
	}
	return f.checkDriving()
}

func (f *batchFlags) checkDriving() error {
	if f.detach && f.follow {
		return errors.New("--detach and --follow are opposites: leave one out")
	}
	if f.grace < 0 {
		return fmt.Errorf("--grace %s: a time is not negative", f.grace)
	}
	return nil
}

// submission reads the items for a team.
func (a *app) batchSubmission(team *workflow.Team, name string, f batchFlags, remote, sameMachine bool) (batchSubmission, error) {
	sub := batchSubmission{teamName: name}
	threshold, err := batch.ParseThreshold(f.threshold)
	if err != nil {
		return sub, usage(fmt.Errorf("--stop-when-failed %w", err))
	}
	shared, err := readInputs(f.inputsFile, a.stdin, f.inputs)
	if err != nil {
		return sub, usage(err)
	}
	columns, err := f.columns()
	if err != nil {
		return sub, usage(err)
	}
	options := batch.ItemsOptions{Team: team, Input: shared, Columns: columns, KeyColumn: f.keyColumn}
	var items []batch.Item
	if f.items == "" {
		directories, err := directoriesOf(f.dirs)
		if err != nil {
			return sub, usage(err)
		}
		items, err = batch.DirectoryItems(directories, options)
		if err != nil {
			return sub, usage(err)
		}
	} else {
		data, err := readLimited(f.items, a.stdin, batch.MaxItemsSize)
		if err != nil {
			return sub, usage(err)
		}
		if items, err = batch.ReadItems(f.items, data, options); err != nil {
			return sub, usage(err)
		}
	}
	if remote {
		if err := placesForDaemon(team, items, sameMachine); err != nil {
			return sub, usage(err)
		}
	}
	sub.Submission = batch.Submission{
		Team: team, Items: items, Name: f.name, Key: f.key, GoOn: true,
		Options: batch.Options{MaxParallel: f.parallel, Canary: f.canary, StopWhenFailed: threshold, Priority: f.priority},
	}
	return sub, nil
}

// columns reads --map.
func (f *batchFlags) columns() (map[string]string, error) {
	columns := map[string]string{}
	for _, pair := range f.mapping {
		column, input, ok := strings.Cut(pair, "=")
		if !ok || column == "" {
			return nil, fmt.Errorf("--map %q is not of the form COLUMN=INPUT", pair)
		}
		if _, twice := columns[column]; twice {
			return nil, fmt.Errorf("--map %s is given twice", column)
		}
		columns[column] = input
	}
	return columns, nil
}

// batch makes a batch, and drives it or has the daemon drive it.
func (a *app) batch(ctx context.Context, name string, f batchFlags) (err error) {
	d, err := a.daemon(ctx, f.place)
	if err != nil {
		return err
	}
	if d != nil {
		defer a.closing(&err, d.Close)
		if err := f.checkDaemon(d.URL()); err != nil {
			return err
		}
	}
	var chosen submission
	if err := a.chooseTeam(ctx, d, name, f.roles, &chosen); err != nil {
		return err
	}
	for _, w := range chosen.team.Warnings {
		fmt.Fprintln(a.stderr, "warning:", w.String())
	}
	remote := d != nil
	sub, err := a.batchSubmission(chosen.team, chosen.name, f, remote, remote && strings.HasPrefix(d.URL(), "unix:"))
	if err != nil {
		return err
	}
	if remote {
		return a.createdBatch(ctx, daemonBatches{d}, nil, sub, f)
	}
	o, err := a.openForBatch(ctx, f, chosen.team)
	if err != nil {
		return err
	}
	defer a.closing(&err, func() error { return o.Close(context.WithoutCancel(ctx)) })
	return a.createdBatch(ctx, newLocalBatches(o), o, sub, f)
}

// openForBatch opens what a batch is driven with, or only made in.
func (a *app) openForBatch(ctx context.Context, f batchFlags, team *workflow.Team) (*orchestrator.Orchestrator, error) {
	if f.detach {
		options, err := f.options(a)
		if err != nil {
			return nil, err
		}
		options.AppServer, options.TokenFile = orchestrator.AppServerNone, ""
		return orchestrator.New(ctx, options)
	}
	return a.openDriver(ctx, f.runFlags, team, "")
}

func (a *app) createdBatch(ctx context.Context, in batchBackend, o *orchestrator.Orchestrator, sub batchSubmission, f batchFlags) error {
	view, created, err := in.CreateBatch(ctx, sub)
	if errors.Is(err, batch.ErrKeyTaken) {
		return usage(err)
	}
	if err != nil {
		return err
	}
	following := a.newBatchFollower(in, o, f, view)
	if !created {
		following.remarks = append(following.remarks, fmt.Sprintf("going on with batch %s, which is %s", view.ID, view.Status))
		if !slices.Equal([]any{view.Options}, []any{sub.Options}) {
			following.remarks = append(following.remarks, "its options stay as they were: "+optionsText(view.Options))
		}
	}
	if f.detach {
		return following.detached()
	}
	return following.run(ctx)
}

// optionsText lists the options of a batch.
func optionsText(o batch.Options) string {
	parts := []string{fmt.Sprintf("%d at once", o.MaxParallel)}
	if o.Canary > 0 {
		parts = append(parts, fmt.Sprintf("canary %d", o.Canary))
	}
	if !o.StopWhenFailed.IsZero() {
		parts = append(parts, "stop when "+o.StopWhenFailed.String()+" failed")
	}
	if o.Priority != 0 {
		parts = append(parts, fmt.Sprintf("priority %d", o.Priority))
	}
	return strings.Join(parts, ", ")
}

// batchPoll is how often the rows of a batch are read while it is followed.
const batchPoll = 250 * time.Millisecond
