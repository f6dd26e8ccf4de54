package engine

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/seed-e05a5b32/orchestrator/orchestrator/store"
	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// asking asks one question in its first turn and says what came of it.
func asking(q Question, answers chan<- Answer, errs chan<- error) func(context.Context, TurnRequest, Recorder) (workflow.TurnFinished, error) {
	return func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		a, err := rec.Ask(ctx, q)
		if err != nil {
			errs <- err
			return workflow.TurnFinished{}, err
		}
		answers <- a
		return endTurn(req), nil
	}
}

func asked(state workflow.State) bool { return len(state.Questions) > 0 }

func TestQuestionIsAnswered(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	answers := make(chan Answer, 1)
	f.answer = asking(Question{Kind: workflow.QuestionApproval, Text: "May I?", Tool: "Bash", Argument: "ls"}, answers, make(chan error, 1))
	e := newEngine(s, f)
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	state := record(t, s, sub, id, asked)
	q := state.Questions[0]
	if state.Status != workflow.TaskRunning || state.Turns[0].State != workflow.TurnAwaitingApproval || q.Tool != "Bash" || q.Argument != "ls" {
		t.Errorf("task: %+v", state)
	}
	if _, err := e.AnswerQuestion(t.Context(), id, q.ID, "perhaps", "ann"); !isAnswerError(err) {
		t.Errorf("an answer that is none: %v", err)
	}
	if _, err := e.AnswerQuestion(t.Context(), id, q.ID+1, workflow.AnswerAllow, "ann"); !errors.Is(err, workflow.ErrStale) {
		t.Errorf("an answer to nothing: %v", err)
	}
	if _, err := e.AnswerQuestion(t.Context(), id, q.ID, workflow.AnswerAllow, "ann"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a != (Answer{Text: workflow.AnswerAllow, By: "ann"}) {
		t.Errorf("answer %+v", a)
	}
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
		t.Errorf("task: %+v", state.Result)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.questions) != 0 {
		t.Errorf("%d questions are left in memory", len(e.questions))
	}
}

func isAnswerError(err error) bool {
	_, ok := errors.AsType[*workflow.AnswerError](err)
	return ok
}

