package main

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func newShow(a *app) *cobra.Command {
	var where place
	var full, asJSON bool
	cmd := &cobra.Command{
		Use:   "show TASK",
		Short: "Tell the whole story of a task",
		Long: `Tells a task turn by turn: what went in, what came out, why it stopped, which
rule fired and which rules before it did not match and why, what happened on
recovery, tokens, exact times, and what the task waits for now.

Of a task that waits it says for what, until when, and what to type; and it lists
the tasks that it has started for sub-teams and agents.

TASK may be shortened to any unique beginning or end. A task that is running can
be shown at the same time.`,
		Example: `  orchestrator show 01JDQ7
  orchestrator show 01JDQ7 --full
  orchestrator show 01JDQ7 --json`,
		Args: oneArgument("a task"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := a.reader(cmd.Context(), where)
			if err != nil {
				return err
			}
			driven := s.URL() != ""
			told, err := s.Story(cmd.Context(), args[0])
			if err := closing(s, err); err != nil {
				return err
			}
			if asJSON {
				writeJSONLine(a.stdout, storyToJSON(told))
				return nil
			}
			lines := 8
			if full {
				lines = 0
			}
			view := storyView{palette: paletteFor(a.stdout), lines: lines, loc: time.Local, now: time.Now(), place: where, driven: driven}
			fmt.Fprint(a.stdout, view.render(told))
			return nil
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.BoolVar(&full, "full", false, "print inputs and outputs whole instead of their first lines")
	flags.BoolVar(&asJSON, "json", false, "print state and journal as one JSON object")
	return cmd
}

// storyJSON is what `show --json` prints.
type storyJSON struct {
	State  workflow.State `json:"state"`
	File   string         `json:"team_file"`
	Events []recordLine   `json:"events"`
	// Children are the states of the tasks that it has started.
	Children []workflow.State `json:"children,omitempty"`
}

func storyToJSON(told taskStory) storyJSON {
	out := storyJSON{State: told.state, File: told.file, Events: []recordLine{}, Children: told.children}
	for _, rec := range told.records {
		out.Events = append(out.Events, recordLine{rec.Task, rec.Seq, rec.Event, rec.Effects})
	}
	return out
}
