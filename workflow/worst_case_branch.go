package workflow

import (
	"cmp"
	"slices"
)

// fanOut adds what follows when a rule starts branches. The situation is that of
// the line that does so.
func (p *play) fanOut(r *Rule, s situation, out *outlook) bool {
	g := group{rule: r, joins: p.joins}
	for _, to := range r.To {
		o, ok := p.branch(r, to, s)
		if !ok {
			return false
		}
		g.branches = append(g.branches, o)
	}
	p.inexact = p.inexact || s.left != unlimited // they share what is left
	if !p.spend(g.work()) {
		return false
	}
	out.most = out.most.or(g.most())
	if c, ok := g.succeed(); ok && s.line.branch {
		out.end(succeeded(), c)
	}
	for end, c := range g.complete() {
		if !p.afterJoin(end, s.less(c.least), c, out) {
			return false
		}
	}
	return true
}

// branch is the outlook of one branch of a rule.
func (p *play) branch(r *Rule, to string, s situation) (outlook, bool) {
	l := s.line
	l.branch, l.own, l.used = true, r.Limits.set(), s.usedJoins(p.team)
	l.metered = l.metered || r.Limits.Tokens > 0 || r.Limits.Cost > 0 || r.Limits.Duration > 0
	l.limited = l.limited || l.own
	o, ok := p.beginBranch(to, l, s.left)
	if limit := r.Limits.Turns; limit > 0 && (s.left == unlimited || limit < s.left) && (ok && o.most.turns > limit || !ok && p.loop != nil) {
		p.loop, p.loopTeam = nil, ""
		if o, ok = p.beginBranch(to, l, limit); ok {
			o = o.each(func(c cost) cost { c.turns = min(c.turns, limit); return c })
		}
	}
	if ok && r.Limits.Duration > 0 {
		until := addUp(r.Limits.Duration, p.tail)
		o = o.each(func(c cost) cost { c.time = min(c.time, until); return c })
	}
	return o, ok
}

// usedJoins is line.used for the branches that the situation starts.
func (s situation) usedJoins(t *Team) string {
	used := make([]byte, len(t.Handoffs))
	for i, r := range t.Handoffs {
		if r.Join != nil && r.Max > 0 && s.fired[i] >= r.Max {
			used[i] = 1
		}
	}
	return string(used)
}

func (p *play) beginBranch(to string, l line, left int) (outlook, bool) {
	s := p.begin(to, l, left)
	if left == 0 && p.takesTurn(to) {
		var o outlook
		ok := p.overBudget(s, &o)
		return o, ok
	}
	o, ok := p.worst(s)
	return o.after(cost{visits: 1}), ok
}

// each changes all figures.
func (o outlook) each(change func(cost) cost) outlook {
	out := outlook{most: change(o.most)}
	for end, c := range o.ends {
		out.end(end, change(c))
	}
	return out
}

// afterJoin adds what can follow when a join is complete, with what it takes
// until then.
func (p *play) afterJoin(at ending, s situation, before cost, out *outlook) bool {
	var after outlook
	j := p.joins[at.join]
	for i, r := range j.after {
		if at.about[i] == '0' || r.Max > 0 && s.fired[r.Number-1] >= r.Max {
			continue
		}
		if !p.follow(r, s, &after) {
			return false
		}
		if r.sureAfterJoin() {
			break
		}
	}
	if s.left == 0 && !p.joinOverBudget(j, s, &after) {
		return false
	}
	out.or(after.after(before))
	return true
}

// joinOverBudget adds what can follow when no turn is left for what a join leads to.
func (p *play) joinOverBudget(j *joinPoint, s situation, out *outlook) bool {
	for _, r := range p.team.Handoffs {
		if r.Retry != nil || r.Join != nil && !j.has(r) || !r.selects(ReasonBudgetExceeded) || r.Max > 0 && s.fired[r.Number-1] >= r.Max {
			continue
		}
		if !p.follow(r, s, out) {
			return false
		}
	}
	return true
}

// group is what the branches of a rule can do together.
type group struct {
	rule  *Rule
	joins []*joinPoint
	// branches has one for each target; with for_each it is one for any element.
	branches []outlook
}

