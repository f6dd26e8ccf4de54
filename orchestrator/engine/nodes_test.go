package engine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

const checked = `
version: 1
name: checked
inputs:
  goal: {type: string, default: go}
limits: {turns: 9}
output_limit: 1024
agents:
  coder: {prompt: C}
checks:
  tests: {run: "go test ./..."}
gates:
  merge: {question: "Merge {{ .nodes.tests.output }}?", expires: 2h}
start: coder
handoffs:
  - {from: coder, on: end_turn, to: tests}
  - {from: tests, on: failed, to: coder, max: 2, message: "They fail: {{ .output }}"}
  - {from: tests, on: passed, to: merge}
  - {from: merge, on: approved, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

func TestCheckThatFailsThenPassesAndGate(t *testing.T) {
	s, f, c := openStore(t, t.TempDir()), &fake{server: newServer()}, &commands{}
	var messages []string
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		messages = append(messages, req.Turn.Message)
		return endTurn(req), nil
	}
	c.end = func(_ context.Context, req CheckRequest) (workflow.TurnFinished, error) {
		req.Progress(Progress{Kind: ProgressOutput, Text: "compiling"})
		if req.Turn.ID == 2 {
			return workflow.TurnFinished{Reason: workflow.ReasonFailed, Output: "2 of 3", ExitCode: 1}, nil
		}
		return workflow.TurnFinished{Reason: workflow.ReasonPassed, Output: "all"}, nil
	}
	e := newEngine(s, f, withChecks(c), func(o *Options) { o.OutputDir = "/outputs" })
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, checked))
	await(t, sub, func(u Update) bool {
		return u.Progress != nil && u.Progress.Text == "compiling" && u.Progress.Node == "tests"
	})
	waiting := record(t, s, sub, id, func(s workflow.State) bool { return s.Status == workflow.TaskWaiting })
	gate := openGate(waiting)
	if gate == 0 || waiting.Turns[0].Message != "Merge all?" {
		t.Fatalf("no gate is open: %+v", waiting.Turns)
	}
	if len(messages) != 2 || messages[1] != "They fail: 2 of 3" {
		t.Errorf("messages %q", messages)
	}
	req := c.ran[0]
	if req.Workspace != "/w" || req.OutputLimit != 1024 || req.OutputFile != filepath.Join("/outputs", id, "2.1.txt") || req.Check.Run != "go test ./..." ||
		!slices.Contains(req.Environment, "ORCHESTRATOR_TASK="+id) || !slices.Contains(req.Environment, "INPUT_GOAL=go") {
		t.Errorf("request of the check: %+v", req)
	}
	if _, err := e.AnswerGate(t.Context(), id, gate+1, true, "", ""); !errors.Is(err, workflow.ErrStale) {
		t.Errorf("answer to another gate: %v", err)
	}
	if _, err := e.AnswerGate(t.Context(), id, gate, true, "ann", "good"); err != nil {
		t.Fatal(err)
	}
	state := e.wait(t, id)
	if node := state.Nodes["merge"]; state.Status != workflow.TaskSucceeded || node.By != "ann" || node.Output != "good" {
		t.Errorf("task: %+v, gate %+v", state.Result, node)
	}
	if _, err := e.AnswerGate(t.Context(), id, gate, true, "", ""); !errors.Is(err, workflow.ErrTerminal) {
		t.Errorf("answer after the end: %v", err)
	}
}

func TestGateExpiresAtItsTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := openStore(t, dir)
		e := newEngine(s, &fake{server: newServer()}, withChecks(&commands{}))
		d := run(t, e)
		start := time.Now()
		id := e.mustSubmit(t, parse(t, checked))
		synctest.Wait()
		e.mu.Lock()
		if len(e.entries)+len(e.known)+e.slots != 0 {
			t.Errorf("an open gate costs %d entries, %d turns, %d slots", len(e.entries), len(e.known), e.slots)
		}
		e.mu.Unlock()
		state := e.wait(t, id)
		if state.Nodes["merge"].Reason != workflow.ReasonExpired || time.Since(start) < 2*time.Hour || time.Since(start) > 2*time.Hour+time.Minute {
			t.Errorf("after %s: %+v", time.Since(start), state.Nodes["merge"])
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestCheckWithoutRunnerAndRunnersThatBreak(t *testing.T) {
	for name, tt := range map[string]struct {
		runner CheckRunner
		want   string
	}{
		"none": {nil, "runs no checks"},
		"panic": {&commands{end: func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
			panic("oops")
		}}, "oops"},
		"error": {&commands{end: func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{}, errors.New("no shell")
		}}, "no shell"},
	} {
		e := newEngine(openStore(t, t.TempDir()), &fake{server: newServer()}, withChecks(tt.runner))
		run(t, e)
		state := e.wait(t, e.mustSubmit(t, parse(t, checked)))
		if node := state.Nodes["tests"]; node.Reason != workflow.ReasonFailed || !strings.Contains(node.Error, tt.want) || node.Visits != 3 {
			t.Errorf("%s: %+v", name, node)
		}
	}
}

// A command that ran when the orchestrator ended is run again only where that is allowed.
func TestCheckAfterARestart(t *testing.T) {
	for _, rerun := range []bool{true, false} {
		dir, begun, c := t.TempDir(), make(chan string, 1), &commands{}
		c.end = func(ctx context.Context, req CheckRequest) (workflow.TurnFinished, error) {
			begun <- req.Task
			<-ctx.Done()
			return workflow.TurnFinished{}, context.Cause(ctx)
		}
		team := parse(t, strings.ReplaceAll(strings.Replace(checked, "version: 1", "version: 1\non_uncertain: fail", 1), `./..."`, `./...", rerun: `+map[bool]string{true: "true", false: "false"}[rerun]))
		s := openStore(t, dir)
		first := run(t, newEngine(s, &fake{server: newServer()}, withChecks(c)))
		id := first.mustSubmit(t, team)
		<-begun
		if err := first.stop(); err != nil {
			t.Fatal(err)
		}
		c.end = func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{Reason: workflow.ReasonTimeout}, nil
		}
		second := newEngine(s, &fake{server: newServer()}, withChecks(c))
		run(t, second)
		state := second.wait(t, id)
		want, runs := workflow.ReasonTimeout, 2
		if !rerun {
			want, runs = workflow.ReasonUncertain, 1
		}
		if state.Nodes["tests"].Reason != want || len(c.ran) != runs {
			t.Errorf("rerun %v: %+v after %d runs", rerun, state.Nodes["tests"], len(c.ran))
		}
	}
}

func TestLongOutputGoesToAFile(t *testing.T) {
	long := strings.Repeat("ä", 1000) + "END"
	for name, dir := range map[string]string{"kept": t.TempDir(), "not kept": ""} {
		s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
		f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: long}, nil
		}
		c := &commands{end: func(context.Context, CheckRequest) (workflow.TurnFinished, error) {
			return workflow.TurnFinished{Reason: workflow.ReasonTimeout}, nil
		}}
		e := newEngine(s, f, withChecks(c), func(o *Options) { o.OutputDir = dir })
		run(t, e)
		id := e.mustSubmit(t, parse(t, checked))
		node := e.wait(t, id).Nodes["coder"]
		if len(node.Output) > 1400 || !strings.HasPrefix(node.Output, "ääää") || !strings.HasSuffix(node.Output, "äEND") || strings.Contains(node.Output, "\ufffd") {
			t.Errorf("%s: excerpt of %d bytes: %.30q … %q", name, len(node.Output), node.Output, node.Output[len(node.Output)-30:])
		}
		if dir == "" {
			if node.OutputFile != "" || !strings.Contains(node.Output, "not kept") {
				t.Errorf("%s: %+v", name, node)
			}
			continue
		}
		if want := filepath.Join(dir, id, "1.1.txt"); node.OutputFile != want || !strings.Contains(node.Output, want) {
			t.Errorf("%s: file %q", name, node.OutputFile)
		}
		text, err := os.ReadFile(node.OutputFile)
		if err != nil || string(text) != long {
			t.Errorf("%s: %d bytes, %v", name, len(text), err)
		}
		if info, err := os.Stat(node.OutputFile); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

// What cannot be kept is not recorded: the turn is found out about when the disk works again.
func TestLongOutputThatCannotBeKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fake{server: newServer()}
	f.answer = func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
		return workflow.TurnFinished{Reason: workflow.ReasonEndTurn, Output: strings.Repeat("x", 2000)}, nil
	}
	s := openStore(t, t.TempDir())
	d := run(t, newEngine(s, f, func(o *Options) { o.OutputDir = filepath.Join(file, "outputs") }))
	id := d.mustSubmit(t, parse(t, checked))
	if err := <-d.ended; err == nil || !strings.Contains(err.Error(), "keep the output") {
		t.Errorf("run: %v", err)
	}
	if state, err := s.Task(t.Context(), id); err != nil || len(state.Turns) != 1 || state.Turns[0].State != workflow.TurnRunning {
		t.Errorf("task: %+v, %v", state, err)
	}
}

const fan = `
version: 1
name: fan
limits: {turns: 20}
agents:
  plan: {prompt: P}
  a: {prompt: A}
  b: {prompt: B}
  c: {prompt: C}
  sum: {prompt: S}
