package workflow

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// anyTeam draws a team of agents without branches. Its rules are random and need not pass the checks of
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

// anyEvent draws what can happen next to a task without branches; now and then it is late or wrong.
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
	reconciled := TurnReconciled{Turn: t.ID, Attempt: t.Attempt, Output: "found", Usage: f.Usage, Cost: f.Cost, Unpriced: f.Unpriced,
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
