package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/batch"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/notify"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/schedule"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// TestProblems takes every kind of error over the wire: the client has the same one.
func TestProblems(t *testing.T) {
	tried := map[string]bool{}
	for _, c := range []struct {
		err    error
		status int
	}{
		{&UnknownServerError{Name: "x"}, 404},
		{&UnknownTeamError{Name: "x", Known: []string{"a", "b"}}, 404},
		{&schedule.UnknownError{Name: "x", Known: []string{"a", "b"}}, 404},
		{&notify.UnknownTargetError{Name: "x", Known: []string{"a"}}, 404},
		{&store.RemovedError{Key: "k", Task: "T", Team: "t", Status: workflow.TaskSucceeded}, 410},
		{&store.AmbiguousError{Name: "01", Matches: []string{"01A", "01B"}, More: true}, 409},
		{store.ErrNotFound, 404},
		{store.ErrBatchNotFound, 404},
		{&batch.RefusedError{Batch: "B", Verb: batch.Pause, Status: batch.Done, Detail: "it is done"}, 409},
		{&batch.KeyError{Key: "k", Batch: "B", Status: batch.Running, Differs: "items"}, 409},
		{&batch.OptionsError{Detail: "canary is -1"}, 422},
		{&engine.KeyError{Key: "k", Task: "T", State: workflow.TaskRunning, Differs: []string{"team"}}, 409},
		{&workflow.OriginError{Task: "T", Detail: "has succeeded"}, 409},
		{&workflow.PausedByParentError{Task: "T", Parent: "P"}, 409},
		{&workflow.RaiseError{Task: "T", Limits: []string{"tokens"}}, 422},
		{&workflow.TransitionError{Event: "pause_requested", Subject: "task", State: "paused"}, 409},
		{&workflow.AnswerError{Choices: []string{"a"}}, 422},
		{workflow.ErrTerminal, 409},
		{workflow.ErrStale, 409},
		{store.ErrUnavailable, 503},
		{store.ErrStorage, 500},
		{engine.ErrStopped, 503},
		{ErrUnauthorized, 401},
		{ErrForbidden, 403},
		{ErrBusy, 503},
		{&InvalidError{Detail: "no such directory"}, 422},
		{&requestError{"nonsense"}, 400},
		{workflow.Problems{{File: "team.yaml", Line: 3, Column: 7, Message: "no", Fix: "yes", Snippet: "x: y"}}, 422},
	} {
		t.Run(fmt.Sprintf("%T", c.err), func(t *testing.T) {
			wrapped := fmt.Errorf("cancel the task: %w", c.err)
			w := request(t, New(Options{Service: &fake{err: wrapped}}), local(), get(t, "/v1/tasks/T1"))
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			tried[strings.TrimPrefix(p.Type, problemPrefix)] = true
			if w.Code != c.status || p.Status != c.status || w.Header().Get("Content-Type") != "application/problem+json" || p.Title == "" {
				t.Errorf("%d, %s, %+v", w.Code, w.Header().Get("Content-Type"), p)
			}
			remote := Remote(p)
			if _, is := errors.AsType[*requestError](c.err); is {
				return // it is nobody's but the server's
			}
			if problems, is := errors.AsType[workflow.Problems](c.err); is {
				got, _ := errors.AsType[workflow.Problems](remote)
				if diff := cmp.Diff(problems, got); diff != "" {
					t.Error(diff)
				}
				return
			}
			if cause := errors.Unwrap(remote); cause == nil || !errors.Is(cause, c.err) && !cmp.Equal(cause, c.err) {
				t.Errorf("the client has %#v", cause)
			}
			if remote.Error() != wrapped.Error() {
				t.Errorf("the client says %q", remote.Error())
			}
		})
	}
	for _, k := range kinds() {
		if !tried[k.name] {
			t.Errorf("%s is not tried", k.name)
		}
	}
}

func TestRequestsThatAreNotValid(t *testing.T) {
	a := New(Options{Service: &fake{}})
	for name, c := range map[string]struct {
		r      *http.Request
		status int
		says   string
	}{
		"no such operation":  {get(t, "/v2/tasks"), 404, "there is nothing at GET /v2/tasks"},
		"another method":     {post(t, "/v1/health", "{}"), 404, "there is nothing at POST"},
		"no such parameter":  {get(t, "/v1/tasks?stat=failed"), 422, "stat"},
		"no such state":      {get(t, "/v1/tasks?state=fine"), 422, "state"},
		"no JSON":            {post(t, "/v1/tasks", "{"), 400, ""},
		"an unknown field":   {post(t, "/v1/tasks", `{"teem":"t"}`), 422, "teem"},
		"neither nor":        {post(t, "/v1/tasks", `{}`), 400, "one of both"},
		"both":               {post(t, "/v1/tasks", `{"team":"t","source":"s"}`), 400, "one of both"},
		"a time":             {post(t, "/v1/tasks/T/resume", `{"duration":"soon"}`), 400, "soon"},
		"less":               {post(t, "/v1/tasks/T/resume", `{"turns":-1}`), 422, "turns"},
		"an id that is none": {get(t, "/v1/tasks/T/events?after=x"), 400, "not the id of an event"},
	} {
		t.Run(name, func(t *testing.T) {
			w := request(t, a, local(), c.r)
			var p Problem
			if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil {
				t.Fatalf("%v: %s", err, w.Body)
			}
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) || p.Type == "" || w.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
		})
	}
}

func TestPages(t *testing.T) {
	f := &fake{}
	a := New(Options{Service: f})
	var page TaskList
	w := request(t, a, local(), get(t, "/v1/tasks?limit=2&state=failed,paused&team=x&batch=b&schedule=s&children=true"))
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Tasks) != 2 || page.Next != "B" {
		t.Errorf("%v: %s", err, w.Body)
	}
	want := store.Filter{Team: "x", Batch: "b", Schedule: "s", Children: true, Limit: 3, Status: []workflow.TaskState{workflow.TaskFailed, workflow.TaskPaused}}
	if diff := cmp.Diff(want, f.filters[0]); diff != "" {
		t.Error(diff)
	}
	page = TaskList{}
	w = request(t, a, local(), get(t, "/v1/tasks?limit=3&after=B"))
	if err := json.Unmarshal(w.Body.Bytes(), &page); err != nil || len(page.Tasks) != 3 || page.Next != "" || f.filters[1].After != "B" {
		t.Errorf("%v: %s", err, w.Body)
	}
}
