package workflow_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const replayTeam = `
version: 1
name: review
inputs: {goal: {type: string}}
agents:
  coder: {prompt: Code., tools: [Read]}
  security: {prompt: Look., tools: [Read], outcomes: [approve, reject]}
  style: {prompt: Look., tools: [Read], outcomes: [approve, reject]}
gates:
  merge: {question: "Merge?", expires: 2h}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: [security, style]}
  - {from: [security, style], on: approve, join: all, to: merge}
  - {from: [security, style], on: "*", join: all, max: 1, to: coder}
  - {from: merge, on: approved, to: succeeded}
  - {from: merge, on: expired, to: cancelled}
  - {from: coder, on: llm_api_error, retry: {max: 2, backoff: 10s}}
  - {from: "*", on: "*", to: failed}
`

func parse(t *testing.T, text string) *workflow.Team {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(text), workflow.ParseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return team
}

// recorder writes the journal of a task by hand.
type journalist struct {
	t       *testing.T
	team    *workflow.Team
	state   workflow.State
	at      time.Time
	journal []workflow.Recorded
}

func record(t *testing.T, text string) *journalist {
	t.Helper()
	j := &journalist{t: t, team: parse(t, text), at: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	j.apply(workflow.TaskSubmitted{Task: "t", Team: j.team.Name, Revision: j.team.Revision, Input: map[string]any{"goal": "Go"}})
	j.apply(workflow.TaskClaimed{})
	return j
}

func (j *journalist) apply(body workflow.EventBody) {
	j.t.Helper()
	event := workflow.Event{At: j.at, Body: body}
	next, effects, err := workflow.Decide(j.team, j.state, event)
	if err != nil {
		j.t.Fatalf("%s: %v", body.EventType(), err)
	}
	j.state = next
	j.journal = append(j.journal, workflow.Recorded{Seq: next.Version, Event: event, Effects: effects})
}

// end ends the live turn of a node a minute later.
func (j *journalist) end(node, reason string) {
	j.t.Helper()
	for _, turn := range j.state.Turns {
		if turn.Node != node {
			continue
		}
		if turn.NotBefore.After(j.at) {
			j.at = turn.NotBefore
			j.apply(workflow.TimerFired{})
		}
		if turn.Kind == workflow.KindGate {
			if reason == "expired" {
				j.at = turn.Expires
				j.apply(workflow.TimerFired{})
				return
			}
			j.apply(workflow.GateAnswered{Turn: turn.ID, Approved: reason == "approved"})
			return
		}
		j.apply(workflow.TurnSending{
			Turn: turn.ID, Attempt: turn.Attempt, ClientMessageID: fmt.Sprint(turn.ID, turn.Attempt),
			Runtime: workflow.Runtime{Server: "s", AgentID: node, ConversationID: turn.Conversation},
		})
		j.at = j.at.Add(time.Minute)
		finished := workflow.TurnFinished{Turn: turn.ID, Attempt: turn.Attempt, Reason: workflow.Reason(reason), Output: node + " said so"}
		if agent := j.team.Agents[node]; slices.Contains(agent.Outcomes, reason) {
			finished.Reason, finished.Outcome = workflow.ReasonEndTurn, reason
		}
		j.apply(finished)
		return
	}
	j.t.Fatalf("no turn of %s is alive", node)
}

func route(steps []workflow.Step) string {
	lines := make([]string, len(steps))
	for i, s := range workflow.InBranchOrder(steps) {
		lines[i] = s.String()
	}
	return strings.Join(lines, "\n")
}

func recordedReview(t *testing.T) *journalist {
	t.Helper()
	j := record(t, replayTeam)
	j.end("coder", "llm_api_error")
	j.end("coder", "end_turn")
	j.end("style", "reject")
	j.end("security", "approve")
	j.end("coder", "end_turn")
	j.end("security", "approve")
	j.end("style", "approve")
	j.end("merge", "expired")
	if j.state.Status != workflow.TaskCancelled {
		t.Fatalf("the recorded task is %s", j.state.Status)
	}
	return j
}

const recordedRoute = `coder llm_api_error -> retry  rule 6
coder end_turn -> security, style  rule 1
security approve -> join  rule 2
style reject -> join  rule 2
join -> coder  rule 3
coder end_turn -> security, style  rule 1
security approve -> join  rule 2
style approve -> join  rule 2
join -> merge  rule 2
merge expired -> cancelled  rule 5`

func TestSteps(t *testing.T) {
	if got := route(workflow.Steps(recordedReview(t).journal)); got != recordedRoute {
		t.Errorf("the route is\n%s\nwant\n%s", got, recordedRoute)
	}
}

func TestReplayOfTheSameTeamIsTheSameRoute(t *testing.T) {
	j := recordedReview(t)
	r, err := workflow.Replay(j.team, j.journal)
	if err != nil {
		t.Fatal(err)
	}
	if got := route(workflow.Steps(r.Journal)); got != recordedRoute || r.State.Status != workflow.TaskCancelled || len(r.Missing) > 0 {
		t.Errorf("%s, missing %v, the route is\n%s", r.State.Status, r.Missing, got)
	}
	if d := workflow.Differ(workflow.InBranchOrder(workflow.Steps(j.journal)), workflow.InBranchOrder(workflow.Steps(r.Journal))); d != nil {
		t.Errorf("differs: %+v", d)
	}
}

func TestReplayOfAChangedTeam(t *testing.T) {
	tests := []struct {
		name, old, new string
		at             int // the index of the first difference; -1: none
		recorded, now  string
		missing        string
		state          workflow.TaskState
	}{
		{
			name: "another target", old: "max: 1, to: coder", new: "max: 1, to: merge", at: 4,
			recorded: "join -> coder  rule 3", now: "join -> merge  rule 3", state: workflow.TaskCancelled,
		},
		{
			name: "the rule is gone", old: `  - {from: merge, on: expired, to: cancelled}` + "\n", new: "", at: 9,
			recorded: "merge expired -> cancelled  rule 5", now: "merge expired -> failed  rule 6", state: workflow.TaskFailed,
		},
		{
			name: "one retry less", old: "retry: {max: 2, backoff: 10s}", new: "to: failed", at: 0,
			recorded: "coder llm_api_error -> retry  rule 6", now: "coder llm_api_error -> failed  rule 6", state: workflow.TaskFailed,
		},
		{
			name: "a node is asked more often than was recorded", old: "on: expired, to: cancelled", new: "on: expired, max: 1, to: coder", at: 9,
			recorded: "merge expired -> cancelled  rule 5", now: "merge expired -> coder  rule 5", missing: "coder", state: workflow.TaskRunning,
		},
		{name: "a message is another one", old: "{from: coder, on: end_turn, to: [security, style]}", new: "{from: coder, on: end_turn, to: [security, style], message: Look}", at: -1, state: workflow.TaskCancelled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			j := recordedReview(t)
			changed := strings.Replace(replayTeam, tt.old, tt.new, 1)
			if changed == replayTeam {
				t.Fatal("nothing was changed")
			}
			r, err := workflow.Replay(parse(t, changed), j.journal)
			if err != nil {
				t.Fatal(err)
			}
			if r.State.Status != tt.state {
				t.Errorf("the task is %s, want %s", r.State.Status, tt.state)
			}
			d := workflow.Differ(workflow.InBranchOrder(workflow.Steps(j.journal)), workflow.InBranchOrder(workflow.Steps(r.Journal)))
			switch {
			case tt.at < 0 && d != nil:
				t.Errorf("differs at %d: %v, %v", d.Index, d.Recorded, d.Replayed)
			case tt.at >= 0 && (d == nil || d.Index != tt.at || d.Recorded.String() != tt.recorded || d.Replayed.String() != tt.now):
				t.Errorf("difference %+v\n%s", d, route(workflow.Steps(r.Journal)))
			}
			missing := ""
			for _, m := range r.Missing {
				missing += m.Node
			}
			if missing != tt.missing {
				t.Errorf("missing %q, want %q", missing, tt.missing)
			}
		})
	}
}

func TestReplayNeedsAJournal(t *testing.T) {
	j := recordedReview(t)
	for name, journal := range map[string][]workflow.Recorded{"empty": nil, "without its beginning": j.journal[1:]} {
		if _, err := workflow.Replay(j.team, journal); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	required := strings.Replace(replayTeam, "goal: {type: string}", "other: {type: string, required: true}", 1)
	if _, err := workflow.Replay(parse(t, required), j.journal); err == nil || !strings.Contains(err.Error(), `"other" is required`) {
		t.Errorf("an input that was not recorded: %v", err)
	}
}
