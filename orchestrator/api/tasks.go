package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// SubmitRequest is a task to be made: of a team of the daemon by its name, or of
// the team that comes with it.
type SubmitRequest struct {
	// Team is the name of a team of the daemon.
	Team string `json:"team,omitempty" doc:"The name of a team of the daemon; empty where source is given"`
	// Source is a team file, File the name that it was read under, and Sources the files of its sub-teams.
	Source    string            `json:"source,omitempty" doc:"A team file, instead of a name"`
	File      string            `json:"file,omitempty" doc:"The name of that file, for messages"`
	Sources   map[string]string `json:"sources,omitempty" doc:"The files of its sub-teams, by the path that the team file names"`
	Input     map[string]any    `json:"input,omitempty" doc:"The inputs of the task by name"`
	Workspace string            `json:"workspace,omitempty" doc:"The absolute path of the directory that the agents work in, instead of the one that the team names"`
	Priority  int               `json:"priority,omitempty" minimum:"-1000" maximum:"1000" doc:"Which tasks are begun first: those with a higher one"`
}

// Submitted is the answer of submit-task.
type Submitted struct {
	Task workflow.State `json:"task"`
	// Created is false where the task was submitted before, with the same key.
	Created bool `json:"created"`
}

// TaskList is a page of tasks, the newest first.
type TaskList struct {
	Tasks []workflow.State `json:"tasks" nullable:"false"`
	// Next asks for the following page, as the parameter after; empty on the last one.
	Next string `json:"next,omitempty"`
}

// StoryDocument is a Story on the wire.
type StoryDocument struct {
	State    workflow.State   `json:"state"`
	Team     TeamSource       `json:"team"`
	Records  []RecordDocument `json:"events"`
	Children []workflow.State `json:"children"`
}

// RecordDocument is an event as it was committed.
type RecordDocument struct {
	Task string `json:"task"`
	// Seq is the version of the state after the event; it counts from 1.
	Seq     int64            `json:"seq"`
	Event   TaggedDocument   `json:"event"`
	Effects []TaggedDocument `json:"effects"`
}

// TaggedDocument is an event or an effect.
type TaggedDocument struct {
	At   string `json:"at,omitempty" doc:"When it happened, of an event"`
	Type string `json:"type"`
	Body any    `json:"body"`
}

func recordDocument(r store.Record) (RecordDocument, error) {
	out := RecordDocument{Task: r.Task, Seq: r.Seq, Effects: []TaggedDocument{}}
	event, err := json.Marshal(r.Event)
	if err == nil {
		err = json.Unmarshal(event, &out.Event)
	}
	if err == nil {
		var effects []byte
		if effects, err = json.Marshal(workflow.Effects(r.Effects)); err == nil {
			err = json.Unmarshal(effects, &out.Effects)
		}
	}
	if err != nil {
		return out, fmt.Errorf("encode event %d of task %s: %w", r.Seq, r.Task, err)
	}
	return out, nil
}

// TaskPath names a task in the path of an operation.
type TaskPath struct {
	Task string `path:"task" minLength:"1" maxLength:"200" doc:"The ID of a task, or any unique beginning or end of it"`
}

func (a *API) registerTasks() {
	operation(a, huma.Operation{
		OperationID: "submit-task", Method: http.MethodPost, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary: "Make a task", Errors: []int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusNotFound},
		Description: "With an Idempotency-Key that a task was submitted with before, that task is returned, however long ago it was.",
	}, a.submit)
	operation(a, huma.Operation{
		OperationID: "list-tasks", Method: http.MethodGet, Path: "/v1/tasks", Tags: []string{"tasks"},
		Summary: "List tasks, the newest first", Errors: []int{http.StatusBadRequest},
	}, a.list)
	operation(a, huma.Operation{
		OperationID: "get-task", Method: http.MethodGet, Path: "/v1/tasks/{task}", Tags: []string{"tasks"},
		Summary: "The state of a task", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *TaskPath) (*body[workflow.State], error) {
		return reply(a.o.Service.Task(ctx, in.Task))
	})
	operation(a, huma.Operation{
		OperationID: "get-story", Method: http.MethodGet, Path: "/v1/tasks/{task}/story", Tags: []string{"tasks"},
		Summary: "The state, the team, the whole journal of a task, and the tasks that it has started", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.story)
}

