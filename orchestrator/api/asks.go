package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// WaitingList are the tasks that people are asked something by: an open gate is a
// turn of kind gate in turns, and the rest is in questions.
type WaitingList struct {
	Tasks []workflow.State `json:"tasks" nullable:"false"`
}

// GateAnswer decides an open gate.
type GateAnswer struct {
	Approved bool   `json:"approved"`
	Comment  string `json:"comment,omitempty" maxLength:"65536" doc:"Why, for those who come next"`
	By       string `json:"by,omitempty" maxLength:"200" doc:"Who decides"`
}

// QuestionAnswer answers an open question.
type QuestionAnswer struct {
	Answer string `json:"answer" maxLength:"65536" doc:"allow or deny for the use of a tool, else a text or one of the choices"`
	By     string `json:"by,omitempty" maxLength:"200" doc:"Who answers"`
}

func (a *API) registerAsks() {
	operation(a, huma.Operation{
		OperationID: "list-asks", Method: http.MethodGet, Path: "/v1/asks", Tags: []string{"people"},
		Summary: "The tasks that wait for people: gates, uses of tools, questions",
	}, func(ctx context.Context, _ *struct{}) (*body[WaitingList], error) {
		tasks, err := a.o.Service.Waiting(ctx)
		return reply(WaitingList{Tasks: orEmpty(tasks)}, err)
	})
	operation(a, huma.Operation{
		OperationID: "answer-gate", Method: http.MethodPost, Path: "/v1/tasks/{task}/gates/{turn}", Tags: []string{"people"},
		Summary: "Approve or reject an open gate", Errors: []int{http.StatusNotFound, http.StatusConflict},
	}, func(ctx context.Context, in *struct {
		TaskPath
		Turn int `path:"turn" minimum:"1"`
		Body GateAnswer
	},
	) (*body[workflow.State], error) {
		state, err := a.o.Service.Task(ctx, in.Task)
		if err != nil {
			return nil, err
		}
		return reply(a.o.Service.AnswerGate(ctx, state.Task, in.Turn, in.Body.Approved, in.Body.By, in.Body.Comment))
	})
	operation(a, huma.Operation{
		OperationID: "answer-question", Method: http.MethodPost, Path: "/v1/tasks/{task}/questions/{number}", Tags: []string{"people"},
		Summary: "Answer an open question", Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusUnprocessableEntity},
	}, func(ctx context.Context, in *struct {
		TaskPath
		Number int `path:"number" minimum:"1"`
		Body   QuestionAnswer
	},
	) (*body[workflow.State], error) {
		state, err := a.o.Service.Task(ctx, in.Task)
		if err != nil {
			return nil, err
		}
		return reply(a.o.Service.AnswerQuestion(ctx, state.Task, in.Number, in.Body.Answer, in.Body.By))
	})
}
