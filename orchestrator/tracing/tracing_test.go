package tracing

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/seed-e05a5b32/orchestrator/internal/otlpreceiver"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const review = `
version: 1
name: review
limits: {turns: 20}
agents:
  coder: {prompt: Code}
  reviewer: {prompt: Review, outcomes: [approved, rejected]}
checks: {proof: {run: make}}
gates: {release: {question: "Release it?"}}
start: coder
message: begin
handoffs:
  - {from: coder, on: end_turn, to: reviewer}
  - {from: reviewer, on: approved, to: proof}
  - {from: proof, on: passed, to: release}
  - {from: release, on: approved, to: succeeded}
  - {from: "*", on: llm_api_error, retry: {max: 2, backoff: 1m}}
  - {from: "*", on: "*", to: failed}
`

const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// task takes events through Decide and has a Tracer observe the decisions.
type task struct {
	t      *testing.T
	tracer *Tracer
	team   *workflow.Team
	state  workflow.State
	at     time.Time
}

func newTask(t *testing.T, tracer *Tracer, id string, trace *workflow.TraceContext) *task {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(review), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k := &task{t: t, tracer: tracer, team: team, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	k.decide(workflow.TaskSubmitted{Task: id, Team: "review", Revision: team.Revision, Workspace: "/w", Trace: trace})
	return k
}

func (k *task) decide(body workflow.EventBody) {
	k.t.Helper()
	k.at = k.at.Add(time.Second)
	event := workflow.Event{At: k.at, Body: body}
	next, effects, err := workflow.Decide(k.team, k.state, event)
	if err != nil {
		k.t.Fatalf("%s: %v", body.EventType(), err)
	}
	prev := k.state
	k.state = next
	k.tracer.Decided(engine.Decision{Prev: &prev, Next: &next, Event: event, Effects: effects, Began: k.at, Took: time.Millisecond})
	for _, effect := range effects {
		if h, ok := effect.(workflow.Handoff); ok && h.To == "reviewer" {
			k.tracer.HandedOff(engine.HandedOff{State: &next, Handoff: h, Attempt: 1, Ended: k.at, Began: k.at.Add(2 * time.Millisecond), Frames: true})
		}
	}
}

// turn runs the one turn that is alive to its end.
func (k *task) turn(f workflow.TurnFinished) {
	k.t.Helper()
	turn := k.state.Turns[0]
	k.decide(workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, ClientMessageID: "m", Runtime: workflow.Runtime{Server: "s1", AgentID: "a-" + turn.Node, ConversationID: "c-" + turn.Node}})
	f.Turn, f.Attempt = turn.ID, turn.Attempt
	k.decide(f)
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for _, pair := range pairs {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// traced gives a Tracer that sends to a receiver, and what ends it.
func traced(t *testing.T, r http.Handler, change ...func(*Options)) (*Tracer, func()) {
	t.Helper()
	server := httptest.NewServer(r)
	t.Cleanup(server.Close)
	o := Options{Endpoint: server.URL, Version: "1.2.3", Log: zerolog.Nop(), Getenv: env()}
	for _, f := range change {
		f(&o)
	}
	tracer, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	end := func() {
		if !closed {
			closed = true
			if err := tracer.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(end)
	return tracer, end
}

func TestOneTraceForATaskAcrossARestart(t *testing.T) {
	r := otlpreceiver.New()
	tracer, end := traced(t, r)
	k := newTask(t, tracer, "TASK1", nil)
	// It is found as soon as it is there.
	if _, err := r.Await(t.Context(), func(s []otlpreceiver.Span) bool {
		return slices.ContainsFunc(s, func(s otlpreceiver.Span) bool { return s.Name == "submit_task review" })
	}); err != nil {
		t.Fatal(err)
	}
	k.decide(workflow.TaskClaimed{})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonLLMAPIError, Error: "overloaded"})
	end() // a new process goes on
	k.tracer, end = traced(t, r)
	k.at = k.state.WakeAt
	k.decide(workflow.TimerFired{})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Model: "m/large", Cost: 2_000_000, ToolCalls: 3, Usage: workflow.Usage{PromptTokens: 10, CompletionTokens: 5, TotalTokens: 15}})
	turn := k.state.Turns[0]
	k.decide(workflow.TurnSending{Turn: turn.ID, Attempt: 1, Runtime: workflow.Runtime{AgentID: "a", ConversationID: "c"}})
	k.decide(workflow.TurnAccepted{Turn: turn.ID, Attempt: 1})
	k.decide(workflow.QuestionAsked{Turn: turn.ID, Attempt: 1, Kind: workflow.QuestionApproval, Text: "May it?", Tool: "Bash"})
	k.decide(workflow.QuestionAnswered{Question: 1, Answer: workflow.AnswerAllow, By: "me"})
	k.decide(workflow.TurnFinished{Turn: turn.ID, Attempt: 1, Reason: workflow.ReasonEndTurn, Outcome: "approved"})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonPassed})
	k.at = k.at.Add(time.Hour)
	k.decide(workflow.GateAnswered{Turn: k.state.Turns[0].ID, Approved: true})
	if k.state.Status != workflow.TaskSucceeded {
		t.Fatalf("task: %+v", k.state.Result)
	}
	end()

	byID := map[string]otlpreceiver.Span{}
	byName := map[string]otlpreceiver.Span{}
	for _, s := range r.Spans() {
		if other, twice := byID[s.ID]; twice {
			t.Errorf("%s and %s have one ID", s.Name, other.Name)
		}
		byID[s.ID], byName[s.Name] = s, s
		if s.Attributes["orchestrator.task.id"] != "TASK1" || s.Resource["service.name"] != "orchestrator" || s.Resource["service.version"] != "1.2.3" {
			t.Errorf("%s: %+v of %+v", s.Name, s.Attributes, s.Resource)
		}
	}
	root := byName["submit_task review"]
	for _, s := range byID {
		switch parent, ok := byID[s.Parent]; {
		case s.Trace != root.Trace:
			t.Errorf("%s is in another trace", s.Name)
		case s.ID == root.ID && s.Parent != "":
			t.Errorf("the root has the parent %s", s.Parent)
		case s.ID != root.ID && !ok:
			t.Errorf("%s has a parent that was not sent", s.Name)
		case strings.HasPrefix(s.Name, "commit turn_") && !strings.HasPrefix(parent.Name, "invoke_agent") && !strings.HasPrefix(parent.Name, "check"):
			t.Errorf("%s belongs to %s", s.Name, parent.Name)
		}
	}
	for name, took := range map[string]time.Duration{
		"queued": time.Second, "invoke_agent coder": time.Second, "wait_timer coder": -1, "handoff coder → reviewer": 2 * time.Millisecond,
		"invoke_agent reviewer": 4 * time.Second, "wait_person question": time.Second, "check proof": time.Second, "wait_person release": time.Hour + time.Second,
		"handoff proof → release": time.Millisecond, "handoff release → succeeded": time.Millisecond, "invoke_workflow review": -1, "commit task_claimed": time.Millisecond,
	} {
		if s, ok := byName[name]; !ok || took >= 0 && s.End.Sub(s.Start) != took {
			t.Errorf("%s took %s (there: %v), want %s", name, s.End.Sub(s.Start), ok, took)
		}
	}
	if got := byID[byName["wait_person question"].Parent].Name; got != "invoke_agent reviewer" {
		t.Errorf("the question belongs to %q", got)
	}
	var failed []string
	for _, s := range byID {
		if s.Error != "" {
			failed = append(failed, s.Name+": "+s.Error)
		}
	}
	if got := strings.Join(failed, ", "); got != "invoke_agent coder: llm_api_error: overloaded" {
		t.Errorf("errors: %s", got)
	}
	for key, want := range map[string]string{
		"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "coder", "gen_ai.agent.id": "a-coder", "gen_ai.conversation.id": "c-coder",
		"gen_ai.request.model": "m/large", "gen_ai.provider.name": "m", "gen_ai.usage.input_tokens": "10", "gen_ai.usage.output_tokens": "5",
		"gen_ai.response.finish_reasons": "end_turn", "orchestrator.attempt": "2", "orchestrator.server": "s1", "orchestrator.cost_usd": "2",
	} {
		s := byID[turnSpan("TASK1", 1, 2).String()]
		if s.Attributes[key] != want {
			t.Errorf("%s is %q, want %q", key, s.Attributes[key], want)
		}
	}
	if len(k.tracer.waits.since) != 0 {
		t.Errorf("kept for ever: %v", k.tracer.waits.since)
	}
}

func TestTaskGoesOnInTheTraceThatItIsGiven(t *testing.T) {
	r := otlpreceiver.New()
	tracer, end := traced(t, r, func(o *Options) { o.Token, o.Service = "secret-token", "mine" })
	k := newTask(t, tracer, "TASK2", workflow.ParseTrace(given, "vendor=1"))
	child := newTask(t, tracer, "TASK2.3.1", workflow.ParseTrace(given, ""))
	child.state.Parent = &workflow.Parent{Task: "TASK2", Turn: 3, Attempt: 1}
	child.decide(workflow.TaskClaimed{})
	got := tracer.Context(&k.state, workflow.Turn{ID: 4, Attempt: 2})
	want := workflow.TraceContext{Parent: "00-4bf92f3577b34da6a3ce929d0e0e4736-" + turnSpan("TASK2", 4, 2).String() + "-01", State: "vendor=1"}
	if *got != want {
		t.Errorf("a check is told %+v, want %+v", got, want)
	}
	if outside := tracer.Context(&k.state, workflow.Turn{}); !strings.Contains(outside.Parent, rootOf("TASK2").String()) {
		t.Errorf("a setup command is told %+v", outside)
	}
	// One that is not sampled is not traced here either, and its commands are told so.
	quiet := newTask(t, tracer, "TASK3", workflow.ParseTrace(given[:len(given)-1]+"0", ""))
	if told := tracer.Context(&quiet.state, workflow.Turn{}).Parent; !strings.HasSuffix(told, "-00") {
		t.Errorf("told %s", told)
	}
	end()
	for _, s := range r.Spans() {
		switch {
		case s.Trace != "4bf92f3577b34da6a3ce929d0e0e4736", s.Attributes["orchestrator.task.id"] == "TASK3", s.Resource["service.name"] != "mine":
			t.Errorf("%s: %+v", s.Name, s)
		case s.Name == "submit_task review" && s.Parent != "00f067aa0ba902b7":
			t.Errorf("the root of %s belongs to %s", s.Attributes["orchestrator.task.id"], s.Parent)
		}
	}
	if header := r.Requests()[0].Get("Authorization"); header != "Bearer secret-token" {
		t.Errorf("authorization %q", header)
	}
}

func TestChildBelongsToTheTurnThatStartedIt(t *testing.T) {
	r := otlpreceiver.New()
	tracer, end := traced(t, r)
	top, child := &workflow.State{Task: "T"}, &workflow.State{Task: "T.3.1", Parent: &workflow.Parent{Task: "T", Turn: 3, Attempt: 1}, Version: 1}
	tracer.Decided(engine.Decision{Prev: &workflow.State{}, Next: child, Event: workflow.Event{Body: workflow.TaskSubmitted{}}})
	end()
	i := slices.IndexFunc(r.Spans(), func(s otlpreceiver.Span) bool { return strings.HasPrefix(s.Name, "submit_task") })
	if s := r.Spans()[i]; s.Trace != traceOf(top).String() || s.Parent != turnSpan("T", 3, 1).String() {
		t.Errorf("%+v", s)
	}
}

// stuck is an exporter that fails or hangs.
type stuck struct {
	began chan struct{}
	free  chan error
}

func (s stuck) ExportSpans(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
	select {
	case s.began <- struct{}{}:
	default:
	}
	select {
	case err := <-s.free:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (stuck) Shutdown(context.Context) error { return nil }

func TestReceiverThatHangsHoldsNothingUp(t *testing.T) {
	var log bytes.Buffer
	s := stuck{began: make(chan struct{}, 1), free: make(chan error)}
	tracer, err := newTracer(t.Context(), Options{Log: zerolog.New(&log), Getenv: env("OTEL_BSP_SCHEDULE_DELAY=1")}, s)
	if err != nil {
		t.Fatal(err)
	}
	state := &workflow.State{Task: "T", Version: 1, Team: "t"}
	d := engine.Decision{Prev: &workflow.State{}, Next: state, Event: workflow.Event{Body: workflow.TaskSubmitted{}}}
	tracer.Decided(d)
	<-s.began // and it hangs from here on
	began := time.Now()
	for range 2 * maxQueue {
		tracer.Decided(d)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	s.free <- errors.New("no route to the receiver")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := tracer.Close(ctx); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"some are dropped", "traces cannot be sent"} {
		if n := strings.Count(log.String(), want); n != 1 {
			t.Errorf("%q is told %d times: %s", want, n, log.String())
		}
	}
}

func TestOptions(t *testing.T) {
	half := 0.5
	for _, tt := range []struct {
		o       Options
		enabled bool
		fails   string
	}{
		{Options{Getenv: env()}, false, ""},
		{Options{Getenv: env("OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:1")}, true, ""},
		{Options{Getenv: env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://localhost:1/x", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")}, true, ""},
		{Options{Getenv: env("OTEL_TRACES_EXPORTER=otlp", "OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=0.1")}, true, ""},
		{Options{Getenv: env("OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:1")}, false, ""},
		{Options{Endpoint: "http://localhost:1", Ratio: &half, Getenv: env("OTEL_SDK_DISABLED=true")}, false, ""},
		{Options{Endpoint: "localhost:1", Getenv: env()}, true, "http or https"},
		{Options{Endpoint: "http://localhost:1", Getenv: env("OTEL_TRACES_SAMPLER=some")}, true, "OTEL_TRACES_SAMPLER"},
		{Options{Endpoint: "http://localhost:1", Getenv: env("OTEL_TRACES_SAMPLER=traceidratio", "OTEL_TRACES_SAMPLER_ARG=2")}, true, "OTEL_TRACES_SAMPLER_ARG"},
	} {
		if got := tt.o.Enabled(); got != tt.enabled {
			t.Errorf("%+v: enabled %v", tt.o, got)
		}
		tracer, err := New(t.Context(), tt.o)
		if got := fmt.Sprint(err); tt.fails == "" && err != nil || !strings.Contains(got, tt.fails) && tt.fails != "" {
			t.Errorf("%+v: %v, want %q", tt.o, err, tt.fails)
		}
		if tracer != nil {
			if err := tracer.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestSampling(t *testing.T) {
	count := func(o Options) (n int) {
		s, err := o.sampler()
		if err != nil {
			t.Fatal(err)
		}
		tracer := &Tracer{sampler: s}
		for i := range 1000 {
			if tracer.sampled(&workflow.State{Task: fmt.Sprint("T", i)}) {
				n++
			}
		}
		return n
	}
	tenth, none := 0.1, 0.0
	for want, o := range map[int]Options{
		1000: {Getenv: env()}, 0: {Ratio: &none, Getenv: env()}, 100: {Ratio: &tenth, Getenv: env()},
	} {
		if got := count(o); got < want-40 || got > want+40 {
			t.Errorf("%d of 1000 are traced, want about %d", got, want)
		}
	}
	if n := count(Options{Getenv: env("OTEL_TRACES_SAMPLER=always_off")}); n != 0 {
		t.Errorf("%d are traced", n)
	}
}
