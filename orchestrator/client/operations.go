package client

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Health says whether the daemon works.
func (d *Daemon) Health(ctx context.Context) (api.Health, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetHealthResponse, error) { return d.api.GetHealthWithResponse(ctx) },
		func(r *GetHealthResponse) *api.Health { return r.JSON200 })
}

// Version names the program that serves.
func (d *Daemon) Version(ctx context.Context) (api.Version, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetVersionResponse, error) { return d.api.GetVersionWithResponse(ctx) },
		func(r *GetVersionResponse) *api.Version { return r.JSON200 })
}

// Servers are the App Servers of the daemon.
func (d *Daemon) Servers(ctx context.Context) ([]api.Server, error) {
	list, err := ask(ctx, d, func(ctx context.Context) (*ListServersResponse, error) { return d.api.ListServersWithResponse(ctx) },
		func(r *ListServersResponse) *api.ServerList { return r.JSON200 })
	return list.Servers, err
}

// DrainServer gives an App Server nothing new until ResumeServer.
func (d *Daemon) DrainServer(ctx context.Context, name string) (api.Server, error) {
	return ask(ctx, d, func(ctx context.Context) (*DrainServerResponse, error) {
		return d.api.DrainServerWithResponse(ctx, name)
	},
		func(r *DrainServerResponse) *api.Server { return r.JSON200 })
}

// ResumeServer ends what DrainServer began.
func (d *Daemon) ResumeServer(ctx context.Context, name string) (api.Server, error) {
	return ask(ctx, d, func(ctx context.Context) (*ResumeServerResponse, error) {
		return d.api.ResumeServerWithResponse(ctx, name)
	},
		func(r *ResumeServerResponse) *api.Server { return r.JSON200 })
}

// Teams are those that can be submitted by name.
func (d *Daemon) Teams(ctx context.Context) ([]api.Team, error) {
	list, err := ask(ctx, d, func(ctx context.Context) (*ListTeamsResponse, error) { return d.api.ListTeamsWithResponse(ctx) },
		func(r *ListTeamsResponse) *api.TeamList { return r.JSON200 })
	return list.Teams, err
}

// Team is one of them, with its source.
func (d *Daemon) Team(ctx context.Context, name string) (api.TeamSource, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetTeamResponse, error) { return d.api.GetTeamWithResponse(ctx, name) },
		func(r *GetTeamResponse) *api.TeamSource { return r.JSON200 })
}

// Submit makes a task; with a key, at most one.
func (d *Daemon) Submit(ctx context.Context, r api.SubmitRequest, key string) (api.Submitted, error) {
	return d.SubmitTraced(ctx, r, key, nil)
}

// SubmitTraced is Submit of a task that belongs to a trace; nil is none.
func (d *Daemon) SubmitTraced(ctx context.Context, r api.SubmitRequest, key string, trace *workflow.TraceContext) (api.Submitted, error) {
	params := &SubmitTaskParams{IdempotencyKey: given(key)}
	if trace != nil {
		params.Traceparent, params.Tracestate = given(trace.Parent), given(trace.State)
	}
	return ask(ctx, d, func(ctx context.Context) (*SubmitTaskResponse, error) {
		return d.api.SubmitTaskWithResponse(ctx, params, r)
	}, func(r *SubmitTaskResponse) *api.Submitted { return r.JSON200 })
}

// ListOptions select tasks.
type ListOptions struct {
	States                []workflow.TaskState
	Team, Batch, Schedule string
	// Children includes tasks that other tasks started.
	Children bool
	// Limit is the most tasks to return; 0 is all.
	Limit int
}

// listPage is how many tasks are asked for at once.
const listPage = 1000

// List returns tasks, the newest first, however many pages they take.
func (d *Daemon) List(ctx context.Context, o ListOptions) ([]workflow.State, error) {
	params := &ListTasksParams{Team: given(o.Team), Batch: given(o.Batch), Schedule: given(o.Schedule), Children: &o.Children}
	if len(o.States) > 0 {
		states := make([]ListTasksParamsState, len(o.States))
		for i, state := range o.States {
			states[i] = ListTasksParamsState(state)
		}
		params.State = &states
	}
	var tasks []workflow.State
	for {
		limit := int64(listPage)
		if o.Limit > 0 {
			limit = min(limit, int64(o.Limit-len(tasks)))
		}
		params.Limit = &limit
		page, err := ask(ctx, d, func(ctx context.Context) (*ListTasksResponse, error) { return d.api.ListTasksWithResponse(ctx, params) },
			func(r *ListTasksResponse) *api.TaskList { return r.JSON200 })
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, page.Tasks...)
		if page.Next == "" || o.Limit > 0 && len(tasks) >= o.Limit {
			return tasks, nil
		}
		params.After = &page.Next
	}
}

// Task is the state of a task, by its ID or any unique beginning or end of it.
func (d *Daemon) Task(ctx context.Context, task string) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*GetTaskResponse, error) { return d.api.GetTaskWithResponse(ctx, task) },
		func(r *GetTaskResponse) *workflow.State { return r.JSON200 })
}

