package workflow

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// anyTeam draws a team. Its rules are random and need not pass the checks of
// Parse, since Decide must keep its promises without them.
func anyTeam(rt *rapid.T, t testing.TB) *Team {
	names := []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(rt, "agents")]
	var b strings.Builder
	fmt.Fprintf(&b, "version: 1\nname: random\ninputs: {goal: {}, n: {type: int, default: 2}}\nlimits: {turns: %d}\nagents:\n", rapid.IntRange(1, 15).Draw(rt, "limit"))
	for _, name := range names {
		outcomes := ""
		if rapid.Bool().Draw(rt, "has outcomes") {
			outcomes = ", outcomes: [yes, no]"
		}
		timeout := rapid.SampledFrom([]string{"", ", turn_timeout: 1m", ", turn_timeout: 2h"}).Draw(rt, "timeout")
		fmt.Fprintf(&b, "  %s: {prompt: x%s%s}\n", name, outcomes, timeout)
	}
	fmt.Fprintf(&b, "start: %s\nhandoffs:\n", rapid.SampledFrom(names).Draw(rt, "start"))
	for i := range rapid.IntRange(1, 10).Draw(rt, "rules") {
		from := rapid.SampledFrom(append([]string{`"*"`}, names...)).Draw(rt, "from")
		on := rapid.SampledFrom([]string{`"*"`, "end_turn", "error", "yes", "no", "no_outcome", "[connection_lost, stalled]", "uncertain", "budget_exceeded"}).Draw(rt, "on")
		fmt.Fprintf(&b, "  - {from: %s, on: %s", from, on)
		if rapid.IntRange(0, 3).Draw(rt, "when") == 0 {
			fmt.Fprintf(&b, ", when: %q", rapid.SampledFrom([]string{"visits < 3", "data.x > 1", "input.n == 2", "attempts > 1"}).Draw(rt, "condition"))
		}
		if rapid.IntRange(0, 2).Draw(rt, "has max") == 0 {
			fmt.Fprintf(&b, ", max: %d", rapid.IntRange(1, 3).Draw(rt, "max"))
		}
		switch rapid.IntRange(0, 3).Draw(rt, "kind") {
		case 0:
			fmt.Fprintf(&b, ", retry: {max: %d, backoff: %s}}\n", rapid.IntRange(1, 3).Draw(rt, "retries"), rapid.SampledFrom([]string{"0s", "7s"}).Draw(rt, "backoff"))
		case 1:
			fmt.Fprintf(&b, ", to: %s}\n", rapid.SampledFrom(terminals()).Draw(rt, "end"))
		default:
			message := rapid.SampledFrom([]string{"", `, message: "do {{ .output }}"`, `, message: "{{ .data.x }}"`}).Draw(rt, "message")
			fmt.Fprintf(&b, ", to: %s%s} # %d\n", rapid.SampledFrom(names).Draw(rt, "to"), message, i)
		}
	}
	return unchecked(t, b.String())
}

func anyFinish(rt *rapid.T) TurnFinished {
	return TurnFinished{
		Reason:  rapid.SampledFrom([]Reason{ReasonEndTurn, ReasonEndTurn, ReasonEndTurn, ReasonError, ReasonConnectionLost, ReasonStalled, "", "new_reason"}).Draw(rt, "reason"),
		Outcome: rapid.SampledFrom([]string{"", "yes", "no", "other"}).Draw(rt, "outcome"),
		Output:  rapid.SampledFrom([]string{"", "text", "{{ .x }}"}).Draw(rt, "output"),
		Data:    rapid.SampledFrom([]any{nil, map[string]any{"x": 2.0}, []any{1.0}}).Draw(rt, "data"),
		Usage:   Usage{TotalTokens: 1}, ConversationLost: rapid.IntRange(0, 9).Draw(rt, "lost") == 0,
	}
}

