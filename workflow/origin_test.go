package workflow

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

const originTeam = `
version: 1
name: origin
inputs: {goal: {}}
limits: {turns: 20}
agents:
  planner: {prompt: p}
  coder: {prompt: c}
  security: {prompt: s, outcomes: [approve, reject]}
  style: {prompt: s}
gates:
  merge: {question: "merge?"}
start: planner
handoffs:
  - {from: planner, on: end_turn, to: coder, message: "plan: {{ .output }}"}
  - {from: coder, on: end_turn, to: [security, style]}
  - {from: [security, style], on: [approve, end_turn], join: all, to: merge}
  - {from: merge, on: approved, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// journalOf is what the store would hold of a run.
func journalOf(r *run) []Recorded {
	var journal []Recorded
	for i, e := range r.log {
		journal = append(journal, Recorded{Seq: int64(i + 1), Event: e})
	}
	return journal
}

// goOn begins a task that goes on from another one.
func goOn(t *testing.T, r *run, origin Origin) *run {
	t.Helper()
	begin, err := BeginningAt(r.team, journalOf(r), origin)
	if err != nil {
		t.Fatal(err)
	}
	again := &run{t: t, team: r.team, now: r.now}
	again.must(TaskSubmitted{Task: "T2", Team: r.team.Name, Revision: r.team.Revision, Input: r.s.Input, Origin: &origin, Begin: begin})
	again.must(TaskClaimed{})
	return again
}

// send marks a turn as sent into a conversation of its agent.
func (r *run) sendTurn(turn int) {
	r.t.Helper()
	t := r.s.Turns[slices.IndexFunc(r.s.Turns, func(t Turn) bool { return t.ID == turn })]
	r.must(TurnSending{Turn: turn, Attempt: t.Attempt, ClientMessageID: "m", Runtime: Runtime{Server: "s", AgentID: t.Node, ConversationID: "c-" + t.Node}})
	r.must(TurnAccepted{Turn: turn, Attempt: t.Attempt})
}

func (r *run) endTurn(turn int, f TurnFinished) {
	r.t.Helper()
	t := r.s.Turns[slices.IndexFunc(r.s.Turns, func(t Turn) bool { return t.ID == turn })]
	f.Turn, f.Attempt = turn, t.Attempt
	r.must(f)
}

// reviewed is a task whose reviewer rejected while the other one was at work.
func reviewed(t *testing.T) *run {
	t.Helper()
	r := start(t, mustParse(t, originTeam), map[string]any{"goal": "g"})
	r.sendTurn(1)
	r.endTurn(1, TurnFinished{Reason: ReasonEndTurn, Output: "the plan", Usage: Usage{TotalTokens: 7}})
	r.sendTurn(2)
	r.endTurn(2, TurnFinished{Reason: ReasonEndTurn, Output: "the code"})
	r.sendTurn(3)
	r.sendTurn(4)
	r.endTurn(3, TurnFinished{Reason: ReasonEndTurn, Outcome: "reject", Output: "no"})
	r.wantStatus(TaskFailed)
	return r
}

func TestGoOnFromJustBeforeTheEnd(t *testing.T) {
	again := goOn(t, reviewed(t), Origin{Task: "T1"})
	s := again.s
	if len(s.Turns) != 2 || s.Turns[0].Node != "security" || s.Turns[1].Node != "style" || s.Turns[0].Attempt != 2 {
		t.Fatalf("turns: %+v", s.Turns)
	}
	if strings.HasPrefix(s.Turns[0].Message, continuationStart) {
		t.Errorf("a turn that had ended is asked to go on: %q", s.Turns[0].Message)
	}
	if !strings.HasPrefix(s.Turns[1].Message, continuationStart) {
		t.Errorf("a turn that was cut off is asked anew: %q", s.Turns[1].Message)
	}
	if s.Conversations["planner"].ConversationID != "c-planner" || s.Usage.TotalTokens != 0 || s.Attempts != 2 || s.Nodes["planner"].Output != "the plan" {
		t.Errorf("state: %+v", s)
	}
	again.sendTurn(3)
	again.sendTurn(4)
	again.endTurn(3, TurnFinished{Reason: ReasonEndTurn, Outcome: "approve"})
	again.endTurn(4, TurnFinished{Reason: ReasonEndTurn})
	again.must(GateAnswered{Turn: 5, Approved: true})
	again.wantStatus(TaskSucceeded)
}

func TestGoOnFromATurn(t *testing.T) {
	for name, c := range map[string]struct {
		origin        Origin
		node, message string
		conversations int
	}{
		"retry":                {Origin{Task: "T1", Turn: 2}, "coder", "plan: the plan", 2 - 1},
		"the first turn":       {Origin{Task: "T1", Turn: 1}, "planner", "g", 0},
		"fork":                 {Origin{Task: "T1", Turn: 2, Fork: true}, "coder", "plan: the plan", 0},
		"fork within branches": {Origin{Task: "T1", Turn: 3, Fork: true}, "security", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := goOn(t, reviewed(t), c.origin).s
			if s.Turns[0].ID != c.origin.Turn || s.Turns[0].Node != c.node || c.message != "" && s.Turns[0].Message != c.message {
				t.Errorf("turns: %+v", s.Turns)
			}
			if len(s.Conversations) != c.conversations {
				t.Errorf("conversations: %v", s.Conversations)
			}
			if s.Begin != nil || *s.Origin != c.origin {
				t.Errorf("origin %+v, begin %+v", s.Origin, s.Begin)
			}
		})
	}
}

// TestForkTellsWhatWasSaid: an agent that has spoken before hears what, since its
// conversation is not there any more.
func TestForkTellsWhatWasSaid(t *testing.T) {
	r := start(t, mustParse(t, strings.Replace(originTeam, "handoffs:", "handoffs:\n  - {from: coder, on: end_turn, max: 1, to: planner}", 1)), map[string]any{"goal": "g"})
	r.sendTurn(1)
	r.endTurn(1, TurnFinished{Reason: ReasonEndTurn, Output: "the plan"})
	r.sendTurn(2)
	r.endTurn(2, TurnFinished{Reason: ReasonEndTurn, Output: "the code"})
	r.sendTurn(3)
	r.endTurn(3, TurnFinished{Reason: ReasonError})
	s := goOn(t, r, Origin{Task: "T1", Fork: true}).s
	if got := s.Turns[0].Message; !strings.Contains(got, "another conversation that you cannot see") || !strings.Contains(got, "the plan") {
		t.Errorf("message: %q", got)
	}
}

func TestGoOnIsRefused(t *testing.T) {
	ended := reviewed(t)
	queued := &run{t: t, team: ended.team, now: ended.now}
	queued.must(TaskSubmitted{Task: "T1", Team: "origin", Input: map[string]any{"goal": "g"}})
	queued.must(CancelRequested{})
	child := &run{t: t, team: ended.team, now: ended.now}
	child.must(TaskSubmitted{Task: "T0.1.1", Team: "origin", Input: map[string]any{"goal": "g"}, Parent: &Parent{Task: "T0", Turn: 1, Attempt: 1}})
	for name, c := range map[string]struct {
		r      *run
		origin Origin
		want   string
	}{
		"a turn that never was":    {ended, Origin{Task: "T1", Turn: 9}, "has no turn 9; its last one is 4"},
		"a task that runs":         {start(t, ended.team, map[string]any{"goal": "g"}), Origin{Task: "T1"}, "has not ended: it is running"},
		"a task that never began":  {queued, Origin{Task: "T1"}, "was never begun: submit it again"},
		"the task of a sub-team":   {child, Origin{Task: "T0.1.1"}, "belongs to task T0: go on from that one"},
		"a turn before its origin": {goOn(t, ended, Origin{Task: "T1", Turn: 2}), Origin{Task: "T2", Turn: 1}, "has no turn 1 that can be asked for again"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := BeginningAt(c.r.team, journalOf(c.r), c.origin)
			if e, ok := errors.AsType[*OriginError](err); !ok || !strings.Contains(e.Error(), c.want) {
				t.Errorf("%v, want %s", err, c.want)
			}
		})
	}
}
