package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/transcript"
)

func newTranscript(a *app) *cobra.Command {
	var where place
	var s transcript.Selection
	var full, asJSON bool
	cmd := &cobra.Command{
		Use:   "transcript TASK [TURN]",
		Short: "Tell what a turn said and did: text, reasoning, tool calls and returns",
		Long: `Prints the whole stream of the turns of a task, or of one: the prompt, text and
reasoning, every tool call with its arguments and what came back, approvals,
retries, and the end. It can be read while the turn runs; -f follows it to its end.

What is missing, because of a limit or a disk that was full, is said where it is
missing. TASK may be shortened to any unique beginning or end.`,
		Example: `  orchestrator transcript 01JDQ7
  orchestrator transcript 01JDQ7 3 --full
  orchestrator transcript 01JDQ7 -f
  orchestrator transcript 01JDQ7 3 --attempt 2 --json`,
		Args: arguments(1, 2, "a task, and perhaps a turn"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				turn, err := strconv.Atoi(args[1])
				if err != nil || turn < 1 {
					return usage(fmt.Errorf("%q is not the number of a turn: orchestrator show %s lists them", args[1], args[0]))
				}
				s.Turn = turn
			}
			if s.Attempt < 0 || s.Attempt > 0 && s.Turn == 0 {
				return usage(errors.New("--attempt is the number of an attempt at the TURN that is named"))
			}
			r, err := a.reader(cmd.Context(), where)
			if err != nil {
				return err
			}
			view := transcriptView{w: a.stdout, colours: paletteFor(a.stdout), lines: transcriptLines, loc: time.Local}
			if full {
				view.lines = 0
			}
			err = r.Transcript(cmd.Context(), args[0], s, func(record transcript.Record) error {
				if asJSON {
					writeJSONLine(a.stdout, record)
					return nil
				}
				view.record(record)
				return nil
			})
			view.finish()
			if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
				err = nil // somebody has seen enough
			}
			return closing(r, err)
		},
	}
	flags := cmd.Flags()
	where.register(flags)
	flags.BoolVarP(&s.Follow, "follow", "f", false, "go on until the task, or the turn that is named, is over")
	flags.IntVar(&s.Attempt, "attempt", 0, "only this attempt at the turn")
	flags.BoolVar(&full, "full", false, "print arguments and returns of tools whole instead of their first lines")
	flags.BoolVar(&asJSON, "json", false, "print the records as JSON Lines")
	return cmd
}

// transcriptLines is how much is printed of what a tool returns, without --full.
const transcriptLines = 12

// Transcript implements reader.
func (r localReader) Transcript(ctx context.Context, task string, s transcript.Selection, tell func(transcript.Record) error) error {
	return orchestrator.Transcript(ctx, r.Store, task, s, tell, nil)
}