func (a *API) submit(ctx context.Context, in *struct {
	Key    string `header:"Idempotency-Key" maxLength:"200" doc:"The same key never makes a second task"`
	Parent string `header:"traceparent" maxLength:"200" doc:"The trace that the task belongs to, as of W3C Trace Context; one that is not valid is ignored"`
	State  string `header:"tracestate" maxLength:"2000"`
	Body   SubmitRequest
},
) (*body[Submitted], error) {
	r := in.Body
	if (r.Team == "") == (r.Source == "") {
		return nil, &requestError{"name a team of the daemon in team, or give a team file in source: one of both"}
	}
	if err := a.allowWorkspace(ctx, r.Workspace); err != nil {
		return nil, err
	}
	sub := Submission{
		Name: r.Team, File: r.File, Source: []byte(r.Source), Input: r.Input, Workspace: r.Workspace, Key: in.Key, Priority: r.Priority,
		Trace: workflow.ParseTrace(in.Parent, in.State),
	}
	if len(r.Sources) > 0 {
		sub.Sources = map[string][]byte{}
		for name, text := range r.Sources {
			sub.Sources[name] = []byte(text)
		}
	}
	state, created, err := a.o.Service.Submit(ctx, sub)
	if err != nil {
		return nil, err
	}
	return reply(Submitted{Task: state, Created: created}, nil)
}

func (a *API) list(ctx context.Context, in *struct {
	State    []string `query:"state" enum:"queued,running,waiting,paused,succeeded,failed,cancelled" doc:"Only tasks in one of these states, separated by commas"`
	Team     string   `query:"team" doc:"Only tasks of this team"`
	Batch    string   `query:"batch" doc:"Only tasks of this batch"`
	Schedule string   `query:"schedule" doc:"Only tasks of this schedule"`
	Children bool     `query:"children" doc:"Also the tasks of sub-teams, and those that agents have started"`
	Limit    int      `query:"limit" minimum:"1" maximum:"10000" default:"100"`
	After    string   `query:"after" maxLength:"200" doc:"What next of the page before says"`
},
) (*body[TaskList], error) {
	f := store.Filter{Team: in.Team, Batch: in.Batch, Schedule: in.Schedule, Children: in.Children, Limit: in.Limit + 1, After: in.After}
	for _, state := range in.State {
		f.Status = append(f.Status, workflow.TaskState(state))
	}
	tasks, err := a.o.Service.List(ctx, f)
	if err != nil {
		return nil, err
	}
	page := TaskList{Tasks: orEmpty(tasks)}
	if len(tasks) > in.Limit {
		page.Tasks, page.Next = tasks[:in.Limit], tasks[in.Limit-1].Task
	}
	return reply(page, nil)
}

func (a *API) story(ctx context.Context, in *TaskPath) (*body[StoryDocument], error) {
	story, err := a.o.Service.Story(ctx, in.Task)
	if err != nil {
		return nil, err
	}
	out := StoryDocument{
		State: story.State, Children: orEmpty(story.Children), Records: []RecordDocument{},
		Team: TeamSource{
			Team: Team{Name: story.Revision.Name, File: story.Revision.File, Revision: story.Revision.Hash}, Source: string(story.Revision.Source),
		},
	}
	for name, source := range story.Revision.Sources {
		if out.Team.Sources == nil {
			out.Team.Sources = map[string]string{}
		}
		out.Team.Sources[name] = string(source)
	}
	for _, r := range story.Records {
		record, err := recordDocument(r)
		if err != nil {
			return nil, err
		}
		out.Records = append(out.Records, record)
	}
	return reply(out, nil)
}
