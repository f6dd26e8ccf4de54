package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// Problem is an error as it is served (RFC 9457).
type Problem struct { //nolint:errname // RFC 9457 calls it so
	// Type is urn:orchestrator:problem:NAME; it does not change.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is for people.
	Detail string `json:"detail,omitempty"`
	// Errors are what is wrong with a team file, an input or a request, each with its place.
	Errors []workflow.Problem `json:"errors,omitempty"`
	// Fields are those of the error, by which a client can branch.
	Fields json.RawMessage `json:"error,omitempty"`
}

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return "application/problem+json" }

// init makes the errors of the HTTP library Problems, too. There is no other way
// to tell it.
func init() { //nolint:gochecknoinits // see above
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		p := &Problem{Type: problemType("invalid-request"), Title: http.StatusText(status), Status: status, Detail: message}
		for _, err := range errs {
			if err == nil {
				continue
			}
			if d, ok := err.(huma.ErrorDetailer); ok {
				p.Errors = append(p.Errors, workflow.Problem{File: d.ErrorDetail().Location, Message: d.ErrorDetail().Message})
				continue
			}
			p.Errors = append(p.Errors, workflow.Problem{Message: err.Error()})
		}
		return p
	}
}

const problemPrefix = "urn:orchestrator:problem:"

func problemType(name string) string { return problemPrefix + name }

// InvalidError says that a request cannot be carried out as it is.
type InvalidError struct {
	// Detail is a sentence for people.
	Detail string
	// Err is the cause; it may be nil, and is not served.
	Err error
}

// Error implements error.
func (e *InvalidError) Error() string { return e.Detail }

// Unwrap returns the cause.
func (e *InvalidError) Unwrap() error { return e.Err }

// requestError says what is wrong with a request.
type requestError struct{ detail string }

func (e *requestError) Error() string { return e.detail }

// ErrUnauthorized means that a request came without a token, or with a wrong one.
var ErrUnauthorized = errors.New("the token is missing or wrong")

// ErrForbidden means that a request is not allowed with the token that it came with, or from where it came.
var ErrForbidden = errors.New("that is not allowed")

// ErrBusy means that there are too many streams.
var ErrBusy = errors.New("there are too many streams of events")

// kind is one kind of problem: how an error becomes one, and one an error.
type kind struct {
	name, title string
	status      int
	// fields says whether the error is of this kind, and what a client needs of it.
	fields func(error) (any, bool)
	// back makes the error of a client.
	back func(fields json.RawMessage) error
}

// kinds are tried in their order: what is more special comes first.
func kinds() []kind {
	return []kind{
		typed[*UnknownTeamError]("unknown-team", "No such team", http.StatusNotFound),
		typed[*UnknownServerError]("unknown-server", "No such App Server", http.StatusNotFound),
		typed[*batch.RefusedError]("batch-not-now", "The batch is in no state for that", http.StatusConflict),
		typed[*batch.KeyError]("batch-key-taken", "The idempotency key belongs to another batch", http.StatusConflict),
		typed[*batch.OptionsError]("invalid-batch", "The batch cannot be made as it is", http.StatusUnprocessableEntity),
		sentinel(store.ErrBatchNotFound, "batch-not-found", "No such batch", http.StatusNotFound),
		typed[*schedule.UnknownError]("unknown-schedule", "No such schedule", http.StatusNotFound),
		typed[*notify.UnknownTargetError]("unknown-target", "No such target of notifications", http.StatusNotFound),
		typed[*store.AmbiguousError]("ambiguous-task", "More than one task fits", http.StatusConflict),
		sentinel(store.ErrNotFound, "task-not-found", "No such task", http.StatusNotFound),
		typed[*store.RemovedError]("task-removed", "The task was removed", http.StatusGone),
		typed[*engine.KeyError]("key-taken", "The idempotency key belongs to another task", http.StatusConflict),
		typed[*workflow.OriginError]("cannot-go-on", "The task cannot be gone on from", http.StatusConflict),
		typed[*workflow.PausedByParentError]("paused-by-parent", "Another task has paused it", http.StatusConflict),
		typed[*workflow.RaiseError]("no-such-limit", "There is no such limit to raise", http.StatusUnprocessableEntity),
		typed[*workflow.TransitionError]("not-now", "That cannot happen now", http.StatusConflict),
		typed[*workflow.AnswerError]("not-an-answer", "Not one of the answers", http.StatusUnprocessableEntity),
		sentinel(workflow.ErrTerminal, "task-ended", "The task has ended", http.StatusConflict),
		sentinel(workflow.ErrStale, "stale", "It is not open any more", http.StatusConflict),
		sentinel(store.ErrUnavailable, "store-unavailable", "The store is unavailable", http.StatusServiceUnavailable),
		sentinel(store.ErrStorage, "store-failed", "The store failed", http.StatusInternalServerError),
		sentinel(engine.ErrStopped, "stopping", "The daemon stops", http.StatusServiceUnavailable),
		sentinel(engine.ErrStopping, "stopping", "The daemon stops", http.StatusServiceUnavailable),
		sentinel(ErrUnauthorized, "unauthorized", "The token is missing or wrong", http.StatusUnauthorized),
		sentinel(ErrForbidden, "forbidden", "Not allowed", http.StatusForbidden),
		sentinel(ErrBusy, "too-many-streams", "Too many streams", http.StatusServiceUnavailable),
		typed[*InvalidError]("invalid", "It cannot be carried out as it is", http.StatusUnprocessableEntity),
		typed[*requestError]("invalid-request", "The request is not valid", http.StatusBadRequest),
	}
}