start: plan
message: begin
workspace: {parallel_writers: true}
handoffs:
  - {from: plan, on: end_turn, to: [a, b, c], message: "Do {{ .target }}"}
  - {from: [a, b, c], on: end_turn, join: JOIN, to: sum}
  - {from: sum, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

func TestBranchesRunAtOnceAndJoin(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	all := make(chan string, 3)
	release := make(chan struct{})
	f.answer = func(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		if req.Turn.Branch != 0 {
			all <- req.Turn.Conversation
			<-release
		}
		return endTurn(req), nil
	}
	f.runtime = func(req TurnRequest) workflow.Runtime {
		return workflow.Runtime{Server: "s", AgentID: "agent-" + req.Agent.Name, ConversationID: req.Turn.Conversation + req.Task}
	}
	e := newEngine(s, f)
	run(t, e)
	id := e.mustSubmit(t, parse(t, strings.ReplaceAll(fan, "JOIN", "all")))
	var seen []string
	for range 3 { // would block for ever if they did not run at once
		seen = append(seen, <-all)
	}
	close(release)
	state := e.wait(t, id)
	slices.Sort(seen)
	if state.Status != workflow.TaskSucceeded || !slices.Equal(seen, []string{"a@a", "b@b", "c@c"}) || f.server.sent[id+".5.1"] != 1 {
		t.Errorf("task: %+v, conversations %v", state.Result, seen)
	}
}

func TestFirstBranchAbortsTheOthers(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	begun, aborted := make(chan string, 2), make(chan error, 2)
	f.answer = func(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		switch req.Agent.Name {
		case "a", "b":
			begun <- req.Agent.Name
			<-ctx.Done()
			aborted <- context.Cause(ctx)
			return workflow.TurnFinished{}, context.Cause(ctx)
		case "c":
			<-begun
			<-begun
		}
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	id := e.mustSubmit(t, parse(t, strings.ReplaceAll(fan, "JOIN", "any")))
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("task: %+v", state.Result)
	}
	for range 2 {
		if err := <-aborted; !errors.Is(err, ErrTurnAborted) {
			t.Errorf("cause %v", err)
		}
	}
	if rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
		t.Errorf("conversations still held: %+v, %v", rows, err)
	}
}

