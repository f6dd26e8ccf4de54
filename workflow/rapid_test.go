package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// branchingTeam draws a team. Its rules are random and need not pass the checks of
// Parse, since Decide must keep its promises without them.
func branchingTeam(rt *rapid.T, t testing.TB) *Team {
	pick := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(rt, label) }
	once := func(label string, n int) bool { return rapid.IntRange(0, n-1).Draw(rt, label) == 0 }
	agents := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "agents")]
	names := slices.Clone(agents)
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: random\ninputs: {goal: {}, n: {type: int, default: 2}}\non_uncertain: %s\nlimits: {turns: %d%s%s%s%s}\nagents:\n", pick("uncertain", uncertainPolicies()...),
		rapid.IntRange(1, 15).Draw(rt, "limit"), pick("tokens", "", "", ", tokens: 10"), pick("duration", "", "", ", duration: 5m"),
		pick("cost", "", "", ", cost: 0.00001"), pick("at limit", "", ", at_limit: pause"))
	for _, name := range agents {
		fmt.Fprintf(&b, "  %s: {prompt: x%s%s%s%s}\n", name, pick("tools", "", ", controller_tools: [handoff]"), pick("outcomes", "", ", outcomes: [yes, no]"),
			pick("timeout", "", ", turn_timeout: 1m", ", turn_timeout: 2h"), pick("conversation", "", "", ", conversation: turn", ", conversation: shared", ", on_uncertain: ask", ", on_uncertain: continue"))
	}
	if rapid.Bool().Draw(rt, "has others") {
		names = append(names, "check", "gate", "team")
		fmt.Fprintf(&b, "checks:\n  check: {run: x}\ngates:\n  gate: {question: \"{{ .target }}?\", expires: %s, at_expiry: %s}\nteams:\n  team: {team: inner.yaml, input: {goal: x}}\n",
			pick("expires", "1m", "2h"), pick("at expiry", "expired", "approved"))
	}
	fmt.Fprintf(&b, "start: %s\nhandoffs:\n", rapid.SampledFrom(names).Draw(rt, "start"))
	if rapid.Bool().Draw(rt, "branches and a join") {
		fmt.Fprintf(&b, "  - {from: %s, on: '*', max: 2, to: [%s]}\n", names[0], strings.Join(names[len(names)/2:], ", "))
		fmt.Fprintf(&b, "  - {from: [%s], on: %s, join: %s, to: %s}\n", strings.Join(names[len(names)/2:], ", "), pick("joined", "'*'", "[end_turn, yes, passed, succeeded, approved]"),
			pick("join", "all", "any"), pick("to", append(terminals(), names...)...))
	}
	for range rapid.IntRange(1, 12).Draw(rt, "rules") {
		from := pick("from", append([]string{`"*"`, `"*"`}, names...)...)
		on := pick("on", `"*"`, `"*"`, "end_turn", "error", "yes", "no", "no_outcome", "[connection_lost, stalled]", "uncertain", "budget_exceeded", "passed",
			"[failed, approved]", "[rejected, expired, succeeded]")
		fmt.Fprintf(&b, "  - {from: %s, on: %s", from, on)
		if once("when", 4) {
			fmt.Fprintf(&b, ", when: %q", pick("condition", "visits < 3", "data.x > 1", "input.n == 2", "attempts > 1", "len(branches) > 1", "index == 0"))
		}
		if once("has max", 3) {
			fmt.Fprintf(&b, ", max: %d", rapid.IntRange(1, 3).Draw(rt, "max"))
		}
		limits := pick("limits", "", "", "", ", limits: {turns: 2}", ", limits: {tokens: 3}", ", limits: {duration: 3m}")
		message := pick("message", "", `, message: "do {{ .output }}"`, `, message: "{{ .data.x }}"`, `, message: "{{ .item }} {{ .branch }} {{ range .branches }}{{ .output }}{{ end }}."`)
		switch rapid.IntRange(0, 9).Draw(rt, "kind") {
		case 0:
			fmt.Fprintf(&b, ", retry: {max: %d, backoff: %s}}\n", rapid.IntRange(1, 3).Draw(rt, "retries"), pick("backoff", "0s", "7s"))
		case 1, 2:
			fmt.Fprintf(&b, ", to: %s}\n", rapid.SampledFrom(terminals()).Draw(rt, "end"))
		case 3, 4:
			to := rapid.SliceOfNDistinct(rapid.SampledFrom(names), 1, 3, rapid.ID[string]).Draw(rt, "to")
			fmt.Fprintf(&b, ", to: [%s]%s%s}\n", strings.Join(to, ", "), limits, message)
		case 5:
			fmt.Fprintf(&b, ", for_each: %q, max_parallel: %d, to: %s%s%s}\n", pick("list", "data.items", "[1, 2, 3]"), rapid.IntRange(1, 3).Draw(rt, "parallel"),
				rapid.SampledFrom(names).Draw(rt, "to"), limits, message)
		case 6, 7:
			to := rapid.SampledFrom(append(terminals(), names...)).Draw(rt, "to")
			if isTerminal(to) {
				message = ""
			}
			fmt.Fprintf(&b, ", join: %s, to: %s%s}\n", pick("join", "all", "any", "2"), to, message)
		default:
			fmt.Fprintf(&b, ", to: %s%s%s}\n", rapid.SampledFrom(names).Draw(rt, "to"), limits, message)
		}
	}
	return unchecked(t, b.String())
}

