package workflow

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// loop is a way around that a task can take again and again.
type loop struct {
	edges []edge
	// timed says that a limit of time ends it, and nothing else does.
	timed bool
	// turnless says that a limit of turns, tokens or cost is set and that no turn is in the loop.
	turnless bool
}

// loops finds a loop that nothing bounds, and one that only time bounds; nil
// where there is none.
//
// A rule with max bounds what comes back to it in the branch that counts it,
// and a limit what never leaves the branch that it bounds. So every strongly
// connected part of the graph is looked at in the innermost branch that it does
// not leave: what is bounded there is taken out, and what is left is looked at again.
func (x *exploration) loops() (unbounded, timed *loop) {
	all := make([]int, len(x.places))
	for i := range all {
		all[i] = i
	}
	var search func(places []int, edges []edge)
	search = func(places []int, edges []edge) {
		for _, part := range components(places, edges) {
			member := setOf(part)
			inside := slices.DeleteFunc(slices.Clone(edges), func(e edge) bool { return !member[e.from] || !member[e.to] })
			if len(inside) == 0 {
				continue
			}
			branch := x.commonContext(part)
			limits := x.limitsIn(branch)
			counted := slices.Clone(inside)
			if !x.nestsIn(inside, branch) {
				counted = slices.DeleteFunc(counted, func(e edge) bool { return e.rule.Max > 0 && e.counted == branch })
			}
			turns := limits.Turns > 0 || limits.Tokens > 0 || limits.Cost > 0
			left := slices.DeleteFunc(slices.Clone(part), func(i int) bool {
				kind, _ := x.team.Kind(x.places[i].node)
				return turns && (kind == KindAgent || kind == KindTeam)
			})
			untimed := slices.DeleteFunc(slices.Clone(left), func(i int) bool {
				kind, _ := x.team.Kind(x.places[i].node)
				return limits.Duration > 0 && kind != KindGate
			})
			switch {
			case len(left) == len(part) && len(counted) == len(inside) && len(untimed) == len(left):
				if unbounded == nil {
					unbounded = &loop{edges: x.around(part, inside), turnless: turns || limits.Duration > 0}
				}
			case len(left) == len(part) && len(counted) == len(inside) && timed == nil:
				timed = &loop{edges: x.around(part, inside), timed: true, turnless: turns}
				search(untimed, counted)
			case len(left) == len(part) && len(counted) == len(inside):
				search(untimed, counted)
			default:
				search(left, counted)
			}
		}
	}
	search(all, x.edges)
	return unbounded, timed
}

// commonContext is the innermost context that all places are in.
func (x *exploration) commonContext(places []int) int {
	common := x.places[places[0]].context
	for common != 0 && slices.ContainsFunc(places, func(i int) bool { return !x.within(x.places[i].context, common) }) {
		common = x.contexts[common].parent
	}
	return common
}

// limitsIn tells which kinds of limits there are in a context.
func (x *exploration) limitsIn(context int) Limits {
	out := x.team.Limits
	for c := context; c != 0; c = x.contexts[c].parent {
		l := x.contexts[c].rule.Limits
		out.Turns, out.Tokens = max(out.Turns, l.Turns), max(out.Tokens, l.Tokens)
		out.Cost, out.Duration = max(out.Cost, l.Cost), max(out.Duration, l.Duration)
	}
	return out
}

// nestsIn reports whether one of the edges starts branches within its own
// branches, and the context is one of them: each of them counts anew.
func (x *exploration) nestsIn(edges []edge, context int) bool {
	return slices.ContainsFunc(edges, func(e edge) bool {
		for c := context; e.nested && c != 0; c = x.contexts[c].parent {
			if x.contexts[c].rule == e.rule {
				return true
			}
		}
		return false
	})
}