// size is how many branches there are at most.
func (g *group) size() int {
	if g.rule.ForEach != nil {
		return g.rule.MaxItems
	}
	return len(g.branches)
}

// parallel is how many of n branches of a for_each run at once.
func (g *group) parallel(n int) int {
	if g.rule.MaxParallel > 0 {
		return min(n, g.rule.MaxParallel)
	}
	return n
}

// rounds is how often the longest branch can follow itself when n of them run.
func (g *group) rounds(n int) int {
	at := max(g.parallel(n), 1)
	return (n + at - 1) / at
}

// work is about how many steps the other methods take.
func (g *group) work() int {
	ends := 1
	for _, b := range g.branches {
		ends = max(ends, len(b.ends))
	}
	return g.size() * ends * ends
}

// most is the most that the branches take, wherever they stop. A branch beyond
// max_parallel begins when another one has ended.
func (g *group) most() cost {
	var sum cost
	if g.rule.ForEach == nil {
		for _, b := range g.branches {
			sum = sum.beside(b.most)
		}
		return g.within(sum)
	}
	one := g.branches[0]
	at := g.parallel(g.size())
	begun := g.begun()
	sum = one.most.times(at)
	if ended, ok := one.ended(); ok && begun > at {
		sum = sum.plus(ended.times(begun - at))
	} else {
		begun = at
	}
	rounds := g.rounds(begun)
	sum.time, sum.waiting = multiply(one.most.time, rounds), multiply(one.most.waiting, rounds)
	return g.within(sum)
}

// begun is how many branches of a for_each can begin before one of its joins is complete.
func (g *group) begun() int {
	b := g.branches[0]
	begun := g.parallel(g.size())
	for end := range b.ends {
		if end == succeeded() {
			return g.size()
		}
	}
	for at, j := range g.joins {
		if len(b.arrivals(at)) > 0 {
			begun = addUp(begun, j.needs(g.size())-1)
		}
	}
	return min(begun, g.size())
}

// within shortens the time to when one of the joins is complete for sure.
func (g *group) within(c cost) cost {
	for at, j := range g.joins {
		if j.join.Mode == JoinAll {
			continue
		}
		if limit, ok := g.nth(at, j.needs(g.size())); ok && limit.elapsed() < c.elapsed() {
			c.time, c.waiting = limit.time, limit.waiting
		}
	}
	return c
}

// nth bounds the time until n branches have arrived at a join, if they do so for sure.
func (g *group) nth(at, n int) (cost, bool) {
	var sure []cost
	for _, b := range g.branches {
		if b.sure(at) {
			sure = append(sure, b.most)
		}
	}
	switch {
	case g.rule.ForEach != nil && len(sure) > 0:
		return sure[0].copies(n, g.rounds(n)), true
	case len(sure) < n:
		return cost{}, false
	}
	slices.SortFunc(sure, func(a, b cost) int { return cmp.Compare(a.elapsed(), b.elapsed()) })
	return sure[n-1], true
}

// ended is the most that a branch takes that ends, other than with the task.
func (o outlook) ended() (most cost, ok bool) {
	for _, c := range o.ends {
		if !ok {
			most = c
		}
		most, ok = most.or(c), true
	}
	return most, ok
}

// succeed is what it takes until all branches have succeeded, if they can.
func (g *group) succeed() (sum cost, ok bool) {
	for _, b := range g.branches {
		c, ok := b.ends[succeeded()]
		if !ok {
			return cost{}, false
		}
		sum = sum.beside(c)
	}
	if g.rule.ForEach != nil {
		least := sum.least // the list may have one element only
		sum = sum.copies(g.size(), g.rounds(g.size()))
		sum.least = least
	}
	return sum, true
}

// complete says what it takes until a join is complete, for every combination
// of what can have arrived there.
func (g *group) complete() map[ending]cost {
	out := map[ending]cost{}
	for at, j := range g.joins {
		var some map[string]cost
		switch {
		case g.rule.ForEach != nil && j.join.Mode == JoinAll:
			some = g.allElements(at)
		case g.rule.ForEach != nil:
			some = g.someElements(at, j.needs(g.size()))
		case j.join.Mode == JoinAll:
			some = g.all(at)
		default:
			some = g.some(at, j.needs(g.size()))
		}
		for about, c := range some {
			out[ending{join: at, about: about}] = c
		}
	}
	return out
}

