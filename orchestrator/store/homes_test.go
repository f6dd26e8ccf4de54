package store

import (
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestAgentHome(t *testing.T) {
	s := opened(t)
	create(t, s, "A", 1)
	state, err := s.Task(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(1, 0)
	for i, server := range []string{"one", "two", "gone"} { // started last: gone
		rt := Runtime{Runtime: workflow.Runtime{Server: server, AgentID: "x", ConversationID: "c"}, Agent: "old", Task: "A"}
		if err := s.SaveRuntime(t.Context(), rt, at.Add(time.Duration(i)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	both := []string{"one", "two"}
	for _, tt := range []struct {
		name, team, agent, offered string
		known                      []string
		want                       string
	}{
		{"a new one", "t", "new", "one", both, "one"},
		{"it stays", "t", "new", "two", both, "one"},
		{"another team's", "u", "new", "two", both, "two"},
		{"one that the registry knows", state.Team, "old", "one", both, "two"},
		{"its server is gone", "t", "new", "two", []string{"two", "three"}, "two"},
		{"and comes back", "t", "new", "one", both, "two"},
	} {
		got, err := s.AgentHome(t.Context(), tt.team, tt.agent, tt.offered, tt.known)
		if got != tt.want || err != nil {
			t.Errorf("%s: %q, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	counts, err := s.Conversations(t.Context())
	if diff := cmp.Diff(map[string]int{"one": 1, "two": 1, "gone": 1}, counts); diff != "" || err != nil {
		t.Errorf("%v, (-want +got):\n%s", err, diff)
	}
}

// Of tasks that ask at once, all get the same answer.
func TestAgentHomeAtOnce(t *testing.T) {
	s := opened(t)
	known := []string{"a", "b", "c", "d"}
	homes := make([]string, len(known))
	var wg sync.WaitGroup
	for i, offered := range known {
		wg.Go(func() {
			var err error
			if homes[i], err = s.AgentHome(t.Context(), "t", "keeper", offered, known); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, home := range homes {
		if home != homes[0] {
			t.Fatalf("one agent has several homes: %v", homes)
		}
	}
}