// anyEvent draws what can happen next; now and then it is late or wrong.
func anyEvent(rt *rapid.T, s State) EventBody {
	if rapid.IntRange(0, 14).Draw(rt, "noise") == 0 {
		f := anyFinish(rt)
		f.Turn, f.Attempt = rapid.IntRange(0, s.LastTurn+1).Draw(rt, "turn"), rapid.IntRange(0, 3).Draw(rt, "attempt")
		return rapid.SampledFrom([]EventBody{
			f, TimerFired{}, TaskClaimed{}, TaskSubmitted{}, TurnSending{Turn: f.Turn, Attempt: f.Attempt}, TurnAccepted{Turn: f.Turn, Attempt: f.Attempt},
			TurnReconciled{Turn: f.Turn, Attempt: f.Attempt, Finding: FindingUnknown}, CancelRequested{By: "x"},
		}).Draw(rt, "event")
	}
	if s.Status == TaskWaiting {
		return TimerFired{}
	}
	t := s.Turns[0]
	f := anyFinish(rt)
	f.Turn, f.Attempt = t.ID, t.Attempt
	reconciled := TurnReconciled{Turn: t.ID, Attempt: t.Attempt, Output: "found",
		Finding: rapid.SampledFrom([]Finding{FindingNotConsumed, FindingInterrupted, FindingFinished, FindingUnknown}).Draw(rt, "finding")}
	switch t.State {
	case TurnPending:
		return rapid.SampledFrom([]EventBody{TurnSending{Turn: t.ID, Attempt: t.Attempt, ClientMessageID: "m", Runtime: Runtime{AgentID: t.Node}}, f}).Draw(rt, "event")
	case TurnSent:
		return rapid.SampledFrom([]EventBody{TurnAccepted{Turn: t.ID, Attempt: t.Attempt}, f, reconciled}).Draw(rt, "event")
	default:
		return rapid.SampledFrom([]EventBody{f, f, f, reconciled}).Draw(rt, "event")
	}
}

// TestDecideAlways drives random teams with random events and checks what
// holds for all of them.
func TestDecideAlways(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		team := anyTeam(rt, t)
		r := start(t, team, map[string]any{"goal": rapid.SampledFrom([]string{"", "g"}).Draw(rt, "goal")})
		// Every attempt takes four events at most, and one in fifteen is noise.
		for range 40 * (team.Limits.Turns + 1) {
			if r.s.Status.Terminal() {
				break
			}
			_, err := r.do(anyEvent(rt, r.s))
			if _, refused := errors.AsType[*TransitionError](err); err != nil && !refused && !errors.Is(err, ErrStale) {
				rt.Fatalf("an error of another kind: %v", err)
			}
			atRest(rt, team, r.s)
		}
		if !r.s.Status.Terminal() {
			rt.Fatalf("the task does not end: %s after %d attempts, %d events", r.s.Status, r.s.Attempts, len(r.log))
		}
		replay(rt, t, team, r)
		story(rt, r)
	})
}

// atRest checks what holds between two events.
func atRest(rt *rapid.T, team *Team, s State) {
	if s.Attempts > team.Limits.Turns {
		rt.Fatalf("%d attempts with limits.turns: %d", s.Attempts, team.Limits.Turns)
	}
	busy := map[string]bool{}
	ready := 0
	for i, t := range s.Turns {
		if busy[t.Node] {
			rt.Fatalf("two live turns of %s", t.Node)
		}
		busy[t.Node] = true
		if i > 0 && s.Turns[i-1].ID >= t.ID || t.ID > s.LastTurn || t.Attempt < 1 || strings.TrimSpace(t.Message) == "" {
			rt.Fatalf("turn %+v of %+v", t, s.Turns)
		}
		if t.NotBefore.IsZero() {
			ready++
		}
	}
	switch {
	case s.Status.Terminal() != (s.Result != nil):
		rt.Fatalf("status %s, result %v", s.Status, s.Result)
	case s.Status.Terminal() && (len(s.Turns) > 0 || s.Result.State != s.Status || s.Result.Explanation == ""):
		rt.Fatalf("the end: %+v, turns %v", s.Result, s.Turns)
	case s.Status == TaskRunning && ready == 0:
		rt.Fatalf("nothing will ever happen: %+v", s.Turns)
	case (s.Status == TaskWaiting) == s.WakeAt.IsZero():
		rt.Fatalf("status %s, wake at %v", s.Status, s.WakeAt)
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
// and the task finished once.
func story(rt *rapid.T, r *run) {
	started := map[string]bool{}
	finished := 0
	for _, e := range r.all {
		switch e := e.(type) {
		case StartTurn:
			key := fmt.Sprintf("%d/%d", e.Turn, e.Attempt)
			if started[key] {
				rt.Fatalf("attempt %s was started twice", key)
			}
			started[key] = true
		case FinishTask:
			finished++
		}
	}
	if finished != 1 || len(started) > r.s.Attempts {
		rt.Fatalf("%d attempts, %d started, finished %d times", r.s.Attempts, len(started), finished)
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
