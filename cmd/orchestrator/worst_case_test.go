package main

import (
	"math"
	"testing"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

func TestFormatWorstCase(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		w     workflow.WorstCase
		limit int
		want  string
	}{
		"exact": {workflow.WorstCase{Turns: 2, Time: time.Hour, Exact: true, BoundBy: workflow.BoundByRules}, 0, "2 turns, at most 1h00m"},
		"exact, with limits": {
			workflow.WorstCase{Turns: 5, Time: time.Hour, Exact: true, BoundBy: workflow.BoundByTurns, TimeBoundBy: workflow.BoundByDuration, Tokens: 1234567, Cost: 500_000},
			5, "5 turns (limits.turns), at most 1h00m (limits.duration), 1,234,567 tokens and $0.50",
		},
		"gates": {
			workflow.WorstCase{Turns: 1, Time: math.MaxInt64, BoundBy: workflow.BoundByRules, Waiting: 2 * time.Hour, Gates: []string{"a", "b", "release/c"}},
			0, "at most 1 turn and more than 292 years; plus up to 2h00m at gates a, b and release/c",
		},
		"a loop":            {workflow.WorstCase{Unbounded: true, Loop: []int{2}}, 0, "unbounded: rule 2 leads around for ever"},
		"a loop in a team":  {workflow.WorstCase{Unbounded: true, Loop: []int{1, 2}, LoopTeam: "release"}, 0, "unbounded: rules 1, 2 lead around for ever in the sub-team release"},
		"a loop with limit": {workflow.WorstCase{Unbounded: true, Loop: []int{1}, Time: time.Hour, TimeBoundBy: workflow.BoundByDuration, Tokens: 999}, 0, "unbounded: rule 1 leads around for ever; at most 1h00m (limits.duration) and 999 tokens"},
	} {
		if got := formatWorstCase(tc.w, tc.limit); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, tc.want)
		}
	}
}