func anyFinish(rt *rapid.T) TurnFinished {
	f := TurnFinished{
		Reason:  rapid.SampledFrom([]Reason{ReasonEndTurn, ReasonEndTurn, ReasonEndTurn, ReasonError, ReasonConnectionLost, ReasonStalled, "", "new_reason"}).Draw(rt, "reason"),
		Outcome: rapid.SampledFrom([]string{"", "yes", "no", "other"}).Draw(rt, "outcome"),
		Output:  rapid.SampledFrom([]string{"", "text", "{{ .x }}"}).Draw(rt, "output"),
		Data:    rapid.SampledFrom([]any{nil, map[string]any{"x": 2.0, "items": []any{1.0, "b"}}, []any{1.0}}).Draw(rt, "data"),
		Usage:   Usage{TotalTokens: rapid.Int64Range(0, 3).Draw(rt, "tokens")}, Cost: rapid.Int64Range(0, 3).Draw(rt, "cost"),
		ConversationLost: rapid.IntRange(0, 9).Draw(rt, "lost") == 0,
		Handoff:          rapid.SampledFrom([]string{"", "", "a", "b", "nobody"}).Draw(rt, "pick"),
	}
	f.Unpriced = f.Cost == 0 && rapid.IntRange(0, 9).Draw(rt, "unpriced") == 0
	return f
}

// anyEnd draws how a node of a kind ends.
func anyEnd(rt *rapid.T, t Turn, now time.Time) TurnFinished {
	f := anyFinish(rt)
	switch t.Kind {
	case KindCheck:
		f = TurnFinished{Reason: rapid.SampledFrom([]Reason{ReasonPassed, ReasonFailed, ReasonTimeout}).Draw(rt, "check")}
	case KindTeam:
		f = TurnFinished{Reason: rapid.SampledFrom([]Reason{ReasonSucceeded, ReasonFailed, ReasonCancelled, ReasonBudgetExceeded}).Draw(rt, "team")}
	case KindAgent, KindGate:
		if t.Stopping == "" && f.Reason == ReasonError && rapid.IntRange(0, 2).Draw(rt, "quota") == 0 {
			f.QuotaReset = now.Add(time.Minute)
		}
	}
	if t.Stopping != "" && rapid.Bool().Draw(rt, "stops") {
		f.Reason = ReasonBudgetExceeded
	}
	f.Turn, f.Attempt = t.ID, t.Attempt
	return f
}

