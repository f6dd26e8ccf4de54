package metrics

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/engine"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const review = `
version: 1
name: review
limits: {turns: 20}
agents:
  coder: {prompt: Code}
  reviewer: {prompt: Review, outcomes: [approved, rejected]}
start: coder
message: begin
handoffs:
  - {from: coder, on: end_turn, to: reviewer}
  - {from: reviewer, on: rejected, to: coder, max: 3}
  - {from: reviewer, on: approved, to: succeeded}
  - {from: "*", on: llm_api_error, retry: {max: 2, backoff: 1s}}
  - {from: "*", on: "*", to: failed}
`

// task takes events through Decide and has a Metrics observe the decisions.
type task struct {
	t     *testing.T
	m     *Metrics
	team  *workflow.Team
	state workflow.State
	at    time.Time
}

func submit(t *testing.T, m *Metrics, id string) *task {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(review), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k := &task{t: t, m: m, team: team, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	k.decide(workflow.TaskSubmitted{Task: id, Team: "review", Revision: team.Revision, Workspace: "/w"})
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
	k.m.Decided(engine.Decision{Prev: &prev, Next: &next, Event: event, Effects: effects})
}

// turn runs the one turn that is alive to its end.
func (k *task) turn(f workflow.TurnFinished) {
	k.t.Helper()
	if k.state.Status == workflow.TaskWaiting {
		k.at = k.state.WakeAt
		k.decide(workflow.TimerFired{})
	}
	turn := k.state.Turns[0]
	k.decide(workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, ClientMessageID: "m", Runtime: workflow.Runtime{ConversationID: turn.Node}})
	f.Turn, f.Attempt = turn.ID, turn.Attempt
	k.decide(f)
}

// scrapeOf reads the metrics as Prometheus would.
func scrapeOf(t *testing.T, m *Metrics) map[string]float64 {
	t.Helper()
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	got := map[string]float64{}
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), " "); ok && !strings.HasPrefix(name, "#") {
			number, err := strconv.ParseFloat(value[strings.LastIndex(value, " ")+1:], 64)
			if err != nil {
				t.Fatalf("%s: %v", lines.Text(), err)
			}
			got[name] = number
		}
	}
	return got
}

func expect(t *testing.T, got map[string]float64, want map[string]float64) {
	t.Helper()
	for name, value := range want {
		if found, ok := got[prefix+name]; !ok || found != value {
			t.Errorf("%s is %v (there: %v), want %v", name, found, ok, value)
		}
	}
}

func TestTasksTurnsAndRules(t *testing.T) {
	m := New(Options{Version: "1.2.3", Log: zerolog.Nop()})
	k := submit(t, m, "A")
	k.decide(workflow.TaskClaimed{})
	used := workflow.Usage{PromptTokens: 10, CompletionTokens: 5, TotalTokens: 15, CachedInputTokens: 3}
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonLLMAPIError})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Usage: used, Model: "m/large", Cost: 2_500_000})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Outcome: "rejected"})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Usage: used, Model: "m/large", Unpriced: true})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn}) // without an outcome: it is asked for it
	expect(t, scrapeOf(t, m), map[string]float64{`tasks{state="running",team="review"}`: 1, `tasks{state="queued",team="review"}`: 0})
	k.turn(workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Outcome: "approved"})
	if k.state.Status != workflow.TaskSucceeded {
		t.Fatalf("task: %+v", k.state.Result)
	}
	// Of an attempt whose end was not seen, after the end of the task.
	k.decide(workflow.TurnUsed{Turn: 1, Attempt: 1, Node: "coder", Usage: workflow.Usage{CompletionTokens: 7, TotalTokens: 7}, Model: "m/lost", Cost: 500_000})
	expect(t, scrapeOf(t, m), map[string]float64{
		`tasks{state="running",team="review"}`:                                                       0,
		`tasks{state="succeeded",team="review"}`:                                                     1,
		`tasks_submitted_total{team="review"}`:                                                       1,
		`tasks_ended_total{state="succeeded",team="review"}`:                                         1,
		`task_duration_seconds_count{state="succeeded",team="review"}`:                               1,
		`turns_total{agent="coder",kind="agent",reason="end_turn",team="review"}`:                    2,
		`turns_total{agent="coder",kind="agent",reason="llm_api_error",team="review"}`:               1,
		`turns_total{agent="reviewer",kind="agent",reason="end_turn",team="review"}`:                 3,
		`turn_duration_seconds_sum{agent="coder",kind="agent",team="review"}`:                        3,
		`handoffs_total{from="coder",rule="1",team="review",to="reviewer"}`:                          2,
		`handoffs_total{from="reviewer",rule="2",team="review",to="coder"}`:                          1,
		`handoffs_total{from="reviewer",rule="3",team="review",to="succeeded"}`:                      1,
		`handoff_results_total{from="coder",result="rejected",rule="1",team="review",to="reviewer"}`: 1,
		`handoff_results_total{from="coder",result="approved",rule="1",team="review",to="reviewer"}`: 1,
		`handoff_results_total{from="reviewer",result="end_turn",rule="2",team="review",to="coder"}`: 1,
		`handoff_rejections_total{from="coder",rule="1",team="review",to="reviewer"}`:                1,
		`handoff_rejections_total{from="reviewer",rule="2",team="review",to="coder"}`:                1,
		`handoff_tokens_total{from="coder",rule="1",team="review",to="reviewer",type="input"}`:       20,
		`handoff_turn_duration_seconds_count{from="coder",rule="1",team="review",to="reviewer"}`:     2,
		`handoff_turn_duration_seconds_sum{from="coder",rule="1",team="review",to="reviewer"}`:       2,
		`retries_total{agent="coder",reason="llm_api_error",team="review"}`:                          1,
		`tokens_total{agent="coder",model="m/large",team="review",type="input"}`:                     20,
		`tokens_total{agent="coder",model="m/large",team="review",type="cached_input"}`:              6,
		`cost_usd_total{agent="coder",model="m/large",team="review"}`:                                2.5,
		`tokens_total{agent="coder",model="m/lost",team="review",type="output"}`:                     7,
		`cost_usd_total{agent="coder",model="m/lost",team="review"}`:                                 0.5,
		`unpriced_turns_total{model="m/large"}`:                                                      1,
	})
	if len(m.given) != 0 {
		t.Errorf("kept for ever: %v", m.given)
	}
}

func TestDelaysRecoveriesAndTheStore(t *testing.T) {
	m := New(Options{})
	m.Claimed(engine.Claim{Waited: 2 * time.Second, Took: time.Millisecond})
	m.Started(engine.Start{Waited: time.Second})
	began := time.Now()
	m.HandedOff(engine.HandedOff{Ended: began, Began: began.Add(80 * time.Microsecond), Frames: true})
	m.HandedOff(engine.HandedOff{Ended: began, Began: began.Add(time.Hour)}) // to a check
	m.Recovering(engine.Recovery{Team: "t", Reason: engine.RecoveryLost})
	m.Stored(engine.Stored{Took: 3 * time.Millisecond})
	m.Stored(engine.Stored{Took: time.Millisecond, Err: errors.New("disk full")})
	m.Trouble(engine.StorageTrouble{Since: began})
	m.Fired(store.Fire{Schedule: "nightly", State: store.FireSubmitted, Due: began, Decided: began.Add(4 * time.Second)})
	m.Fired(store.Fire{Schedule: "nightly", State: store.FireQueued, Due: began, Decided: began.Add(time.Hour)})
	want := map[string]float64{
		`queue_delay_seconds_sum`: 2, `claim_duration_seconds_sum`: 0.001, `turn_slot_wait_seconds_sum`: 1,
		`handoff_latency_seconds_bucket{le="0.0001"}`: 1, `handoff_latency_seconds_count`: 1,
		`recoveries_total{reason="contact_lost",team="t"}`: 1,
		`store_commit_duration_seconds_count`:              2, `store_commit_failures_total`: 1, `store_up`: 0,
		`schedule_fires_total{schedule="nightly",state="submitted"}`: 1, `schedule_fires_total{schedule="nightly",state="queued"}`: 1,
		`schedule_lag_seconds_sum`: 4, `schedule_lag_seconds_count`: 1,
	}
	expect(t, scrapeOf(t, m), want)
	m.Trouble(engine.StorageTrouble{Since: began, Over: began})
	expect(t, scrapeOf(t, m), map[string]float64{`store_up`: 1})
}

func TestSourcesAreAskedAtAScrape(t *testing.T) {
	m := New(Options{Version: "1.2.3"})
	fails := errors.New("closed")
	var err error
	m.Ask(Sources{
		Servers: func() []Server {
			return []Server{{Name: "a", Up: true, Turns: 3, Limit: 4, Conversations: 9, Restarts: 2}, {Name: "b"}}
		},
		Batches: func(context.Context) (batches, items []store.StateCount, _ error) {
			return []store.StateCount{{State: "running", Count: 1}}, []store.StateCount{{State: "done", Count: 7}}, err
		},
	})
	m.AddTasks([]store.TaskCount{{Team: "t", Status: workflow.TaskWaiting, Count: 100}, {Team: "t", Status: workflow.TaskFailed, Count: 5}})
	m.RemoveTasks([]store.TaskCount{{Team: "t", Status: workflow.TaskFailed, Count: 2}})
	expect(t, scrapeOf(t, m), map[string]float64{
		`app_server_up{server="a"}`: 1, `app_server_up{server="b"}`: 0, `app_server_turns{server="a"}`: 3, `app_server_turn_limit{server="a"}`: 4,
		`app_server_conversations{server="a"}`: 9, `app_server_restarts_total{server="a"}`: 2,
		`batches{status="running"}`: 1, `batch_items{state="done"}`: 7,
		`tasks{state="waiting",team="t"}`: 100, `tasks{state="failed",team="t"}`: 3,
	})
	err = fails
	got := scrapeOf(t, m) // the rest is given out all the same
	expect(t, got, map[string]float64{`app_server_up{server="a"}`: 1})
	if _, ok := got[prefix+`batches{status="running"}`]; ok {
		t.Error("batches that could not be read are given out")
	}
	if _, ok := got["go_goroutines"]; !ok {
		t.Error("nothing of the Go runtime")
	}
}

func TestManyTeamsDoNotGrowTheMetrics(t *testing.T) {
	m := New(Options{})
	var sum float64
	for i := range 10_000 {
		name := fmt.Sprintf("team-%d", i)
		prev := &workflow.State{}
		next := &workflow.State{Version: 1, Team: name, Task: name, Status: workflow.TaskQueued}
		m.Decided(engine.Decision{Prev: prev, Next: next, Event: workflow.Event{Body: workflow.TaskSubmitted{}}})
		done := &workflow.State{Version: 2, Team: name, Task: name, Status: workflow.TaskFailed}
		next.Turns = []workflow.Turn{{ID: 1, Node: name, Attempt: 1, Started: time.Unix(1, 0)}}
		m.Decided(engine.Decision{
			Prev: next, Next: done, Event: workflow.Event{At: time.Unix(2, 0), Body: workflow.TurnFinished{
				Turn: 1, Reason: workflow.Reason(name), Model: name, Usage: workflow.Usage{PromptTokens: 1}, Cost: 1, Unpriced: true,
			}},
			Effects: []workflow.Effect{
				workflow.Handoff{FromTurn: 1, From: name, Reason: workflow.Reason(name), Rule: i + 1, To: "failed"},
				workflow.Handoff{FromTurn: 1, From: name, Reason: workflow.Reason(name), Rule: i + 1, To: name, Retry: true},
			},
		})
		m.Recovering(engine.Recovery{Team: name, Reason: engine.RecoveryRestart})
		m.Fired(store.Fire{Schedule: name, State: store.FireSubmitted})
	}
	m.Ask(Sources{Servers: func() []Server {
		list := make([]Server, 10_000)
		for i := range list {
			list[i].Name = fmt.Sprint(i)
		}
		return list
	}})
	got := scrapeOf(t, m)
	series := map[string]int{}
	for name, value := range got {
		metric, _, _ := strings.Cut(name, "{")
		series[metric]++
		if metric == prefix+turns {
			sum += value
		}
	}
	for metric, n := range series {
		if n > 20*MaxSeries {
			t.Errorf("%s has %d series", metric, n)
		}
	}
	if len(got) > 50*MaxSeries {
		t.Errorf("%d lines in all", len(got))
	}
	if sum != 10_000 {
		t.Errorf("%v turns are counted, want all 10000", sum)
	}
	expect(t, got, map[string]float64{
		`tasks_submitted_total{team="other"}`: 10_000 - MaxSeries, `tasks{state="queued",team="other"}`: 0,
		`turns_total{agent="other",kind="other",reason="other",team="other"}`: 10_000 - MaxSeries,
	})
}
