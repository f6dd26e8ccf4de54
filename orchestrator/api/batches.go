package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
)

// Batches is the part of a Service that is about batches. They are named by their
// ID or any unique beginning or end of it, by their name or their key.
type Batches interface {
	// CreateBatch stores a batch; created is false where it was there already.
	// Errors: workflow.Problems, *UnknownTeamError, *batch.KeyError, *batch.OptionsError.
	CreateBatch(ctx context.Context, sub BatchSubmission) (view batch.View, created bool, err error)
	// Batches lists batches, the newest first.
	Batches(ctx context.Context, f store.BatchFilter) ([]batch.View, error)
	// Batch is one of them. Errors: store.ErrBatchNotFound, store.ErrAmbiguous.
	Batch(ctx context.Context, id string) (batch.View, error)
	BatchItems(ctx context.Context, id string, f store.ItemFilter) ([]batch.ItemView, error)
	BatchReport(ctx context.Context, id string) (batch.Report, error)
	// ChangeBatch does what a person wants of a batch. Errors: *batch.RefusedError.
	ChangeBatch(ctx context.Context, id string, verb batch.Verb, by string) (batch.View, error)
}

// BatchSubmission is a batch to be made: of a team by its Name, or by its Source.
type BatchSubmission struct {
	// Team has what Submission has of a team; nothing else of it counts.
	Team Submission
	// Items are as they were given, before Team.BindInput. Keys may be empty.
	Items   []batch.Item
	Name    string
	Key     string
	GoOn    bool
	Options batch.Options
}

// maxBatchBody bounds the body of create-batch, in bytes.
const maxBatchBody = batch.MaxItemsSize + batch.MaxItemsSize/2

// CreateBatchRequest is a batch to be made: of a team of the daemon by its name,
// or of the team that comes with it.
type CreateBatchRequest struct {
	Team    string            `json:"team,omitempty" doc:"The name of a team of the daemon; empty where source is given"`
	Source  string            `json:"source,omitempty" doc:"A team file, instead of a name"`
	File    string            `json:"file,omitempty" doc:"The name of that file, for messages"`
	Sources map[string]string `json:"sources,omitempty" doc:"The files of its sub-teams, by the path that the team file names"`

	Items []BatchItemRequest `json:"items" minItems:"1" maxItems:"100000" nullable:"false" doc:"One task is made for each"`
	Input map[string]any     `json:"input,omitempty" doc:"Inputs of all items that do not have them themselves"`

	Name           string `json:"name,omitempty" maxLength:"200" doc:"For people; the name of the team when it is left out"`
	GoOn           bool   `json:"go_on,omitempty" doc:"Go on with the batch of the same team and items that has not ended, where there is one and no key is given"`
	MaxParallel    int    `json:"max_parallel,omitempty" minimum:"0" maximum:"100000" doc:"How many items run at once, 8 when it is left out; those that wait for a person do not count"`
	Canary         int    `json:"canary,omitempty" minimum:"0" maximum:"100000" doc:"So many items run first, and then the batch asks whether to go on"`
	StopWhenFailed string `json:"stop_when_failed,omitempty" maxLength:"20" doc:"Begin no more items when so many have failed: a number as 5, or a part of all items as 20%"`
	Priority       int    `json:"priority,omitempty" minimum:"-1000" maximum:"1000" doc:"That of the tasks: those with a higher one are begun first"`
}

// BatchItemRequest is an item of a batch to be made.
type BatchItemRequest struct {
	Key    string         `json:"key,omitempty" maxLength:"200" doc:"Unique in the batch; made from the inputs when it is left out"`
	Label  string         `json:"label,omitempty" maxLength:"1000" doc:"Short, for people"`
	Origin string         `json:"origin,omitempty" maxLength:"4000" doc:"Where it was read, as FILE:LINE"`
	Input  map[string]any `json:"input,omitempty" doc:"The inputs of the task by name"`
}

// CreatedBatch is the answer of create-batch.
type CreatedBatch struct {
	Batch batch.View `json:"batch"`
	// Created is false where it was there already.
	Created bool `json:"created"`
}

// BatchList is a page of batches, the newest first.
type BatchList struct {
	Batches []batch.View `json:"batches" nullable:"false"`
	// Next asks for the following page, as the parameter after; empty on the last one.
	Next string `json:"next,omitempty"`
}

// BatchItemList is items of a batch.
type BatchItemList struct {
	Items []batch.ItemView `json:"items" nullable:"false"`
}

// BatchPath names a batch in the path of an operation.
type BatchPath struct {
	Batch string `path:"batch" minLength:"1" maxLength:"200" doc:"The ID of a batch, any unique beginning or end of it, its name or its key"`
}

