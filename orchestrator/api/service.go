package api

import (
	"context"
	"fmt"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Service is what the API serves. Tasks are named by their ID or any unique
// beginning or end of it, and errors are those of store, engine and workflow. Its
// methods may be called concurrently.
type Service interface {
	Health(ctx context.Context) Health
	Version(ctx context.Context) Version
	// Servers are the App Servers.
	Servers(ctx context.Context) ([]Server, error)
	// DrainServer gives a server nothing new until ResumeServer. Errors: *UnknownServerError.
	DrainServer(ctx context.Context, name string) (Server, error)
	ResumeServer(ctx context.Context, name string) (Server, error)

	Schedules
	Batches
	UsageSource
	TranscriptSource

	// Teams are those that can be submitted by name.
	Teams(ctx context.Context) ([]Team, error)
	// Team is one of them. Errors: *UnknownTeamError, workflow.Problems.
	Team(ctx context.Context, name string) (TeamSource, error)

	// Submit makes a task, or returns the one with the same key with created
	// false. Errors: workflow.Problems, *UnknownTeamError, *workflow.InputError, engine.ErrKeyTaken.
	Submit(ctx context.Context, sub Submission) (state workflow.State, created bool, err error)
	List(ctx context.Context, f store.Filter) ([]workflow.State, error)
	Task(ctx context.Context, task string) (workflow.State, error)
	Story(ctx context.Context, task string) (Story, error)
	// Waiting are the tasks that people are asked something by.
	Waiting(ctx context.Context) ([]workflow.State, error)

	Cancel(ctx context.Context, task, by string) (workflow.State, error)
	Pause(ctx context.Context, task, by string) (workflow.State, error)
	Resume(ctx context.Context, task, by string, raise workflow.Limits) (workflow.State, error)
	// Publish publishes the result of a task again after that failed.
	Publish(ctx context.Context, task, by string) (workflow.State, error)
	Retry(ctx context.Context, task string, turn int) (workflow.State, error)
	Fork(ctx context.Context, f engine.Fork) (state workflow.State, created bool, err error)
	AnswerGate(ctx context.Context, task string, turn int, approved bool, by, comment string) (workflow.State, error)
	AnswerQuestion(ctx context.Context, task string, question int, answer, by string) (workflow.State, error)

	// Subscribe delivers what is committed, and the progress, of one task (a whole ID) or of all.
	Subscribe(task string) *engine.Subscription
	// Events is the journal of a task after an event.
	Events(ctx context.Context, task string, after int64) ([]store.Record, error)
	// EventsAfter are at most limit events of all tasks in the order of their
	// commits, after a position; 0 is the beginning.
	EventsAfter(ctx context.Context, position int64, limit int) ([]store.Positioned, error)
	// LastPosition is that of the event committed last; 0 where there is none.
	LastPosition(ctx context.Context) (int64, error)
}

// Health says whether the daemon works, and what is wrong.
type Health struct {
	// Status is "ok", or "degraded" where there is trouble.
	Status string `json:"status" enum:"ok,degraded"`
	// Draining says that no new turn is started.
	Draining bool `json:"draining,omitempty"`
	// Trouble is for people, one sentence each.
	Trouble []string  `json:"trouble,omitempty"`
	Started time.Time `json:"started"`
}

// Version names the program that serves.
type Version struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	PID     int    `json:"pid"`
	DataDir string `json:"data_dir"`
}

// Server is an App Server as the daemon sees it.
type Server struct {
	Name string `json:"name"`
	// Kind is "managed", "url", "scripted" or "none".
	Kind string `json:"kind"`
	URL  string `json:"url,omitempty"`
	// State is "ready", "unreachable", "starting" or "draining".
	State   string    `json:"state"`
	Since   time.Time `json:"since,omitzero"`
	Detail  string    `json:"detail,omitempty"`
	Version string    `json:"version,omitempty"`
	// Restarts counts how often a managed one came up again.
	Restarts int `json:"restarts,omitempty"`
	// Running counts turns, and Waiting those that can run there alone; Limit is how many may run at once, 0 is without one.
	Running int `json:"running"`
	Waiting int `json:"waiting"`
	Limit   int `json:"limit,omitempty"`
	// Conversations is how many live there.
	Conversations int `json:"conversations"`
	// Local says that it sees the files of the daemon.
	Local bool `json:"local"`
}

// Team is a team that can be submitted by name.
type Team struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Revision string `json:"revision,omitempty"`
	// Problems are what is wrong with its file; it cannot be submitted then.
	Problems []string `json:"problems,omitempty"`
	// Inputs are those that it declares.
	Inputs []TeamInput `json:"inputs,omitempty"`
}

// TeamInput is a declared input of a team.
type TeamInput struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Required bool   `json:"required,omitempty"`
	Default  any    `json:"default,omitempty"`
}

// TeamSource is a team with the files that it is made of.
type TeamSource struct {
	Team
	Source string `json:"source"`
	// Sources are the files of its sub-teams, as workflow.Team.Sources.
	Sources map[string]string `json:"sources,omitempty"`
}

// Submission is a task to be made: of a team by its Name, or by its Source.
type Submission struct {
	Name string
	// File is the name that Source was read under, for messages, and Sources the
	// files of its sub-teams.
	File    string
	Source  []byte
	Sources map[string][]byte
	// Input is as it was given, before Team.BindInput.
	Input     map[string]any
	Workspace string
	Key       string
	Priority  int
	// Trace is the trace that the task belongs to; nil begins its own.
	Trace *workflow.TraceContext
}

// Story is all that is known of a task.
type Story struct {
	State workflow.State
	// Revision is the team that the task has pinned.
	Revision store.Revision
	Records  []store.Record
	// Children are the tasks that it has started.
	Children []workflow.State
}

// UnknownServerError says that no App Server has a name.
type UnknownServerError struct{ Name string }

// Error implements error.
func (e *UnknownServerError) Error() string {
	return fmt.Sprintf("there is no App Server %q; orchestrator servers lists them", e.Name)
}

// UnknownTeamError says that no team has a name.
type UnknownTeamError struct {
	Name string
	// Known are the names that there are.
	Known []string
}

// Error implements error.
func (e *UnknownTeamError) Error() string {
	text := "there is no team " + e.Name
	if len(e.Known) == 0 {
		return text + "; the daemon has no teams: name a directory of them as teams in its configuration"
	}
	return text + "; there are: " + joined(e.Known)
}
