package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/user"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// clockTime is how the time of a fire is shown, in the zone of its schedule.
const clockTime = "2006-01-02 15:04:05 -07:00"

func newSchedules(a *app) *cobra.Command {
	var where place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "schedules",
		Short: "List the schedules: when tasks are submitted by themselves",
		Long: `List the schedules: when tasks are submitted by themselves.

A schedule is in a team file (and named TEAM.NAME) or in the configuration of the
daemon. Without a daemon the last known ones are shown.`,
		Example: `  orchestrator schedules
  orchestrator schedules next maintenance.nightly
  orchestrator schedules next --team examples/teams/nightly.yaml
  orchestrator schedules history maintenance.nightly
  orchestrator schedules run maintenance.nightly`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list, err := readSchedules(cmd.Context(), a, where, func(r scheduleReader) ([]schedule.View, error) { return r.Schedules(cmd.Context(), 1) })
			if err != nil && (!errors.Is(err, store.ErrNoStore) || where != (place{})) {
				return err
			}
			if asJSON {
				for _, v := range list {
					writeJSONLine(a.stdout, v)
				}
				return nil
			}
			if len(list) == 0 {
				fmt.Fprintln(a.stderr, "no schedules: write some in a team file of the daemon, or in its configuration")
				return nil
			}
			writeTable(a.stdout, scheduleRows(list))
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	cmd.AddCommand(newSchedulesNext(a), newSchedulesHistory(a), newSchedulesRun(a), newSchedulesEnable(a, true), newSchedulesEnable(a, false))
	return cmd
}

// readSchedules reads something where schedules are read.
func readSchedules[T any](ctx context.Context, a *app, where place, read func(scheduleReader) (T, error)) (T, error) {
	r, err := a.openSchedules(ctx, where)
	if err != nil {
		var nothing T
		return nothing, err
	}
	out, err := read(r)
	return out, errors.Join(err, r.Close())
}

func scheduleRows(list []schedule.View) [][]string {
	rows := [][]string{{"NAME", "TEAM", "WHEN", "ZONE", "NEXT", "LAST", "ENABLED"}}
	for _, v := range list {
		next, last := "-", "-"
		if len(v.Next) > 0 {
			next = v.Next[0].Scheduled.Format(clockTime)
		}
		if v.Last != nil {
			last = inZone(v.Last.Scheduled, v.TimeZone).Format(clockTime) + " " + whatBecame(*v.Last)
		}
		enabled := "yes"
		switch {
		case v.Problem != "":
			enabled = "no: " + oneLine(v.Problem, 60)
		case v.Removed:
			enabled = "removed"
		case !v.Enabled:
			enabled = "no"
		}
		rows = append(rows, []string{v.Name, v.Team, v.Cron, v.TimeZone, next, last, enabled})
	}
	return rows
}

// whatBecame says what became of a fire, in a word or two.
func whatBecame(f schedule.FireView) string {
	return cmp.Or(string(f.Status), string(f.State))
}

func inZone(at time.Time, zone string) time.Time {
	location, err := time.LoadLocation(zone)
	if err != nil {
		return at
	}
	return at.In(location)
}

