package main

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const languageTeam = `version: 1
name: release
inputs:
  goal: {type: string, required: true}
limits: {turns: 5, cost: 5, at_limit: pause}
agents:
  coder: {prompt: Code., permission_mode: acceptEdits, approvals: {otherwise: ask}, controller_tools: [ask_human, update_progress, spawn_task]}
  security: {prompt: Look., tools: [Read]}
  style: {prompt: Look., tools: [Read]}
checks:
  tests: {run: go test ./...}
gates:
  merge: {question: "Merge {{ .input.goal }}?\nThink twice.", expires: 1h}
teams:
  notes: {team: notes.yaml, input: {goal: "{{ .input.goal }}"}}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: tests}
  - {from: tests, on: failed, to: coder, max: 3}
  - {from: tests, on: passed, to: [security, style]}
  - {from: [security, style], on: end_turn, join: any, to: merge}
  - {from: merge, on: approved, to: notes}
  - {from: merge, on: expired, to: merge, max: 1}
  - {from: notes, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

const notesTeam = `version: 1
name: notes
inputs:
  goal: {type: string, required: true}
limits: {turns: 3}
agents:
  writer: {prompt: Write.}
start: writer
handoffs:
  - {from: writer, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// journalOf is a journal of another team than the usual one.
func journalOf(t *testing.T, source string) *journal {
	t.Helper()
	team, err := workflow.Parse("team.yaml", []byte(source), workflow.ParseOptions{Load: workflow.LoadSources("team.yaml", map[string][]byte{"notes.yaml": []byte(notesTeam)})})
	if err != nil {
		t.Fatal(err)
	}
	j := &journal{t: t, team: team, at: time.Date(2026, 3, 4, 10, 0, 0, 0, time.UTC)}
	j.add(0, workflow.TaskSubmitted{Task: "01JDQ7", Team: team.Name, Revision: team.Revision, Input: map[string]any{"goal": "v1"}, GitBranch: "team/01JDQ7", Workspace: "/w"})
	j.add(time.Millisecond, workflow.TaskClaimed{})
	return j
}

// of is the live turn of a node.
func (j *journal) of(node string) workflow.Turn {
	j.t.Helper()
	for _, turn := range j.state.Turns {
		if turn.Node == node {
			return turn
		}
	}
	j.t.Fatalf("%s is not alive: %+v, the task is %s", node, j.state.Turns, j.state.Status)
	return workflow.Turn{}
}

// begin sends the turn of a node.
func (j *journal) begin(node, child string) workflow.Turn {
	j.t.Helper()
	turn := j.of(node)
	sending := workflow.TurnSending{Turn: turn.ID, Attempt: turn.Attempt, Child: child}
	if turn.Kind == workflow.KindAgent {
		sending.Runtime = workflow.Runtime{Server: "s", AgentID: "agent-" + node, ConversationID: "conv-" + node}
	}
	j.add(100*time.Millisecond, sending)
	return turn
}

// finish runs the turn of a node to its end.
func (j *journal) finish(node string, took time.Duration, f workflow.TurnFinished) {
	j.t.Helper()
	turn := j.begin(node, "")
	f.Turn, f.Attempt = turn.ID, turn.Attempt
	j.add(took, f)
}

func ended(model string, cost int64) workflow.TurnFinished {
	return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: "Done.", Usage: tokens(1000), Model: model, Cost: cost}
}

// languageStory goes through everything of the language that is no plain turn.
func languageStory(t *testing.T) *journal {
	j := journalOf(t, languageTeam)
	coder := j.begin("coder", "")
	half := 50
	j.add(time.Second, workflow.ProgressReported{Turn: coder.ID, Attempt: 1, Text: "half done", Percent: &half})
	j.add(time.Second, workflow.QuestionAsked{Turn: coder.ID, Attempt: 1, Kind: workflow.QuestionApproval, Text: "coder asks to run this in /w:\n\ngit push", Tool: "Bash", Argument: "git push"})
	j.add(time.Second, workflow.QuestionAnswered{Question: 1, Answer: workflow.AnswerAllow, By: "ann"})
	j.add(time.Second, workflow.QuestionAsked{Turn: coder.ID, Attempt: 1, Kind: workflow.QuestionText, Text: "Which port?", Choices: []string{"80", "8080"}})
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{})
	j.add(time.Second, workflow.TaskSpawned{Turn: coder.ID, Attempt: 1, Task: "01JDQ7.1.s1", Team: "notes"})
	j.add(time.Second, workflow.TurnFinished{Turn: coder.ID, Attempt: 1, Reason: workflow.ReasonLLMAPIError, Error: "429", QuotaReset: j.at.Add(10 * time.Minute)})
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{})
	j.finish("coder", 5*time.Second, ended("priced/model", 420_000))
	j.finish("tests", 3*time.Second, workflow.TurnFinished{Reason: workflow.ReasonFailed, ExitCode: 1, Output: "FAIL", Error: "the command ended with exit status 1"})
	j.finish("coder", 5*time.Second, ended("priced/model", 100))
	j.finish("tests", 3*time.Second, workflow.TurnFinished{Reason: workflow.ReasonPassed})
	j.begin("security", "")
	j.finish("style", 2*time.Second, ended("priced/model", 100))
	j.add(j.state.WakeAt.Sub(j.at), workflow.TimerFired{}) // the gate expires
	j.add(time.Minute, workflow.GateAnswered{Turn: j.of("merge").ID, Approved: true, By: "bob", Comment: "at last"})
	if j.state.Status != workflow.TaskPaused {
		t.Fatalf("the turns are not used up: %s", j.state.Status)
	}
	j.add(time.Minute, workflow.ResumeRequested{By: "ann", Raise: workflow.Limits{Turns: 5}})
	notes := j.begin("notes", "01JDQ7.9.1")
	j.add(time.Second, workflow.ChildReported{Turn: notes.ID, Attempt: notes.Attempt, Attempts: 1, Usage: tokens(500), Cost: 1_000_000})
	j.add(time.Second, workflow.ChildReported{Turn: notes.ID, Attempt: notes.Attempt, Attempts: 2, Usage: tokens(900), Cost: 1_080_000, Unpriced: []string{"odd/model"}})
	j.add(time.Second, workflow.TurnFinished{Turn: notes.ID, Attempt: notes.Attempt, Reason: workflow.ReasonSucceeded, Output: "Notes."})
	if j.state.Status != workflow.TaskSucceeded {
		t.Fatalf("the story ends as %s: %+v", j.state.Status, j.state.Result)
	}
	return j
}

