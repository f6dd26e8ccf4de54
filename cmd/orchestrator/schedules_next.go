package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// nextFire is a line of schedules next --json.
type nextFire struct {
	Schedule string `json:"schedule"`
	schedule.Upcoming
}

func newSchedulesNext(a *app) *cobra.Command {
	var where place
	var team, rolesDir string
	var count int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "next [NAME]",
		Short: "The next fires of a schedule",
		Long: `The next fires of a schedule. With --team they are those of a team file, without
a daemon and without a data directory; "@every" counts from now on then.`,
		Example: `  orchestrator schedules next maintenance.nightly -n 10
  orchestrator schedules next --team examples/teams/nightly.yaml`,
		Args: arguments(0, 1, "the name of a schedule"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if count < 1 || count > 100 {
				return usage(fmt.Errorf("-n %d is not between 1 and 100", count))
			}
			if team != "" {
				return a.nextOfFile(team, rolesDir, args, count, asJSON)
			}
			if len(args) == 0 {
				return usage(errors.New("name a schedule, or a team file with --team"))
			}
			v, err := readSchedules(cmd.Context(), a, where, func(r scheduleReader) (schedule.View, error) { return r.Schedule(cmd.Context(), args[0], count) })
			if err != nil {
				return err
			}
			if len(v.Next) == 0 {
				fmt.Fprintf(a.stderr, "%s does not fire: it is disabled, or no file has it any more\n", v.Name)
			}
			a.writeNext(v.Name, v.Next, asJSON)
			return nil
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.StringVar(&team, "team", "", "the schedules of this team file")
	flags.StringVar(&rolesDir, "roles", "", "directory of roles, for --team")
	flags.IntVarP(&count, "count", "n", 5, "how many")
	flags.BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

// nextOfFile shows the next fires of the schedules of a team file.
func (a *app) nextOfFile(file, rolesDir string, names []string, count int, asJSON bool) error {
	team, err := orchestrator.LoadTeam(file, rolesDir)
	if err != nil {
		return usage(err)
	}
	now := time.Now().UTC().Truncate(time.Second)
	found := false
	for _, s := range schedule.OfTeam(team) {
		if len(names) > 0 && s.Name != names[0] && s.Name != team.Name+"."+names[0] {
			continue
		}
		found = true
		times, err := schedule.Compile(s.Cron, s.TimeZone)
		if err != nil {
			return usage(err)
		}
		a.writeNext(s.Name, schedule.NextFires(s, times, now, now, count), asJSON)
	}
	switch {
	case found:
		return nil
	case len(names) > 0:
		return usage(fmt.Errorf("%s has no schedule %q", file, names[0]))
	}
	fmt.Fprintf(a.stderr, "%s has no schedules\n", file)
	return nil
}

// writeNext prints fires to come, and how long a jitter delays them.
func (a *app) writeNext(name string, next []schedule.Upcoming, asJSON bool) {
	for _, u := range next {
		if asJSON {
			writeJSONLine(a.stdout, nextFire{name, u})
			continue
		}
		line := name + "  " + u.Scheduled.Format("Mon "+clockTime)
		if delay := u.Due.Sub(u.Scheduled); delay > 0 {
			line += fmt.Sprintf("  (%s later, by its jitter)", delay.Round(time.Second))
		}
		fmt.Fprintln(a.stdout, line)
	}
}
