package workflow

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestWorstCase(t *testing.T) {
	t.Parallel()
	const agents = "agents: {a: {prompt: x}, b: {prompt: x, turn_timeout: 10m}, c: {prompt: x, outcomes: [yes, no]}}\nstart: a\nhandoffs:\n"
	for name, tc := range map[string]struct {
		limits, rules string
		want          WorstCase
	}{
		"a line": {"", `
  - {from: a, on: end_turn, to: b}
  - {from: b, on: "*", to: failed}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 2, Time: 40 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"a loop with max": {"", `
  - {from: a, on: end_turn, to: b}
  - {from: b, on: error, to: a, max: 3}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 8, Time: 4*30*time.Minute + 4*10*time.Minute, Exact: true, BoundBy: BoundByRules}},
		"a rule with max that is asked once": {"", `
  - {from: a, on: end_turn, to: b, max: 9}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 2, Time: 40 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"retries": {"", `
  - {from: a, on: error, retry: {max: 2, backoff: 10s}}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 3, Time: 90*time.Minute + 36*time.Second, Exact: true, BoundBy: BoundByRules}},
		"retries bounded by max": {"", `
  - {from: a, on: error, retry: {max: 9, backoff: 0s}, max: 2}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 3, Time: 90 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"a reminder has retries of its own": {"", `
  - {from: a, on: end_turn, to: c}
  - {from: c, on: error, retry: {max: 1, backoff: 0s}}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 5, Time: 150 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"only a reminder ends with no_outcome": {"", `
  - {from: a, on: end_turn, to: c}
  - {from: c, on: no_outcome, retry: {max: 1, backoff: 0s}}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 4, Time: 2 * time.Hour, Exact: true, BoundBy: BoundByRules}},
		"a condition": {"", `
  - {from: a, on: end_turn, when: visits < 2, to: b}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 2, Time: 40 * time.Minute, BoundBy: BoundByRules}},
		"a loop": {"", `
  - {from: a, on: error, retry: {max: 1}}
  - {from: a, on: end_turn, to: b}
  - {from: b, on: end_turn, to: a}
  - {from: "*", on: "*", to: failed}`, WorstCase{Unbounded: true, Loop: []int{2, 3}}},
		"a loop with a limit": {"limits: {turns: 5}", `
  - {from: a, on: end_turn, to: b}
  - {from: b, on: end_turn, to: a}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 5, Time: 110 * time.Minute, Exact: true, BoundBy: BoundByTurns}},
		"a limit that is never reached": {"limits: {turns: 5}", `
  - {from: a, on: end_turn, to: b}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 2, Time: 40 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"a loop through a reason that nobody knows": {"", `
  - {from: "*", on: [end_turn, error, llm_api_error, max_tokens_exceeded, cancelled, invalid_llm_response, invalid_tool_call, max_steps, no_tool_call, tool_rule,
      insufficient_credits, context_window_overflow_in_system_prompt, turn_timeout, stalled, connection_lost, no_outcome, uncertain, yes, no], to: failed}
  - {from: "*", on: "*", to: a}`, WorstCase{Unbounded: true, Loop: []int{2}}},
		"a rule that names uncertain goes first": {"", `
  - {from: "*", on: "*", to: failed}
  - {from: "*", on: uncertain, retry: {max: 2, backoff: 0s}}`, WorstCase{Turns: 3, Time: 90 * time.Minute, Exact: true, BoundBy: BoundByRules}},
		"too much to play through": {"", `
  - {from: a, on: end_turn, to: a, max: 100000}
  - {from: a, on: error, retry: {max: 100000}}
  - {from: "*", on: "*", to: failed}`, WorstCase{
			Turns: 100001 * 100001, BoundBy: BoundByRules, Time: math.MaxInt64,
		}},
		"a limit on too much": {"limits: {turns: 1000000}", `
  - {from: a, on: error, retry: {max: 100000}}
  - {from: "*", on: "*", to: failed}`, WorstCase{
			Turns: 100001, BoundBy: BoundByRules, Time: 100001*30*time.Minute + (12+24+48+96+192+(100000-5)*360)*time.Second,
		}},
		"longer than a duration": {"", `
  - {from: a, on: end_turn, to: a, max: 9000000000000000000}
  - {from: "*", on: "*", to: failed}`, WorstCase{Turns: 9000000000000000001, BoundBy: BoundByRules, Time: math.MaxInt64}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := unchecked(t, "version: 1\nname: t\n"+tc.limits+"\n"+agents+tc.rules+"\n").WorstCase()
			if encode(t, got) != encode(t, tc.want) || got.Time != tc.want.Time {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// TestWorstCaseHolds drives random teams with random events, as
// TestDecideAlways does, and counts what the task takes. Recoveries, which no
// rule asks for, are counted by limits.turns alone.
func TestWorstCaseHolds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		team := anyTeam(rt, t)
		limit := team.Limits.Turns
		if rapid.Bool().Draw(rt, "no limit") {
			team.Limits.Turns = 0
		}
		worst, rough := team.WorstCase(), team.worstCase(0)
		if !rough.Unbounded && (worst.Unbounded || rough.Turns < worst.Turns || rough.Time < worst.Time) {
			rt.Fatalf("the estimate is %+v, and exactly it is %+v", rough, worst)
		}
		if worst.Unbounded {
			if team.Limits.Turns > 0 || len(worst.Loop) == 0 || len(rough.Loop) == 0 {
				rt.Fatalf("limits.turns: %d, and still: %+v, %+v", team.Limits.Turns, worst, rough)
			}
			team.Limits.Turns = limit
			worst = team.WorstCase()
		}
		r := start(t, team, nil)
		turns, took := 1, time.Duration(0)
		for range 1000 {
			if r.s.Status.Terminal() || r.s.Status == TaskPaused {
				break
			}
			before := r.s
			body := anyEvent(rt, r.s)
			effects, err := r.do(body)
			if err != nil {
				continue
			}
			if !recovered(before, r.s) {
				turns += r.s.Attempts - before.Attempts
				took += spent(team, before, body) + waits(effects, r.now)
			}
			if turns > worst.Turns || took > worst.Time || r.s.Attempts > worst.Turns*(1+MaxRecoveries) || team.Limits.Turns > 0 && r.s.Attempts > team.Limits.Turns {
				rt.Fatalf("%d turns (%d with recoveries) and %s; the worst case is %+v", turns, r.s.Attempts, took, worst)
			}
		}
	})
}