// components lists the strongly connected parts of a graph, in order of their
// first places (Tarjan). A part of one place may have no edge.
func components(places []int, edges []edge) [][]int {
	next := map[int][]int{}
	for _, e := range edges {
		next[e.from] = append(next[e.from], e.to)
	}
	member := setOf(places)
	number, low, on := map[int]int{}, map[int]int{}, map[int]bool{}
	var stack []int
	var out [][]int
	var visit func(i int)
	visit = func(i int) {
		number[i] = len(number) + 1
		low[i] = number[i]
		stack, on[i] = append(stack, i), true
		for _, to := range next[i] {
			switch {
			case !member[to]:
			case number[to] == 0:
				visit(to)
				low[i] = min(low[i], low[to])
			case on[to]:
				low[i] = min(low[i], number[to])
			}
		}
		if low[i] != number[i] {
			return
		}
		at := slices.Index(stack, i)
		part := slices.Sorted(slices.Values(stack[at:]))
		for _, member := range part {
			on[member] = false
		}
		stack = stack[:at]
		out = append(out, part)
	}
	for _, i := range places {
		if number[i] == 0 {
			visit(i)
		}
	}
	slices.SortFunc(out, func(a, b []int) int { return cmp.Compare(a[0], b[0]) })
	return out
}

func setOf(places []int) map[int]bool {
	set := make(map[int]bool, len(places))
	for _, i := range places {
		set[i] = true
	}
	return set
}

// around finds a way around in a strongly connected part: the shortest one from
// the node that the file names first. The last edge closes it.
func (x *exploration) around(part []int, edges []edge) []edge {
	edges = slices.SortedStableFunc(slices.Values(edges), func(a, b edge) int { return cmp.Compare(a.rule.Number, b.rule.Number) })
	start := slices.MinFunc(part, func(a, b int) int {
		return cmp.Compare(slices.Index(x.team.NodeNames, x.places[a].node), slices.Index(x.team.NodeNames, x.places[b].node))
	})
	into := map[int]edge{}
	for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
		for _, e := range edges {
			if e.from != queue[0] {
				continue
			}
			if e.to == start {
				way := []edge{e}
				for at := e.from; at != start; at = into[at].from {
					way = append(way, into[at])
				}
				slices.Reverse(way)
				return way
			}
			if _, seen := into[e.to]; !seen {
				into[e.to] = e
				queue = append(queue, e.to)
			}
		}
	}
	return nil
}

func (p *parser) checkLoops(x *exploration) {
	unbounded, timed := x.loops()
	if unbounded != nil {
		p.reportLoop(x, unbounded)
	}
	if timed != nil {
		p.reportLoop(x, timed)
	}
}

func (p *parser) reportLoop(x *exploration, l *loop) {
	if len(l.edges) == 0 {
		return
	}
	var nodes, rules []string
	nested := false
	for _, e := range l.edges {
		if node := x.places[e.to].node; !slices.Contains(nodes, node) {
			nodes = append(nodes, node)
		}
		if rule := fmt.Sprint(e.rule.Number); !slices.Contains(rules, rule) {
			rules = append(rules, rule)
		}
		nested = nested || e.nested
	}
	last := l.edges[len(l.edges)-1].rule
	way := fmt.Sprintf("handoffs %s lead around %s", strings.Join(rules, ", "), quoted(nodes))
	if len(rules) == 1 && len(nodes) == 1 {
		way = fmt.Sprintf("handoff %d leads from %q to itself", last.Number, nodes[0])
	}
	at := p.handoffs[last.Number-1].to[0]
	fix := fmt.Sprintf("add max: 3 to handoff %d, or bound the whole task:  limits: {turns: 20}", last.Number)
	switch {
	case l.timed:
		p.warn(at, fix, "%s: only limits.duration ends that", way)
		return
	case nested:
		p.problem(at, "bound the whole task:  limits: {turns: 20}", "%s for ever: each time they start branches within the branches, and these count max anew", way)
		return
	case l.turnless:
		fix = fmt.Sprintf("add max: 3 to handoff %d", last.Number)
	}
	p.problem(at, fix, "%s for ever: nothing bounds the loop%s", way, turnless(l))
}

func turnless(l *loop) string {
	if l.turnless {
		return " (the limits of the task do not end it: no agent takes a turn in it)"
	}
	return ""
}
