package workflow

import (
	"math"
	"time"
)

// estimate bounds what a task can take without playing it through. Between two
// firings of rules that have a max, a task only follows rules that have none,
// and those must not lead around. So the heaviest way from the start, and the
// heaviest way from wherever a rule with a max leads, once for every firing,
// together are never too little.
type estimate struct {
	team *Team
	// live lists the rules that can fire after an agent.
	live map[string][]*Rule
	// reached lists the agents that a task can come to.
	reached []string
	// heaviest is the heaviest way from an agent by rules without max.
	heaviest map[string]cost
	loop     []int
}

func newEstimate(t *Team) *estimate {
	e := &estimate{team: t, live: map[string][]*Rule{}, heaviest: map[string]cost{}}
	for _, agent := range t.AgentNames {
		seen := map[*Rule]bool{}
		for _, list := range t.ruleLists(agent, true) {
			for _, r := range list {
				if !seen[r] {
					seen[r] = true
					e.live[agent] = append(e.live[agent], r)
				}
			}
		}
	}
	seen := map[string]bool{t.Start: true}
	e.reached = []string{t.Start}
	for i := 0; i < len(e.reached); i++ {
		for _, r := range e.live[e.reached[i]] {
			if r.Retry == nil && !r.terminal() && !seen[r.To] {
				seen[r.To] = true
				e.reached = append(e.reached, r.To)
			}
		}
	}
	return e
}

// worstCase is the bound; unbounded where rules without max lead around.
func (e *estimate) worstCase() WorstCase {
	for _, agent := range e.reached {
		if !e.visit(agent, nil, nil) {
			return WorstCase{Unbounded: true, Loop: e.loop}
		}
	}
	total := e.heaviest[e.team.Start]
	counted := map[*Rule]bool{}
	for _, agent := range e.reached {
		for _, r := range e.live[agent] {
			if r.Max > 0 && r.Retry == nil && !r.terminal() && !counted[r] {
				counted[r] = true
				total = total.plus(e.heaviest[r.To].times(r.Max))
			}
		}
	}
	return WorstCase{Turns: total.turns, Time: total.time, BoundBy: BoundByRules}
}

// visit computes heaviest for an agent and all behind it; false in a loop.
func (e *estimate) visit(agent string, path []string, rules []int) bool {
	if _, ok := e.heaviest[agent]; ok {
		return true
	}
	for i, on := range path {
		if on == agent {
			e.loop = append([]int{}, rules[i:]...)
			return false
		}
	}
	var rest cost
	for _, r := range e.live[agent] {
		if r.Max > 0 || r.Retry != nil || r.terminal() {
			continue
		}
		if !e.visit(r.To, append(path, agent), append(rules, r.Number)) {
			return false
		}
		rest = rest.atLeast(e.heaviest[r.To])
	}
	e.heaviest[agent] = rest.plus(e.oneVisit(agent))
	return true
}

// oneVisit is the most that one visit of an agent takes: the turn and all its
// retries, and the same once more for the reminder of an outcome.
func (e *estimate) oneVisit(agent string) cost {
	a := e.team.Agents[agent]
	one := cost{turns: 1, time: a.turnTime()}
	total := one
	for _, r := range e.live[agent] {
		if r.Retry == nil {
			continue
		}
		n := r.Retry.Max
		if r.Max > 0 {
			n = min(n, r.Max)
		}
		total = total.plus(one.times(n)).plus(cost{time: r.Retry.longestSum(n)})
	}
	if len(a.Outcomes) > 0 {
		total = total.times(2)
	}
	return total
}

// timeOf bounds the time of some number of turns, whichever they are.
func (e *estimate) timeOf(turns int) time.Duration {
	var turn, wait time.Duration
	for _, agent := range e.reached {
		turn = max(turn, e.team.Agents[agent].turnTime())
		for _, r := range e.live[agent] {
			if r.Retry != nil {
				wait = max(wait, r.Retry.longest(math.MaxInt))
			}
		}
	}
	return addUp(multiply(turn, turns), multiply(wait, max(turns-1, 0)))
}