// recovered reports whether a turn was sent again, or continued, without a rule.
func recovered(before, after State) bool {
	return slices.ContainsFunc(after.Turns, func(t Turn) bool {
		return slices.ContainsFunc(before.Turns, func(b Turn) bool { return b.ID == t.ID && b.Recoveries < t.Recoveries })
	})
}

// spent is the most that the turn took that the event ends.
func spent(team *Team, before State, body EventBody) time.Duration {
	id := 0
	switch b := body.(type) {
	case TurnFinished:
		id = b.Turn
	case TurnReconciled:
		id = b.Turn
	default:
		return 0
	}
	i := slices.IndexFunc(before.Turns, func(t Turn) bool { return t.ID == id })
	return team.Agents[before.Turns[i].Node].turnTime()
}

// waits is the back-off that begins.
func waits(effects []Effect, now time.Time) time.Duration {
	var sum time.Duration
	for _, e := range effects {
		if h, ok := e.(Handoff); ok && !h.NotBefore.IsZero() {
			sum += h.NotBefore.Sub(now)
		}
	}
	return sum
}

// TestWorstCaseIsReached compares with what Decide does when every turn of a
// small random team ends in every way.
func TestWorstCaseIsReached(t *testing.T) {
	t.Parallel()
	exact := 0
	rapid.Check(t, func(rt *rapid.T) {
		team := anyTeam(rt, t)
		team.Limits.Turns = min(team.Limits.Turns, 8)
		for _, r := range team.Handoffs {
			if !r.Message.IsZero() {
				r.Message = Template{} // one that cannot be rendered ends the task
			}
		}
		worst := team.WorstCase()
		if !worst.Exact {
			return
		}
		exact++
		if got := mostTurns(t, team, start(t, team, nil).s, map[string]int{}); got != worst.Turns {
			rt.Fatalf("the worst case is %+v, and really it is %d turns", worst, got)
		}
	})
	if exact == 0 {
		t.Error("no team had an exact worst case")
	}
}

