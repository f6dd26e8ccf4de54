package workflow

import (
	"math"
	"time"
)

// cost is the most that something takes. Its figures need not be of one and the
// same way to go on.
type cost struct {
	turns int
	// visits counts the visits of nodes of the team itself, without retries and reminders.
	visits int
	// least is the fewest turns that it takes, and not the most.
	least         int
	time, waiting time.Duration
}

// plus is one after the other.
func (c cost) plus(o cost) cost {
	return cost{
		turns: addUp(c.turns, o.turns), visits: addUp(c.visits, o.visits), least: addUp(c.least, o.least),
		time: addUp(c.time, o.time), waiting: addUp(c.waiting, o.waiting),
	}
}

// or is one or the other.
func (c cost) or(o cost) cost {
	return cost{
		turns: max(c.turns, o.turns), visits: max(c.visits, o.visits), least: min(c.least, o.least),
		time: max(c.time, o.time), waiting: max(c.waiting, o.waiting),
	}
}

// beside is both at the same time.
func (c cost) beside(o cost) cost {
	both := c.plus(o)
	both.time, both.waiting = max(c.time, o.time), max(c.waiting, o.waiting)
	return both
}

// times is n of them, one after the other.
func (c cost) times(n int) cost {
	return cost{
		turns: multiply(c.turns, n), visits: multiply(c.visits, n), least: multiply(c.least, n),
		time: multiply(c.time, n), waiting: multiply(c.waiting, n),
	}
}

// copies is n of them, of which some run at the same time, so that they take so
// many rounds.
func (c cost) copies(n, rounds int) cost {
	all := c.times(n)
	all.time, all.waiting = multiply(c.time, rounds), multiply(c.waiting, rounds)
	return all
}

// elapsed is the time with the waiting.
func (c cost) elapsed() time.Duration { return addUp(c.time, c.waiting) }

func (c cost) worstCase(exact bool) WorstCase {
	return WorstCase{Turns: c.turns, Time: c.time, Waiting: c.waiting, Exact: exact, BoundBy: BoundByRules}
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
