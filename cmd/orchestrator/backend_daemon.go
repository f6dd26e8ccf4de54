package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/api"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/client"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// The environment variables by which a client proves who it is.
const (
	tokenVariable     = "ORCHESTRATOR_TOKEN"
	tokenFileVariable = "ORCHESTRATOR_TOKEN_FILE"
)

// daemonToken is what the daemon is shown; empty where nothing is said.
func daemonToken(ctx context.Context) (string, error) {
	if file := os.Getenv(tokenFileVariable); file != "" {
		return appclient.TokenFile(file).Token(ctx)
	}
	return os.Getenv(tokenVariable), nil
}

// daemonBackend is a daemon.
type daemonBackend struct {
	*client.Daemon
	// patience is how long events of a daemon that does not answer are waited for; 0 is the default of the client.
	patience time.Duration
}

// Close implements reader.
func (d *daemonBackend) Close() error {
	d.Daemon.Close()
	return nil
}

// List implements reader.
func (d *daemonBackend) List(ctx context.Context, f store.Filter) ([]workflow.State, error) {
	limit := f.Limit
	if limit == math.MaxInt32 {
		limit = 0
	}
	return d.Daemon.List(ctx, client.ListOptions{States: f.Status, Team: f.Team, Batch: f.Batch, Schedule: f.Schedule, Children: f.Children, Limit: limit})
}

// Children implements reader.
func (d *daemonBackend) Children(ctx context.Context, task string) ([]workflow.State, error) {
	told, err := d.Daemon.Story(ctx, task)
	return told.Children, err
}

// Look implements reader.
func (d *daemonBackend) Look(ctx context.Context, task string, after int64) (workflow.State, []store.Record, []workflow.State, error) {
	told, err := d.Daemon.Story(ctx, task)
	if err != nil {
		return workflow.State{}, nil, nil, err
	}
	var records []store.Record
	for _, r := range told.Records {
		if r.Seq > after {
			records = append(records, storeRecord(r))
		}
	}
	return told.State, records, told.Children, nil
}

func storeRecord(r client.Record) store.Record {
	return store.Record{Task: r.Task, Seq: r.Seq, Event: r.Event, Effects: r.Effects}
}

// Story implements reader.
func (d *daemonBackend) Story(ctx context.Context, task string) (taskStory, error) {
	told, err := d.Daemon.Story(ctx, task)
	if err != nil {
		return taskStory{}, err
	}
	records := make([]store.Record, 0, len(told.Records))
	for _, r := range told.Records {
		records = append(records, storeRecord(r))
	}
	sources := map[string][]byte{}
	for name, text := range told.Team.Sources {
		sources[name] = []byte(text)
	}
	return toldStory(ctx, d, told.State, records, store.Revision{
		Hash: told.Team.Revision, Name: told.Team.Name, File: told.Team.File, Source: []byte(told.Team.Source), Sources: sources,
	})
}

// Submit implements backend.
func (d *daemonBackend) Submit(ctx context.Context, s submission) (workflow.State, bool, error) {
	request := api.SubmitRequest{Team: s.name, Input: s.given, Workspace: s.workspace, Priority: s.priority}
	if s.name == "" {
		request.File, request.Source = s.team.File, string(s.team.Source)
		for name, text := range s.team.Sources {
			if request.Sources == nil {
				request.Sources = map[string]string{}
			}
			request.Sources[name] = string(text)
		}
	}
	made, err := d.SubmitTraced(ctx, request, s.key, s.trace)
	return made.Task, made.Created, err
}

// Fork implements backend.
func (d *daemonBackend) Fork(ctx context.Context, f engine.Fork) (workflow.State, bool, error) {
	made, err := d.Daemon.Fork(ctx, f.Task, api.ForkRequest{Turn: f.Turn, Input: f.Input, Workspace: f.Workspace}, f.Key)
	return made.Task, made.Created, err
}

// AnswerGate implements backend.
func (d *daemonBackend) AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error) {
	return d.Daemon.AnswerGate(ctx, task, turn, api.GateAnswer{Approved: approved, By: by, Comment: comment})
}

// AnswerQuestion implements backend.
func (d *daemonBackend) AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error) {
	return d.Daemon.AnswerQuestion(ctx, task, question, api.QuestionAnswer{Answer: answer, By: by})
}

// unreachable finds out whether the daemon does not answer.
func unreachable(err error) (*client.UnreachableError, bool) {
	return errors.AsType[*client.UnreachableError](err)
}

// diagnoseDaemon knows what goes wrong between a command and its daemon.
func diagnoseDaemon(err error) (what, todo string, ok bool) {
	gone, isGone := unreachable(err)
	switch {
	case errors.Is(err, errNoDaemon):
		return firstSentence(err), "start one (orchestrator serve), or name one with --daemon URL", true
	case isGone:
		return fmt.Sprintf("the daemon at %s does not answer: %s", gone.URL, firstSentence(gone.Err)),
			"check that it runs, and that the address is right; its tasks are kept in any case", true
	case errors.Is(err, api.ErrUnauthorized):
		return "the daemon wants a token, and got none or a wrong one", "put it into a file and name that in $" + tokenFileVariable, true
	case errors.Is(err, api.ErrForbidden):
		return firstSentence(err), "the read-only token can only look: name the file of the operator token in $" + tokenFileVariable, true
	}
	return "", "", false
}
