package workflow

import (
	"encoding/json"
	"math"
	"slices"
	"time"
)

// DefaultTurnTimeout is what a turn of an agent without turn_timeout may take.
const DefaultTurnTimeout = 30 * time.Minute

// What bounds a task, in WorstCase.
const (
	BoundByRules = "rules"
	BoundByTurns = "limits.turns"
)

// WorstCase is the most that a task of a team can take. Turns counts every
// attempt, with retries and reminders, as limits.turns does.
//
// Recoveries, which no rule asks for, and their time come on top where
// limits.turns does not bound them: a turn that is sent again because the App
// Server never took it up, or continued because contact with it was lost, at
// most MaxRecoveries times for every turn that is counted here.
type WorstCase struct {
	// Unbounded says that nothing bounds the task, or nothing of which that can
	// be shown; the other figures are zero then.
	Unbounded bool `json:"unbounded"`
	// Loop lists the numbers of the rules that lead around for ever; only with Unbounded.
	Loop []int `json:"loop,omitempty"`
	// Turns is the most attempts that a task can take.
	Turns int `json:"turns,omitempty"`
	// Exact says that some task can really take so many turns. Without it Turns
	// is a bound that may be larger than necessary: the rules have conditions,
	// whose values cannot be known, or are too many to play through.
	Exact bool `json:"exact"`
	// BoundBy is BoundByRules or BoundByTurns.
	BoundBy string `json:"bound_by,omitempty"`
	// Time is never too small: the turn_timeout of every turn and the longest
	// back-off before every retry. The time in the queue, and what aborting a turn
	// takes after its timeout, are not in it. math.MaxInt64 means that it is
	// longer than a time.Duration can say. JSON has it as seconds.
	Time time.Duration `json:"-"`
}

// MarshalJSON writes Time as whole seconds, rounded up.
func (w WorstCase) MarshalJSON() ([]byte, error) {
	type plain WorstCase
	seconds := int64(w.Time / time.Second)
	if w.Time%time.Second > 0 {
		seconds++
	}
	return json.Marshal(struct {
		plain
		Seconds int64 `json:"seconds,omitempty"`
	}{plain(w), seconds})
}

// How much of what a task can do is played through, before a coarser bound is
// computed instead. Both together keep it below a second.
const (
	maxPlay       = 5_000_000 // steps times rules
	maxSituations = 50_000    // also bounds the depth of the recursion
)

// WorstCase computes the most turns and the most time that a task of the team
// can take, by playing through everything that the rules allow.
func (t *Team) WorstCase() WorstCase { return t.worstCase(maxPlay) }

func (t *Team) worstCase(work int) WorstCase {
	conditional := slices.ContainsFunc(t.Handoffs, func(r *Rule) bool { return r.When != nil })
	limit := t.Limits.Turns
	free := newPlay(t, work, 0)
	most, ok := free.run()
	switch {
	case ok && (limit == 0 || most.turns <= limit):
		return WorstCase{Turns: most.turns, Time: most.time, Exact: !conditional, BoundBy: BoundByRules}
	case limit == 0 && free.loop != nil:
		return WorstCase{Unbounded: true, Loop: free.loop}
	case limit == 0:
		return newEstimate(t).worstCase()
	}
	w := WorstCase{Turns: limit, Exact: !conditional && (ok || free.loop != nil), BoundBy: BoundByTurns}
	if most, ok = newPlay(t, work, limit).run(); ok {
		w.Time = most.time
		return w
	}
	rough := newEstimate(t)
	w.Time = rough.timeOf(limit)
	if bound := rough.worstCase(); !bound.Unbounded {
		w.Time = min(w.Time, bound.Time)
		if bound.Turns <= limit {
			w.Turns, w.BoundBy = bound.Turns, BoundByRules
		}
	}
	return w
}

// cost is what a task takes from some point on.
type cost struct {
	turns int
	time  time.Duration
}

func (c cost) plus(o cost) cost {
	return cost{turns: addUp(c.turns, o.turns), time: addUp(c.time, o.time)}
}

func (c cost) times(n int) cost {
	return cost{turns: multiply(c.turns, n), time: multiply(c.time, n)}
}

// atLeast is the maximum of both figures, which need not be of one and the
// same way to go on.
func (c cost) atLeast(o cost) cost {
	return cost{turns: max(c.turns, o.turns), time: max(c.time, o.time)}
}

// addUp and multiply stop at the largest number instead of passing it. They
// take no negative numbers.
func addUp[N int | time.Duration](a, b N) N {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

func multiply[N int | time.Duration](a N, n int) N {
	if n > 0 && a > math.MaxInt64/N(n) {
		return math.MaxInt64
	}
	return a * N(n)
}

// turnTime is the most that one attempt of the agent takes.
func (a *Agent) turnTime() time.Duration {
	if a.TurnTimeout > 0 {
		return a.TurnTimeout
	}
	return DefaultTurnTimeout
}

// ruleLists lists, for everything an agent can end with, the rules about it up
// to the first that fires whenever it is asked. Equal lists are listed once.
// A reminder alone can end with no_outcome.
func (t *Team) ruleLists(agent string, reminder bool) [][]*Rule {
	var lists [][]*Rule
	// The last entry stands for a stop reason that this program does not know.
	for _, reason := range append(t.Reasons(agent), "") {
		if reason == ReasonBudgetExceeded || reason == ReasonNoOutcome && !reminder {
			continue // no turn follows after budget_exceeded
		}
		var list []*Rule
		for _, r := range t.Handoffs {
			if !r.covers(agent) || !r.selects(reason) {
				continue
			}
			list = append(list, r)
			if r.When == nil && (r.Max == 0 && r.Retry == nil || r.terminal()) {
				break
			}
		}
		if !slices.ContainsFunc(lists, func(l []*Rule) bool { return slices.Equal(l, list) }) {
			lists = append(lists, list)
		}
	}
	return lists
}
