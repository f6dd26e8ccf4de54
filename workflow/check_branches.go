package workflow

import "slices"

// How many situations of a team are looked at, before it is refused as too
// deeply nested. A team as people write them has some dozens.
const (
	maxPlaces   = 5_000
	maxContexts = 1_000
)

// exploration is what the rules of a team can do, as far as it can be known
// without running it: every reason is possible, and every condition may be true
// or false. A place is a node in a context, which says in what branches of what
// rules it runs. Branches within branches of the same rule count as the outer ones.
type exploration struct {
	team     *Team
	joins    []*joinPoint
	contexts []*branchContext
	groups   []*branchGroup
	places   []place
	index    map[place]int
	edges    []edge
	known    map[edge]bool
	// fires are the rules that can fire, or at which a branch can arrive.
	fires   map[*Rule]bool
	success bool
	tooMany bool

	next    int // the first place that has not been followed
	changed bool
}

// branchContext is a branch: the target of a rule that fans out, in another context.
// Context 0 is the task itself.
type branchContext struct {
	parent int
	rule   *Rule
	target string
	// arrivals are what arrives from this branch at each join, in order.
	arrivals map[*joinPoint][]arrival
	// succeeds says that the branch can end with succeeded.
	succeeds bool
}

// branchGroup is a rule that fans out in one context.
type branchGroup struct {
	rule *Rule
	// parents are the contexts that go on after a join: one, unless the rule
	// fires within its own branches.
	parents  []int
	branches []int
}

// place is a node in a context.
type place struct {
	node    string
	context int
}

// edge is a rule that can lead from one place to another.
type edge struct {
	from, to int
	rule     *Rule
	// counted is the context that counts how often the rule has fired.
	counted int
	// nested says that the rule starts branches within its own branches.
	nested bool
}

// arrival is a node that ended with a reason and thereby arrived at a join.
type arrival struct {
	place  int
	node   string
	reason Reason
}

// explore finds everything that the start can lead to.
func explore(t *Team) *exploration {
	x := &exploration{
		team: t, joins: t.joinPoints(), contexts: []*branchContext{{arrivals: map[*joinPoint][]arrival{}}},
		index: map[place]int{}, known: map[edge]bool{}, fires: map[*Rule]bool{},
	}
	x.enter(place{node: t.Start})
	x.settle(false)
	// What comes after a join that is never complete is looked at too: the join
	// is a mistake, and what follows it is none.
	x.settle(true)
	return x
}

// settle follows all places and joins until nothing new is found.
func (x *exploration) settle(force bool) {
	for x.changed = true; x.changed && !x.tooMany; {
		x.changed = false
		for x.next < len(x.places) && !x.tooMany {
			x.next++
			x.follow(x.next - 1)
		}
		for _, g := range x.groups {
			for _, j := range x.joins {
				x.followJoin(g, j, force)
			}
			if !slices.ContainsFunc(g.branches, func(b int) bool { return !x.contexts[b].succeeds }) {
				for _, parent := range g.parents {
					x.succeed(parent)
				}
			}
		}
	}
}

// enter returns the index of a place, which is new or not.
func (x *exploration) enter(p place) int {
	if i, ok := x.index[p]; ok {
		return i
	}
	x.index[p] = len(x.places)
	x.places = append(x.places, p)
	x.changed = true
	x.tooMany = x.tooMany || len(x.places) > maxPlaces
	return len(x.places) - 1
}

// reached reports whether a node can run at all.
func (x *exploration) reached(node string) bool {
	return slices.ContainsFunc(x.places, func(p place) bool { return p.node == node })
}

// follow plays every reason of a place through the rules.
func (x *exploration) follow(i int) {
	at := x.places[i]
	a := x.team.Agents[at.node]
	for _, reason := range x.team.Reasons(at.node) {
		// With the tool handoff an agent passes over the rules that do not go where
		// it picked: after a rule that is sure to fire, those count that lead to
		// what it can pick and no such rule goes to.
		var picks []string
		if a != nil && a.finishes(reason) {
			picks = x.team.HandoffTargets(a.Name)
		}
		sure := false
		for _, r := range x.team.Handoffs {
			if !r.covers(at.node) || !r.selects(reason) || reason == ReasonBudgetExceeded && !x.afterLimit(at, r) || sure && !r.leadsTo(picks) {
				continue
			}
			if r.Join != nil {
				x.arrive(i, r, reason)
			} else {
				x.fire(r, []int{i}, at.context)
			}
			if r.always() {
				sure = true
				picks = slices.DeleteFunc(slices.Clone(picks), func(to string) bool { return slices.Contains(r.To, to) })
			}
			if sure && len(picks) == 0 {
				break
			}
		}
	}
}

