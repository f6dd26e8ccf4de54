package workflow

import (
	"math"
	"slices"
)

// estimate bounds what a task can take without playing it through. Between two
// firings of rules that have a max, a line of work only follows rules that have
// none, and those must not lead around. So the heaviest way from the start, and
// the heaviest way from wherever a rule with a max leads, once for every
// firing, together are never too little. A branch is bounded like a task of its own.
type estimate struct {
	*visits
	// ways is the heaviest way that begins with a rule, by rules without max.
	ways map[step]cost
	// path are the rules whose ways are being computed.
	path     []step
	loop     []int
	loopTeam string
}

// step is a rule that fires, in a branch or not.
type step struct {
	rule   *Rule
	branch bool
}

func newEstimate(v *visits) *estimate { return &estimate{visits: v, ways: map[step]cost{}} }

// whole is the bound of a task; false where rules without max lead around.
func (e *estimate) whole() (cost, bool) { return e.line(e.team.Start, false) }

func (e *estimate) worstCase() WorstCase {
	c, ok := e.whole()
	if !ok {
		return WorstCase{Unbounded: true, Loop: e.loop, LoopTeam: e.loopTeam}
	}
	return c.worstCase(false)
}

// live lists the rules that can fire after a node, or at which it can arrive.
func (v *visits) live(node string) []*Rule {
	var out []*Rule
	n := v.nodes[node]
	for _, c := range slices.Concat(n.first, n.reminder, []choice{n.budget}) {
		for _, r := range c.rules {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	return out
}

// following lists the rules that can fire in a line after a node. Outside of
// branches a join is complete at once.
func (v *visits) following(node string, branch bool) []*Rule {
	var out []*Rule
	for _, r := range v.live(node) {
		switch {
		case r.Join == nil:
			out = append(out, r)
		case !branch:
			out = append(out, v.joinOf(r).after...)
		}
	}
	return out
}

func (v *visits) joinOf(r *Rule) *joinPoint {
	return v.joins[slices.IndexFunc(v.joins, func(j *joinPoint) bool { return j.has(r) })]
}

// reached lists what can follow some nodes, in whatever line, and the nodes themselves.
func (v *visits) reached(starts ...string) []string {
	var out []string
	next := slices.Clone(starts)
	for len(next) > 0 {
		node := next[0]
		next = next[1:]
		if v.nodes[node] == nil || slices.Contains(out, node) {
			continue
		}
		out = append(out, node)
		for _, r := range v.following(node, false) {
			next = append(next, r.To...)
		}
	}
	return out
}

// afterGroup lists the rules that can fire in the line that started branches,
// when they are joined: those of all joins that something in them comes to.
func (v *visits) afterGroup(r *Rule) []*Rule {
	var out []*Rule
	within := v.reached(r.To...)
	for _, j := range v.joins {
		if slices.ContainsFunc(within, func(node string) bool {
			return slices.ContainsFunc(v.live(node), func(r *Rule) bool { return r.Join != nil && j.has(r) })
		}) {
			out = append(out, j.after...)
		}
	}
	return out
}

// rulesOf lists all rules that can fire in a line that begins at a node.
func (v *visits) rulesOf(start string, branch bool) []*Rule {
	var out []*Rule
	nodes := []string{start}
	add := func(rules []*Rule) {
		for _, r := range rules {
			if !slices.Contains(out, r) {
				out = append(out, r)
			}
		}
	}
	done := 0
	for i := 0; i < len(nodes); i++ {
		add(v.following(nodes[i], branch))
		for ; done < len(out); done++ {
			if r := out[done]; r.forks() {
				add(v.afterGroup(r))
				continue
			}
			for _, to := range out[done].To {
				if v.nodes[to] != nil && !slices.Contains(nodes, to) {
					nodes = append(nodes, to)
				}
			}
		}
	}
	return out
}

// line bounds a line of work that begins at a node.
func (e *estimate) line(start string, branch bool) (cost, bool) {
	total, ok := e.from(start, branch)
	if !ok {
		return cost{}, false
	}
	for _, r := range e.rulesOf(start, branch) {
		if r.Max == 0 || r.Retry != nil || r.terminal() {
			continue
		}
		c, ok := e.way(step{rule: r, branch: branch})
		if !ok {
			return cost{}, false
		}
		total = total.plus(c.times(r.Max))
	}
	return total, true
}

// from is the heaviest way from a node.
func (e *estimate) from(node string, branch bool) (cost, bool) {
	one, ok := e.oneVisit(node)
	if !ok {
		return cost{}, false
	}
	rest, ok := e.heaviest(e.following(node, branch), branch)
	return one.plus(rest), ok
}

// heaviest is the heaviest way that begins with one of the rules that have no max.
func (e *estimate) heaviest(rules []*Rule, branch bool) (cost, bool) {
	var most cost
	for _, r := range rules {
		if r.Max > 0 || r.Retry != nil || r.terminal() {
			continue
		}
		c, ok := e.way(step{rule: r, branch: branch})
		if !ok {
			return cost{}, false
		}
		most = most.or(c)
	}
	return most, true
}

// way is the heaviest way that begins with a rule; false in a loop.
func (e *estimate) way(s step) (cost, bool) {
	if c, ok := e.ways[s]; ok {
		return c, true
	}
	if at := slices.Index(e.path, s); at >= 0 {
		for _, s := range e.path[at:] {
			if !slices.Contains(e.loop, s.rule.Number) {
				e.loop = append(e.loop, s.rule.Number)
			}
		}
		return cost{}, false
	}
	e.path = append(e.path, s)
	c, ok := e.compute(s)
	e.path = e.path[:len(e.path)-1]
	if ok {
		e.ways[s] = c
	}
	return c, ok
}

func (e *estimate) compute(s step) (cost, bool) {
	if !s.rule.forks() {
		return e.from(s.rule.target(), s.branch)
	}
	g := group{rule: s.rule}
	for _, to := range s.rule.To {
		c, ok := e.line(to, true)
		if limit := s.rule.Limits.Turns; limit > 0 && ok {
			c.turns = min(c.turns, limit)
		}
		if !ok {
			return cost{}, false
		}
		g.branches = append(g.branches, outlook{most: c, ends: map[ending]cost{succeeded(): c}})
	}
	rest, ok := e.heaviest(e.afterGroup(s.rule), s.branch)
	return g.most().plus(rest), ok
}

// oneVisit is the most that one visit of a node takes: the turn and all its
// retries, and the same once more for the reminder of an outcome.
func (e *estimate) oneVisit(node string) (cost, bool) {
	n := e.nodes[node]
	if n.child.Unbounded {
		e.loop, e.loopTeam = n.child.Loop, inTeam(node, n.child.LoopTeam)
		return cost{}, false
	}
	total := n.one
	for _, r := range e.live(node) {
		if r.Retry == nil {
			continue
		}
		count := r.Retry.Max
		if r.Max > 0 {
			count = min(count, r.Max)
		}
		total = total.plus(n.one.times(count)).plus(cost{time: r.Retry.longestSum(count)})
	}
	if a := e.team.Agents[node]; a != nil && len(a.Outcomes) > 0 {
		total = total.times(2)
	}
	total.visits = 1
	return total, true
}

// ofTurns bounds the time of some number of turns, whichever they are, and of
// what needs no turn between them.
func (v *visits) ofTurns(turns int) cost {
	var turn, wait cost
	for _, node := range v.reached(v.team.Start) {
		n := v.nodes[node]
		if n.one.least > 0 {
			turn = turn.or(n.one)
			if n.child.Unbounded && n.child.Time == 0 {
				turn.time = unboundedTime
			}
		}
		for _, r := range v.live(node) {
			if r.Retry != nil {
				wait.time = max(wait.time, r.Retry.longest(math.MaxInt))
			}
		}
	}
	between := v.turnless(v.team.NodeNames)
	return turn.plus(between).times(turns).plus(wait.times(max(turns-1, 0))).plus(between)
}

// afterLimit bounds the time that can pass when a limit is reached: rules may
// still lead to checks.
func (v *visits) afterLimit() cost {
	var starts []string
	for _, r := range v.team.Handoffs {
		if r.selects(ReasonBudgetExceeded) && !slices.ContainsFunc(r.To, v.takesTurn) {
			starts = append(starts, r.To...)
		}
	}
	return v.turnless(starts)
}

// turnless is the longest that nodes can follow each other, from some nodes on,
// without a turn; it is unboundedTime where it is not sure that they end.
func (v *visits) turnless(starts []string) cost {
	endless := cost{time: unboundedTime, waiting: unboundedTime}
	known := map[string]cost{}
	var longest func(node string, path []string) cost
	longest = func(node string, path []string) cost {
		n := v.nodes[node]
		if n == nil || n.one.least > 0 {
			return cost{}
		}
		if slices.Contains(path, node) {
			return endless
		}
		if c, ok := known[node]; ok {
			return c
		}
		e := estimate{visits: v}
		one, ok := e.oneVisit(node)
		if !ok {
			return endless
		}
		var rest cost
		for _, r := range v.following(node, false) {
			for _, to := range r.To {
				rest = rest.or(longest(to, append(path, node)))
			}
		}
		known[node] = one.plus(rest)
		return known[node]
	}
	var most cost
	for _, node := range starts {
		most = most.or(longest(node, nil))
	}
	for _, r := range v.team.Handoffs {
		// The next branch of a for_each may begin when the one before has ended.
		if n := v.nodes[r.target()]; r.ForEach != nil && r.MaxParallel > 0 && n != nil && n.one.least == 0 && most.time > 0 {
			return endless
		}
	}
	return most
}