// nextEvent draws what can happen next; now and then it is late or wrong.
func nextEvent(rt *rapid.T, s State, now time.Time) EventBody {
	if rapid.IntRange(0, 14).Draw(rt, "noise") == 0 {
		f := anyFinish(rt)
		f.Turn, f.Attempt = rapid.IntRange(0, s.LastTurn+1).Draw(rt, "turn"), rapid.IntRange(0, 3).Draw(rt, "attempt")
		return rapid.SampledFrom([]EventBody{
			f, TimerFired{}, TaskClaimed{}, TaskSubmitted{}, TurnSending{Turn: f.Turn, Attempt: f.Attempt}, TurnAccepted{Turn: f.Turn, Attempt: f.Attempt},
			TurnReconciled{Turn: f.Turn, Attempt: f.Attempt, Finding: FindingUnknown}, CancelRequested{By: "x"},
			PauseRequested{By: "x"}, PauseRequested{By: "x"}, PauseRequested{By: "x", Stop: true}, ResumeRequested{By: "x"}, GateAnswered{Turn: f.Turn, Approved: true},
			QuestionAsked{Turn: f.Turn, Attempt: f.Attempt}, QuestionAnswered{Question: f.Turn, Answer: "x"},
			ProgressReported{Turn: f.Turn, Attempt: f.Attempt, Text: "x"}, ChildReported{Turn: f.Turn, Attempt: f.Attempt, Attempts: 1},
			TaskSpawned{Turn: f.Turn, Attempt: f.Attempt, Task: "S"},
		}).Draw(rt, "event")
	}
	if body := askAgain(s, now); body != nil && rapid.Bool().Draw(rt, "asks again") {
		return body
	}
	var possible []EventBody
	if !s.WakeAt.IsZero() {
		possible = append(possible, TimerFired{})
	}
	if s.Status == TaskPaused {
		raise := Limits{Turns: rapid.IntRange(0, 2).Draw(rt, "more"), Tokens: 5, Cost: 5, Duration: 10 * time.Minute}
		possible = append(possible, ResumeRequested{By: "x", Raise: raise})
	}
	for _, q := range s.Questions {
		possible = append(possible, QuestionAnswered{Question: q.ID, Answer: rapid.SampledFrom(append([]string{AnswerAllow, AnswerAllow, AnswerDeny, "x"}, q.Choices...)).Draw(rt, "answer"), By: "x"})
	}
	for _, t := range s.Turns {
		for _, q := range t.Asked {
			possible = append(possible, QuestionAnswered{Question: q.ID, Answer: AnswerAllow, By: "x", Kept: true})
		}
		f := anyEnd(rt, t, now)
		reconciled := TurnReconciled{Turn: t.ID, Attempt: t.Attempt, Output: "found", KeepAsked: rapid.Bool().Draw(rt, "keep"), Usage: f.Usage, Cost: f.Cost, Unpriced: f.Unpriced,
			Finding: rapid.SampledFrom([]Finding{FindingNotConsumed, FindingInterrupted, FindingFinished, FindingUnknown}).Draw(rt, "finding")}
		switch {
		case t.Kind == KindGate:
			possible = append(possible, GateAnswered{Turn: t.ID, Approved: rapid.Bool().Draw(rt, "approved"), By: "x", Comment: "c"})
		case t.State == TurnPending && t.NotBefore.After(now):
		case t.State == TurnPending:
			sending := TurnSending{Turn: t.ID, Attempt: t.Attempt, ClientMessageID: "m", Runtime: Runtime{AgentID: t.Node}}
			if slices.ContainsFunc(s.Turns, func(o Turn) bool { return o.State != TurnPending && o.Kind == KindAgent && o.key() == t.key() }) {
				continue // it waits for its conversation
			}
			possible = append(possible, sending, sending, f)
		case t.State == TurnUncertain: // a person decides
		case t.State == TurnSent:
			possible = append(possible, TurnAccepted{Turn: t.ID, Attempt: t.Attempt}, f, reconciled)
		default:
			report := ChildReported{
				Turn: t.ID, Attempt: t.Attempt, Attempts: t.ChildAttempts + 1, Usage: Usage{TotalTokens: t.ChildUsage.TotalTokens + 1},
				Status: rapid.SampledFrom([]TaskState{TaskRunning, TaskWaiting, TaskPaused}).Draw(rt, "child"), Starting: rapid.Bool().Draw(rt, "starting"),
			}
			possible = append(possible, f, f, f, f, reconciled, report, LimitReached{Turn: t.ID, Attempt: t.Attempt, Note: "enough"},
				AskedBefore(s, QuestionAsked{Turn: t.ID, Attempt: t.Attempt, Kind: QuestionApproval, Text: "may I?"}),
				AskedBefore(s, QuestionAsked{Turn: t.ID, Attempt: t.Attempt, Kind: QuestionText, Text: "who?"}))
		}
	}
	return rapid.SampledFrom(possible).Draw(rt, "event")
}

