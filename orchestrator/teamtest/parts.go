package teamtest

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// engineOptions makes the engine of a simulation: everything but the model, the
// commands, the prices and the clock is as it always is.
func (s *simulation) engineOptions(t *turns) engine.Options {
	return engine.Options{
		Store: s.store, Runner: t, Checks: t, Teams: t, Prices: s.scenario.file.Prices, Clock: engineClock{s.clock},
		OutputDir: filepath.Join(s.dir, "outputs"), MaxTurns: maxTurns, IDs: s.taskID, Workspace: s.place,
	}
}

// engineClock is a clock as the engine wants it.
type engineClock struct{ *clock }

// NewTimer implements engine.Clock.
func (c engineClock) NewTimer(d time.Duration) engine.Timer { return c.newTimer(d) }

// place is where the tasks of a scenario work: all in the same empty directory.
func (s *simulation) place(_ context.Context, task string, team *workflow.Team, input map[string]any) (engine.Place, error) {
	place := engine.Place{Directory: filepath.Join(s.dir, "workspace")}
	if team.Workspace.Worktree == nil {
		return place, nil
	}
	place.GitBranch = "team/" + task
	if branch := team.Workspace.Worktree.Branch; !branch.IsZero() {
		name, err := branch.Render(map[string]any{"input": input, "task": map[string]any{"id": task, "team": team.Name}})
		if err != nil {
			return engine.Place{}, fmt.Errorf("workspace.worktree.branch: %w", err)
		}
		place.GitBranch = name
	}
	return place, nil
}
