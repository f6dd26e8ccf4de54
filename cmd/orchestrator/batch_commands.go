package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newBatchList(a *app) *cobra.Command {
	var where place
	var f store.BatchFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use: "list", Short: "List the batches, the newest first",
		Example: `  orchestrator batch list
  orchestrator batch list --status stopped --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := []batch.Status{batch.Running, batch.WaitingForCanary, batch.Paused, batch.Stopped, batch.Done, batch.Cancelled}
			for _, status := range f.Status {
				if !slices.Contains(all, batch.Status(status)) {
					return usage(fmt.Errorf("--status %q is none of %s", status, strings.Trim(fmt.Sprint(all), "[]")))
				}
			}
			views, err := readBatches(cmd.Context(), a, where, func(r batchReader) ([]batch.View, error) { return r.Batches(cmd.Context(), f) })
			if err != nil {
				return err
			}
			if asJSON {
				for _, v := range views {
					writeJSONLine(a.stdout, v)
				}
				return nil
			}
			if len(views) == 0 {
				fmt.Fprintln(a.stderr, "no batches: orchestrator batch TEAM --items FILE makes one")
				return nil
			}
			rows := [][]string{{"BATCH", "NAME", "STATE", "ITEMS", "PROGRESS", "FAILED", "AGE", "NOW"}}
			for _, v := range views {
				rows = append(rows, []string{
					v.ID, oneLine(v.Name, 40), string(v.Status), fmt.Sprint(v.Items), fmt.Sprintf("%d%%", 100*v.Counts.Ended()/max(1, v.Items)),
					fmt.Sprint(v.Counts.Failed), formatElapsed(time.Since(v.Created)), oneLine(cmp.Or(v.Note, batchActivity(v)), 60),
				})
			}
			writeTable(a.stdout, rows)
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringSliceVar(&f.Status, "status", nil, "only batches in this state (running, waiting_for_canary, paused, stopped, done, cancelled); may be repeated")
	cmd.Flags().StringVar(&f.Team, "team", "", "only batches of this team")
	cmd.Flags().IntVar(&f.Limit, "limit", 100, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// batchActivity says what a batch does now.
func batchActivity(v batch.View) string {
	if v.Status.Terminal() {
		return ""
	}
	text := plural(v.Counts.Running, "item") + " running"
	if v.Counts.Waiting > 0 {
		text += fmt.Sprintf(", %d waiting", v.Counts.Waiting)
	}
	if v.Left > 0 {
		text += ", about " + formatLeft(v.Left) + " left"
	}
	return text
}

// readBatches opens what batches are read from, and closes it.
func readBatches[T any](ctx context.Context, a *app, where place, read func(batchReader) (T, error)) (T, error) {
	var zero T
	r, err := a.batchReader(ctx, where)
	if err != nil {
		return zero, err
	}
	value, err := read(r)
	if err := closing(r, err); err != nil {
		return zero, batchUsage(err)
	}
	return value, nil
}

// batchUsage marks the errors that are the user's to mend.
func batchUsage(err error) error {
	if errors.Is(err, store.ErrBatchNotFound) {
		return usage(fmt.Errorf("%w\n  what to do: orchestrator batch list shows them", err))
	}
	if errors.Is(err, batch.ErrRefused) {
		return usage(err)
	}
	return err
}

func newBatchShow(a *app) *cobra.Command {
	var where place
	var asJSON bool
	cmd := &cobra.Command{
		Use: "show BATCH", Short: "Show how a batch stands", Example: `  orchestrator batch show 01JDQ7`,
		Args: oneArgument("a batch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			type shown struct {
				view   batch.View
				failed []batch.ItemView
			}
			got, err := readBatches(cmd.Context(), a, where, func(r batchReader) (shown, error) {
				view, err := r.Batch(cmd.Context(), args[0])
				if err != nil {
					return shown{}, err
				}
				failed, err := r.BatchItems(cmd.Context(), view.ID, store.ItemFilter{State: []string{string(batch.ItemFailed)}, Limit: maxReportRows + 1})
				return shown{view, failed}, err
			})
			if err != nil {
				return err
			}
			if asJSON {
				writeJSONLine(a.stdout, got.view)
				return nil
			}
			a.showBatch(got.view, got.failed)
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return cmd
}

func (a *app) showBatch(v batch.View, failed []batch.ItemView) {
	r := batchPlain{out: a.stdout, palette: paletteFor(a.stdout)}
	fmt.Fprintln(a.stdout, r.heading(v))
	fmt.Fprintln(a.stdout, batchBar(v, 30))
	if v.Note != "" {
		fmt.Fprintln(a.stdout, printable(v.Note))
	}
	for _, change := range v.Changes {
		line := formatTime(change.At, time.Local) + "  " + string(change.To)
		if change.By != "" {
			line += " by " + printable(change.By)
		}
		if change.Note != "" {
			line += ": " + oneLine(change.Note, 200)
		}
		fmt.Fprintln(a.stdout, "  "+line)
	}
	for i, item := range failed {
		if i == maxReportRows {
			fmt.Fprintln(a.stdout, "  and more: orchestrator batch items "+v.ID+" --state failed")
			break
		}
		fmt.Fprintln(a.stdout, r.line(v, item))
	}
}

func newBatchItems(a *app) *cobra.Command {
	var where place
	var f store.ItemFilter
	var asJSON bool
	cmd := &cobra.Command{
		Use: "items BATCH", Short: "List the items of a batch",
		Example: `  orchestrator batch items 01JDQ7
  orchestrator batch items 01JDQ7 --state failed --json`,
		Args: oneArgument("a batch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := []batch.ItemState{batch.ItemPending, batch.ItemRunning, batch.ItemSucceeded, batch.ItemFailed, batch.ItemCancelled}
			for _, state := range f.State {
				if !slices.Contains(all, batch.ItemState(state)) {
					return usage(fmt.Errorf("--state %q is none of %s", state, strings.Trim(fmt.Sprint(all), "[]")))
				}
			}
			items, err := readBatches(cmd.Context(), a, where, func(r batchReader) ([]batch.ItemView, error) { return r.BatchItems(cmd.Context(), args[0], f) })
			if err != nil {
				return err
			}
			if asJSON {
				for _, item := range items {
					writeJSONLine(a.stdout, item)
				}
				return nil
			}
			rows := [][]string{{"#", "ITEM", "STATE", "ATTEMPT", "TASK", "FROM", "WHY"}}
			for _, item := range items {
				state := string(item.State)
				if item.Waits {
					state = "waiting"
				}
				rows = append(rows, []string{
					fmt.Sprint(item.Number), oneLine(item.Label, 60), state, fmt.Sprint(item.Attempt), cmp.Or(item.Task, "-"), oneLine(item.Origin, 60), oneLine(item.Detail, 80),
				})
			}
			writeTable(a.stdout, rows)
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringSliceVar(&f.State, "state", nil, "only items in this state (pending, running, succeeded, failed, cancelled); may be repeated")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many; 0 is all")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func newBatchReport(a *app) *cobra.Command {
	var where place
	var format, file string
	cmd := &cobra.Command{
		Use: "report BATCH", Short: "Report what became of every item of a batch",
		Long: `Writes, for every item, its state, the git branch with the result and the size of
what was changed, turns, tokens, money, time and the task whose story says why
("orchestrator show TASK"), and the sums. It can be made while the batch runs.`,
		Example: `  orchestrator batch report 01JDQ7
  orchestrator batch report 01JDQ7 --format markdown -o report.md`,
		Args: oneArgument("a batch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			formats := map[string]func(batch.Report, io.Writer) error{"table": batch.Report.WriteTable, "json": batch.Report.WriteJSON, "markdown": batch.Report.WriteMarkdown}
			write := formats[format]
			if write == nil {
				return usage(fmt.Errorf("--format %q is none of table, json and markdown", format))
			}
			report, err := readBatches(cmd.Context(), a, where, func(r batchReader) (batch.Report, error) { return r.BatchReport(cmd.Context(), args[0]) })
			if err != nil {
				return err
			}
			var b strings.Builder
			if err := write(report, &b); err != nil {
				return err
			}
			text := b.String()
			if format != "json" {
				text = printable(text)
			}
			if file == "" {
				fmt.Fprint(a.stdout, text)
				return nil
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				return usage(fmt.Errorf("write the report: %w", err))
			}
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringVar(&format, "format", "table", "table, json or markdown")
	cmd.Flags().StringVarP(&file, "output", "o", "", "file to write it to (default: the standard output)")
	return cmd
}

// batchChange is a command that asks something of a batch.
type batchChange struct {
	verb                  batch.Verb
	short, long, done     string
	drives                bool // it goes on afterwards
	alsoWhereNothingDrove bool
}

func batchChanges() []batchChange {
	const goesOn = " Without a daemon the batch is then driven in the foreground, as \"orchestrator batch\" does; with one, this command watches. --detach does neither."
	return []batchChange{
		{verb: batch.Pause, short: "Begin no more items; those that run go on", done: "paused"},
		{verb: batch.Resume, short: "Go on with a batch that is paused, stopped or interrupted", long: "Goes on, whatever has failed so far: --stop-when-failed counts anew." + goesOn, drives: true, alsoWhereNothingDrove: true},
		{verb: batch.Continue, short: "Go on with a batch after its first items", long: "Says yes after the canary." + goesOn, drives: true},
		{verb: batch.Stop, short: "Begin no more items: the no after the first items", done: "stopped"},
		{verb: batch.Cancel, short: "End a batch, with the tasks of its items", done: "cancelled"},
		{verb: batch.RetryFailed, short: "Try the failed items of a batch again, each with a new task", long: "Items that have failed are pending again." + goesOn, drives: true},
	}
}

func (c batchChange) command(a *app) *cobra.Command {
	var f batchFlags
	var by string
	cmd := &cobra.Command{
		Use: string(c.verb) + " BATCH", Short: c.short, Long: c.long, Example: "  orchestrator batch " + string(c.verb) + " 01JDQ7", Args: oneArgument("a batch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !c.drives {
				return a.changeBatch(cmd.Context(), f.place, args[0], c, byWhom(by))
			}
			if err := f.checkDriving(); err != nil {
				return usage(err)
			}
			return a.goOnWithBatch(cmd.Context(), args[0], c, f, byWhom(by))
		},
	}
	if c.drives {
		f.registerDriving(cmd.Flags())
	} else {
		f.place.register(cmd.Flags())
	}
	cmd.Flags().StringVar(&by, "by", "", "who asks for it (default: the name of the user)")
	return cmd
}

// changeBatch asks something of a batch that is not driven afterwards.
func (a *app) changeBatch(ctx context.Context, where place, id string, c batchChange, by string) (err error) {
	d, err := a.daemon(ctx, where)
	if err != nil {
		return err
	}
	var in batchBackend
	if d != nil {
		in = daemonBatches{d}
	} else {
		dir, err := existingDataDir(ctx, where.dataDir)
		if err != nil {
			return err
		}
		o, err := orchestrator.Open(ctx, dir, a.log)
		if err != nil {
			return err
		}
		in = newLocalBatches(o)
	}
	defer a.closing(&err, in.Close)
	view, err := in.ChangeBatch(ctx, id, c.verb, by)
	if err != nil {
		return batchUsage(err)
	}
	fmt.Fprintf(a.stdout, "%s: batch %s (%s)\n", c.done, view.ID, cmp.Or(batchActivity(view), string(view.Status)))
	return nil
}

// goOnWithBatch asks something of a batch, and drives or watches it.
func (a *app) goOnWithBatch(ctx context.Context, id string, c batchChange, f batchFlags, by string) (err error) {
	d, err := a.daemon(ctx, f.place)
	if err != nil {
		return err
	}
	var in batchBackend
	var o *orchestrator.Orchestrator
	if d != nil {
		if err := f.checkDaemon(d.URL()); err != nil {
			return errors.Join(err, d.Close())
		}
		in = daemonBatches{d}
	} else {
		if o, err = a.openBatch(ctx, id, f); err != nil {
			return err
		}
		in = newLocalBatches(o)
	}
	defer a.closing(&err, in.Close)
	view, err := in.Batch(ctx, id)
	if err != nil {
		return batchUsage(err)
	}
	following := a.newBatchFollower(in, o, f, view)
	// One that was interrupted is running, and goes on.
	if !c.alsoWhereNothingDrove || view.Status != batch.Running {
		if following.view, err = in.ChangeBatch(ctx, view.ID, c.verb, by); err != nil {
			return batchUsage(err)
		}
	}
	if f.detach {
		return following.detached()
	}
	return following.run(ctx)
}

// openBatch opens what a batch is driven with. It is read before, so that what
// cannot be done is refused before an App Server is started.
func (a *app) openBatch(ctx context.Context, id string, f batchFlags) (*orchestrator.Orchestrator, error) {
	s, err := openReader(ctx, f.place.dataDir)
	if err != nil {
		return nil, err
	}
	team, server, err := batchTeam(ctx, s, id)
	if err := closing(s, err); err != nil {
		return nil, batchUsage(err)
	}
	if f.detach {
		return a.openForBatch(ctx, f, team)
	}
	return a.openDriver(ctx, f.runFlags, team, server)
}

// batchTeam is the team of a batch, and the App Server that its tasks were on.
func batchTeam(ctx context.Context, s *store.Store, id string) (*workflow.Team, string, error) {
	row, err := s.Batch(ctx, id)
	if err != nil {
		return nil, "", err
	}
	revision, err := s.Revision(ctx, row.Revision)
	if err != nil {
		return nil, "", err
	}
	team, err := workflow.Parse(revision.File, revision.Source, workflow.ParseOptions{Load: workflow.LoadSources(revision.File, revision.Sources)})
	if err != nil {
		return nil, "", err
	}
	tasks, err := s.List(ctx, store.Filter{Batch: row.ID, Limit: 20})
	if err != nil {
		return nil, "", err
	}
	for _, task := range tasks {
		if server := lastServer(task); server != "" {
			return team, server, nil
		}
	}
	return team, "", nil
}