// askAgain leads to a question that comes again, which chance alone seldom does.
func askAgain(s State, now time.Time) EventBody {
	for _, t := range s.Turns {
		switch {
		case t.State == TurnAwaitingApproval:
			return TurnReconciled{Turn: t.ID, Attempt: t.Attempt, Finding: FindingInterrupted, KeepAsked: true}
		case len(t.Asked) == 0 || s.Status == TaskPaused:
		case t.State == TurnPending && !t.NotBefore.After(now):
			return TurnSending{Turn: t.ID, Attempt: t.Attempt, ClientMessageID: "m", Runtime: Runtime{AgentID: t.Node}}
		case t.State == TurnSent:
			return TurnAccepted{Turn: t.ID, Attempt: t.Attempt}
		case t.State == TurnRunning:
			q := t.Asked[0]
			return AskedBefore(s, QuestionAsked{Turn: t.ID, Attempt: t.Attempt, Kind: q.Kind, Text: q.Text, Tool: q.Tool, Argument: q.Argument, Choices: q.Choices})
		}
	}
	return nil
}

// TestDecideAlways drives random teams with random events and checks what
// holds for all of them.
func TestDecideAlways(t *testing.T) {
	t.Parallel()
	// How often the tasks of this test met what it is about.
	var met struct{ forked, joined, paused, resumed, ended, stopped, answered, askedAgain, goneOn int }
	rapid.Check(t, func(rt *rapid.T) {
		team := branchingTeam(rt, t)
		r := start(t, team, map[string]any{"goal": rapid.SampledFrom([]string{"", "g"}).Draw(rt, "goal")})
		met.ended += drive(rt, t, r)
		if again := goneOnFrom(rt, t, r); again != nil {
			met.goneOn++
			drive(rt, t, again)
			r = again
		}
		for _, e := range r.all {
			switch e := e.(type) {
			case Handoff:
				met.forked += min(e.Branch, 1)
				met.joined += len(e.Joined)
			case PauseTask:
				met.paused++
			case StopTurn:
				met.stopped++
			case AnswerQuestion:
				met.answered++
			}
		}
		for _, e := range r.log {
			if b, asked := e.Body.(QuestionAsked); asked && b.Question != 0 {
				met.askedAgain++
			}
		}
		if slices.ContainsFunc(r.log, func(e Event) bool { return e.Body.EventType() == ResumeRequested{}.EventType() }) {
			met.resumed++
		}
	})
	t.Logf("%+v", met)
	if met.forked == 0 || met.joined == 0 || met.paused == 0 || met.resumed == 0 || met.ended == 0 || met.stopped == 0 || met.answered == 0 || met.askedAgain == 0 || met.goneOn == 0 {
		t.Errorf("the test says nothing of some of it: %+v", met)
	}
}

// drive gives a task random events until it has ended, and checks what always
// holds. It returns 1 where the task ended by itself.
func drive(rt *rapid.T, t testing.TB, r *run) (ended int) {
	stored := r.s // goes through the store after every event
	// A task that no limit ends (of checks, or with many pauses) is cancelled then.
	for range 250 {
		if r.s.Status.Terminal() {
			break
		}
		body := nextEvent(rt, r.s, r.now)
		if _, timer := body.(TimerFired); timer && rapid.Bool().Draw(rt, "in time") && r.s.WakeAt.After(r.now) {
			r.now = r.s.WakeAt
		}
		before := r.s
		effects, err := r.do(body)
		_, refused := errors.AsType[*TransitionError](err)
		_, answer := errors.AsType[*AnswerError](err)
		if err != nil && !refused && !answer && !errors.Is(err, ErrStale) {
			rt.Fatalf("an error of another kind: %v", err)
		}
		if err != nil {
			continue
		}
		stored = throughStore(rt, t, r.team, stored, r)
		atRest(rt, r.team, r.s)
		paidFor(rt, r.team, before, r.s, body, effects)
		askedFirst(rt, r.team, before, body, effects)
		askedOnce(rt, before, r.s, body)
	}
	if !r.s.Status.Terminal() {
		if r.s.Attempts <= 40 && len(r.s.Turns) == 0 && r.s.Status != TaskPaused {
			rt.Fatalf("the task does not end: %+v", r.s)
		}
		r.must(CancelRequested{})
		r.wantStatus(TaskCancelled)
	} else {
		ended = 1
	}
	replay(rt, t, r.team, r)
	story(rt, r)
	return ended
}