// Nobody answers: an approval is denied and a question is left open, at their time.
func TestQuestionExpires(t *testing.T) {
	for kind, want := range map[workflow.QuestionKind]Answer{
		workflow.QuestionApproval: {Text: workflow.AnswerDeny, Expired: true},
		workflow.QuestionText:     {Expired: true},
	} {
		dir := t.TempDir()
		synctest.Test(t, func(t *testing.T) {
			s, f := openStore(t, dir), &fake{server: newServer()}
			answers := make(chan Answer, 1)
			f.answer = asking(Question{Kind: kind, Text: "?"}, answers, make(chan error, 1))
			e := newEngine(s, f)
			d := run(t, e)
			start := time.Now()
			id := e.mustSubmit(t, parse(t, single))
			if a := <-answers; a != want {
				t.Errorf("%s: answer %+v", kind, a)
			}
			if got := time.Since(start); got < workflow.DefaultAskExpires || got > workflow.DefaultAskExpires+time.Second {
				t.Errorf("%s: after %s", kind, got)
			}
			e.wait(t, id)
			if err := d.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A question is still answered in time when the task has been paused meanwhile,
// and what the turn ends with is routed when it is resumed.
func TestQuestionOfAPausedTask(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	answers := make(chan Answer, 1)
	f.answer = asking(Question{Kind: workflow.QuestionText, Text: "?"}, answers, make(chan error, 1))
	e := newEngine(s, f)
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	id := e.mustSubmit(t, parse(t, single))
	state := record(t, s, sub, id, asked)
	if _, err := e.Pause(t.Context(), id, "ann"); err != nil {
		t.Fatal(err)
	}
	if _, err := e.AnswerQuestion(t.Context(), id, state.Questions[0].ID, "yes", "ann"); err != nil {
		t.Fatal(err)
	}
	if a := <-answers; a.Text != "yes" {
		t.Errorf("answer %+v", a)
	}
	state = record(t, s, sub, id, func(s workflow.State) bool { return len(s.Held) > 0 })
	if state.Status != workflow.TaskPaused || len(state.Turns) != 0 {
		t.Errorf("task: %+v", state)
	}
	if _, err := e.Resume(t.Context(), id, "ann", workflow.Limits{}); err != nil {
		t.Fatal(err)
	}
	if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || len(f.server.sent) != 1 {
		t.Errorf("task: %+v", state.Result)
	}
}

func TestStopAndCancelEndAQuestion(t *testing.T) {
	for name, want := range map[string]error{"stop": ErrStopping, "cancel": ErrTurnAborted} {
		s, f, errs := openStore(t, t.TempDir()), &fake{server: newServer()}, make(chan error, 1)
		f.answer = asking(Question{Kind: workflow.QuestionText, Text: "?"}, make(chan Answer, 1), errs)
		e := newEngine(s, f)
		sub := e.Subscribe("")
		d := run(t, e)
		id := e.mustSubmit(t, parse(t, single))
		record(t, s, sub, id, asked)
		sub.Close()
		if name == "cancel" {
			if _, err := e.Cancel(t.Context(), id, ""); err != nil {
				t.Fatal(err)
			}
		} else if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		if err := <-errs; !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		state, err := s.Task(t.Context(), id)
		if open := len(state.Questions); err != nil || open != map[string]int{"stop": 1, "cancel": 0}[name] {
			t.Errorf("%s: %d questions are open, %v", name, open, err)
		}
	}
}

func TestProgressIsRecorded(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	half := 50
	f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
		if err := rec.Report(ctx, "half way", &half); err != nil {
			t.Error(err)
		}
		state, err := s.Task(ctx, req.Task)
		if p := state.Turns[0].Progress; err != nil || p == nil || p.Text != "half way" || *p.Percent != 50 {
			t.Errorf("progress %+v, %v", p, err)
		}
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	e.wait(t, e.mustSubmit(t, parse(t, single)))
}

const capped = `
version: 1
name: capped
limits: {turns: 9, at_limit: pause, LIMIT}
agents:
  a: {prompt: A}
  b: {prompt: B}
start: a
message: begin
handoffs:
  - {from: a, on: end_turn, to: b}
  - {from: b, on: end_turn, to: succeeded}
  - {from: "*", on: "*", to: failed}
`

// A turn is stopped while it runs when what it uses reaches a limit; what it has
// done is kept, and it goes on when the limit is raised.
func TestLimitStopsARunningTurn(t *testing.T) {
	for _, limit := range []string{"tokens: 100", "cost: 0.0003"} {
		s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
		var messages []string
		f.answer = func(ctx context.Context, req TurnRequest, rec Recorder) (workflow.TurnFinished, error) {
			messages = append(messages, req.Turn.Message)
			if len(messages) > 1 {
				return endTurn(req), nil
			}
			for used := int64(60); ; used += 60 { // each is the sum so far
				rec.Progress(Progress{Kind: ProgressUsage, Usage: workflow.Usage{TotalTokens: used}})
				if used == 120 {
					break
				}
				if ctx.Err() != nil {
					t.Errorf("stopped at %d", used)
				}
			}
			<-ctx.Done()
			budget, ok := errors.AsType[*BudgetError](context.Cause(ctx))
			if !ok {
				t.Errorf("cause %v", context.Cause(ctx))
				return workflow.TurnFinished{}, context.Cause(ctx)
			}
			return workflow.TurnFinished{Reason: workflow.ReasonBudgetExceeded, Output: "half", Error: budget.Note, Usage: workflow.Usage{TotalTokens: 120}}, nil
		}
		f.model = "m"
		e := newEngine(s, f, func(o *Options) { o.Prices = prices{"m": 3} })
		sub := e.Subscribe("")
		run(t, e)
		id := e.mustSubmit(t, parse(t, strings.ReplaceAll(capped, "LIMIT", limit)))
		state := record(t, s, sub, id, func(s workflow.State) bool { return s.Status == workflow.TaskPaused })
		sub.Close()
		name, _, _ := strings.Cut(limit, ":")
		if state.Pause == nil || !strings.Contains(state.Pause.Note, "limits."+name) || state.Usage.TotalTokens != 120 || state.Cost != 360 || state.Nodes["a"].Output != "half" {
			t.Errorf("%s: %+v, %+v", limit, state.Pause, state)
		}
		raise := workflow.Limits{Tokens: 1000}
		if name == "cost" {
			raise = workflow.Limits{Cost: 1_000_000}
		}
		if _, err := e.Resume(t.Context(), id, "ann", raise); err != nil {
			t.Fatal(err)
		}
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded || len(messages) != 3 || !strings.HasPrefix(messages[1], "You were stopped because a limit") {
			t.Errorf("%s: %+v, messages %q", limit, state.Result, messages)
		}
	}
}

// A deadline stops a turn, also one that reports nothing.
func TestDeadlineStopsATurn(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, f := openStore(t, dir), &fake{server: newServer()}
		causes := make(chan error, 1)
		f.answer = func(ctx context.Context, _ TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return workflow.TurnFinished{}, context.Cause(ctx) // it has nothing to say
		}
		e := newEngine(s, f)
		d := run(t, e)
		start := time.Now()
		id := e.mustSubmit(t, parse(t, strings.ReplaceAll(capped, "LIMIT", "duration: 1h")))
		if err := <-causes; !isBudgetError(err) || time.Since(start) < time.Hour || time.Since(start) > time.Hour+time.Second {
			t.Errorf("cause %v after %s", err, time.Since(start))
		}
		synctest.Wait()
		state, err := s.Task(t.Context(), id)
		if err != nil || state.Status != workflow.TaskPaused || !strings.Contains(state.Pause.Note, "limits.duration") {
			t.Errorf("task: %+v, %v", state, err)
		}
		if !state.WakeAt.IsZero() {
			t.Errorf("a paused task wants to be woken at %s", state.WakeAt)
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

func isBudgetError(err error) bool {
	_, ok := errors.AsType[*BudgetError](err)
	return ok
}

// Where money is limited a model without a price is not started; nothing has
// been used, and the task goes on with its first message when the price is there.
func TestUnknownPrice(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer(), model: "new/model"}
	var messages []string
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		if !req.NeedPrice {
			t.Error("NeedPrice is not set")
		}
		messages = append(messages, req.Turn.Message)
		return endTurn(req), nil
	}
	known := prices{}
	team := parse(t, strings.ReplaceAll(capped, "LIMIT", "cost: 5"))
	first := newEngine(s, f, func(o *Options) { o.Prices = known })
	sub := first.Subscribe("")
	d := run(t, first)
	id := first.mustSubmit(t, team)
	state := record(t, s, sub, id, func(s workflow.State) bool { return s.Status == workflow.TaskPaused })
	sub.Close()
	if !strings.Contains(state.Pause.Note, "new/model") || !strings.Contains(state.Pause.Note, "price file") || len(messages) != 0 {
		t.Errorf("pause %+v, %d messages", state.Pause, len(messages))
	}
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	second := newEngine(s, f, func(o *Options) { o.Prices = prices{"new/model": 1} })
	run(t, second)
	if _, err := second.Resume(t.Context(), id, "ann", workflow.Limits{}); err != nil {
		t.Fatal(err)
	}
	if state := second.wait(t, id); state.Status != workflow.TaskSucceeded || len(messages) != 2 || messages[0] != "begin" {
		t.Errorf("task: %+v, messages %q", state.Result, messages)
	}
}

const sharing = `
version: 1
name: sharing
limits: {turns: 9}
agents:
  a: {prompt: A, conversation: shared}
start: a
message: begin
handoffs:
  - {from: a, on: end_turn, to: succeeded}
  - {from: a, on: "*", to: failed}
`

// Tasks that share a conversation take turns in it, whoever began it.
func TestSharedConversation(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	team := parse(t, sharing)
	begun, release := make(chan TurnRequest, 1), make(chan workflow.TurnFinished)
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		begun <- req
		return <-release, nil
	}
	e := newEngine(s, f)
	sub := e.Subscribe("")
	defer sub.Close()
	run(t, e)
	first, second := e.mustSubmit(t, team), e.mustSubmit(t, team) // both prepare a conversation
	holder := <-begun
	blocked := await(t, sub, func(u Update) bool { return u.Progress != nil && u.Progress.Kind == ProgressBlocked })
	if blocked.Task == holder.Task {
		t.Errorf("%s is blocked by itself", blocked.Task)
	}
	release <- endTurn(holder)
	other := <-begun
	want := workflow.Runtime{Server: "s", AgentID: "agent-a", ConversationID: "conv-" + holder.Task}
	if other.Task != blocked.Task || other.Conversation != want {
		t.Errorf("the second turn is of %s in %+v, want %+v", other.Task, other.Conversation, want)
	}
	// It is lost: the next task begins another one.
	release <- workflow.TurnFinished{Reason: workflow.ReasonError, ConversationLost: true}
	e.wait(t, first)
	e.wait(t, second)
	third := e.mustSubmit(t, team)
	if req := <-begun; req.Conversation != (workflow.Runtime{}) {
		t.Errorf("the third task got the lost conversation %+v", req.Conversation)
	}
	release <- workflow.TurnFinished{Reason: workflow.ReasonEndTurn}
	e.wait(t, third)
	shared, err := s.SharedConversation(t.Context(), "sharing", "a")
	if diff := cmp.Diff(workflow.Runtime{Server: "s", AgentID: "agent-a", ConversationID: "conv-" + third}, shared); diff != "" || err != nil {
		t.Errorf("shared conversation (-want +got):\n%s, %v", diff, err)
	}
	if rows, err := s.Runtimes(t.Context(), store.RuntimeFilter{Active: true}); len(rows) != 0 || err != nil {
		t.Errorf("conversations still held: %+v, %v", rows, err)
	}
}

// Many tasks at once: one conversation, never two turns in it.
func TestSharedConversationIsLeased(t *testing.T) {
	s, f := openStore(t, t.TempDir()), &fake{server: newServer()}
	var seen []string
	f.answer = func(_ context.Context, req TurnRequest, _ Recorder) (workflow.TurnFinished, error) {
		seen = append(seen, req.Task) // the lease is what keeps this from being a race
		return endTurn(req), nil
	}
	e := newEngine(s, f)
	run(t, e)
	var ids []string
	for range 30 {
		ids = append(ids, e.mustSubmit(t, parse(t, sharing)))
	}
	for _, id := range ids {
		if state := e.wait(t, id); state.Status != workflow.TaskSucceeded {
			t.Fatalf("task: %+v", state.Result)
		}
	}
	slices.Sort(seen)
	if !slices.Equal(seen, slices.Sorted(slices.Values(ids))) || f.server.most != 1 {
		t.Errorf("%d turns, %d at once", len(seen), f.server.most)
	}
}
