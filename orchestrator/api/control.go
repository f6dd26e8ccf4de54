package api

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// ByRequest says who asks for a change of a task.
type ByRequest struct {
	By string `json:"by,omitempty" maxLength:"200" doc:"Who asks for it"`
}

// ResumeRequest goes on with a paused task. What is added is added to limits
// that the task has.
type ResumeRequest struct {
	By       string  `json:"by,omitempty" maxLength:"200" doc:"Who asks for it"`
	Turns    int     `json:"turns,omitempty" minimum:"0" maximum:"1000000" doc:"So many turns more"`
	Tokens   int64   `json:"tokens,omitempty" minimum:"0" doc:"So many tokens more"`
	Duration string  `json:"duration,omitempty" doc:"So much time more, such as 30m or 1h"`
	Cost     float64 `json:"cost,omitempty" minimum:"0" maximum:"1000000000" doc:"So many US dollars more"`
}

// RetryRequest goes on with a task that has ended.
type RetryRequest struct {
	Turn int `json:"turn,omitempty" minimum:"0" doc:"The first turn that is asked for again; 0 is what was alive just before the end"`
}

// ForkRequest makes a task that goes its own way from a moment of another one.
type ForkRequest struct {
	Turn      int            `json:"turn,omitempty" minimum:"0" doc:"The first turn that is asked for again; 0 is what was alive just before the end"`
	Input     map[string]any `json:"input,omitempty" doc:"Replaces some of the inputs"`
	Workspace string         `json:"workspace,omitempty" doc:"The absolute path of the directory that the agents work in"`
}

func (r ResumeRequest) limits() (workflow.Limits, error) {
	l := workflow.Limits{Turns: r.Turns, Tokens: r.Tokens, Cost: int64(math.Round(r.Cost * 1e6))}
	if r.Duration != "" {
		d, err := time.ParseDuration(r.Duration)
		if err != nil || d < 0 {
			return l, &requestError{fmt.Sprintf("duration %q is no duration such as 30m or 1h", r.Duration)}
		}
		l.Duration = d
	}
	return l, nil
}

// change registers an operation that changes a task.
func change[R any](a *API, verb, summary string, do func(ctx context.Context, task string, r R) (workflow.State, error)) {
	operation(a, huma.Operation{
		OperationID: verb + "-task", Method: http.MethodPost, Path: "/v1/tasks/{task}/" + verb, Tags: []string{"tasks"},
		Summary: summary, Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *struct {
		TaskPath
		Body R
	},
	) (*body[workflow.State], error) {
		state, err := a.o.Service.Task(ctx, in.Task) // the others take a whole ID
		if err != nil {
			return nil, err
		}
		return reply(do(ctx, state.Task, in.Body))
	})
}

func (a *API) registerControl() {
	s := a.o.Service
	change(a, "cancel", "End a task as cancelled, with its sub-teams", func(ctx context.Context, task string, r ByRequest) (workflow.State, error) {
		return s.Cancel(ctx, task, r.By)
	})
	change(a, "pause", "Pause a task after the turns that run now", func(ctx context.Context, task string, r ByRequest) (workflow.State, error) {
		return s.Pause(ctx, task, r.By)
	})
	change(a, "resume", "Go on with a paused task, with higher limits if wanted", func(ctx context.Context, task string, r ResumeRequest) (workflow.State, error) {
		raise, err := r.limits()
		if err != nil {
			return workflow.State{}, err
		}
		return s.Resume(ctx, task, r.By, raise)
	})
	change(a, "publish", "Publish the result of a task again, after that failed", func(ctx context.Context, task string, r ByRequest) (workflow.State, error) {
		return s.Publish(ctx, task, r.By)
	})
	change(a, "retry", "Make a task that goes on where this one has ended, or from a turn of it, in the same conversations and workspace",
		func(ctx context.Context, task string, r RetryRequest) (workflow.State, error) {
			return s.Retry(ctx, task, r.Turn)
		})
	operation(a, huma.Operation{
		OperationID: "fork-task", Method: http.MethodPost, Path: "/v1/tasks/{task}/fork", Tags: []string{"tasks"},
		Summary: "Make a task that goes its own way from a moment of this one", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, func(ctx context.Context, in *struct {
		TaskPath
		Key  string `header:"Idempotency-Key" maxLength:"200" doc:"The same key never makes a second task"`
		Body ForkRequest
	},
	) (*body[Submitted], error) {
		if err := a.allowWorkspace(ctx, in.Body.Workspace); err != nil {
			return nil, err
		}
		from, err := s.Task(ctx, in.Task)
		if err != nil {
			return nil, err
		}
		state, created, err := s.Fork(ctx, engine.Fork{Task: from.Task, Turn: in.Body.Turn, Input: in.Body.Input, Workspace: in.Body.Workspace, Key: in.Key})
		return reply(Submitted{Task: state, Created: created}, err)
	})
}