// mostTurns is how many attempts a task can come to from a state on.
func mostTurns(t *testing.T, team *Team, s State, known map[string]int) int {
	if s.Status.Terminal() || s.Status == TaskPaused {
		return s.Attempts
	}
	key := encode(t, []any{s.Turns[0].Node, s.Turns[0].Reminder, s.Turns[0].Retries, s.Fired, s.Attempts})
	if n, ok := known[key]; ok {
		return n
	}
	step := func(s State, body EventBody) State {
		next, _, err := Decide(team, s, Event{At: s.Updated.Add(time.Second), Body: body})
		if err != nil {
			t.Fatal(err)
		}
		return next
	}
	turn, most := s.Turns[0], s.Attempts
	if s.Status == TaskWaiting {
		s = step(s, TimerFired{})
	}
	for _, reason := range append(builtinReasons(), "new_reason", "yes", "no") {
		f := TurnFinished{Turn: turn.ID, Attempt: turn.Attempt, Reason: reason}
		switch reason {
		case ReasonNoOutcome, ReasonBudgetExceeded:
			continue
		case ReasonUncertain:
			lost := step(step(s, TurnSending{Turn: turn.ID, Attempt: turn.Attempt}), TurnReconciled{Turn: turn.ID, Attempt: turn.Attempt, Finding: FindingUnknown})
			if len(lost.Questions) > 0 {
				lost = step(lost, QuestionAnswered{Question: lost.Questions[0].ID, Answer: AnswerFail})
			}
			most = max(most, mostTurns(t, team, lost, known))
			continue
		case "yes", "no":
			f.Reason, f.Outcome = ReasonEndTurn, string(reason)
		default:
		}
		most = max(most, mostTurns(t, team, step(s, f), known))
	}
	known[key] = most
	return most
}