func newSchedulesHistory(a *app) *cobra.Command {
	var where place
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "history NAME",
		Short:   "What became of the last fires of a schedule, and why",
		Example: `  orchestrator schedules history maintenance.nightly --limit 20`,
		Args:    oneArgument("the name of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if limit < 1 || limit > 1000 {
				return usage(fmt.Errorf("--limit %d is not between 1 and 1000", limit))
			}
			zone := ""
			fires, err := readSchedules(cmd.Context(), a, where, func(r scheduleReader) ([]schedule.FireView, error) {
				v, err := r.Schedule(cmd.Context(), args[0], 0)
				if err != nil {
					return nil, err
				}
				zone = v.TimeZone
				return r.Fires(cmd.Context(), args[0], limit)
			})
			if err != nil {
				return err
			}
			if asJSON {
				for _, f := range fires {
					writeJSONLine(a.stdout, f)
				}
				return nil
			}
			if len(fires) == 0 {
				fmt.Fprintln(a.stderr, "it has not fired yet")
				return nil
			}
			rows := [][]string{{"SCHEDULED", "STATE", "TASK", "NOW", "WHY"}}
			for _, f := range fires {
				rows = append(rows, []string{
					inZone(f.Scheduled, zone).Format(clockTime), string(f.State), cmp.Or(f.Task, "-"), cmp.Or(string(f.Status), "-"), oneLine(fireReason(f), 100),
				})
			}
			writeTable(a.stdout, rows)
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func fireReason(f schedule.FireView) string {
	if f.By == "" {
		return f.Reason
	}
	return f.Reason + " by " + f.By
}

func newSchedulesRun(a *app) *cobra.Command {
	var where place
	var key string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "run NAME",
		Short: "Make a schedule fire now, also when it is disabled",
		Example: `  orchestrator schedules run maintenance.nightly
  orchestrator schedules run maintenance.nightly --key ticket-42   # twice is once`,
		Args: oneArgument("the name of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			d, err := a.needDaemon(cmd.Context(), where)
			if err != nil {
				return err
			}
			defer a.closing(&err, d.Close)
			fire, err := d.RunSchedule(cmd.Context(), args[0], key, whoAmI())
			if err != nil {
				return err
			}
			switch {
			case asJSON:
				writeJSONLine(a.stdout, fire)
			case fire.Task != "":
				fmt.Fprintln(a.stdout, fire.Task)
			}
			if fire.State != store.FireSubmitted {
				fmt.Fprintf(a.stderr, "%s: %s\n", fire.State, fire.Reason)
				return quietExit(exitTaskFailed)
			}
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().StringVar(&key, "key", "", "with the same key it fires once, however often this is typed")
	cmd.Flags().BoolVar(&asJSON, "json", false, "the fire as JSON")
	return cmd
}

// whoAmI is the name of the user, for the journal.
func whoAmI() string {
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

func newSchedulesEnable(a *app, enabled bool) *cobra.Command {
	var where place
	verb, short := "disable", "Let a schedule fire no more"
	if enabled {
		verb, short = "enable", "Let a schedule fire from now on; the time before is not made up for"
	}
	cmd := &cobra.Command{
		Use:     verb + " NAME",
		Short:   short,
		Example: "  orchestrator schedules " + verb + " maintenance.nightly",
		Args:    oneArgument("the name of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			view, err := enableSchedule(cmd.Context(), a, where, args[0], enabled)
			if err != nil {
				return err
			}
			if len(view.Next) > 0 {
				fmt.Fprintf(a.stdout, "%s is enabled; it fires next at %s\n", view.Name, view.Next[0].Scheduled.Format(clockTime))
				return nil
			}
			fmt.Fprintf(a.stdout, "%s does not fire\n", view.Name)
			return nil
		},
	}
	where.register(cmd.Flags())
	return cmd
}

// enableSchedule asks the daemon, and where there is none, writes it into the data directory.
func enableSchedule(ctx context.Context, a *app, where place, name string, enabled bool) (_ schedule.View, err error) {
	d, err := a.daemon(ctx, where)
	if err != nil {
		return schedule.View{}, err
	}
	if d != nil {
		defer a.closing(&err, d.Close)
		return d.EnableSchedule(ctx, name, enabled)
	}
	dir, err := chooseDataDir(where.dataDir)
	if err != nil {
		return schedule.View{}, err
	}
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return schedule.View{}, err
	}
	now := time.Now()
	if _, err = schedule.Show(ctx, s, name, now, 0); err == nil { // it knows which there are
		_, err = s.EnableSchedule(ctx, name, enabled, now)
	}
	if err != nil {
		return schedule.View{}, closing(s, err)
	}
	view, err := schedule.Show(ctx, s, name, now, 1)
	return view, closing(s, err)
}