// clockTimes are those of the reader's time zone.
var clockTimes = regexp.MustCompile(`20\d\d-\d\d-\d\d \d\d:\d\d\b(?:[^:]|$)`)

func withoutClock(text string) string {
	return clockTimes.ReplaceAllStringFunc(text, func(m string) string { return "TIME" + m[len("2026-03-04 10:00"):] })
}

func TestPlainLinesOfTheWholeLanguage(t *testing.T) {
	j := languageStory(t)
	var out bytes.Buffer
	r := &plainReporter{out: &out}
	r.begin(j.team, j.records[:1])
	for _, rec := range j.records[1:] {
		r.record(rec)
	}
	r.end(ending{})
	golden(t, "plain-language.txt", withoutClock(out.String()))
}

func TestShowOfTheWholeLanguage(t *testing.T) {
	j := languageStory(t)
	v := storyView{lines: 4, loc: time.UTC, now: j.at}
	child := workflow.State{Task: "01JDQ7.9.1", Team: "notes", Status: workflow.TaskSucceeded, Result: &workflow.Result{Explanation: "done"}}
	golden(t, "show-language.txt", withoutClock(v.render(taskStory{state: j.state, records: j.records, team: j.team, file: "team.yaml", children: []workflow.State{child}})))
}

// The usage and the money of the story are those of the state.
func TestTheStoryCountsLikeTheState(t *testing.T) {
	j := languageStory(t)
	var s story
	for _, rec := range j.records {
		s.apply(rec.Event, rec.Effects)
	}
	if s.Usage != j.state.Usage || s.Cost.Known != j.state.Cost || s.sent() != j.state.Attempts {
		t.Errorf("usage %+v, cost %d, turns %d; the state has %+v, %d, %d", s.Usage, s.Cost.Known, s.sent(), j.state.Usage, j.state.Cost, j.state.Attempts)
	}
	if got, want := s.Cost.String(), "$1.50 + unknown price of odd/model"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSummaryOfATaskThatWaits(t *testing.T) {
	j := journalOf(t, languageTeam)
	j.finish("coder", time.Second, ended("priced/model", 1))
	j.finish("tests", time.Second, workflow.TurnFinished{Reason: workflow.ReasonPassed})
	j.finish("style", time.Second, ended("", 0))
	w, blocked := family{"01JDQ7": j.state}.blocked("01JDQ7")
	if !blocked || len(w.asks) != 1 || w.asks[0].Node != "merge" {
		t.Fatalf("blocked %v by %+v", blocked, w)
	}
	var out bytes.Buffer
	r := &jsonReporter{out: &out, events: &bytes.Buffer{}, state: func() workflow.TaskState { return workflow.TaskWaiting }}
	r.begin(j.team, j.records)
	r.end(ending{waits: &w})
	var got summary
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.WaitsFor) != 1 || got.WaitsFor[0].Kind != askGate || got.State != workflow.TaskWaiting {
		t.Errorf("%v: %s", err, &out)
	}
	v := storyView{loc: time.UTC, now: j.at, place: place{dataDir: "/d"}}
	text := v.render(taskStory{state: j.state, records: j.records, team: j.team})
	for _, want := range []string{"  gate merge: Merge v1? Think twice., until 2026-03-04 11:00:", "    orchestrator approve 01JDQ7 merge --data-dir /d\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
}

// A task is blocked when all that is left of it, in sub-teams too, waits for somebody.
func TestBlocked(t *testing.T) {
	gate := workflow.Turn{ID: 1, Node: "merge", Kind: workflow.KindGate, State: workflow.TurnPending}
	agent := workflow.Turn{ID: 2, Node: "coder", State: workflow.TurnRunning}
	retry := workflow.Turn{ID: 2, Node: "coder", State: workflow.TurnPending, NotBefore: time.Now().Add(time.Hour)}
	team := workflow.Turn{ID: 3, Node: "notes", Kind: workflow.KindTeam, State: workflow.TurnSent, Child: "T.3.1"}
	state := func(id string, status workflow.TaskState, turns ...workflow.Turn) workflow.State {
		return workflow.State{Task: id, Status: status, Turns: turns}
	}
	for name, c := range map[string]struct {
		states []workflow.State
		asks   int
		paused int
		want   bool
	}{
		"a gate":                         {[]workflow.State{state("T", workflow.TaskWaiting, gate)}, 1, 0, true},
		"a gate beside a turn":           {[]workflow.State{state("T", workflow.TaskRunning, gate, agent)}, 0, 0, false},
		"a gate beside a back-off":       {[]workflow.State{state("T", workflow.TaskWaiting, gate, retry)}, 0, 0, false},
		"a paused task":                  {[]workflow.State{state("T", workflow.TaskPaused)}, 0, 1, true},
		"a paused task with a live turn": {[]workflow.State{state("T", workflow.TaskPaused, agent)}, 0, 0, false},
		"a gate of a sub-team":           {[]workflow.State{state("T", workflow.TaskRunning, team), state("T.3.1", workflow.TaskWaiting, gate)}, 1, 0, true},
		"a paused sub-team and a gate":   {[]workflow.State{state("T", workflow.TaskRunning, gate, team), state("T.3.1", workflow.TaskPaused)}, 1, 1, true},
		"a sub-team that is not known":   {[]workflow.State{state("T", workflow.TaskRunning, team)}, 0, 0, false},
		"a sub-team that has ended":      {[]workflow.State{state("T", workflow.TaskRunning, team), state("T.3.1", workflow.TaskFailed)}, 0, 0, false},
		"nothing yet":                    {[]workflow.State{state("T", workflow.TaskQueued)}, 0, 0, false},
	} {
		f := family{}
		for _, s := range c.states {
			f[s.Task] = s
		}
		w, blocked := f.blocked("T")
		if blocked != c.want || blocked && (len(w.asks) != c.asks || len(w.paused) != c.paused) {
			t.Errorf("%s: %v, %+v", name, blocked, w)
		}
	}
}

// What a sub-team does is told under the name of its node, also where its journal comes from the store.
func TestLinesOfASubTeam(t *testing.T) {
	j := journalOf(t, `version: 1
name: whole
inputs:
  goal: {type: string, required: true}
teams:
  notes: {team: notes.yaml, input: {goal: "{{ .input.goal }}"}}
start: notes
handoffs:
  - {from: notes, on: succeeded, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	j.begin("notes", "01JDQ7.1.1")
	notes := j.team.Teams["notes"].Team
	child := &journal{t: t, team: notes, at: j.at}
	child.add(0, workflow.TaskSubmitted{Task: "01JDQ7.1.1", Team: notes.Name, Revision: notes.Revision, Input: map[string]any{"goal": "v1"}, Parent: &workflow.Parent{Task: "01JDQ7", Turn: 1, Attempt: 1}})
	child.add(0, workflow.TaskClaimed{})
	child.begin("writer", "")
	for name, earlier := range map[string][]store.Record{"live": j.records[:1], "stored": append(j.records, child.records...)} {
		var out bytes.Buffer
		r := &plainReporter{out: &out}
		r.begin(j.team, earlier)
		if name == "live" {
			for _, rec := range append(j.records[1:], child.records...) {
				r.record(rec)
			}
		}
		live := r.lines.running()
		if len(live) != 2 || live[0].name != "notes" || live[1].name != "notes/writer" || live[1].limit != defaultTurnTimeout {
			t.Errorf("%s: running are %+v", name, live)
		}
		done := child.records[len(child.records)-1]
		done.Event.Body, done.Seq = workflow.TurnFinished{Turn: 1, Attempt: 1, Reason: workflow.ReasonEndTurn}, done.Seq+1
		r.record(done)
		if !strings.Contains(out.String(), "✓ notes/writer ") {
			t.Errorf("%s:\n%s", name, &out)
		}
	}
}

func TestMoney(t *testing.T) {
	for cost, want := range map[int64]string{0: "$0.00", 50: "<$0.0001", 4200: "$0.0042", 420_000: "$0.42", 12_345_678: "$12.35"} {
		if got := formatMoney(cost); got != want {
			t.Errorf("%d: got %q, want %q", cost, got, want)
		}
	}
	for _, c := range []struct {
		of          spending
		short, long string
	}{
		{spending{}, "", ""},
		{spending{Priced: true}, "$0.00", "$0.00"},
		{spending{Unpriced: []string{"a/b"}}, "?", "unknown price of a/b"},
		{spending{Known: 420_000, Priced: true, Unpriced: []string{"a/b"}}, "$0.42+?", "$0.42 + unknown price of a/b"},
	} {
		if c.of.short() != c.short || c.of.String() != c.long {
			t.Errorf("%+v: %q, %q", c.of, c.of.short(), c.of.String())
		}
	}
}
