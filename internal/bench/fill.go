package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// teamSource is a team of three agents of which each hands its answer to the next.
// They share a directory, as those of the bare loop do.
const teamSource = `
version: 1
name: bench
workspace: {directory: "%s", parallel_writers: true}
inputs:
  goal: {type: string, default: go}
agents:
  planner: {prompt: You plan.}
  coder: {prompt: You write code.}
  reviewer: {prompt: You review.}
start: planner
handoffs:
  - {from: planner, on: end_turn, to: coder}
  - {from: coder, on: end_turn, to: reviewer}
  - {from: reviewer, on: end_turn, to: succeeded}
  - {from: "*", on: connection_lost, retry: {max: 2, backoff: 10h}}
  - {from: "*", on: "*", to: failed}
`

// turnsPerTask is how many turns a task of that team has.
const turnsPerTask = 3

// team parses the team, named otherwise where a name is given.
func (b *bench) team(name string) (*workflow.Team, error) {
	work := filepath.Join(b.dir, "work")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, err
	}
	source := fmt.Sprintf(teamSource, work)
	if name != "" {
		source += "description: " + name + "\n"
	}
	return workflow.Parse("bench.yaml", []byte(source), workflow.ParseOptions{})
}

// kept writes tasks into a new data directory, as the daemon does, but with one
// commit for each of them: what their state is now, and how it came to it.
type kept struct {
	store *store.Store
	team  *workflow.Team
	at    time.Time
}

// fill opens a data directory to write tasks into it. close must be called.
func (b *bench) fill(ctx context.Context, dir string) (*kept, error) {
	team, err := b.team("")
	if err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	k := &kept{store: s, team: team, at: time.Now().UTC().Truncate(time.Microsecond)}
	if err := s.SaveRevision(ctx, team, k.at); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return k, nil
}

func (k *kept) close() error { return k.store.Close() }

// submitted makes a data directory with tasks that were taken in, as a submission
// does; the daemon claims them when it starts.
func (b *bench) submitted(ctx context.Context, dir string, n int) (err error) {
	team, err := b.team("")
	if err != nil {
		return err
	}
	input, err := team.BindInput(map[string]any{})
	if err != nil {
		return err
	}
	o, err := orchestrator.New(ctx, orchestrator.Options{DataDir: dir, AppServer: orchestrator.AppServerNone, Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, o.Close(context.WithoutCancel(ctx))) }()
	var group errgroup.Group
	group.SetLimit(64)
	for range n {
		group.Go(func() error {
			_, _, err := o.Submit(ctx, orchestrator.Submission{Team: team, Input: input})
			return err
		})
	}
	return group.Wait()
}

// tasks are written one after the other, the oldest first, with IDs that begin with the prefix.
func (k *kept) tasks(ctx context.Context, prefix string, n int, batch, schedule string, events func(task string) []workflow.EventBody) error {
	input, err := k.team.BindInput(map[string]any{})
	if err != nil {
		return err
	}
	var group errgroup.Group
	group.SetLimit(64) // they are committed together
	for i := range n {
		task := fmt.Sprintf("%s%08d", prefix, i)
		k.at = k.at.Add(time.Microsecond)
		at := k.at
		bodies := append([]workflow.EventBody{workflow.TaskSubmitted{
			Task: task, Team: k.team.Name, Revision: k.team.Revision, Input: input, Batch: batch, Schedule: schedule,
		}}, events(task)...)
		var state workflow.State
		var event workflow.Event
		var effects []workflow.Effect
		for _, body := range bodies {
			event = workflow.Event{At: at, Body: body}
			if state, effects, err = workflow.Decide(k.team, state, event); err != nil {
				return err
			}
		}
		// What a daemon reads of a task is its state: the events before it are left out.
		group.Go(func() error {
			_, _, err := k.store.Create(ctx, state, event, effects, "")
			return err
		})
	}
	return group.Wait()
}

// inFlight is a task whose first turn runs.
func inFlight(server string) func(string) []workflow.EventBody {
	return func(task string) []workflow.EventBody {
		return []workflow.EventBody{
			workflow.TaskClaimed{},
			workflow.TurnSending{Turn: 1, Attempt: 1, ClientMessageID: task + ".1.1", Runtime: workflow.Runtime{Server: server, AgentID: "agent", ConversationID: task}},
			workflow.TurnAccepted{Turn: 1, Attempt: 1, Disposition: "started"},
		}
	}
}

// ended is a task that was cancelled before it began.
func ended(string) []workflow.EventBody {
	return []workflow.EventBody{workflow.CancelRequested{By: "bench"}}
}

// queued is a task that nobody has claimed.
func queued(string) []workflow.EventBody { return nil }