// TestWorstCaseJSON keeps the form that validate --json prints.
func TestWorstCaseJSON(t *testing.T) {
	t.Parallel()
	got, err := json.Marshal(WorstCase{Turns: 20, Time: 90 * time.Second, Exact: true, BoundBy: BoundByTurns})
	if want := `{"unbounded":false,"turns":20,"exact":true,"bound_by":"limits.turns","seconds":90}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v", got, err)
	}
	if got := encode(t, WorstCase{Unbounded: true, Loop: []int{2, 3}}); !strings.Contains(got, `"loop":[2,3]`) || strings.Contains(got, "seconds") {
		t.Errorf("got %s", got)
	}
}

// TestWorstCaseOfTheLanguage looks at nodes that are no agents and at branches.
func TestWorstCaseOfTheLanguage(t *testing.T) {
	t.Parallel()
	const nodes = `
agents: {a: {prompt: x, turn_timeout: 10m}, b: {prompt: x, turn_timeout: 20m}, c: {prompt: x, turn_timeout: 30m}, o: {prompt: x, turn_timeout: 5m, outcomes: [yes, no]}}
checks: {tests: {run: make, timeout: 7m}}
gates: {merge: {question: Merge it, expires: 24h}}
start: a
handoffs:
`
	const rest = `
  - {from: "*", on: "*", to: failed}`
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	for name, tc := range map[string]struct {
		head, rules string
		want        WorstCase
	}{
		"a check that sends back": {"", `
  - {from: a, on: end_turn, to: tests}
  - {from: tests, on: failed, to: a, max: 2}`,
			WorstCase{Turns: 3, Time: minutes(51), Exact: true, BoundBy: BoundByRules}},
		"a gate": {"", `
  - {from: a, on: end_turn, to: merge}
  - {from: merge, on: rejected, to: a, max: 2}`,
			WorstCase{Turns: 3, Time: minutes(30), Waiting: 72 * time.Hour, Gates: []string{"merge"}, Exact: true, BoundBy: BoundByRules}},
		"branches and join: all": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: end_turn, join: all, to: o}
  - {from: [b, c], on: "*", join: all, to: failed}`,
			WorstCase{Turns: 5, Time: minutes(10 + 30 + 10), Exact: true, BoundBy: BoundByRules}},
		"join: any takes no longer than the fastest": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: "*", join: any, to: o}`,
			WorstCase{Turns: 5, Time: minutes(10 + 20 + 10), Exact: true, BoundBy: BoundByRules}},
		"join: any waits for the one that comes": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: b, on: end_turn, to: succeeded}
  - {from: [b, c], on: "*", join: any, to: o}`,
			WorstCase{Turns: 5, Time: minutes(10 + 30 + 10), Exact: true, BoundBy: BoundByRules}},
		"join: 2 of three": {"", `
  - {from: a, on: end_turn, to: [b, c, o]}
  - {from: [b, c, o], on: "*", join: 2, to: tests}`,
			WorstCase{Turns: 5, Time: minutes(10 + 20 + 7), Exact: true, BoundBy: BoundByRules}},
		"every branch counts max anew": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: error, to: tests}
  - {from: tests, on: failed, to: b, max: 2}
  - {from: [b, c, tests], on: "*", join: all, to: failed}`,
			WorstCase{Turns: 1 + 3 + 3, Time: minutes(10 + 30 + 2*20 + 3*7), Exact: true, BoundBy: BoundByRules}},
		"a loop through a join": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: error, join: all, max: 2, to: a}
  - {from: [b, c], on: "*", join: all, to: failed}`,
			WorstCase{Turns: 9, Time: minutes(3 * 40), Exact: true, BoundBy: BoundByRules}},
		"a loop through a join that nothing bounds": {"", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: "*", join: all, to: a}`,
			WorstCase{Unbounded: true, Loop: []int{1, 2}}},
		"branches within branches without end": {"", `
  - {from: a, on: end_turn, to: [a, b], max: 1}
  - {from: [a, b], on: "*", join: all, to: failed}`,
			WorstCase{Unbounded: true, Loop: []int{1}}},
		"what arrives decides": {"", `
  - {from: a, on: end_turn, to: [o, b]}
  - {from: o, on: yes, join: all, to: failed}
  - {from: [o, b], on: [yes, end_turn], join: all, to: tests}
  - {from: [o, b], on: [no, end_turn], join: all, to: c}
  - {from: [o, b], on: "*", join: all, to: failed}`,
			WorstCase{Turns: 1 + 2 + 1 + 1, Time: minutes(10 + 20 + 30), Exact: true, BoundBy: BoundByRules}},
		"for_each": {"", `
  - {from: a, on: end_turn, for_each: data.items, max_items: 7, to: b}
  - {from: b, on: "*", join: all, to: c}`,
			WorstCase{Turns: 1 + 7 + 1, Time: minutes(10 + 20 + 30), BoundBy: BoundByRules}},
		"for_each in rounds": {"", `
  - {from: a, on: end_turn, for_each: data.items, max_items: 7, max_parallel: 3, to: b}
  - {from: b, on: "*", join: all, to: c}`,
			WorstCase{Turns: 1 + 7 + 1, Time: minutes(10 + 3*20 + 30), BoundBy: BoundByRules}},
		"for_each with join: any": {"", `
  - {from: a, on: end_turn, for_each: data.items, max_items: 7, max_parallel: 3, to: b}
  - {from: b, on: "*", join: any, to: c}`,
			WorstCase{Turns: 1 + 3 + 1, Time: minutes(10 + 20 + 30), BoundBy: BoundByRules}},
		"for_each with join: 5": {"", `
  - {from: a, on: end_turn, for_each: data.items, max_items: 7, max_parallel: 2, to: b}
  - {from: b, on: "*", join: 5, to: c}`,
			WorstCase{Turns: 1 + 6 + 1, Time: minutes(10 + 3*20 + 30), BoundBy: BoundByRules}},
		"for_each ends with a branch that fails": {"", `
  - {from: a, on: end_turn, for_each: data.items, max_items: 7, max_parallel: 3, to: b}`,
			WorstCase{Turns: 1 + 3, Time: minutes(10 + 20), BoundBy: BoundByRules}},
		"limits of a branch": {"", `
  - {from: a, on: end_turn, to: [b, c], limits: {turns: 2, duration: 25m}}
  - {from: [b, c], on: error, to: c}
  - {from: [b, c], on: "*", join: all, to: failed}`,
			WorstCase{Turns: 5, Time: minutes(35), Exact: true, BoundBy: BoundByRules}},
		"a limit with a check after it": {"limits: {duration: 15m, tokens: 1000, cost: 2.5}", `
  - {from: a, on: budget_exceeded, to: tests}
  - {from: a, on: end_turn, to: c}`,
			WorstCase{Turns: 2, Time: minutes(22), Exact: true, BoundBy: BoundByRules, TimeBoundBy: BoundByDuration, Tokens: 1000, Cost: 2_500_000}},
		"a loop that only time bounds": {"limits: {duration: 15m}", `
  - {from: a, on: end_turn, to: a}`,
			WorstCase{Unbounded: true, Loop: []int{1}, Time: minutes(15), TimeBoundBy: BoundByDuration}},
		"a loop without turns": {"limits: {turns: 5}", `
  - {from: a, on: end_turn, to: tests}
  - {from: tests, on: failed, to: tests}`,
			WorstCase{Unbounded: true, Loop: []int{2}}},
		"limits.turns with branches": {"limits: {turns: 10}", `
  - {from: a, on: end_turn, to: [b, c]}
  - {from: [b, c], on: "*", join: all, to: a}`,
			WorstCase{Turns: 10, Time: minutes(4*10 + 3*30), Exact: true, BoundBy: BoundByTurns}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := unchecked(t, "version: 1\nname: t\n"+tc.head+nodes+tc.rules+rest+"\n").WorstCase()
			if encode(t, got) != encode(t, tc.want) || got.Time != tc.want.Time {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// TestWorstCaseOfSubTeams counts what sub-teams take.
func TestWorstCaseOfSubTeams(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"three.yaml": `version: 1
name: three
agents: {a: {prompt: x, turn_timeout: 10m}}
gates: {ok: {question: Is it, expires: 1h}}
start: a
handoffs:
  - {from: a, on: end_turn, to: ok}
  - {from: ok, on: rejected, to: a, max: 2}
  - {from: "*", on: "*", to: failed}