func (a *API) registerBatches() {
	s := a.o.Service
	operation(a, huma.Operation{
		OperationID: "create-batch", Method: http.MethodPost, Path: "/v1/batches", Tags: []string{"batches"}, MaxBodyBytes: maxBatchBody,
		Summary:     "Run a team on many items, one task for each",
		Description: "With an Idempotency-Key that a batch was made with before, that batch is returned, however long ago it was.",
		Errors:      []int{http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity, http.StatusNotFound},
	}, a.createBatch)
	operation(a, huma.Operation{
		OperationID: "list-batches", Method: http.MethodGet, Path: "/v1/batches", Tags: []string{"batches"}, Summary: "List batches, the newest first",
	}, a.listBatches)
	operation(a, huma.Operation{
		OperationID: "get-batch", Method: http.MethodGet, Path: "/v1/batches/{batch}", Tags: []string{"batches"},
		Summary: "How a batch stands", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *BatchPath) (*body[batch.View], error) {
		return reply(s.Batch(ctx, in.Batch))
	})
	operation(a, huma.Operation{
		OperationID: "list-batch-items", Method: http.MethodGet, Path: "/v1/batches/{batch}/items", Tags: []string{"batches"},
		Summary: "The items of a batch, in their order or in that of their ends", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, a.listBatchItems)
	operation(a, huma.Operation{
		OperationID: "get-batch-report", Method: http.MethodGet, Path: "/v1/batches/{batch}/report", Tags: []string{"batches"},
		Summary: "What became of every item of a batch, and the sums", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *BatchPath) (*body[batch.Report], error) {
		return reply(s.BatchReport(ctx, in.Batch))
	})
	for _, change := range []struct {
		verb    batch.Verb
		summary string
	}{
		{batch.Pause, "Begin no more items; those that run go on"},
		{batch.Resume, "Go on with a batch that is paused or stopped, whatever has failed so far"},
		{batch.Continue, "Go on after the canary"},
		{batch.Stop, "Begin no more items: the no after the canary"},
		{batch.Cancel, "End a batch, with the tasks of its items"},
		{batch.RetryFailed, "Try the items again that have failed"},
	} {
		operation(a, huma.Operation{
			OperationID: string(change.verb) + "-batch", Method: http.MethodPost, Path: "/v1/batches/{batch}/" + string(change.verb), Tags: []string{"batches"},
			Summary: change.summary, Errors: []int{http.StatusNotFound, http.StatusConflict},
		}, func(ctx context.Context, in *struct {
			BatchPath
			Body ByRequest
		},
		) (*body[batch.View], error) {
			return reply(s.ChangeBatch(ctx, in.Batch, change.verb, in.Body.By))
		})
	}
}

func (a *API) createBatch(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" maxLength:"200" doc:"The same key never makes a second batch"`
	Body CreateBatchRequest
},
) (*body[CreatedBatch], error) {
	r := in.Body
	if (r.Team == "") == (r.Source == "") {
		return nil, &requestError{"name a team of the daemon in team, or give a team file in source: one of both"}
	}
	threshold, err := batch.ParseThreshold(r.StopWhenFailed)
	if err != nil {
		return nil, &requestError{"stop_when_failed " + err.Error()}
	}
	sub := BatchSubmission{
		Team: Submission{Name: r.Team, File: r.File, Source: []byte(r.Source)}, Name: r.Name, Key: in.Key, GoOn: r.GoOn,
		Options: batch.Options{MaxParallel: r.MaxParallel, Canary: r.Canary, StopWhenFailed: threshold, Priority: r.Priority},
	}
	for name, text := range r.Sources {
		if sub.Team.Sources == nil {
			sub.Team.Sources = map[string][]byte{}
		}
		sub.Team.Sources[name] = []byte(text)
	}
	for _, item := range r.Items {
		given := item.Input
		if given == nil {
			given = map[string]any{}
		}
		for name, value := range r.Input {
			if _, own := given[name]; !own {
				given[name] = value
			}
		}
		sub.Items = append(sub.Items, batch.Item{Key: item.Key, Label: item.Label, Origin: item.Origin, Input: given})
	}
	view, created, err := a.o.Service.CreateBatch(ctx, sub)
	return reply(CreatedBatch{Batch: view, Created: created}, err)
}

func (a *API) listBatches(ctx context.Context, in *struct {
	Status []string `query:"status" enum:"running,waiting_for_canary,paused,stopped,done,cancelled" doc:"Only batches in one of these states, separated by commas"`
	Team   string   `query:"team" doc:"Only batches of this team"`
	Limit  int      `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	After  string   `query:"after" maxLength:"200" doc:"What next of the page before says"`
},
) (*body[BatchList], error) {
	list, err := a.o.Service.Batches(ctx, store.BatchFilter{Status: in.Status, Team: in.Team, Limit: in.Limit + 1, After: in.After})
	if err != nil {
		return nil, err
	}
	page := BatchList{Batches: orEmpty(list)}
	if len(list) > in.Limit {
		page.Batches, page.Next = list[:in.Limit], list[in.Limit-1].ID
	}
	return reply(page, nil)
}

func (a *API) listBatchItems(ctx context.Context, in *struct {
	BatchPath
	State      []string `query:"state" enum:"pending,running,succeeded,failed,cancelled" doc:"Only items in one of these states, separated by commas"`
	After      int      `query:"after" minimum:"0" doc:"Only items with higher numbers"`
	EndedAfter int64    `query:"ended_after" minimum:"-1" default:"-1" doc:"Only items that ended after the one with this place in the order of the ends, in that order; -1 is all items in their order"`
	Limit      int      `query:"limit" minimum:"0" maximum:"100000" doc:"0 is all"`
},
) (*body[BatchItemList], error) {
	f := store.ItemFilter{State: in.State, After: in.After, Limit: in.Limit}
	if in.EndedAfter >= 0 {
		f.EndedAfter = &in.EndedAfter
	}
	list, err := a.o.Service.BatchItems(ctx, in.Batch, f)
	return reply(BatchItemList{Items: orEmpty(list)}, err)
}
