package main

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

func newNotifications(a *app) *cobra.Command {
	var where place
	var limit int
	var failed, asJSON bool
	cmd := &cobra.Command{
		Use:   "notifications",
		Short: "List what people were told, and whether it reached them",
		Example: `  orchestrator notifications
  orchestrator notifications --failed --json
  orchestrator notifications test`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > 1000 {
				return usage(fmt.Errorf("--limit %d is not between 1 and 1000", limit))
			}
			list, err := readSchedules(cmd.Context(), a, where, func(r scheduleReader) ([]notify.View, error) { return r.Notifications(cmd.Context(), failed, limit) })
			if err != nil && (!errors.Is(err, store.ErrNoStore) || where != (place{})) {
				return err
			}
			if len(list) == 0 && !asJSON {
				fmt.Fprintln(a.stderr, "nothing to show: who is told what is in notifications of the daemon's configuration")
				return nil
			}
			a.writeNotifications(list, asJSON)
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&failed, "failed", false, "only those that were given up")
	cmd.Flags().IntVar(&limit, "limit", 50, "at most so many")
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line, with the attempts and the body")
	cmd.AddCommand(newNotificationsTest(a))
	return cmd
}

func newNotificationsTest(a *app) *cobra.Command {
	var where place
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "test [TARGET]",
		Short: "Tell all targets, or one, that this is a test",
		Example: `  orchestrator notifications test
  orchestrator notifications test chat`,
		Args: arguments(0, 1, "the name of a target"),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			d, err := a.needDaemon(cmd.Context(), where)
			if err != nil {
				return err
			}
			defer a.closing(&err, d.Close)
			target := ""
			if len(args) == 1 {
				target = args[0]
			}
			list, err := d.TestNotifications(cmd.Context(), target)
			if err != nil {
				return usage(err)
			}
			a.writeNotifications(list, asJSON)
			for _, v := range list {
				if v.State != store.NotificationDelivered {
					return quietExit(exitTaskFailed)
				}
			}
			return nil
		},
	}
	where.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "one JSON object per line")
	return cmd
}

func (a *app) writeNotifications(list []notify.View, asJSON bool) {
	rows := [][]string{{"TYPE", "TASK", "TARGET", "STATE", "ATTEMPTS", "AGE", "LAST"}}
	for _, v := range list {
		if asJSON {
			writeJSONLine(a.stdout, v)
			continue
		}
		rows = append(rows, []string{
			v.Type, cmp.Or(v.Task, "-"), v.Target, string(v.State), fmt.Sprint(v.Attempts), formatElapsed(max(time.Since(v.Created), 0)), oneLine(v.Status, 80),
		})
	}
	if !asJSON {
		writeTable(a.stdout, rows)
	}
}
