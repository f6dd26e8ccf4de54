package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

func newUsage(a *app) *cobra.Command {
	var where place
	var by, since, until, zone string
	var filter store.UsageFilter
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "usage",
		Short: "Tell what turns have used: tokens, and money",
		Long: `Sums up what agents have used: tokens as the App Server counted them, and
money by the price file that was in force. Every attempt at a turn counts once,
however it ended. A turn on a model without a known price is counted as unpriced
and never as free; one whose end was not seen may have used more than is known.

A task is charged with what its sub-teams use; teams and agents are those that
did the work. What was used stays known when a task is removed.`,
		Example: `  orchestrator usage
  orchestrator usage --by day --since 7d
  orchestrator usage --by agent --team plan-code-review --since 2026-11-01 --json
  orchestrator usage --by turn --task 01JDQ7`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 0 {
				return usage(fmt.Errorf("--limit %d is less than 0", limit))
			}
			var err error
			if filter.By, err = usageBy(by); err != nil {
				return usage(err)
			}
			if filter.By == store.UsageByTurn && filter.Task == "" {
				return usage(fmt.Errorf("--by turn wants --task"))
			}
			if filter.Location, err = api.ParseTimeZone(cmp.Or(zone, localZone(os.Getenv("TZ"), time.Now()))); err != nil {
				return usage(fmt.Errorf("--time-zone: %w", err))
			}
			now := time.Now()
			if filter.Since, err = momentOf(since, now, filter.Location); err != nil {
				return usage(fmt.Errorf("--since: %w", err))
			}
			if filter.Until, err = momentOf(until, now, filter.Location); err != nil {
				return usage(fmt.Errorf("--until: %w", err))
			}
			s, err := a.reader(cmd.Context(), where)
			if err != nil {
				return err
			}
			report, err := s.UsageReport(cmd.Context(), filter, limit)
			if err := closing(s, err); err != nil {
				return err
			}
			if asJSON {
				writeJSONLine(a.stdout, report)
				return nil
			}
			if len(report.Rows) == 0 {
				fmt.Fprintln(a.stderr, "no turn of an agent has ended that fits")
				return nil
			}
			writeUsage(a, report)
			return nil
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.StringVar(&by, "by", string(store.UsageByTeam), "what is summed up by: team, agent, model, server, day, task, batch or turn")
	flags.StringVar(&since, "since", "", "only turns that ended after this: 7d, 12h, a day as 2026-11-01, or a time as 2026-11-01T15:04")
	flags.StringVar(&until, "until", "", "only turns that ended before this")
	flags.StringVar(&zone, "time-zone", "", "where days begin and end, as Europe/Berlin or +02:00 (default the local one)")
	flags.StringVar(&filter.Team, "team", "", "only turns of this team")
	flags.StringVar(&filter.Batch, "batch", "", "only turns of this batch")
	flags.StringVar(&filter.Task, "task", "", "only turns of this task and its sub-teams")
	flags.IntVar(&limit, "limit", 50, "at most so many rows; 0 is all")
	flags.BoolVar(&asJSON, "json", false, "print one JSON object")
	return cmd
}

func usageBy(name string) (store.UsageBy, error) {
	var names []string
	for _, by := range store.UsageKinds() {
		if string(by) == name {
			return by, nil
		}
		names = append(names, string(by))
	}
	return "", fmt.Errorf("--by %q is none of %s", name, strings.Join(names, ", "))
}

// momentOf reads a duration before now, a day, or a time; empty is none.
func momentOf(text string, now time.Time, zone *time.Location) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := config.ParseDuration(text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is neither a duration as 7d, nor a day as 2026-11-01, nor a time as 2026-11-01T15:04", text)
	}
	return now.Add(-ago), nil
}

// localZone is a name of the local time zone that another machine understands,
// too: what $TZ or the system says, else the distance from UTC.
func localZone(variable string, now time.Time) string {
	name := strings.TrimPrefix(variable, ":")
	if name == "" {
		link, err := filepath.EvalSymlinks("/etc/localtime")
		if _, after, found := strings.Cut(filepath.ToSlash(link), "/zoneinfo/"); err == nil && found {
			name = after
		}
	}
	if zone, err := time.LoadLocation(name); err == nil && name != "" {
		// What the names say may differ from what this process goes by.
		if _, offset := now.Zone(); offset == offsetIn(now, zone) {
			return name
		}
	}
	return now.Format("-07:00")
}

func offsetIn(t time.Time, zone *time.Location) int {
	_, offset := t.In(zone).Zone()
	return offset
}

func writeUsage(a *app, report api.UsageReport) {
	colours := paletteFor(a.stdout)
	rows := [][]string{{strings.ToUpper(string(report.By)), "TURNS", "TOKENS", "INPUT", "CACHED", "OUTPUT", "REASONING", "MONEY", "UNPRICED"}}
	for _, row := range append(slices.Clone(report.Rows), report.Total) {
		u, unpriced := row.Usage, "-"
		if row.Unpriced > 0 {
			unpriced = fmt.Sprint(row.Unpriced)
		}
		rows = append(rows, []string{
			cmp.Or(row.Key, "-"), fmt.Sprint(row.Turns), formatCount(u.TotalTokens), formatCount(u.PromptTokens), formatCount(u.CachedInputTokens),
			formatCount(u.CompletionTokens), formatCount(u.ReasoningTokens), usageMoney(row), unpriced,
		})
	}
	rows[len(rows)-1][0] = "total"
	writeTable(a.stdout, rows)
	if report.More > 0 {
		fmt.Fprintln(a.stdout, colours.dim(fmt.Sprintf("%d more rows are left out, and in the total: --limit 0", report.More)))
	}
	if n := report.Total.Unpriced; n > 0 {
		fmt.Fprintf(a.stdout, "the price of %s is not known, and not in the money\n", plural(int(n), "turn"))
	}
	if n := report.Total.Reconciled; n > 0 {
		fmt.Fprintf(a.stdout, "the end of %s was not seen: more may have been used\n", plural(int(n), "turn"))
	}
	if report.By == store.UsageByDay {
		fmt.Fprintln(a.stdout, colours.dim("days of "+report.TimeZone))
	}
}

// usageMoney is never nothing where a price is not known.
func usageMoney(row api.UsageRow) string {
	switch {
	case row.Unpriced == 0:
		return formatMoney(row.Cost)
	case row.Cost > 0:
		return formatMoney(row.Cost) + "+?"
	}
	return "?"
}

// UsageReport implements reader.
func (r localReader) UsageReport(ctx context.Context, f store.UsageFilter, limit int) (api.UsageReport, error) {
	return api.ReportUsage(ctx, namedUsage(r), f, limit)
}

// namedUsage takes abbreviated names, as the daemon does.
type namedUsage localReader

// Usage implements api.UsageSource.
func (r namedUsage) Usage(ctx context.Context, f store.UsageFilter) ([]store.UsageSum, error) {
	return orchestrator.Usage(ctx, r.Store, f)
}

// UsageReport implements reader.
func (d *daemonBackend) UsageReport(ctx context.Context, f store.UsageFilter, limit int) (api.UsageReport, error) {
	if limit == 0 {
		limit = maxUsageRows
	}
	return d.Usage(ctx, f, limit)
}

// maxUsageRows is how many the daemon sends at most.
const maxUsageRows = 100_000