// askedOnce checks that every number is that of one question, and that one which
// comes again is the same as before.
func askedOnce(rt *rapid.T, before, s State, body EventBody) {
	seen := map[int]bool{}
	note := func(id int) {
		if seen[id] || id < 1 || id > s.LastQuestion {
			rt.Fatalf("question %d of %d, of those before: %v", id, s.LastQuestion, seen)
		}
		seen[id] = true
	}
	last := 0
	for _, q := range s.Questions {
		if note(q.ID); q.ID < last {
			rt.Fatalf("the questions are not in their order: %+v", s.Questions)
		}
		last = q.ID
	}
	for _, t := range s.Turns {
		for _, q := range t.Asked {
			note(q.ID)
		}
		for _, a := range t.Answers {
			note(a.Question)
		}
	}
	b, asked := body.(QuestionAsked)
	if !asked || b.Question == 0 {
		return
	}
	if s.LastQuestion != before.LastQuestion {
		rt.Fatalf("question %d came again, and a number was given out", b.Question)
	}
	for _, t := range before.Turns {
		for _, q := range t.Asked {
			same := q.Kind == b.Kind && q.Text == b.Text && q.Turn == b.Turn
			if q.ID == b.Question && !same {
				rt.Fatalf("%+v came again as %+v", q, b)
			}
		}
	}
}

// goneOnFrom begins another task with what was alive at some moment of one that
// has ended; nil where there is nothing to begin with.
func goneOnFrom(rt *rapid.T, t testing.TB, r *run) *run {
	origin := Origin{Task: r.s.Task, Turn: rapid.IntRange(0, r.s.LastTurn+1).Draw(rt, "origin"), Fork: rapid.Bool().Draw(rt, "fork")}
	var journal []Recorded
	for i, e := range r.log {
		journal = append(journal, Recorded{Seq: int64(i + 1), Event: e})
	}
	begin, err := BeginningAt(r.team, journal, origin)
	if _, ok := errors.AsType[*OriginError](err); ok {
		return nil
	}
	if err != nil {
		rt.Fatalf("go on from %+v: %v", origin, err)
	}
	again := &run{t: t, team: r.team, now: r.now.Add(time.Hour)}
	again.must(TaskSubmitted{
		Task: "T2", Team: r.team.Name, Revision: r.team.Revision, Input: r.s.Input, Workspace: "/w", Origin: &origin, Begin: begin,
	})
	again.must(TaskClaimed{})
	if origin.Turn > 0 && !again.s.Status.Terminal() && !again.s.has(origin.Turn) {
		rt.Fatalf("turn %d is not asked for again: %+v", origin.Turn, again.s)
	}
	return again
}

// throughStore applies the last event to the state as the store has it.
func throughStore(rt *rapid.T, t testing.TB, team *Team, stored State, r *run) State {
	var before State
	if err := json.Unmarshal([]byte(encode(t, stored)), &before); err != nil {
		rt.Fatal(err)
	}
	next, _, err := Decide(team, before, r.log[len(r.log)-1])
	if err != nil {
		rt.Fatalf("after the store: %v", err)
	}
	if want, got := encode(t, r.s), encode(t, next); want != got {
		rt.Fatalf("the state is another one after the store:\n%s\n%s", want, got)
	}
	return next
}

