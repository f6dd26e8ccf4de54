package workflow

import (
	"encoding/binary"
	"slices"
)

// unlimited is the limit of a play without limits.turns.
const unlimited = -1

// play goes through everything that a task can do: every node may end with
// every reason, and every condition may be true or false. What a line of work
// can do depends on little of a State, so there are few different situations. A
// branch is played like a task of its own, from its first node to where it ends;
// what the line does that started it, it does after that.
type play struct {
	*visits
	// work is how many more steps, times rules, may be looked at.
	work  int
	limit int
	known map[string]outlook
	// steps are the rules that led to the current situation, nil for a
	// reminder; path says at which step a situation on the way was met.
	steps    []*Rule
	path     map[string]int
	loop     []int
	loopTeam string
	// inexact says that something was followed that may be impossible.
	inexact bool
}

// outlook is what a line of work can take from some point on.
type outlook struct {
	// most is whatever comes, wherever it stops.
	most cost
	// ends says for each way in which a branch ends what it takes until then.
	ends map[ending]cost
}

// after is the outlook before something is done.
func (o outlook) after(c cost) outlook {
	out := outlook{most: c.plus(o.most)}
	for end, e := range o.ends {
		out.end(end, c.plus(e))
	}
	return out
}

func (o *outlook) end(end ending, c cost) {
	if o.ends == nil {
		o.ends = map[ending]cost{}
	}
	if have, ok := o.ends[end]; ok {
		c = c.or(have)
	}
	o.ends[end] = c
	o.most = o.most.or(c)
}

// or adds another way to go on.
func (o *outlook) or(other outlook) {
	o.most = o.most.or(other.most)
	for end, c := range other.ends {
		o.end(end, c)
	}
}

// line is what a line of work runs in.
type line struct {
	// branch says that it is in a branch, and not the task itself.
	branch bool
	// metered says that tokens, money or time can run out, limited that limits of
	// a branch can be reached, and own that they are those of the innermost one.
	metered, limited, own bool
	// used tells, by rule index, the rules with a join that are used up in the
	// line that started the branch.
	used string
}

// situation is an attempt that begins, or a rule that starts branches.
type situation struct {
	node string
	// fan is the rule; nil for an attempt.
	fan      *Rule
	line     line
	reminder bool
	// left counts the attempts that limits.turns still allow, this one included,
	// or is unlimited.
	left int
	// fired and retries count by rule index: the firings of rules with max, and
	// the retries of this turn.
	fired, retries []int
}

func newPlay(v *visits, limit int) *play {
	return &play{visits: v, work: v.work, limit: limit, known: map[string]outlook{}, path: map[string]int{}}
}

// run returns the worst case; false when there is none (then loop is set) or
// when it would take too long to find.
func (p *play) run() (cost, bool) {
	l := p.team.Limits
	out, ok := p.worst(p.begin(p.team.Start, line{metered: l.Tokens > 0 || l.Cost > 0 || l.Duration > 0}, p.limit))
	return out.most.plus(cost{visits: 1}), ok
}

// begin is the situation at the beginning of a line.
func (p *play) begin(node string, l line, left int) situation {
	rules := len(p.team.Handoffs)
	return situation{node: node, line: l, left: left, fired: make([]int, rules), retries: make([]int, rules)}
}

func (s situation) key() string {
	key := []byte(s.node)
	flags := byte(0)
	for i, flag := range []bool{s.reminder, s.line.branch, s.line.metered, s.line.limited, s.line.own} {
		if flag {
			flags |= 1 << i
		}
	}
	key = append(key, 0, flags)
	if s.fan != nil {
		key = binary.AppendUvarint(key, uint64(s.fan.Number))
		key = append(key, 0)
	}
	key = append(key, s.line.used...)
	key = binary.AppendVarint(key, int64(s.left))
	for i := range s.fired {
		key = binary.AppendUvarint(key, uint64(s.fired[i]))
		key = binary.AppendUvarint(key, uint64(s.retries[i]))
	}
	return string(key)
}

// less is the situation with so many turns taken.
func (s situation) less(turns int) situation {
	if s.left != unlimited {
		s.left = max(s.left-turns, 0)
	}
	return s
}

// spend takes from the work that is left; false when there is none.
func (p *play) spend(work int) bool {
	p.work -= work
	return p.work >= 0
}

// worst is the outlook of a situation.
func (p *play) worst(s situation) (outlook, bool) {
	if !p.spend(len(p.team.Handoffs) + 1) {
		return outlook{}, false
	}
	key := s.key()
	if o, ok := p.known[key]; ok {
		return o, true
	}
	if at, ok := p.path[key]; ok {
		p.blame(p.steps[at:])
		return outlook{}, false
	}
	if len(p.known)+len(p.path) == maxSituations {
		p.work = 0
		return outlook{}, false
	}
	p.path[key] = len(p.steps)
	defer delete(p.path, key)
	o, ok := p.expand(s)
	if ok {
		p.known[key] = o
	}
	return o, ok
}

func (p *play) expand(s situation) (outlook, bool) {
	var out outlook
	if s.fan != nil {
		r := s.fan
		s.fan = nil
		ok := p.fanOut(r, s, &out)
		return out, ok
	}
	one, ok := p.attempt(s)
	if !ok || !p.next(s.less(one.least), &out) {
		return outlook{}, false
	}
	return out.after(one), true
}

