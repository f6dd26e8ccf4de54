package api

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a Service whose answers a test chooses. What is not overridden panics.
type fake struct {
	Service
	err   error
	state workflow.State

	mu        sync.Mutex
	submitted []Submission
	filters   []store.Filter
	resumed   workflow.Limits
}

func (f *fake) Health(context.Context) Health { return Health{Status: "ok"} }

func (f *fake) Task(_ context.Context, task string) (workflow.State, error) {
	if task == "panic" {
		panic("the service panics")
	}
	state := f.state
	if state.Task == "" {
		state.Task = task
	}
	return state, f.err
}

func (f *fake) Submit(_ context.Context, s Submission) (workflow.State, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.submitted = append(f.submitted, s)
	return workflow.State{Task: "T1"}, true, f.err
}

func (f *fake) List(_ context.Context, filter store.Filter) ([]workflow.State, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.filters = append(f.filters, filter)
	var tasks []workflow.State
	for i := range 3 {
		if len(tasks) < filter.Limit {
			tasks = append(tasks, workflow.State{Task: string(rune('A' + i))})
		}
	}
	return tasks, f.err
}

func (f *fake) Cancel(context.Context, string, string) (workflow.State, error) { return f.state, f.err }

func (f *fake) Resume(_ context.Context, _, _ string, raise workflow.Limits) (workflow.State, error) {
	f.resumed = raise
	return f.state, f.err
}

func (f *fake) AnswerGate(context.Context, string, int, bool, string, string) (workflow.State, error) {
	return f.state, f.err
}

func (f *fake) Fork(context.Context, engine.Fork) (workflow.State, bool, error) {
	return f.state, true, f.err
}

var errInside = errors.New("a detail of the inside")

// request does a request at a listener and returns the answer.
func request(t *testing.T, a *API, l Listener, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	a.Handler(l).ServeHTTP(w, r)
	return w
}

// get and post make requests as a client of this machine makes them.
func get(t *testing.T, path string) *http.Request {
	t.Helper()
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost:7717"+path, nil)
}

func post(t *testing.T, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:7717"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return r
}

func local() Listener { return Listener{Local: true} }