const wide = `
version: 1
name: wide
limits: {turns: 5000}
agents:
  plan: {prompt: P, outcomes: [go]}
  work: {prompt: W}
start: plan
message: begin
workspace: {parallel_writers: true}
handoffs:
  - {from: plan, on: go, for_each: data.items, max_items: 1000, max_parallel: 50, to: work, message: "{{ .item }}"}
  - {from: work, on: end_turn, join: all, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// A hundred branches all end, and do not keep another task waiting until they have.
func TestManyBranches(t *testing.T) {
	const branches = 120
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	items := make([]any, branches)
	for i := range items {
		items[i] = i
	}
	started := make(chan struct{}, branches)
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		out := endTurn(req)
		switch req.Agent.Name {
		case "plan":
			out.Outcome, out.Data = "go", map[string]any{"items": items}
		case "work":
			started <- struct{}{}
		}
		return out, nil
	}
	f.runtime = func(req TurnRequest) workflow.Runtime {
		return workflow.Runtime{Server: "s", AgentID: "agent-" + req.Agent.Name, ConversationID: req.Turn.Conversation + req.Task}
	}
	e := newEngine(s, f, func(o *Options) { o.MaxTurns = 4 })
	run(t, e)
	id := e.mustSubmit(t, parse(t, wide))
	<-started
	other := e.wait(t, e.mustSubmit(t, parse(t, chain)))
	before, err := s.Task(t.Context(), id)
	if err != nil || other.Status != workflow.TaskSucceeded || before.Status.Terminal() {
		t.Fatalf("the other task: %+v; the wide one is %s, %v", other.Result, before.Status, err)
	}
	state := e.wait(t, id)
	if state.Status != workflow.TaskSucceeded || state.Attempts != branches+1 || state.Nodes["work"].Visits != branches {
		t.Errorf("task: %+v, %d attempts, %d visits", state.Result, state.Attempts, state.Nodes["work"].Visits)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.known) > 4 || e.ready.tasks() > 1 {
		t.Errorf("%d turns, %d tasks are left in memory", len(e.known), e.ready.tasks())
	}
}

// A turn whose branch a join has cancelled may still be ending on the App
// Server: its conversation gets no other turn before that is over.
func TestConversationThatIsStillEnding(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	f.runtime = func(req TurnRequest) workflow.Runtime {
		name := strings.Replace(req.Agent.Name, "c", "b", 1) // as one agent in one conversation
		return workflow.Runtime{Server: "s", AgentID: "agent-" + name, ConversationID: "conv"}
	}
	begun, release := make(chan struct{}), make(chan struct{})
	ended := false // happens before the turn of c, if all is well
	f.answer = func(ctx context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		switch {
		case req.Agent.Name == "a":
			<-begun
		case req.Agent.Name == "b":
			close(begun)
			<-ctx.Done()
			<-release
			ended = true
			return workflow.TurnFinished{}, context.Cause(ctx)
		case req.Agent.Name == "c" && !ended:
			t.Error("the conversation has two turns at once")
		}
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	team := parse(t, `
version: 1
name: any
limits: {turns: 9}
workspace: {parallel_writers: true}
agents:
  plan: {prompt: P}
  a: {prompt: A}
  b: {prompt: B}
  c: {prompt: C}
start: plan
message: begin
handoffs:
  - {from: plan, on: end_turn, to: [a, b]}
  - {from: [a, b], on: end_turn, join: any, to: c}
  - {from: c, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`)
	id := e.mustSubmit(t, team)
	sub := e.Subscribe(id)
	defer sub.Close()
	blocked := await(t, sub, func(u Update) bool { return u.Progress != nil && u.Progress.Kind == ProgressBlocked })
	if want := "is busy: turn 3"; !strings.Contains(blocked.Progress.Text, want) {
		t.Errorf("blocked: %q, want %q", blocked.Progress.Text, want)
	}
	close(release)
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("%+v", state.Result)
	}
}