// afterLimit reports whether a rule can match where a limit was reached: it
// must not ask for a turn that is not left. A join goes on in the branch's
// parent, which may have some left.
func (x *exploration) afterLimit(at place, r *Rule) bool {
	if x.team.Limits.AtLimit == AtLimitPause && !slices.Contains(r.On, ReasonBudgetExceeded) {
		return false
	}
	if x.team.Teams[at.node] != nil {
		return true
	}
	if r.Join != nil {
		return at.context != 0
	}
	return !x.team.asksForTurn(r)
}

// arrive lets a branch arrive at a join. A place outside of all branches is a
// group of one, whose join fires at once.
func (x *exploration) arrive(i int, r *Rule, reason Reason) {
	x.fires[r] = true
	at := x.places[i]
	j := x.joinOf(r)
	here := x.contexts[at.context]
	one := arrival{place: i, node: at.node, reason: reason}
	if slices.Contains(here.arrivals[j], one) {
		return
	}
	here.arrivals[j] = append(here.arrivals[j], one)
	x.changed = true
	if at.context == 0 {
		for _, r := range j.firing(combination{}.with(j, one)) {
			x.fire(r, []int{i}, 0)
		}
	}
}

// fire follows a rule from places whose work it continues in a context.
func (x *exploration) fire(r *Rule, from []int, in int) {
	x.fires[r] = true
	switch {
	case r.Retry != nil || len(r.To) == 0:
	case r.forks():
		x.fanOut(r, from, in)
	case !isTerminal(r.To[0]):
		x.connect(r, from, place{node: r.To[0], context: in}, in, false)
	case r.To[0] == TerminalSucceeded:
		x.success = true
		x.succeed(in)
	}
}

func (x *exploration) succeed(in int) {
	if !x.contexts[in].succeeds {
		x.contexts[in].succeeds, x.changed = true, true
	}
}

func (x *exploration) connect(r *Rule, from []int, to place, counted int, nested bool) {
	target := x.enter(to)
	for _, i := range from {
		e := edge{from: i, to: target, rule: r, counted: counted, nested: nested}
		if !x.known[e] {
			x.known[e] = true
			x.edges = append(x.edges, e)
		}
	}
}

// fanOut starts a branch for every target of a rule.
func (x *exploration) fanOut(r *Rule, from []int, in int) {
	parent, nested := in, false
	for c := in; c != 0; c = x.contexts[c].parent {
		if x.contexts[c].rule == r {
			parent, nested = x.contexts[c].parent, true
		}
	}
	g := x.group(r, parent)
	if !slices.Contains(g.parents, in) {
		g.parents = append(g.parents, in)
		x.changed = true
	}
	for _, b := range g.branches {
		x.connect(r, from, place{node: x.contexts[b].target, context: b}, in, nested)
	}
}

func (x *exploration) group(r *Rule, parent int) *branchGroup {
	for _, g := range x.groups {
		if g.rule == r && x.contexts[g.branches[0]].parent == parent {
			return g
		}
	}
	g := &branchGroup{rule: r}
	for _, to := range r.To {
		g.branches = append(g.branches, len(x.contexts))
		x.contexts = append(x.contexts, &branchContext{parent: parent, rule: r, target: to, arrivals: map[*joinPoint][]arrival{}})
	}
	x.tooMany = x.tooMany || len(x.contexts) > maxContexts
	x.groups = append(x.groups, g)
	x.changed = true
	return g
}

// within reports whether a context is another one or a branch within it.
func (x *exploration) within(context, outer int) bool {
	for context != outer && context != 0 {
		context = x.contexts[context].parent
	}
	return context == outer
}