// atRest checks what holds between two events.
func atRest(rt *rapid.T, team *Team, s State) {
	if l := team.Effective(s); s.Attempts > l.Turns && !slices.ContainsFunc(team.NodeNames, func(n string) bool { return team.Teams[n] != nil }) {
		rt.Fatalf("%d attempts with limits.turns: %d", s.Attempts, l.Turns)
	}
	busy := map[string]bool{}
	runs := false
	for i, t := range s.Turns {
		if t.Kind == KindAgent && team.Agents[t.Node].Conversation != ConversationShared {
			if busy[t.key()] {
				rt.Fatalf("two live turns in the conversation %s", t.key())
			}
			busy[t.key()] = true
		}
		if i > 0 && s.Turns[i-1].ID >= t.ID || t.ID > s.LastTurn || t.Attempt < 1 || t.Kind == KindAgent && strings.TrimSpace(t.Message) == "" {
			rt.Fatalf("turn %+v of %+v", t, s.Turns)
		}
		if t.Branch != 0 && s.branch(t.Branch) == nil {
			rt.Fatalf("turn %+v is of no branch: %+v", t, s.Branches)
		}
		if t.Kind != KindGate {
			runs = runs || !t.waits() && (t.State != TurnPending || !t.NotBefore.After(s.Updated))
			if s.Status == TaskPaused && t.State == TurnPending {
				rt.Fatalf("turn %+v may start although the task is paused", t)
			}
		}
	}
	for _, b := range s.Branches {
		g := s.group(b.Group)
		inner := slices.ContainsFunc(s.Groups, func(g Group) bool { return g.Parent == b.ID })
		turns := 0
		for _, t := range s.Turns {
			if t.Branch == b.ID {
				turns++
			}
		}
		for _, h := range s.Held {
			if h.Turn.Branch == b.ID {
				turns++
			}
		}
		if g == nil || inner && turns > 0 || !inner && turns != 1 {
			rt.Fatalf("branch %+v: group %+v, %d turns, branches of its own %v", b, g, turns, inner)
		}
	}
	for _, g := range s.Groups {
		alive := 0
		for _, b := range s.Branches {
			if b.Group == g.ID {
				alive++
			}
		}
		if alive+g.Ended+len(g.Arrived)+g.Size-g.Next != g.Size || alive == 0 && (g.Next == g.Size || s.Status != TaskPaused) {
			rt.Fatalf("group %+v has %d branches", g, alive)
		}
		if r := team.rule(g.Rule); r.MaxParallel > 0 && alive > r.MaxParallel {
			rt.Fatalf("group %+v runs %d branches at once, %d are allowed", g, alive, r.MaxParallel)
		}
	}
	for _, q := range s.Questions {
		if i := slices.IndexFunc(s.Turns, func(t Turn) bool { return t.ID == q.Turn }); i < 0 || s.Turns[i].State != TurnAwaitingApproval && (s.Turns[i].State != TurnUncertain || q.Kind != QuestionUncertain) {
			rt.Fatalf("question %+v of no turn that waits: %+v", q, s.Turns)
		}
	}
	switch {
	case s.Status.Terminal() != (s.Result != nil):
		rt.Fatalf("status %s, result %v", s.Status, s.Result)
	case s.Status.Terminal():
		if len(s.Turns)+len(s.Branches)+len(s.Groups)+len(s.Held)+len(s.Questions) > 0 || s.Result.State != s.Status || s.Result.Explanation == "" || !s.WakeAt.IsZero() {
			rt.Fatalf("the end: %+v", s)
		}
	case (s.Status == TaskRunning) != (runs && s.Status != TaskPaused):
		rt.Fatalf("status %s with %+v", s.Status, s.Turns)
	case s.Status == TaskWaiting && (s.WakeAt.IsZero() && len(s.Questions) == 0 && !slices.ContainsFunc(s.Turns, func(t Turn) bool { return t.Kind == KindTeam && t.waits() }) || len(s.Turns) == 0):
		rt.Fatalf("nothing will ever happen: %+v", s)
	case (s.Status == TaskPaused) != (s.Pause != nil) || len(s.Held) > 0 && s.Status != TaskPaused:
		rt.Fatalf("status %s, pause %+v, held %+v", s.Status, s.Pause, s.Held)
	case s.Status == TaskPaused && len(s.Held)+len(s.Turns) == 0:
		rt.Fatalf("nothing is left: %+v", s)
	}
}

// paidFor checks that nothing begins, and that nothing goes on untold, when a limit is reached.
func paidFor(rt *rapid.T, team *Team, before, s State, body EventBody, effects []Effect) {
	for _, t := range s.Turns {
		for _, a := range accounts(team, &s, t.Branch) {
			over := a.limits.Tokens > 0 && a.tokens >= a.limits.Tokens || a.limits.Cost > 0 && a.cost >= a.limits.Cost
			if over && costly(t.Kind) && t.Stopping == "" && t.State != TurnUncertain && s.Status != TaskPaused {
				rt.Fatalf("%+v goes on beyond %+v after %s", t, a, body.EventType())
			}
		}
	}
	for _, e := range effects {
		sent, ok := e.(StartTurn)
		if ok && (sent.Attempt < 1 || before.Status.Terminal()) {
			rt.Fatalf("%+v", e)
		}
		if i := slices.IndexFunc(s.Turns, func(t Turn) bool { return ok && t.ID == sent.Turn && t.Attempt == sent.Attempt }); i >= 0 && s.Status == TaskPaused && s.Turns[i].Kind != KindGate {
			rt.Fatalf("%+v starts although the task is paused", s.Turns[i])
		}
	}
}

