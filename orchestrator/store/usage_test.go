package store

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// send makes a turn of an agent that has been sent.
func send(t *testing.T, s *Store, state *workflow.State, turn int, node string) {
	t.Helper()
	rt := workflow.Runtime{Server: "s1", AgentID: node, ConversationID: state.Task}
	err := step(t, s, state, workflow.TurnSending{Turn: turn, Attempt: 1, Runtime: rt}, func(st *workflow.State) {
		st.Turns = []workflow.Turn{{ID: turn, Node: node, Kind: workflow.KindAgent, Attempt: 1, State: workflow.TurnSent, Runtime: rt}}
	})
	if err != nil {
		t.Fatal(err)
	}
}

func ends(t *testing.T, s *Store, state *workflow.State, body workflow.EventBody) {
	t.Helper()
	if err := step(t, s, state, body, func(st *workflow.State) { st.Turns = nil }); err != nil {
		t.Fatal(err)
	}
}

func tokens(n int64) workflow.Usage {
	return workflow.Usage{PromptTokens: n - 1, CompletionTokens: 1, TotalTokens: n, Requests: 1}
}

// keys are the keys of sums with their turns, tokens, cost, and how many have no price or no end.
func keys(sums []UsageSum) []string {
	var out []string
	for _, u := range sums {
		out = append(out, fmt.Sprintf("%s: %d turns, %d tokens, %d, %d unpriced, %d reconciled", u.Key, u.Turns, u.Usage.TotalTokens, u.Cost, u.Unpriced, u.Reconciled))
	}
	return out
}

