package workflow

import (
	"fmt"
	"slices"
	"strings"
)

// joinPoint is where branches wait for each other: rules with the same `from`
// and the same `join`.
type joinPoint struct {
	rules []*Rule
	join  Join
	// after are the rules that are tried when the join is complete, in order.
	after []*Rule
}

// joinPoints finds the joins of a team, in file order.
func (t *Team) joinPoints() []*joinPoint {
	var out []*joinPoint
	for i, r := range t.Handoffs {
		if r.Join == nil {
			continue
		}
		at := slices.IndexFunc(out, func(j *joinPoint) bool { return j.has(r) })
		if at < 0 {
			at = len(out)
			out = append(out, &joinPoint{join: *r.Join})
		}
		out[at].rules = append(out[at].rules, t.Handoffs[i])
	}
	for _, j := range out {
		for _, r := range t.Handoffs[j.rules[0].Number-1:] {
			if r.Retry == nil && (r.Join == nil || j.has(r)) {
				j.after = append(j.after, r)
			}
		}
	}
	return out
}

// has reports whether a rule with a join is one of this join.
func (j *joinPoint) has(r *Rule) bool {
	if len(j.rules) == 0 || *r.Join != j.join || len(r.From) != len(j.rules[0].From) {
		return false
	}
	return !slices.ContainsFunc(r.From, func(name string) bool { return !slices.Contains(j.rules[0].From, name) })
}

func (x *exploration) joinOf(r *Rule) *joinPoint {
	return x.joins[slices.IndexFunc(x.joins, func(j *joinPoint) bool { return j.has(r) })]
}

// takes reports whether the join is complete with one branch.
func (j *joinPoint) takesOne() bool {
	return j.join.Mode == JoinAny || j.join.Mode == JoinCount && j.join.Count == 1
}

// needs is how many branches of a group of this size the join waits for at most.
func (j *joinPoint) needs(size int) int {
	switch j.join.Mode {
	case JoinAny:
		return 1
	case JoinCount:
		return j.join.Count
	default:
		return size
	}
}

// combination is what has arrived when a join is complete.
type combination struct {
	arrived []arrival
	// about says, for each rule after the join, whether it is about all of it.
	about string
}

// with adds an arrival.
func (c combination) with(j *joinPoint, a arrival) combination {
	about := []byte(c.about)
	for i, r := range j.after {
		if len(about) <= i {
			about = append(about, '1')
		}
		if !r.covers(a.node) || !r.selects(a.reason) {
			about[i] = '0'
		}
	}
	return combination{arrived: append(slices.Clone(c.arrived), a), about: string(about)}
}

// firing lists the rules that can fire for a combination. All but the last one
// may not, because of a condition or of max; the last one may not either.
func (j *joinPoint) firing(c combination) []*Rule {
	var out []*Rule
	for i, r := range j.after {
		if c.about[i] == '0' {
			continue
		}
		out = append(out, r)
		if r.sureAfterJoin() && r.Max == 0 {
			break
		}
	}
	return out
}

// sureAfterJoin is unconditional for a rule that is tried when a join is complete.
func (r *Rule) sureAfterJoin() bool { return r.When == nil && r.ForEach == nil }

// maxCombinations bounds how many combinations of arrivals are looked at for one join.
const maxCombinations = 500

// combinations is a set of them, of which the same rules are about one is enough.
type combinations []combination

func (cs *combinations) add(c combination) bool {
	if len(*cs) >= maxCombinations || slices.ContainsFunc(*cs, func(have combination) bool { return have.about == c.about }) {
		return false
	}
	*cs = append(*cs, c)
	return true
}

// combinations lists what can have arrived when the join is complete in a
// group. It is empty when the join can never be complete; force counts it as
// complete with what there is.
func (x *exploration) combinations(g *branchGroup, j *joinPoint, force bool) combinations {
	short := !x.satisfiable(g, j)
	if short && !force {
		return nil
	}
	sets := make([]combinations, len(g.branches)) // of each branch alone
	var single combinations
	for i, b := range g.branches {
		for _, a := range x.contexts[b].arrivals[j] {
			one := combination{}.with(j, a)
			sets[i].add(one)
			single.add(one)
		}
	}
	switch {
	case short || j.takesOne():
		return single
	case g.rule.ForEach != nil:
		return single.products(j, j.needs(g.rule.MaxItems))
	case j.join.Mode == JoinCount:
		return x.ofBranches(g, j, sets)[j.join.Count]
	}
	var out combinations
	for n, some := range x.ofBranches(g, j, sets) {
		for _, c := range some {
			if n > 0 {
				out.add(c)
			}
		}
	}
	return out
}