// attempt is what one attempt takes.
func (p *play) attempt(s situation) (cost, bool) {
	n := p.nodes[s.node]
	if n.kind != KindTeam {
		return n.one, true
	}
	one := n.one
	if n.child.Unbounded {
		if s.left == unlimited {
			p.blameTeam(s.node, n.child)
			return cost{}, false
		}
		one.turns = s.left
		if one.time == 0 {
			one.time = unboundedTime
		}
	}
	if s.left != unlimited {
		one.turns = min(one.turns, s.left)
	}
	return one, true
}

// next adds everything that can follow the attempt of a situation, whose left
// is already what the attempt leaves.
func (p *play) next(s situation, out *outlook) bool {
	n := p.nodes[s.node]
	choices := n.first
	if s.reminder {
		choices = n.reminder
	} else if a := p.team.Agents[s.node]; a != nil && len(a.Outcomes) > 0 && s.left != 0 {
		reminder := s
		reminder.reminder, reminder.retries = true, make([]int, len(s.retries))
		if !p.step(nil, reminder, cost{}, out) {
			return false
		}
	}
	for _, c := range choices {
		if !p.choose(c, s, out) {
			return false
		}
	}
	return p.overBudget(s, out)
}

// choose adds what the rules of a choice can do.
func (p *play) choose(c choice, s situation, out *outlook) bool {
	for i, r := range c.rules {
		n := r.Number - 1
		switch {
		case r.Retry != nil && s.retries[n] >= r.Retry.Max:
			continue
		case r.Join != nil && s.line.branch && s.line.used[n] == 1:
			continue
		case r.Join != nil && s.line.branch:
			out.end(c.ends[i], cost{})
			return true
		case r.Max > 0 && s.fired[n] >= r.Max:
			continue
		case r.Join != nil:
			return p.afterJoin(c.ends[i], s, cost{}, out)
		}
		if !p.follow(r, s, out) {
			return false
		}
		if r.unconditional() {
			break
		}
	}
	return true
}

// follow adds what a rule that fires does.
func (p *play) follow(r *Rule, s situation, out *outlook) bool {
	if s.left == 0 && p.asksForTurn(r, s.node) {
		return true // refused; see overBudget
	}
	i := r.Number - 1
	if r.Max > 0 {
		s.fired = plusOne(s.fired, i)
	}
	switch {
	case r.Retry != nil:
		wait := r.Retry.longest(s.retries[i])
		s.retries = plusOne(s.retries, i)
		return p.step(r, s, cost{time: wait}, out)
	case r.terminal():
		if s.line.branch && r.target() == TerminalSucceeded {
			out.end(succeeded(), cost{})
		}
		return true
	}
	s.reminder, s.retries = false, make([]int, len(s.retries))
	if r.forks() {
		s.node, s.fan = "", r
		return p.step(r, s, cost{}, out)
	}
	s.node = r.target()
	return p.step(r, s, cost{visits: 1}, out)
}

// step adds what follows from a situation that a rule leads to, with what it
// takes to come there.
func (p *play) step(r *Rule, s situation, before cost, out *outlook) bool {
	p.steps = append(p.steps, r)
	o, ok := p.worst(s)
	p.steps = p.steps[:len(p.steps)-1]
	if ok {
		out.or(o.after(before))
	}
	return ok
}

// overBudget adds what can follow where a limit is reached: what needs no turn,
// and a join, whose line may have some left. The end of a sub-team may mean its
// own limits, and then everything can follow.
func (p *play) overBudget(s situation, out *outlook) bool {
	n := p.nodes[s.node]
	own := n.kind == KindTeam && slices.Contains(p.team.Reasons(s.node), ReasonBudgetExceeded)
	if !own && !s.line.metered && s.left != 0 {
		return true
	}
	c := n.budget
	for i, r := range c.rules {
		switch {
		case p.team.Limits.AtLimit == AtLimitPause && !slices.Contains(r.On, ReasonBudgetExceeded) && !own:
			continue
		case r.Join != nil && !own && !s.line.limited:
			continue
		case r.Join == nil && !own && p.asksForTurn(r, s.node):
			continue
		}
		p.inexact = p.inexact || own || r.Join != nil && !s.line.own
		one := choice{rules: c.rules[i : i+1], ends: c.ends[i : i+1]}
		if !p.choose(one, s, out) {
			return false
		}
		if r.sure() && !own {
			break
		}
	}
	return true
}

func plusOne(counts []int, i int) []int {
	counts = slices.Clone(counts)
	counts[i]++
	return counts
}

// blame notes the rules of a loop, each once. Retries are left out: they end.
func (p *play) blame(steps []*Rule) {
	p.loop = []int{}
	for _, r := range steps {
		if r != nil && r.Retry == nil && !slices.Contains(p.loop, r.Number) {
			p.loop = append(p.loop, r.Number)
		}
	}
}

// blameTeam notes the loop of a sub-team.
func (p *play) blameTeam(node string, child WorstCase) {
	p.loop, p.loopTeam = child.Loop, inTeam(node, child.LoopTeam)
}

// inTeam is the path of something in a sub-team.
func inTeam(node, path string) string {
	if path == "" {
		return node
	}
	return node + "/" + path
}