`,
		"endless.yaml": `version: 1
name: endless
limits: {tokens: 1000}
agents: {a: {prompt: x, turn_timeout: 10m}}
start: a
handoffs:
  - {from: a, on: end_turn, to: a}
  - {from: "*", on: "*", to: failed}
`,
	}
	const head = "version: 1\nname: t\nagents: {a: {prompt: x, turn_timeout: 1m}}\nstart: a\nhandoffs:\n  - {from: a, on: end_turn, to: s}\n  - {from: s, on: failed, to: a, max: 1}\n  - {from: '*', on: '*', to: failed}\n"
	minutes := func(n int) time.Duration { return time.Duration(n) * time.Minute }
	for name, tc := range map[string]struct {
		extra string
		want  WorstCase
	}{
		"twice":          {"teams: {s: {team: three.yaml}}", WorstCase{Turns: 8, Time: minutes(62), Waiting: 6 * time.Hour, Gates: []string{"s/ok"}, BoundBy: BoundByRules}},
		"of the node":    {"teams: {s: {team: three.yaml, limits: {turns: 2, duration: 15m}}}", WorstCase{Turns: 6, Time: minutes(32), Waiting: 4 * time.Hour, Gates: []string{"s/ok"}, BoundBy: BoundByRules}},
		"endless":        {"teams: {s: {team: endless.yaml}}", WorstCase{Unbounded: true, Loop: []int{1}, LoopTeam: "s"}},
		"endless, timed": {"teams: {s: {team: endless.yaml}}\nlimits: {duration: 1h}", WorstCase{Unbounded: true, Loop: []int{1}, LoopTeam: "s", Time: time.Hour, TimeBoundBy: BoundByDuration}},
		"endless, few":   {"teams: {s: {team: endless.yaml}}\nlimits: {turns: 7, duration: 1h}", WorstCase{Turns: 7, BoundBy: BoundByTurns, Time: time.Hour, TimeBoundBy: BoundByDuration}},
		"bounded there":  {"teams: {s: {team: endless.yaml, limits: {turns: 4}}}", WorstCase{Turns: 10, Time: minutes(82), BoundBy: BoundByRules}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			team, err := Parse("t.yaml", []byte(head+tc.extra+"\n"), ParseOptions{Load: func(path string) (string, []byte, error) { return path, []byte(files[path]), nil }})
			if err != nil {
				t.Fatal(err)
			}
			if got := team.WorstCase(); encode(t, got) != encode(t, tc.want) || got.Time != tc.want.Time {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

// TestWorstCaseIsQuick looks at teams with more situations than can be played.
func TestWorstCaseIsQuick(t *testing.T) {
	t.Parallel()
	var many strings.Builder
	many.WriteString("version: 1\nname: t\nagents: {a: {prompt: x}, b: {prompt: x, outcomes: [yes, no]}, c: {prompt: x}, d: {prompt: x}}\nstart: a\nhandoffs:\n")
	for i := range 40 {
		from, to := "abcd"[i%4:i%4+1], "abcd"[(i*i+1)%4:(i*i+1)%4+1]
		fmt.Fprintf(&many, "  - {from: %s, on: '*', to: %s, max: 9}\n", from, to)
	}
	for range 5 {
		many.WriteString("  - {from: [a, b], on: '*', to: [c, d], max: 5}\n  - {from: '*', on: '*', for_each: data, max_items: 1000, max_parallel: 7, to: a, max: 3}\n")
	}
	many.WriteString("  - {from: '*', on: '*', join: all, to: a, max: 9}\n  - {from: '*', on: '*', to: failed}\n")
	team := unchecked(t, many.String())
	team.Limits.Turns = 100_000
	for range 2 {
		begin := time.Now()
		w := team.WorstCase()
		if took := time.Since(begin); took > 20*time.Second {
			t.Errorf("%s for %+v", took, w)
		}
		team.Limits.Turns = 0
	}
}
