package store

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func names(states []workflow.State) string {
	var ids []string
	for _, state := range states {
		ids = append(ids, state.Task)
	}
	return strings.Join(ids, " ")
}

func TestChildrenAreFoundByTheirParent(t *testing.T) {
	s := opened(t)
	create(t, s, "01AB", 1)
	create(t, s, "01ABC", 2)
	createChild(t, s, "01AB.3.1", "01AB", 3)
	createChild(t, s, "01AB.3.10", "01AB", 4)
	createChild(t, s, "01AB.3.1.2.1", "01AB.3.1", 5)
	for _, tt := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "01ABC 01AB"},
		{Filter{Children: true}, "01AB.3.1.2.1 01AB.3.10 01AB.3.1 01ABC 01AB"},
		{Filter{Children: true, Limit: 2, After: "01AB.3.10"}, "01AB.3.1 01ABC"},
	} {
		list, err := s.List(t.Context(), tt.filter)
		if got := names(list); got != tt.want || err != nil {
			t.Errorf("list %+v: %q, %v; want %q", tt.filter, got, err, tt.want)
		}
	}
	for task, want := range map[string]string{"01AB": "01AB.3.1 01AB.3.10", "01AB.3.1": "01AB.3.1.2.1", "01ABC": "", "01": ""} {
		list, err := s.Children(t.Context(), task)
		if got := names(list); got != want || err != nil {
			t.Errorf("children of %s: %q, %v; want %q", task, got, err, want)
		}
	}
	for _, tt := range []struct {
		name, want string
		err        error
	}{
		{name: "01abc", want: "01ABC"},
		{name: "1AB", want: "01AB"}, // its children do not fit the suffix, and would not count
		{name: "01", err: ErrAmbiguous},
		{name: "01AB.3.1", want: "01AB.3.1"}, // equal, although it is a prefix too
		{name: "ab.3.10", want: "01AB.3.10"},
		{name: "01ab.3", err: ErrAmbiguous},
		{name: "1.2.1", want: "01AB.3.1.2.1"},
		{name: "01ABC.3", err: ErrNotFound},
	} {
		state, err := s.Task(t.Context(), tt.name)
		if state.Task != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Task(%q) = %q, %v; want %q, %v", tt.name, state.Task, err, tt.want, tt.err)
		}
	}
	refs, err := s.Unfinished(t.Context())
	if err != nil || len(refs) != 5 {
		t.Errorf("unfinished: %v, %v", refs, err)
	}
}

func TestWakeTimesOfChildren(t *testing.T) {
	s := opened(t)
	create(t, s, "A", 1)
	create(t, s, "AB", 1)
	for id, seconds := range map[string]int{"A.3.1": 10, "A.3.1.2.1": 20, "AB.1.1": 5} {
		parent, _, _ := strings.Cut(id, ".")
		state := createChild(t, s, id, parent, 1)
		if err := step(t, s, &state, workflow.TimerFired{}, func(n *workflow.State) { n.Status, n.WakeAt = workflow.TaskWaiting, at(seconds) }); err != nil {
			t.Fatal(err)
		}
	}
	due, err := s.Due(t.Context(), at(10), []string{"A"})
	if got := strings.Join(due, " "); got != "A.3.1" || err != nil {
		t.Errorf("due: %q, %v", got, err)
	}
	if next, err := s.NextWake(t.Context(), at(10), []string{"A"}); !next.Equal(at(20)) || err != nil {
		t.Errorf("next wake: %s, %v", next, err)
	}
	if next, err := s.NextWake(t.Context(), at(1), []string{"A"}); !next.Equal(at(10)) || err != nil {
		t.Errorf("next wake: %s, %v", next, err)
	}
}