// products lists what up to n of the given arrivals make together, any of them repeated.
func (cs combinations) products(j *joinPoint, n int) combinations {
	out := slices.Clone(cs)
	for round := 1; round < n; round++ {
		grown := false
		for _, c := range slices.Clone(out) {
			for _, one := range cs {
				grown = out.add(c.with(j, one.arrived[0])) || grown
			}
		}
		if !grown {
			break
		}
	}
	return out
}

// ofBranches lists, by their number, what some branches make together. A branch
// may be left out where it can end without arriving, or where others are enough.
func (x *exploration) ofBranches(g *branchGroup, j *joinPoint, sets []combinations) []combinations {
	have := make([]combinations, len(sets)+1)
	have[0] = combinations{{}}
	for i, set := range sets {
		next := make([]combinations, len(have))
		if j.join.Mode == JoinCount || x.contexts[g.branches[i]].succeeds {
			copy(next, have)
			for n := range next {
				next[n] = slices.Clone(have[n])
			}
		}
		for n, some := range have[:len(sets)] {
			for _, c := range some {
				for _, one := range set {
					next[n+1].add(c.with(j, one.arrived[0]))
				}
			}
		}
		have = next
	}
	return have
}

// satisfiable reports whether the join can be complete in a group of which
// something arrives at it.
func (x *exploration) satisfiable(g *branchGroup, j *joinPoint) bool {
	_, ok := x.shortOf(g, j)
	return ok
}

// shortOf says why a join can never be complete in a group: the branch that
// never comes, or -1 where there are too few. ok is true when it can.
func (x *exploration) shortOf(g *branchGroup, j *joinPoint) (branch int, ok bool) {
	come := 0
	for i, b := range g.branches {
		switch c := x.contexts[b]; {
		case len(c.arrivals[j]) > 0:
			come++
		case j.join.Mode == JoinAll && !c.succeeds:
			return i, false
		}
	}
	if g.rule.ForEach != nil && come > 0 {
		come = g.rule.MaxItems
	}
	return -1, come > 0 && (j.join.Mode != JoinCount || come >= j.join.Count)
}

// followJoin follows the rules that fire when a join is complete in a group.
func (x *exploration) followJoin(g *branchGroup, j *joinPoint, force bool) {
	for _, c := range x.combinations(g, j, force) {
		for _, r := range j.firing(c) {
			for _, parent := range slices.Clone(g.parents) {
				x.fire(r, x.arrivedFor(g, j, r), parent)
			}
		}
	}
}

// arrivedFor lists the places of a group that can arrive at a join where the rule fires.
func (x *exploration) arrivedFor(g *branchGroup, j *joinPoint, r *Rule) []int {
	var out []int
	for _, b := range g.branches {
		for _, a := range x.contexts[b].arrivals[j] {
			if r.covers(a.node) && r.selects(a.reason) && !slices.Contains(out, a.place) {
				out = append(out, a.place)
			}
		}
	}
	return out
}

// checkJoins reports joins that wait for what never comes.
func (p *parser) checkJoins(x *exploration) {
	reported := map[*branchGroup]bool{}
	for _, j := range x.joins {
		p.checkJoin(x, j, reported)
	}
	for _, g := range x.groups {
		if !reported[g] {
			p.checkMeeting(x, g)
		}
	}
}

func (p *parser) checkJoin(x *exploration, j *joinPoint, reported map[*branchGroup]bool) {
	first := p.handoffs[j.rules[0].Number-1]
	at := first.keys["join"]
	parallel := false
	for _, g := range x.groups {
		if !slices.ContainsFunc(g.branches, func(b int) bool { return len(x.contexts[b].arrivals[j]) > 0 }) {
			continue
		}
		parallel = true
		if reported[g] {
			continue
		}
		branch, ok := x.shortOf(g, j)
		reported[g] = !ok
		switch {
		case !ok && branch >= 0:
			target := x.contexts[g.branches[branch]].target
			p.problem(at, fmt.Sprintf("add %s to its from, let that branch end with  to: succeeded, or write  join: any", target),
				"handoff %d waits for all branches of handoff %d, and the one of %q never comes to it", first.rule.Number, g.rule.Number, target)
			return
		case !ok:
			p.problem(at, fmt.Sprintf("wait for fewer, or for all:  join: %s", JoinAll), "handoff %d waits for %d branches, and of handoff %d at most %d come to it",
				first.rule.Number, j.join.Count, g.rule.Number, x.coming(g, j))
			return
		}
		if p.checkMixture(x, g, j) {
			return
		}
		if g.rule.ForEach != nil && j.join.Mode == JoinCount && j.join.Count > 1 && g.rule.When == nil {
			p.warn(at, fmt.Sprintf("add to handoff %d:  when: len(%s) >= %d", g.rule.Number, g.rule.ForEach, j.join.Count),
				"handoff %d waits for %d branches, and the task fails where the list of handoff %d is shorter", first.rule.Number, j.join.Count, g.rule.Number)
		}
	}
	if !parallel && len(x.contexts[0].arrivals[j]) > 0 {
		p.problem(at, "remove it, or start several nodes at once:  to: [a, b]", "handoff %d waits for branches, and nothing that comes to it runs in a branch", first.rule.Number)
		return
	}
	p.checkAlone(x, j)
}

