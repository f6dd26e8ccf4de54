package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newVerify(a *app) *cobra.Command {
	var dataDir string
	cmd := &cobra.Command{
		Use:   "verify [TASK ...]",
		Short: "Check the store, and that every journal gives the state that is stored",
		Long: `Reads the whole file of the store and has SQLite check it. Then it takes the
journal of every task, or of those that are named, through the rules of its team
once more, event by event, and compares: what followed from each event, the state
after the last one, the conversations that its turns hold, and that the files of
long outputs are there.

Nothing is changed, and a run can hold the data directory meanwhile. A start
checks the file too, but for a few seconds at most.

A task that an earlier version of this program has driven may differ from what
this version would have made of it; such a difference is no damage.`,
		Example: `  orchestrator verify
  orchestrator verify 01JDQ7 --data-dir backup`,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := openReader(cmd.Context(), dataDir)
			if err != nil {
				return err
			}
			return closing(s, a.verify(cmd.Context(), s, args))
		},
	}
	dataDirFlag(cmd.Flags(), &dataDir)
	return cmd
}

// verify checks the file and the journals, and tells every difference.
func (a *app) verify(ctx context.Context, s *store.Store, names []string) error {
	if err := s.CheckFile(ctx); err != nil {
		return err
	}
	tasks, err := verified(ctx, s, names)
	if err != nil {
		return err
	}
	colours := paletteFor(a.stdout)
	events, wrong := 0, 0
	for _, task := range tasks {
		n, err := s.VerifyTask(ctx, task)
		events += n
		_, differs := errors.AsType[*workflow.HistoryError](err)
		switch {
		case err == nil:
		case differs, errors.Is(err, store.ErrUnreadable), errors.Is(err, store.ErrMissingFile):
			wrong++
			fmt.Fprintln(a.stdout, colours.bad("✗"), printable(err.Error()))
		default:
			return err
		}
	}
	if wrong > 0 {
		fmt.Fprintf(a.stdout, "%d of %s with %s differ\n", wrong, plural(len(tasks), "task"), plural(events, "event"))
		return quietExit(exitTaskFailed)
	}
	fmt.Fprintf(a.stdout, "%s %s with %s: the file is whole, and every journal gives the state that is stored\n", colours.good("✓"), plural(len(tasks), "task"), plural(events, "event"))
	return nil
}

// verified are the tasks to verify.
func verified(ctx context.Context, s *store.Store, names []string) ([]string, error) {
	if len(names) == 0 {
		return s.TaskIDs(ctx)
	}
	var tasks []string
	for _, name := range names {
		state, err := s.Task(ctx, name)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, state.Task)
	}
	return tasks, nil
}