// nobody is the combination of nothing.
const nobody = ""

// both is the combination of two.
func both(a, b string) string {
	if a == nobody || b == nobody {
		return max(a, b)
	}
	out := []byte(a)
	for i := range out {
		out[i] = min(out[i], b[i])
	}
	return string(out)
}

func add(to map[string]cost, about string, c cost) {
	if have, ok := to[about]; ok {
		c = c.or(have)
	}
	to[about] = c
}

// arrivals are the ends of a branch at a join.
func (o outlook) arrivals(at int) map[string]cost {
	out := map[string]cost{}
	for end, c := range o.ends {
		if end.join == at {
			out[end.about] = c
		}
	}
	return out
}

// sure reports whether a branch that ends without the task arrives at the join.
func (o outlook) sure(at int) bool {
	for end := range o.ends {
		if end.join != at {
			return false
		}
	}
	return len(o.ends) > 0
}

// all is complete for join: all. A branch that has succeeded is not waited for.
func (g *group) all(at int) map[string]cost {
	table := map[string]cost{nobody: {}}
	for _, b := range g.branches {
		next := map[string]cost{}
		for about, sum := range table {
			for one, c := range b.arrivals(at) {
				add(next, both(about, one), sum.beside(c))
			}
			if c, ok := b.ends[succeeded()]; ok {
				add(next, about, sum.beside(c))
			}
		}
		table = next
	}
	delete(table, nobody)
	return table
}

// allElements is all for a list of any length.
func (g *group) allElements(at int) map[string]cost {
	b := g.branches[0]
	arrivals := b.arrivals(at)
	out := map[string]cost{}
	table := map[string]cost{nobody: {}}
	for range g.size() {
		next := map[string]cost{}
		for about, sum := range table {
			for one, c := range arrivals {
				add(next, both(about, one), sum.beside(c))
			}
			if c, ok := b.ends[succeeded()]; ok {
				add(next, about, sum.beside(c))
			}
		}
		table = next
		for about, c := range table {
			add(out, about, c)
		}
	}
	delete(out, nobody)
	for about, c := range out {
		rounds := g.rounds(g.size())
		c.time, c.waiting = multiply(c.time, rounds), multiply(c.waiting, rounds)
		out[about] = c
	}
	return out
}

// some is complete for join: any and for one of n branches. The other branches
// may have done anything by then.
func (g *group) some(at, n int) map[string]cost {
	tables := []map[string]cost{{nobody: {}}}
	for _, b := range g.branches {
		other := b.most
		other.least, other.time, other.waiting = 0, 0, 0
		next := make([]map[string]cost, min(len(tables)+1, n+1))
		for i := range next {
			next[i] = map[string]cost{}
		}
		for i, table := range tables {
			for about, sum := range table {
				add(next[i], about, sum.beside(other))
				for one, c := range b.arrivals(at) {
					if i < n {
						add(next[i+1], both(about, one), sum.beside(c))
					}
				}
			}
		}
		tables = next
	}
	if len(tables) <= n {
		return nil
	}
	for about, c := range tables[n] {
		tables[n][about] = g.within(c)
	}
	return tables[n]
}

// someElements is some for a list of any length.
func (g *group) someElements(at, n int) map[string]cost {
	b := g.branches[0]
	size := g.size()
	if n > size {
		return nil
	}
	table := map[string]cost{nobody: {}}
	for range n {
		next := map[string]cost{}
		for about, sum := range table {
			for one, c := range b.arrivals(at) {
				add(next, both(about, one), sum.beside(c))
			}
		}
		table = next
	}
	begun := size
	if b.sure(at) {
		begun = min(size, g.parallel(size)+n-1)
	}
	other := b.most.times(begun - n)
	other.least = 0
	for about, c := range table {
		c = c.plus(other)
		c.time, c.waiting = multiply(b.most.time, g.rounds(size)), multiply(b.most.waiting, g.rounds(size))
		table[about] = g.within(c)
	}
	return table
}