// Waiting are the tasks that people are asked something by.
func (d *Daemon) Waiting(ctx context.Context) ([]workflow.State, error) {
	list, err := ask(ctx, d, func(ctx context.Context) (*ListAsksResponse, error) { return d.api.ListAsksWithResponse(ctx) },
		func(r *ListAsksResponse) *api.WaitingList { return r.JSON200 })
	return list.Tasks, err
}

// Record is an event of a task as it was committed.
type Record struct {
	Task    string           `json:"task"`
	Seq     int64            `json:"seq"`
	Event   workflow.Event   `json:"event"`
	Effects workflow.Effects `json:"effects"`
}

// Story is all that is known of a task.
type Story struct {
	State    workflow.State   `json:"state"`
	Team     api.TeamSource   `json:"team"`
	Records  []Record         `json:"events"`
	Children []workflow.State `json:"children"`
}

// Story returns the whole journal of a task, and what it belongs to.
func (d *Daemon) Story(ctx context.Context, task string) (Story, error) {
	raw, err := ask(ctx, d, func(ctx context.Context) (*GetStoryResponse, error) { return d.api.GetStoryWithResponse(ctx, task) },
		func(r *GetStoryResponse) *[]byte {
			if r.JSON200 == nil {
				return nil
			}
			return &r.Body
		})
	if err != nil {
		return Story{}, err
	}
	var story Story
	if err := json.Unmarshal(raw, &story); err != nil {
		return Story{}, fmt.Errorf("read the story of task %s: %w", task, err)
	}
	return story, nil
}

// Cancel ends a task.
func (d *Daemon) Cancel(ctx context.Context, task, by string) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*CancelTaskResponse, error) {
		return d.api.CancelTaskWithResponse(ctx, task, api.ByRequest{By: by})
	}, func(r *CancelTaskResponse) *workflow.State { return r.JSON200 })
}

// Pause pauses a task.
func (d *Daemon) Pause(ctx context.Context, task, by string) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*PauseTaskResponse, error) {
		return d.api.PauseTaskWithResponse(ctx, task, api.ByRequest{By: by})
	}, func(r *PauseTaskResponse) *workflow.State { return r.JSON200 })
}

// Resume goes on with a paused task, whose limits raise is added to.
func (d *Daemon) Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error) {
	request := api.ResumeRequest{By: by, Turns: raise.Turns, Tokens: raise.Tokens, Cost: float64(raise.Cost) / 1e6}
	if raise.Duration > 0 {
		request.Duration = raise.Duration.String()
	}
	return ask(ctx, d, func(ctx context.Context) (*ResumeTaskResponse, error) {
		return d.api.ResumeTaskWithResponse(ctx, task, request)
	}, func(r *ResumeTaskResponse) *workflow.State { return r.JSON200 })
}

// Publish publishes the result of a task again after that failed.
func (d *Daemon) Publish(ctx context.Context, task, by string) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*PublishTaskResponse, error) {
		return d.api.PublishTaskWithResponse(ctx, task, api.ByRequest{By: by})
	}, func(r *PublishTaskResponse) *workflow.State { return r.JSON200 })
}

// Retry makes a task that goes on where another one has ended.
func (d *Daemon) Retry(ctx context.Context, task string, turn int) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*RetryTaskResponse, error) {
		return d.api.RetryTaskWithResponse(ctx, task, api.RetryRequest{Turn: turn})
	}, func(r *RetryTaskResponse) *workflow.State { return r.JSON200 })
}

// Fork makes a task that goes its own way from a moment of another one.
func (d *Daemon) Fork(ctx context.Context, task string, r api.ForkRequest, key string) (api.Submitted, error) {
	return ask(ctx, d, func(ctx context.Context) (*ForkTaskResponse, error) {
		return d.api.ForkTaskWithResponse(ctx, task, &ForkTaskParams{IdempotencyKey: given(key)}, r)
	}, func(r *ForkTaskResponse) *api.Submitted { return r.JSON200 })
}

// AnswerGate approves or rejects an open gate.
func (d *Daemon) AnswerGate(ctx context.Context, task string, turn int, a api.GateAnswer) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*AnswerGateResponse, error) {
		return d.api.AnswerGateWithResponse(ctx, task, int64(turn), a)
	}, func(r *AnswerGateResponse) *workflow.State { return r.JSON200 })
}

// AnswerQuestion answers an open question.
func (d *Daemon) AnswerQuestion(ctx context.Context, task string, question int, a api.QuestionAnswer) (workflow.State, error) {
	return ask(ctx, d, func(ctx context.Context) (*AnswerQuestionResponse, error) {
		return d.api.AnswerQuestionWithResponse(ctx, task, int64(question), a)
	}, func(r *AnswerQuestionResponse) *workflow.State { return r.JSON200 })
}

// given is nil for an empty parameter.
func given(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