func sentinel(err error, name, title string, status int) kind {
	return kind{
		name: name, title: title, status: status,
		fields: func(e error) (any, bool) { return nil, errors.Is(e, err) },
		back:   func(json.RawMessage) error { return err },
	}
}

// typed is for pointers to structs, whose exported fields go over the wire.
func typed[E error](name, title string, status int) kind {
	return kind{
		name: name, title: title, status: status,
		fields: func(err error) (any, bool) {
			e, ok := errors.AsType[E](err)
			return e, ok
		},
		back: func(fields json.RawMessage) error {
			var e E
			if err := json.Unmarshal(fields, &e); err == nil {
				return e
			}
			return nil // of a newer daemon; what it says is told all the same
		},
	}
}

// problem is what is served for an error, without secrets.
func (a *API) problem(ctx context.Context, err error) huma.StatusError {
	p := *a.problemOf(ctx, err)
	if clean := a.o.Redact; clean != nil {
		p.Detail, p.Errors = clean(p.Detail), slices.Clone(p.Errors)
		for i := range p.Errors {
			e := &p.Errors[i]
			e.Message, e.Snippet, e.Fix = clean(e.Message), clean(e.Snippet), clean(e.Fix)
		}
		if p.Fields != nil {
			p.Fields = json.RawMessage(clean(string(p.Fields)))
		}
	}
	return &p
}

// problemOf is what an error is. What is nobody's business but ours is logged.
func (a *API) problemOf(ctx context.Context, err error) *Problem {
	if problems, ok := errors.AsType[workflow.Problems](err); ok {
		return &Problem{
			Type: problemType("invalid-team"), Title: "The team or its input is not valid", Status: http.StatusUnprocessableEntity,
			Detail: err.Error(), Errors: problems,
		}
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	for _, k := range kinds() {
		fields, ok := k.fields(err)
		if !ok {
			continue
		}
		p := &Problem{Type: problemType(k.name), Title: k.title, Status: k.status, Detail: err.Error()}
		if fields != nil {
			if encoded, failed := json.Marshal(fields); failed == nil && string(encoded) != "{}" {
				p.Fields = encoded
			}
		}
		return p
	}
	if ctx.Err() != nil {
		return &Problem{Type: problemType("timeout"), Title: "It took too long", Status: http.StatusGatewayTimeout, Detail: "the request was not done in time; it may be done all the same"}
	}
	a.o.Log.Error().Err(err).Msg("a request failed")
	return &Problem{Type: problemType("internal"), Title: "The daemon failed", Status: http.StatusInternalServerError, Detail: err.Error()}
}

// RemoteError is a Problem as a client returns it: errors.Is and errors.As find
// the error that it was made from.
type RemoteError struct {
	Problem Problem
	cause   error
}

// Remote makes the error of a client.
func Remote(p Problem) *RemoteError {
	e := &RemoteError{Problem: p}
	if p.Type == problemType("invalid-team") {
		e.cause = workflow.Problems(p.Errors)
		return e
	}
	for _, k := range kinds() {
		if p.Type == problemType(k.name) {
			e.cause = k.back(p.Fields)
			break
		}
	}
	return e
}

// Error implements error.
func (e *RemoteError) Error() string {
	text := e.Problem.Detail
	if text == "" {
		text = strings.ToLower(e.Problem.Title)
	}
	if e.cause == nil { // else the details are those of the cause
		for _, detail := range e.Problem.Errors {
			text += "\n  " + detail.String()
		}
	}
	return text
}

// Unwrap returns the error that the problem was made from; nil where a client does not know it.
func (e *RemoteError) Unwrap() error { return e.cause }
