package teamtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/roles"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const (
	// scriptedModel is the model of agents that name none.
	scriptedModel = "lmstudio/scripted"
	// maxTurns is how many turns may run at once: as many as there are.
	maxTurns = 10_000
	// rootTask is the ID of the task of a scenario.
	rootTask = "test"
)

// Options say what a scenario runs with.
type Options struct {
	// Roles are where the roles of agents are looked up.
	Roles *roles.Library
	// Version is told to the App Server.
	Version string
}

// Result is what came of a scenario.
type Result struct {
	Scenario *Scenario
	// Failures are what was not as expected; none means that the scenario passed.
	Failures []Failure
	// Route is the route that was taken, branch after branch.
	Route []workflow.Step
	// Fired are the numbers of the rules of the team that fired, sorted.
	Fired []int
	// FiredIn are the rules that fired in the tasks of the team and of its
	// sub-teams, sorted, by Team.Revision. A sub-team that was not run is missing.
	FiredIn map[string][]int
	// State is that of the task at the end of the scenario.
	State workflow.State
	// Elapsed is the virtual time that it took.
	Elapsed time.Duration
	// Journal is that of the task.
	Journal []workflow.Recorded
}

// Passed reports whether everything was as expected.
func (r Result) Passed() bool { return len(r.Failures) == 0 }

// Failure is one thing that was not as expected.
type Failure struct {
	// Pos is the place of the expectation in the scenario file.
	Pos     workflow.Position
	Message string
	// Diff compares what was expected with what came; nil where Message says it.
	Diff []DiffLine
}

// Run runs one scenario. The error says that it could not be run; what the
// scenario finds is in the Result. Run may be called concurrently.
func Run(ctx context.Context, scenario *Scenario, options Options) (Result, error) {
	dir, err := os.MkdirTemp("", "orchestrator-test-")
	if err != nil {
		return Result{}, fmt.Errorf("make a directory for the scenario: %w", err)
	}
	result, err := run(ctx, scenario, options, dir)
	if cleanUp := os.RemoveAll(dir); cleanUp != nil {
		err = errors.Join(err, fmt.Errorf("remove the directory of the scenario: %w", cleanUp))
	}
	return result, err
}

func run(ctx context.Context, scenario *Scenario, options Options, dir string) (result Result, err error) {
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Result{}, fmt.Errorf("find the directory of the scenario: %w", err)
	}
	s := &simulation{
		scenario: scenario, options: options, dir: dir, clock: newClock(), player: newPlayer(), changed: make(chan struct{}, 1),
		states: map[string]workflow.State{}, asleep: map[turnKey]*sleeper{}, blocked: map[turnKey]bool{}, lost: map[turnKey]bool{},
		answers: map[string]apptest.Turn{}, people: newPeople(), root: rootTask,
	}
	workspace := filepath.Join(dir, "workspace")
	if err := os.MkdirAll(workspace, 0o700); err != nil {
		return Result{}, fmt.Errorf("make the workspace of the scenario: %w", err)
	}
	if s.store, err = store.Open(ctx, store.Options{Dir: filepath.Join(dir, "data")}); err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.store.Close()) }()
	if s.server, err = apptest.New(apptest.Options{Answer: s.answer, BootDir: workspace, Models: models(scenario.file.Team), Now: s.clock.Now}); err != nil {
		return Result{}, err
	}
	if err := s.server.Start(ctx); err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, s.server.Close()) }()
	return s.run(ctx, workspace)
}

func (s *simulation) run(ctx context.Context, workspace string) (Result, error) {
	s.player.script(s.root, s.scenario.Nodes)
	s.start(ctx)
	_, _, err := s.engine.engine.Submit(ctx, engine.Submission{Team: s.scenario.file.Team, Input: s.scenario.Input, Workspace: workspace})
	if err == nil {
		err = s.drive(ctx)
	}
	stopped := s.engine.stop() //nolint:contextcheck // it bounds itself, and must work when ctx has ended
	if ctx.Err() != nil {
		return Result{}, context.Cause(ctx)
	}
	result := Result{Scenario: s.scenario, Elapsed: s.clock.Now().Sub(epoch())}
	if err != nil { // of the scenario, or of what it found
		result.Failures = append(result.Failures, Failure{Pos: s.scenario.Pos, Message: err.Error()})
	}
	if stopped != nil {
		result.Failures = append(result.Failures, Failure{Pos: s.scenario.Pos, Message: "the engine: " + stopped.Error()})
	}
	if result.State, err = s.store.Task(ctx, s.root); err != nil {
		return result, err
	}
	if result.Journal, err = s.journal(ctx, s.root); err != nil {
		return result, err
	}
	result.Route = workflow.InBranchOrder(workflow.Steps(result.Journal))
	result.Fired = fired(result.Journal)
	if result.FiredIn, err = s.firedIn(ctx); err != nil {
		return result, err
	}
	if result.Passed() { // what follows from a scenario that broke off says nothing
		s.check(&result)
	}
	return result, nil
}

// taskID is engine.Options.IDs.
func (s *simulation) taskID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	if s.ids == 1 {
		return s.root
	}
	return fmt.Sprintf("%s-%d", s.root, s.ids)
}

// models are what the App Server has to offer.
func models(team *workflow.Team) []string {
	list := []string{scriptedModel}
	for _, agent := range team.Agents {
		list = append(list, agent.Model)
	}
	for _, sub := range team.Teams {
		if sub.Team != nil {
			list = append(list, models(sub.Team)...)
		}
	}
	slices.Sort(list)
	return slices.DeleteFunc(slices.Compact(list), func(s string) bool { return s == "" })
}
