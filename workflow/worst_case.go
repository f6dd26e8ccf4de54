package workflow

import (
	"encoding/json"
	"slices"
	"time"
)

// DefaultTurnTimeout is what a turn of an agent without turn_timeout may take.
const DefaultTurnTimeout = 30 * time.Minute

// What bounds a task, in WorstCase.
const (
	BoundByRules    = "rules"
	BoundByTurns    = "limits.turns"
	BoundByDuration = "limits.duration"
)

// WorstCase is the most that a task of a team can take, sub-teams included.
// Turns counts every attempt of an agent, with retries and reminders, as
// limits.turns does; checks and gates are no turns.
//
// What no rule asks for comes on top where no limit bounds it: a turn that is
// sent again because the App Server never took it up, or continued because
// contact with it was lost, at most MaxRecoveries times for every turn that is
// counted here, and waits for the quota of a provider. So does what a person
// adds by raising a limit.
type WorstCase struct {
	// Unbounded says that nothing bounds the turns, or the runs of checks and
	// gates, or nothing of which that can be shown. Turns, Waiting and BoundBy are
	// zero then; Time, Tokens and Cost are those of the limits.
	Unbounded bool `json:"unbounded"`
	// Loop lists the numbers of the rules that lead around for ever; only with Unbounded.
	Loop []int `json:"loop,omitempty"`
	// LoopTeam names the sub-team whose rules Loop lists, as node or, within
	// another sub-team, node/node; empty for those of the team itself.
	LoopTeam string `json:"loop_team,omitempty"`
	// Turns is the most attempts that a task can take.
	Turns int `json:"turns,omitempty"`
	// Exact says that some task can really take so many turns. Without it Turns
	// is a bound that may be larger than necessary: the rules depend on values
	// that cannot be known, there are sub-teams, or the rules are too many to
	// play through.
	Exact bool `json:"exact"`
	// BoundBy is BoundByRules or BoundByTurns.
	BoundBy string `json:"bound_by,omitempty"`
	// Time is never too small: the timeout of every turn and check, and the longest
	// back-off before every retry; of parallel branches that of the longest. The
	// time in the queue, what aborting a turn takes after its timeout, and the time
	// at gates are not in it. math.MaxInt64 means that it is longer than a
	// time.Duration can say, zero with Unbounded that nothing bounds it. JSON has
	// it as seconds.
	Time time.Duration `json:"-"`
	// TimeBoundBy is BoundByDuration where that limit is what Time comes from.
	TimeBoundBy string `json:"time_bound_by,omitempty"`
	// Waiting is the longest that the task can wait at gates, on top of Time. JSON
	// has it as waiting_seconds.
	Waiting time.Duration `json:"-"`
	// Gates lists the gates that a task can come to, in file order; those of a
	// sub-team as node/gate.
	Gates []string `json:"gates,omitempty"`
	// Tokens and Cost are limits.tokens and limits.cost; zero means unbounded. A
	// turn in flight is stopped when they are reached, and may pass them by its
	// last request.
	Tokens int64 `json:"tokens,omitempty"`
	// Cost is in millionths of a US dollar.
	Cost int64 `json:"cost,omitempty"`
}

// MarshalJSON writes times as whole seconds, rounded up.
func (w WorstCase) MarshalJSON() ([]byte, error) {
	type plain WorstCase
	return json.Marshal(struct {
		plain
		Seconds int64 `json:"seconds,omitempty"`
		Waiting int64 `json:"waiting_seconds,omitempty"`
	}{plain(w), wholeSeconds(w.Time), wholeSeconds(w.Waiting)})
}

func wholeSeconds(d time.Duration) int64 {
	seconds := int64(d / time.Second)
	if d%time.Second > 0 {
		seconds++
	}
	return seconds
}

// How much of what a task can do is played through, before a coarser bound is
// computed instead. Both together keep it below a second.
const (
	maxPlay       = 4_000_000 // steps times rules
	maxSituations = 50_000    // also bounds the depth of the recursion
)

// WorstCase computes the most turns and the most time that a task of the team
// can take, by playing through everything that the rules allow.
func (t *Team) WorstCase() WorstCase { return t.worstCase(maxPlay) }

func (t *Team) worstCase(work int) WorstCase {
	v := newVisits(t, work)
	rough := newEstimate(v)
	w := t.bounds(v, rough)
	w.Tokens, w.Cost, w.Gates = t.Limits.Tokens, t.Limits.Cost, v.gates(v.reached(t.Start))
	if t.Limits.Duration > 0 {
		until := addUp(t.Limits.Duration, v.tail)
		if w.Unbounded || until < w.Time {
			w.Time, w.TimeBoundBy = until, BoundByDuration
		}
	}
	return w
}

// bounds computes all but the limits of tokens, cost and duration.
func (t *Team) bounds(v *visits, rough *estimate) WorstCase {
	limit := t.Limits.Turns
	free := newPlay(v, unlimited)
	most, ok := free.run()
	exact := !free.inexact && t.knowable()
	switch {
	case ok && (limit == 0 || most.turns <= limit):
		return most.worstCase(exact && most.visits <= MaxVisits)
	case limit == 0 && free.loop != nil:
		return WorstCase{Unbounded: true, Loop: free.loop, LoopTeam: free.loopTeam}
	case limit == 0:
		return rough.worstCase()
	}
	w := WorstCase{Turns: limit, Exact: exact && (ok || free.loop != nil), BoundBy: BoundByTurns}
	limited := newPlay(v, limit)
	most, ok = limited.run()
	if !ok && limited.loop != nil { // what leads around takes no turn
		return WorstCase{Unbounded: true, Loop: limited.loop, LoopTeam: limited.loopTeam}
	}
	coarse := v.ofTurns(limit)
	w.Time, w.Waiting = coarse.time, coarse.waiting
	if ok {
		w.Time, w.Waiting = min(w.Time, most.time), min(w.Waiting, most.waiting)
	}
	if bound, bounded := rough.whole(); bounded {
		w.Time, w.Waiting = min(w.Time, bound.time), min(w.Waiting, bound.waiting)
		if bound.turns <= limit {
			w.Turns, w.Exact, w.BoundBy = bound.turns, false, BoundByRules
		}
	}
	return w
}

// knowable reports whether the turns of a task depend on nothing but what its
// agents end with.
func (t *Team) knowable() bool {
	return len(t.Teams) == 0 && !slices.ContainsFunc(t.Handoffs, func(r *Rule) bool { return r.When != nil || r.ForEach != nil })
}