// sending commits that a turn of agent a, which shares its conversation, is sent.
func sending(t *testing.T, s *Store, state *workflow.State, rt workflow.Runtime) error {
	t.Helper()
	return step(t, s, state, workflow.TurnSending{Turn: 1, Attempt: 1, Runtime: rt}, func(n *workflow.State) {
		n.Turns = []workflow.Turn{{ID: 1, Node: "a", Attempt: 1, State: workflow.TurnSent, Conversation: "a!shared", Runtime: rt}}
		n.Conversations = map[string]workflow.Runtime{"a!shared": rt}
	})
}

func ended(n *workflow.State) { n.Turns = nil }

func lost(n *workflow.State) { n.Turns, n.Conversations = nil, nil }

func TestSharedConversations(t *testing.T) {
	s := opened(t)
	one, two := workflow.Runtime{Server: "s", AgentID: "x", ConversationID: "1"}, workflow.Runtime{Server: "s", AgentID: "x", ConversationID: "2"}
	shared := func(want workflow.Runtime) {
		t.Helper()
		got, err := s.SharedConversation(t.Context(), "t", "a")
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("shared (-want +got):\n%s, %v", diff, err)
		}
	}
	a, b := create(t, s, "A", 1), create(t, s, "B", 1)
	shared(workflow.Runtime{})
	if err := sending(t, s, &a, one); err != nil {
		t.Fatal(err)
	}
	shared(one)
	// Another task prepared one of its own at the same time.
	err := sending(t, s, &b, two)
	if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Runtime != one || !strings.Contains(err.Error(), "shared conversation 1") {
		t.Errorf("another conversation: %v", err)
	}
	err = sending(t, s, &b, one)
	if busy, ok := errors.AsType[*BusyError](err); !ok || busy.Holder.Task != "A" {
		t.Errorf("a held one: %v", err)
	}
	if err := step(t, s, &a, workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: "end_turn"}, ended); err != nil {
		t.Fatal(err)
	}
	shared(one)
	if err := sending(t, s, &b, one); err != nil {
		t.Fatal(err)
	}
	// Another team, and another agent, have their own.
	if got, err := s.SharedConversation(t.Context(), "u", "a"); got != (workflow.Runtime{}) || err != nil {
		t.Errorf("of another team: %+v, %v", got, err)
	}
	if err := step(t, s, &b, workflow.TurnReconciled{Turn: 1, Attempt: 1, ConversationLost: true}, lost); err != nil {
		t.Fatal(err)
	}
	shared(workflow.Runtime{})
	if err := sending(t, s, &a, two); err != nil {
		t.Fatal(err)
	}
	shared(two)
}

// The turn of a check or a sub-team takes no conversation, and none is given
// back while a person is asked.
func TestTurnsWithoutAConversation(t *testing.T) {
	s := opened(t)
	rt := workflow.Runtime{Server: "s", AgentID: "x", ConversationID: "1"}
	a := create(t, s, "A", 1)
	if err := sending(t, s, &a, rt); err != nil {
		t.Fatal(err)
	}
	for _, body := range []workflow.EventBody{
		workflow.TurnSending{Turn: 2, Attempt: 1}, workflow.TurnSending{Turn: 3, Attempt: 1, Child: "A.3.1"},
		workflow.QuestionAsked{Turn: 1, Attempt: 1}, workflow.QuestionAnswered{Question: 1}, workflow.ProgressReported{Turn: 1, Attempt: 1},
		workflow.ChildReported{Turn: 3, Attempt: 1}, workflow.TaskSpawned{Turn: 1, Attempt: 1}, workflow.GateAnswered{Turn: 4},
		workflow.PauseRequested{}, workflow.ResumeRequested{}, workflow.TimerFired{}, workflow.TurnFinished{Turn: 2, Attempt: 1},
	} {
		if err := step(t, s, &a, body, nil); err != nil {
			t.Fatal(err)
		}
		rows, err := s.Runtimes(t.Context(), RuntimeFilter{})
		if err != nil || len(rows) != 1 || rows[0].Active.Turn != 1 {
			t.Errorf("after %s: %+v, %v", body.EventType(), rows, err)
		}
	}
}
