package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// formatWorstCase says in one line what a task can take. limit is limits.turns
// of the team, or 0.
func formatWorstCase(w workflow.WorstCase, limit int) string {
	if w.Unbounded {
		text := "unbounded: " + formatLoop(w)
		if bounds := worstBounds(w, w.Time > 0); len(bounds) > 0 {
			text += "; at most " + listed(bounds)
		}
		return text
	}
	turns := plural(w.Turns, "turn")
	switch {
	case w.BoundBy == workflow.BoundByTurns:
		turns += " (limits.turns)"
	case limit > w.Turns:
		turns += fmt.Sprintf(" (limits.turns: %d is never reached)", limit)
	}
	text := "at most " + listed(append([]string{turns}, worstBounds(w, true)...))
	if w.Exact {
		text = turns + ", at most " + listed(worstBounds(w, true))
	}
	if w.Waiting > 0 && len(w.Gates) > 0 {
		gates := "gate "
		if len(w.Gates) > 1 {
			gates = "gates "
		}
		text += fmt.Sprintf("; plus up to %s at %s%s", formatLong(w.Waiting), gates, listed(w.Gates))
	}
	return text
}

// formatLoop says which rules lead around.
func formatLoop(w workflow.WorstCase) string {
	rules := make([]string, len(w.Loop))
	for i, rule := range w.Loop {
		rules[i] = strconv.Itoa(rule)
	}
	text := fmt.Sprintf("rules %s lead around for ever", strings.Join(rules, ", "))
	if len(rules) == 1 {
		text = fmt.Sprintf("rule %s leads around for ever", rules[0])
	}
	if w.LoopTeam != "" {
		text += " in the sub-team " + w.LoopTeam
	}
	return text
}

// worstBounds lists all bounds but that of the turns.
func worstBounds(w workflow.WorstCase, timed bool) []string {
	var out []string
	if timed {
		took := formatLong(w.Time)
		if w.TimeBoundBy != "" {
			took += " (" + w.TimeBoundBy + ")"
		}
		out = append(out, took)
	}
	if w.Tokens > 0 {
		out = append(out, grouped(w.Tokens)+" tokens")
	}
	if w.Cost > 0 {
		out = append(out, fmt.Sprintf("$%.2f", float64(w.Cost)/1e6))
	}
	return out
}

func formatLong(d time.Duration) string {
	if d == math.MaxInt64 {
		return "more than 292 years"
	}
	return formatElapsed(d)
}

// listed joins words as a person would.
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// grouped writes a number with commas.
func grouped(n int64) string {
	digits := strconv.FormatInt(n, 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