// coming is how many branches of a group can arrive at a join.
func (x *exploration) coming(g *branchGroup, j *joinPoint) int {
	n := 0
	for _, b := range g.branches {
		if len(x.contexts[b].arrivals[j]) > 0 {
			n++
		}
	}
	if g.rule.ForEach != nil && n > 0 {
		return g.rule.MaxItems
	}
	return n
}

// checkMixture reports a combination of arrivals that no rule is about.
func (p *parser) checkMixture(x *exploration, g *branchGroup, j *joinPoint) bool {
	for _, c := range x.combinations(g, j, false) {
		if slices.ContainsFunc(j.firing(c), (*Rule).sureAfterJoin) {
			continue
		}
		p.uncoveredJoin(j, c.arrived)
		return true
	}
	return false
}

// checkAlone is checkMixture for what arrives outside of all branches.
func (p *parser) checkAlone(x *exploration, j *joinPoint) {
	for _, a := range x.contexts[0].arrivals[j] {
		if c := (combination{}).with(j, a); !slices.ContainsFunc(j.firing(c), (*Rule).sureAfterJoin) {
			p.uncoveredJoin(j, c.arrived)
			return
		}
	}
}

func (p *parser) uncoveredJoin(j *joinPoint, c []arrival) {
	first := p.handoffs[j.rules[0].Number-1]
	arrived := make([]string, len(c))
	for i, a := range c {
		arrived[i] = fmt.Sprintf("%s with %s", a.node, a.reason)
	}
	from := `"*"`
	if !slices.Contains(first.rule.From, anyName) {
		from = "[" + strings.Join(first.rule.From, ", ") + "]"
	}
	last := j.rules[len(j.rules)-1].Number
	p.problem(first.keys["join"], fmt.Sprintf(`add after handoff %d:  - {from: %s, on: "*", join: %s, to: failed}`, last, from, &j.join),
		"nothing says what happens when the join of handoff %d is complete by %s", first.rule.Number, strings.Join(arrived, " and "))
}

// maxMeetings bounds how many ways of a group's branches are looked at.
const maxMeetings = 10_000

// checkMeeting reports a group whose branches can arrive at different joins so
// that none of them is ever complete.
func (p *parser) checkMeeting(x *exploration, g *branchGroup) {
	ways := make([][]*joinPoint, 0, len(g.branches))
	for _, b := range g.branches {
		var way []*joinPoint
		for _, j := range x.joins {
			if len(x.contexts[b].arrivals[j]) > 0 {
				way = append(way, j)
			}
		}
		if len(way) > 0 {
			ways = append(ways, way)
		}
	}
	if g.rule.ForEach != nil && len(ways) == 1 {
		ways = slices.Repeat(ways, min(g.rule.MaxItems, 6))
	}
	chosen := make([]*joinPoint, len(ways))
	tried := 0
	var stuck func(i int) bool
	stuck = func(i int) bool {
		if tried++; tried > maxMeetings {
			return false
		}
		if i == len(ways) {
			return isStuck(chosen)
		}
		for _, j := range ways[i] {
			if j.takesOne() {
				continue
			}
			chosen[i] = j
			if stuck(i + 1) {
				return true
			}
		}
		return false
	}
	if len(ways) < 2 || !stuck(0) {
		return
	}
	a := chosen[0]
	b := chosen[slices.IndexFunc(chosen, func(j *joinPoint) bool { return j != a })]
	at := p.handoffs[b.rules[0].Number-1]
	p.problem(at.keys["join"], "write the same from and the same join in both, or  join: any",
		"branches of handoff %d can wait for each other for ever: one at handoff %d, one at handoff %d", g.rule.Number, a.rules[0].Number, b.rules[0].Number)
}

// isStuck reports whether branches that have arrived at these joins complete none.
func isStuck(chosen []*joinPoint) bool {
	differ := false
	for _, j := range chosen {
		at := 0
		for _, other := range chosen {
			if other == j {
				at++
			}
		}
		if at >= j.needs(len(chosen)) {
			return false
		}
		differ = differ || at < len(chosen)
	}
	return differ
}