// askedFirst checks that nothing which may have run is run again, or given up,
// unless a rule names it, the team says so, or a person does.
func askedFirst(rt *rapid.T, team *Team, before State, body EventBody, effects []Effect) {
	found, ok := body.(TurnReconciled)
	if !ok || found.Finding != FindingUnknown {
		return
	}
	turn := before.Turns[slices.IndexFunc(before.Turns, func(t Turn) bool { return t.ID == found.Turn })]
	policy := team.UncertainPolicy(turn.Node)
	asked, named := false, false
	for _, e := range effects {
		switch e := e.(type) {
		case AskPerson:
			asked = e.Question.Turn == turn.ID && policy == UncertainAsk
		case Handoff:
			if e.FromTurn != turn.ID || e.Reason != ReasonUncertain {
				continue
			}
			names := slices.ContainsFunc(team.Handoffs, func(r *Rule) bool {
				named := r.covers(turn.Node) && slices.Contains(r.On, ReasonUncertain)
				// At a join, and where a message cannot be rendered, another rule than the one that names it decides.
				return named && (r.Number == e.Rule || e.Rule == 0 || len(e.Joined) > 0)
			})
			named = named || names
			if policy == UncertainAsk && !names || e.Retry && !names {
				rt.Fatalf("%+v although nobody was asked", e)
			}
		case StartTurn:
			if e.Turn == turn.ID && policy == UncertainContinue && !named && !strings.HasPrefix(e.Message, uncertainStart) {
				rt.Fatalf("%+v repeats what may have run", e)
			}
		}
	}
	if policy == UncertainAsk && !asked && len(effects) == 0 && before.Status != TaskPaused {
		rt.Fatal("nothing follows from what nobody knows")
	}
}

// replay applies the stored events once more and expects the same state.
func replay(rt *rapid.T, t testing.TB, team *Team, r *run) {
	var log []Event
	if err := json.Unmarshal([]byte(encode(t, r.log)), &log); err != nil {
		rt.Fatal(err)
	}
	var s State
	var effects Effects
	for _, e := range log {
		next, more, err := Decide(team, s, e)
		if err != nil {
			rt.Fatalf("replay of %s: %v", e.Body.EventType(), err)
		}
		s, effects = next, append(effects, more...)
	}
	if diff := cmp.Diff(r.s, s); diff != "" {
		rt.Fatalf("the replay ends differently:\n%s", diff)
	}
	if diff := cmp.Diff(Effects(r.all), effects); diff != "" {
		rt.Fatalf("the replay has other effects:\n%s", diff)
	}
}

// story checks the effects of the whole task: every attempt was started once,
// every turn was joined once, and the task finished once.
func story(rt *rapid.T, r *run) {
	started := map[string]bool{}
	joined := map[int]string{}
	finished := 0
	for _, e := range r.all {
		switch e := e.(type) {
		case StartTurn:
			key := fmt.Sprintf("%d/%d", e.Turn, e.Attempt)
			if started[key] {
				rt.Fatalf("attempt %s was started twice", key)
			}
			started[key] = true
		case Handoff:
			// The handoffs of one fan-out tell of the same join.
			by := fmt.Sprint(e.Joined, e.Rule, e.Fired)
			for _, turn := range e.Joined {
				if joined[turn] != "" && joined[turn] != by {
					rt.Fatalf("turn %d was joined twice: %s, %s", turn, joined[turn], by)
				}
				joined[turn] = by
			}
		case FinishTask:
			finished++
		}
	}
	if finished != 1 {
		rt.Fatalf("finished %d times", finished)
	}
}

// TestDecideKeepsOldStates holds on to every state of a task and looks at them
// again at the end.
func TestDecideKeepsOldStates(t *testing.T) {
	t.Parallel()
	r := start(t, mustParse(t, strings.ReplaceAll(reviewTeam, "max: 2", "max: 3")), map[string]any{"goal": "g"})
	var states []State
	var want []string
	keep := func() { states, want = append(states, r.s), append(want, encode(t, r.s)) }
	keep()
	for range 2 {
		r.end(TurnFinished{Output: "x", Reason: ReasonConnectionLost})
		keep()
		r.must(TimerFired{})
		keep()
		r.end(TurnFinished{Output: "x"})
		keep()
		r.end(TurnFinished{Outcome: "request_changes"})
		keep()
	}
	r.must(CancelRequested{})
	for i, s := range states {
		if got := encode(t, s); got != want[i] {
			t.Errorf("state %d was changed later:\n%s\n%s", i, want[i], got)
		}
	}
}
