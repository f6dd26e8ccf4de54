package orchestrator

import (
	"context"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
)

// scheduledTasks makes the tasks of schedules, of the teams of the teams directory.
type scheduledTasks struct{ d *Daemon }

// Submit implements schedule.Tasks.
func (s scheduledTasks) Submit(ctx context.Context, r schedule.Request) (task string, err error) {
	team, err := s.d.live.Load().teams.team(r.Team)
	if err != nil {
		return "", err
	}
	input, err := team.BindInput(r.Input)
	if err != nil {
		return "", err
	}
	state, _, err := s.d.engine.Submit(ctx, engine.Submission{Team: team, Input: input, Key: r.Key, Schedule: r.Schedule, Priority: r.Priority})
	return state.Task, err
}

// Cancel implements schedule.Tasks.
func (s scheduledTasks) Cancel(ctx context.Context, task, by string) error {
	_, err := s.d.engine.Cancel(ctx, task, by)
	return err
}

// Subscribe implements schedule.Tasks.
func (s scheduledTasks) Subscribe() *engine.Subscription { return s.d.engine.Subscribe("") }

// specs are the schedules of team files. Those of a file with mistakes stay as
// they were with its team.
func (all teamFiles) specs() []schedule.Spec {
	var specs []schedule.Spec
	for _, t := range all {
		if t.Team != nil {
			specs = append(specs, schedule.OfTeam(t.Team)...)
		}
	}
	return specs
}
