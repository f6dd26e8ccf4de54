package workflow

import (
	"slices"
	"testing"
)

func TestReasons(t *testing.T) {
	t.Parallel()
	team := unchecked(t, `
version: 1
name: t
agents:
  a: {prompt: x}
  b: {prompt: x, outcomes: [done]}
  d: {prompt: x}
checks:
  c: {run: x}
  once: {run: x, rerun: false}
gates:
  g: {question: x}
  sure: {question: x, at_expiry: approved}
start: a
handoffs:
  - {from: a, on: end_turn, to: b, limits: {turns: 3}}
  - {from: b, on: done, to: c}
  - {from: c, on: passed, to: g, limits: {duration: 1h}}
  - {from: g, on: approved, to: sure}
  - {from: "*", on: "*", to: failed}
`)
	team.Teams["s"] = &SubTeam{Name: "s", Team: &Team{}}
	team.Teams["limited"] = &SubTeam{Name: "limited", Team: &Team{}, Limits: Limits{Cost: 1}}
	team.Teams["limits"] = &SubTeam{Name: "limits", Team: &Team{Limits: Limits{Turns: 1}}}
	budget := func(node string) bool { return slices.Contains(team.Reasons(node), ReasonBudgetExceeded) }
	for node, want := range map[string]bool{
		"a": false, "b": true, "d": false, "c": true, "once": false, "g": true, "sure": true, "s": false, "limited": true, "limits": true,
	} {
		if budget(node) != want {
			t.Errorf("%s: budget_exceeded possible: %t", node, budget(node))
		}
	}
	for node, want := range map[string][]Reason{
		"c": {ReasonPassed, ReasonFailed, ReasonTimeout, ReasonBudgetExceeded}, "once": {ReasonPassed, ReasonFailed, ReasonTimeout, ReasonUncertain},
		"g": {ReasonApproved, ReasonRejected, ReasonExpired, ReasonBudgetExceeded}, "sure": {ReasonApproved, ReasonRejected, ReasonBudgetExceeded},
		"s": {ReasonSucceeded, ReasonFailed, ReasonCancelled}, "nobody": nil,
	} {
		if got := team.Reasons(node); !slices.Equal(got, want) {
			t.Errorf("%s: got %q, want %q", node, got, want)
		}
	}
	if b := team.Reasons("b"); slices.Contains(b, ReasonEndTurn) || !slices.Contains(b, ReasonNoOutcome) || b[0] != "done" {
		t.Errorf("b: %q", b)
	}
	// A limit of turns cuts no gate.
	team.Handoffs[2].Limits = Limits{Turns: 1}
	if budget("g") || !budget("c") {
		t.Error("a gate ends by a limit of turns, or a check by none")
	}
	team.Limits.Duration = 1
	if !budget("a") || !budget("g") {
		t.Error("a limit of the task does not reach all nodes")
	}
}
