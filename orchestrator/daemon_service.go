package orchestrator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/pool"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// A Daemon is what the API serves.
var _ api.Service = (*Daemon)(nil)

// The values of api.Health.Status.
const (
	healthy  = "ok"
	degraded = "degraded"
)

// Health implements api.Service.
func (d *Daemon) Health(context.Context) api.Health {
	h := api.Health{Status: healthy, Draining: d.draining.Load(), Started: d.started}
	if t := d.engine.StorageTrouble(); t != nil {
		h.Trouble = append(h.Trouble, "nothing can be recorded: "+oneLine(t.Err.Error()))
	}
	if r := d.reloadTrouble.Load(); r != nil && r.err != nil {
		for _, line := range problemLines(r.err) {
			h.Trouble = append(h.Trouble, "the last reload failed and the old configuration goes on: "+line)
		}
	}
	live := d.live.Load()
	for _, problem := range live.teams.problems() {
		for _, line := range problemLines(problem) {
			h.Trouble = append(h.Trouble, "teams: "+line)
		}
	}
	for _, field := range live.restart {
		h.Trouble = append(h.Trouble, field+" has changed in the configuration and needs a restart")
	}
	for _, server := range d.serverStates() {
		if server.State == string(pool.StateUnreachable) || server.State == string(pool.StateStarting) {
			h.Trouble = append(h.Trouble, fmt.Sprintf("App Server %s is %s since %s: %s", server.Name, server.State, server.Since.Format(time.RFC3339), oneLine(server.Detail)))
		}
	}
	if t := d.retentionTrouble.Load(); t != nil {
		h.Trouble = append(h.Trouble, "tasks whose time is over cannot be removed: "+oneLine((*t).Error()))
	}
	if len(h.Trouble) > 0 {
		h.Status = degraded
	}
	return h
}

// Version implements api.Service.
func (d *Daemon) Version(context.Context) api.Version {
	return api.Version{Version: d.options.Version, Go: runtime.Version(), PID: os.Getpid(), DataDir: d.store.Dir()}
}

// Teams implements api.Service.
func (d *Daemon) Teams(context.Context) ([]api.Team, error) {
	out := []api.Team{}
	for _, t := range d.live.Load().teams {
		out = append(out, served(t))
	}
	return out, nil
}

