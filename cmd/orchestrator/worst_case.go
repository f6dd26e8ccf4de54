package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// formatWorstCase says in one line what a task can take. limit is limits.turns
// of the team, or 0.
func formatWorstCase(w workflow.WorstCase, limit int) string {
	if w.Unbounded {
		if len(w.Loop) == 1 {
			return fmt.Sprintf("unbounded: rule %d leads around for ever", w.Loop[0])
		}
		rules := make([]string, len(w.Loop))
		for i, rule := range w.Loop {
			rules[i] = strconv.Itoa(rule)
		}
		return fmt.Sprintf("unbounded: rules %s lead around for ever", strings.Join(rules, ", "))
	}
	turns := plural(w.Turns, "turn")
	switch {
	case w.BoundBy == workflow.BoundByTurns:
		turns += " (limits.turns)"
	case limit > w.Turns:
		turns += fmt.Sprintf(" (limits.turns: %d is never reached)", limit)
	}
	took := formatElapsed(w.Time)
	if w.Time == math.MaxInt64 {
		took = "more than 292 years"
	}
	if !w.Exact {
		return fmt.Sprintf("at most %s and %s", turns, took)
	}
	return fmt.Sprintf("%s, at most %s", turns, took)
}
