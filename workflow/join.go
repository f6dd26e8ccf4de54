package workflow

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// joinOf is the number of the first rule of the join that a rule belongs to:
// rules with the same nodes and the same number of branches are one join.
func (t *Team) joinOf(r *Rule) int {
	for _, other := range t.Handoffs {
		if other.Join != nil && *other.Join == *r.Join && sameNames(other.From, r.From) {
			return other.Number
		}
	}
	return r.Number
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// arrive ends a branch at a join.
func (d *decision) arrive(r *Rule, e *ended, skipped []SkippedRule) error {
	join := d.team.joinOf(r)
	arrival := Arrival{Branch: e.turn.Branch, Join: join, Node: e.turn.Node, Result: e.result(0)}
	if e.turn.Branch == 0 {
		// Nothing runs beside it: it is all that the join waits for.
		d.endVisit(e.turn)
		return d.route(d.joined([]Arrival{arrival}, 0, join))
	}
	d.endVisit(e.turn)
	b := d.removeBranch(e.turn.Branch)
	arrival.Label, arrival.Index, arrival.Item, arrival.Nodes = b.Label, b.Index, b.Item, b.Nodes
	g := d.s.group(b.Group)
	g.Arrived = append(slices.Clone(g.Arrived), arrival)
	d.emit(BranchEnded{
		Branch: b.ID, Label: b.Label, How: BranchArrived, Rule: join, From: e.turn.Node, Turn: e.turn.ID, Reason: e.reason,
		Arrived: len(g.Arrived), Size: g.Size, Skipped: skipped,
	})
	return d.advance(b.Group, 0, e)
}

// advance looks at a group after one of its branches ended: it fires the join,
// begins the next elements, or ends the group. rule is the one by which the
// branch succeeded, 0 if it arrived.
func (d *decision) advance(group, rule int, e *ended) error {
	g := d.s.group(group)
	left := d.alive(group) + g.Size - g.Next
	counts := map[int]int{}
	for _, a := range g.Arrived {
		counts[a.Join]++
	}
	joins := slices.Sorted(maps.Keys(counts))
	for _, join := range joins {
		if d.team.rule(join).Join.complete(counts[join], left, g) {
			return d.fireJoin(group, join)
		}
	}
	switch {
	case len(joins) > 0 && !d.joinable(g, counts, left):
		return d.unjoinable(g, joins[0], counts[joins[0]], e)
	case left > 0:
		return d.begin(group, nil)
	}
	parent := d.removeGroup(group).Parent
	return d.endLine(parent, rule, e, nil)
}

// complete reports whether a join has all that it waits for, when this many
// branches of the group have arrived at it and this many have not ended.
func (j *Join) complete(arrived, left int, g *Group) bool {
	switch j.Mode {
	case JoinAny:
		return arrived > 0
	case JoinCount:
		return arrived >= j.Count
	default:
		return left == 0 && arrived+g.Ended == g.Size
	}
}

// joinable reports whether some join of the team can still be complete, with
// the branches of the group that have not ended.
func (d *decision) joinable(g *Group, arrived map[int]int, left int) bool {
	return slices.ContainsFunc(d.team.Handoffs, func(r *Rule) bool {
		return r.Join != nil && left > 0 && r.Join.complete(arrived[d.team.joinOf(r)]+left, 0, g)
	})
}

// unjoinable ends the task, since a join would wait for ever.
func (d *decision) unjoinable(g *Group, join, n int, e *ended) error {
	mode := d.team.rule(join).Join
	wants := "all"
	if mode.Mode == JoinCount {
		wants = fmt.Sprintf("%d", mode.Count)
	}
	return d.fail(e, fmt.Sprintf("the join of rule %d, which waits for %s of %d branches, can never be complete: %d arrived there, %d ended before",
		join, wants, g.Size, n, g.Ended), nil)
}

// fireJoin ends the group and goes on in the branch that it was started from.
func (d *decision) fireJoin(group, join int) error {
	why := fmt.Sprintf("the join of rule %d is complete", join)
	for _, b := range slices.Clone(d.s.Branches) {
		if b.Group == group {
			d.cancelBranch(b.ID, why)
		}
	}
	g := d.removeGroup(group)
	var arrived []Arrival
	for _, a := range g.Arrived {
		if a.Join == join {
			arrived = append(arrived, a)
		}
	}
	last := arrived[len(arrived)-1].Result.Turn
	slices.SortStableFunc(arrived, func(a, b Arrival) int { return cmp.Compare(a.Index, b.Index) })
	for i, a := range arrived {
		for _, name := range slices.Sorted(maps.Keys(a.Nodes)) {
			n := a.Nodes[name]
			n.Visits += d.s.visits(g.Parent, name)
			d.setNode(g.Parent, name, n)
		}
		arrived[i].Nodes = nil
	}
	e := d.joined(arrived, g.Parent, join)
	e.turn.ID = last
	return d.route(e)
}

// joined is the end of several branches as one.
func (d *decision) joined(arrived []Arrival, parent, join int) *ended {
	e := &ended{turn: Turn{Branch: parent, ID: arrived[0].Result.Turn, Attempt: 1, State: TurnEnded}, joined: arrived, join: join}
	var names []string
	var output strings.Builder
	for i, a := range arrived {
		if !slices.Contains(names, a.Node) {
			names = append(names, a.Node)
		}
		if i == 0 {
			e.reason, e.outcome = a.Result.Reason, a.Result.Outcome
		}
		if e.reason != a.Result.Reason {
			e.reason = ""
		}
		if e.outcome != a.Result.Outcome {
			e.outcome = ""
		}
		if i > 0 {
			output.WriteString("\n\n")
		}
		fmt.Fprintf(&output, "## %s (%s)\n%s", a.name(), a.Result.Reason, a.Result.Output)
	}
	if len(arrived) == 1 {
		e.summary, e.data, e.err, e.output = arrived[0].Result.Summary, arrived[0].Result.Data, arrived[0].Result.Error, arrived[0].Result.Output
	} else {
		e.output = cut(output.String(), maxDefaultOutput)
	}
	e.stopReason = e.reason
	e.turn.Node = strings.Join(names, ", ")
	return e
}

// name is what people call the branch.
func (a Arrival) name() string {
	if a.Label == "" {
		return a.Node
	}
	return a.Label
}

// coversAll reports whether the rule is about every node that was joined.
func (r *Rule) coversAll(e *ended) bool {
	if e.joined == nil {
		return r.covers(e.turn.Node)
	}
	return !slices.ContainsFunc(e.joined, func(a Arrival) bool { return !r.covers(a.Node) })
}

// misses returns a reason that the rule is not about, and whether there is one.
func (r *Rule) misses(e *ended) (Reason, bool) {
	if e.joined == nil || e.over {
		return e.reason, !r.selects(e.reason)
	}
	for _, a := range e.joined {
		if !r.selects(a.Result.Reason) {
			return a.Result.Reason, true
		}
	}
	return "", false
}

// inGroup reports whether the key of a conversation belongs to a group.
func inGroup(key string, group int) bool {
	_, groups, _ := strings.Cut(key, "#")
	groups, _, _ = strings.Cut(groups, "~")
	return slices.Contains(strings.Split(groups, "."), strconv.Itoa(group))
}
