package teamtest

import (
	"context"
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
		OutputDir: filepath.Join(s.dir, "outputs"), MaxTurns: maxTurns, IDs: s.taskID, Workspaces: engine.PlaceFunc(s.place),
	}
}

// engineClock is a clock as the engine wants it.
type engineClock struct{ *clock }

// NewTimer implements engine.Clock.
func (c engineClock) NewTimer(d time.Duration) engine.Timer { return c.newTimer(d) }

// place is where the tasks of a scenario work: all in the same empty directory.
func (s *simulation) place(_ context.Context, req engine.PlaceRequest) (engine.Place, error) {
	place := engine.Place{Kind: workflow.PlaceOwn, Directory: filepath.Join(s.dir, "workspace")}
	wanted, ok, err := req.Team.WorkspaceWorktree(req.Task, req.Input)
	if err != nil || !ok || req.Given != "" {
		return place, err
	}
	place.GitBranch = wanted.Branch
	return place, nil
}