// served is a team file as clients see it.
func served(t TeamFile) api.Team {
	out := api.Team{Name: t.Name, File: t.File}
	if t.Err != nil {
		if problems, ok := errors.AsType[workflow.Problems](t.Err); ok {
			for _, p := range problems {
				out.Problems = append(out.Problems, p.String())
			}
		} else {
			out.Problems = problemLines(t.Err)
		}
	}
	if t.Team == nil {
		return out
	}
	out.Revision = t.Team.Revision
	for name, input := range t.Team.Inputs {
		out.Inputs = append(out.Inputs, api.TeamInput{Name: name, Type: input.Type, Required: input.Required, Default: input.Default})
	}
	slices.SortFunc(out.Inputs, func(a, b api.TeamInput) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// Team implements api.Service.
func (d *Daemon) Team(_ context.Context, name string) (api.TeamSource, error) {
	file, err := d.live.Load().teams.file(name)
	if err != nil {
		return api.TeamSource{}, err
	}
	out := api.TeamSource{Team: served(file)}
	if file.Team == nil {
		return out, nil
	}
	out.Source = string(file.Team.Source)
	for path, source := range file.Team.Sources {
		if out.Sources == nil {
			out.Sources = map[string]string{}
		}
		out.Sources[path] = string(source)
	}
	return out, nil
}

// Submit implements api.Service. It hides Orchestrator.Submit, which takes a
// team that is read already.
func (d *Daemon) Submit(ctx context.Context, sub api.Submission) (workflow.State, bool, error) {
	team, err := d.submitted(sub)
	if err != nil {
		return workflow.State{}, false, err
	}
	input, err := team.BindInput(sub.Input)
	if err != nil {
		return workflow.State{}, false, err
	}
	workspace := sub.Workspace
	if workspace != "" {
		if workspace, err = ResolveWorkspace(workspace); err != nil {
			return workflow.State{}, false, &api.InvalidError{Detail: err.Error(), Err: err}
		}
	}
	return d.engine.Submit(ctx, engine.Submission{Team: team, Input: input, Workspace: workspace, Key: sub.Key, Priority: sub.Priority, Trace: sub.Trace})
}

// submitted is the team of a submission.
func (d *Daemon) submitted(sub api.Submission) (*workflow.Team, error) {
	if sub.Name != "" {
		return d.live.Load().teams.team(sub.Name)
	}
	file := cmp.Or(sub.File, "team.yaml")
	return workflow.Parse(file, sub.Source, workflow.ParseOptions{Roles: d.roles.names(), Load: workflow.LoadSources(file, sub.Sources)})
}

// List implements api.Service.
func (d *Daemon) List(ctx context.Context, f store.Filter) ([]workflow.State, error) {
	return d.store.List(ctx, f)
}

// Task implements api.Service.
func (d *Daemon) Task(ctx context.Context, task string) (workflow.State, error) {
	return d.store.Task(ctx, task)
}

// Story implements api.Service.
func (d *Daemon) Story(ctx context.Context, task string) (api.Story, error) {
	state, err := d.store.Task(ctx, task)
	if err != nil {
		return api.Story{}, err
	}
	story := api.Story{}
	if story.Revision, err = d.store.Revision(ctx, state.Revision); err != nil {
		return api.Story{}, err
	}
	if story.Children, err = d.store.Children(ctx, state.Task); err != nil {
		return api.Story{}, err
	}
	// The journal before the state: a state that is a little younger only says
	// what the next events will.
	if story.Records, err = d.store.Events(ctx, state.Task, 0); err != nil {
		return api.Story{}, err
	}
	story.State, err = d.store.Task(ctx, state.Task)
	return story, err
}

// Waiting implements api.Service.
func (d *Daemon) Waiting(ctx context.Context) ([]workflow.State, error) {
	all, err := d.store.List(ctx, store.Filter{
		Status: []workflow.TaskState{workflow.TaskRunning, workflow.TaskWaiting, workflow.TaskPaused}, Children: true, Limit: math.MaxInt32,
	})
	return slices.DeleteFunc(all, func(s workflow.State) bool {
		gates := slices.ContainsFunc(s.Turns, func(t workflow.Turn) bool { return t.Kind == workflow.KindGate })
		return !gates && len(s.Questions) == 0
	}), err
}

// whole finds the whole ID of a task.
func (d *Daemon) whole(ctx context.Context, task string) (string, error) {
	state, err := d.store.Task(ctx, task)
	return state.Task, err
}

// Cancel implements api.Service.
func (d *Daemon) Cancel(ctx context.Context, task, by string) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.Cancel(ctx, id, by)
}

// Pause implements api.Service.
func (d *Daemon) Pause(ctx context.Context, task, by string) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.Pause(ctx, id, by)
}

// Resume implements api.Service.
func (d *Daemon) Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.Resume(ctx, id, by, raise)
}

// Publish implements api.Service.
func (d *Daemon) Publish(ctx context.Context, task, by string) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.RetryPublish(ctx, id, by)
}

// Retry implements api.Service.
func (d *Daemon) Retry(ctx context.Context, task string, turn int) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.Orchestrator.Retry(ctx, id, turn)
}

// Fork implements api.Service.
func (d *Daemon) Fork(ctx context.Context, f engine.Fork) (state workflow.State, created bool, err error) {
	if f.Task, err = d.whole(ctx, f.Task); err != nil {
		return workflow.State{}, false, err
	}
	if f.Workspace != "" {
		if f.Workspace, err = ResolveWorkspace(f.Workspace); err != nil {
			return workflow.State{}, false, &api.InvalidError{Detail: err.Error(), Err: err}
		}
	}
	return d.engine.Fork(ctx, f)
}

// AnswerGate implements api.Service.
func (d *Daemon) AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.AnswerGate(ctx, id, turn, approved, by, comment)
}

// AnswerQuestion implements api.Service.
func (d *Daemon) AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return workflow.State{}, err
	}
	return d.engine.AnswerQuestion(ctx, id, question, answer, by)
}

// Subscribe implements api.Service.
func (d *Daemon) Subscribe(task string) *engine.Subscription { return d.engine.Subscribe(task) }

// Events implements api.Service.
func (d *Daemon) Events(ctx context.Context, task string, after int64) ([]store.Record, error) {
	id, err := d.whole(ctx, task)
	if err != nil {
		return nil, err
	}
	return d.store.Events(ctx, id, after)
}

// EventsAfter implements api.Service.
func (d *Daemon) EventsAfter(ctx context.Context, position int64, limit int) ([]store.Positioned, error) {
	return d.store.EventsAfter(ctx, position, limit)
}

// LastPosition implements api.Service.
func (d *Daemon) LastPosition(ctx context.Context) (int64, error) { return d.store.LastPosition(ctx) }