func TestUsageOfEveryAttemptIsCountedOnce(t *testing.T) {
	s := opened(t)
	a := create(t, s, "A", 0)
	send(t, s, &a, 1, "planner")
	ends(t, s, &a, workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonEndTurn, Usage: tokens(10), Model: "m", Cost: 100})
	send(t, s, &a, 2, "coder") // cut off, and its end found out
	ends(t, s, &a, workflow.TurnUsed{Turn: 2, Attempt: 1, Usage: tokens(20), Model: "m", Cost: 200})
	ends(t, s, &a, workflow.TurnReconciled{Turn: 2, Attempt: 1, Finding: workflow.FindingInterrupted, Usage: tokens(5), Model: "m", Cost: 50})
	send(t, s, &a, 3, "coder")
	ends(t, s, &a, workflow.TurnFinished{Turn: 3, Attempt: 1, Reason: workflow.ReasonError, Usage: tokens(7), Model: "free", Unpriced: true})
	send(t, s, &a, 4, "coder") // never arrived
	ends(t, s, &a, workflow.TurnReconciled{Turn: 4, Attempt: 1, Finding: workflow.FindingNotConsumed})
	ends(t, s, &a, workflow.TurnFinished{Turn: 5, Attempt: 1, Reason: workflow.ReasonBudgetExceeded}) // never sent
	child := createChild(t, s, "A.6.1", "A", 1)
	send(t, s, &child, 1, "tester")
	ends(t, s, &child, workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonEndTurn, Usage: tokens(3), Model: "m", Cost: 30})
	spawned := createChild(t, s, "A.7.s1", "A", 1)
	send(t, s, &spawned, 1, "tester")
	ends(t, s, &spawned, workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonEndTurn, Usage: tokens(2), Model: "m", Cost: 20})

	for name, c := range map[string]struct {
		f    UsageFilter
		want []string
	}{
		"task": {UsageFilter{By: UsageByTask}, []string{"A: 4 turns, 45 tokens, 380, 1 unpriced, 1 reconciled", "A.7.s1: 1 turns, 2 tokens, 20, 0 unpriced, 0 reconciled"}},
		"agent": {UsageFilter{By: UsageByAgent}, []string{
			"t/coder: 2 turns, 32 tokens, 250, 1 unpriced, 1 reconciled", "t/planner: 1 turns, 10 tokens, 100, 0 unpriced, 0 reconciled",
			"t/tester: 2 turns, 5 tokens, 50, 0 unpriced, 0 reconciled",
		}},
		"model":       {UsageFilter{By: UsageByModel}, []string{"m: 4 turns, 40 tokens, 400, 0 unpriced, 1 reconciled", "free: 1 turns, 7 tokens, 0, 1 unpriced, 0 reconciled"}},
		"server":      {UsageFilter{By: UsageByServer}, []string{"s1: 5 turns, 47 tokens, 400, 1 unpriced, 1 reconciled"}},
		"of a task":   {UsageFilter{By: UsageByTeam, Task: "A"}, []string{"t: 4 turns, 45 tokens, 380, 1 unpriced, 1 reconciled"}},
		"of a child":  {UsageFilter{By: UsageByTurn, Task: "A.6.1"}, []string{"A.6.1.1.1: 1 turns, 3 tokens, 30, 0 unpriced, 0 reconciled"}},
		"other team":  {UsageFilter{By: UsageByTeam, Team: "other"}, nil},
		"other batch": {UsageFilter{By: UsageByTeam, Batch: "b"}, nil},
		"later":       {UsageFilter{By: UsageByTeam, Since: at(1 << 20)}, nil},
	} {
		sums, err := s.Usage(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(c.want, keys(sums)); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	if _, err := s.Usage(t.Context(), UsageFilter{By: "colour"}); err == nil {
		t.Error("usage by colour")
	}
	if _, err := s.Usage(t.Context(), UsageFilter{By: UsageByTurn}); err == nil {
		t.Error("the turns of all tasks")
	}
}

// Days begin at midnight of the zone, also when its clocks are changed.
func TestUsageByDayOfAZone(t *testing.T) {
	s := opened(t)
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	// 2026-10-25 has 25 hours there.
	times := []time.Time{
		time.Date(2026, 10, 24, 23, 59, 59, 0, zone), time.Date(2026, 10, 25, 0, 0, 0, 0, zone), time.Date(2026, 10, 25, 23, 59, 59, 0, zone), time.Date(2026, 10, 26, 0, 0, 0, 0, zone),
	}
	for i, at := range times {
		if _, err := s.writes.ExecContext(t.Context(), `INSERT INTO turn_usage (task, turn, attempt, account, team, agent, server, at, total) VALUES ('T', ?, 1, 'T', 't', 'a', 's', ?, ?)`, i, micros(at), 1<<i); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		f    UsageFilter
		want []string
	}{
		"there": {UsageFilter{By: UsageByDay, Location: zone}, []string{"2026-10-24 1", "2026-10-25 6", "2026-10-26 8"}},
		"UTC":   {UsageFilter{By: UsageByDay}, []string{"2026-10-24 3", "2026-10-25 12"}},
		"since": {UsageFilter{By: UsageByDay, Location: zone, Since: times[2], Until: times[3]}, []string{"2026-10-25 4"}},
	} {
		sums, err := s.Usage(t.Context(), c.f)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range sums {
			got = append(got, fmt.Sprint(u.Key, " ", u.Usage.TotalTokens))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// The journals of earlier versions are counted when their store is brought up to date.
func TestUsageOfEarlierSchemas(t *testing.T) {
	for schema, dump := range dumps(t) {
		s := open(t, restored(t, dump))
		sums, err := s.Usage(t.Context(), UsageFilter{By: UsageByTask})
		if err != nil || len(sums) == 0 {
			t.Fatal(schema, sums, err)
		}
		for _, u := range sums {
			state, err := s.Task(t.Context(), u.Key)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(state.Usage, u.Usage); diff != "" || state.Cost != u.Cost || u.Turns == 0 {
				t.Errorf("schema %d: task %s has used %+v, %s", schema, u.Key, u, diff)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What was used stays when the task is removed; what is counted wrongly is found.
func TestUsageOutlivesItsTask(t *testing.T) {
	s := opened(t)
	a := create(t, s, "A", 0)
	send(t, s, &a, 1, "planner")
	if err := step(t, s, &a, workflow.TurnFinished{Turn: 1, Attempt: 1, Usage: tokens(10), Model: "m", Cost: 100}, func(st *workflow.State) {
		st.Turns, st.Status = nil, workflow.TaskSucceeded
	}); err != nil {
		t.Fatal(err)
	}
	before, err := s.Usage(t.Context(), UsageFilter{By: UsageByDay})
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	if _, err := s.RemoveTask(t.Context(), "A", at(1<<20), at(1<<20)); err != nil {
		t.Fatal(err)
	}
	after, err := s.Usage(t.Context(), UsageFilter{By: UsageByDay})
	if diff := cmp.Diff(before, after); err != nil || diff != "" {
		t.Error(diff, err)
	}
}
