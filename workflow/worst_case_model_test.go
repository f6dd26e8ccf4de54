package workflow

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model plays a task of a team step by step, in any order in which its branches
// can end. It is written from the description of the language and shares no
// code with WorstCase or with Decide but the parsed rules.
type model struct {
	team *Team
	root *modelLine
	// turns counts attempts of agents; over says that the task has ended.
	turns int
	over  bool
	// pick chooses one of n ways to go on.
	pick func(n int) int
}

type modelLine struct {
	in       *modelGroup
	node     string // empty while branches run
	first    string // of a branch, the node that it began with
	reminder bool
	retries  map[int]int
	fired    map[int]int
	group    *modelGroup
}

type modelGroup struct {
	rule     *Rule
	line     *modelLine
	branches []*modelLine
	items    int // not begun
	size     int
	ended    int
	arrived  []modelArrival
}

type modelArrival struct {
	join   int // the first rule of the join
	node   string
	reason Reason
}

func newModel(team *Team) *model {
	return &model{team: team, root: &modelLine{fired: map[int]int{}}}
}

func (m *model) start() { m.begin(m.root, m.team.Start) }

func (m *model) begin(l *modelLine, node string) {
	l.node, l.reminder, l.retries = node, false, map[int]int{}
	m.attempt(l)
}

func (m *model) attempt(l *modelLine) {
	if m.team.Agents[l.node] != nil {
		m.turns++
	}
}

// live lists the lines in which a node runs.
func (m *model) live() []*modelLine {
	var out []*modelLine
	var visit func(l *modelLine)
	visit = func(l *modelLine) {
		if l.group == nil {
			out = append(out, l)
			return
		}
		for _, b := range l.group.branches {
			visit(b)
		}
	}
	if !m.over {
		visit(m.root)
	}
	return out
}

// reasons lists what a line's node can end with; "" is a reason that nobody
// knows, and "remind" asks for a reminder.
func (m *model) reasons(l *modelLine) []Reason {
	out := slices.DeleteFunc(m.team.Reasons(l.node), func(r Reason) bool {
		return r == ReasonBudgetExceeded || r == ReasonNoOutcome && !l.reminder
	})
	if a := m.team.Agents[l.node]; a != nil {
		out = append(out, "")
		if len(a.Outcomes) > 0 && !l.reminder {
			out = append(out, "remind")
		}
	}
	return out
}

func (m *model) end(l *modelLine, reason Reason) {
	if reason == "remind" {
		l.reminder, l.retries = true, map[int]int{}
		m.attempt(l)
		return
	}
	for _, r := range m.team.Handoffs {
		if !r.covers(l.node) || !r.selects(reason) || r.Retry != nil && l.retries[r.Number] >= r.Retry.Max {
			continue
		}
		counted := l
		if r.Join != nil && l.in != nil {
			counted = l.in.line
		}
		if r.Max > 0 && counted.fired[r.Number] >= r.Max {
			continue
		}
		if r.Join != nil {
			a := modelArrival{join: m.firstOf(r), node: l.node, reason: reason}
			if l.in == nil {
				m.joined(l, []modelArrival{a})
			} else {
				m.arrive(l, a)
			}
			return
		}
		if m.fire(l, r) {
			return
		}
	}
	m.over = true
}

// firstOf names a join by its first rule.
func (m *model) firstOf(r *Rule) int {
	key := func(r *Rule) string { return fmt.Sprint(slices.Sorted(slices.Values(r.From)), *r.Join) }
	return 1 + slices.IndexFunc(m.team.Handoffs, func(o *Rule) bool { return o.Join != nil && key(o) == key(r) })
}

// fire follows a rule; false when its list does not match.
func (m *model) fire(l *modelLine, r *Rule) bool {
	size := len(r.To)
	if r.ForEach != nil {
		if size = m.pick(r.MaxItems + 1); size == 0 {
			return false
		}
	}
	l.fired[r.Number]++
	switch {
	case r.Retry != nil:
		l.retries[r.Number]++
		m.attempt(l)
	case r.terminal() && r.target() != TerminalSucceeded:
		m.over = true
	case r.terminal():
		m.succeed(l)
	case r.ForEach == nil && len(r.To) == 1:
		m.begin(l, r.target())
	default:
		g := &modelGroup{rule: r, line: l, size: size, items: size}
		l.group, l.node = g, ""
		m.refill(g)
	}
	return true
}

// refill begins branches while there are some to begin.
func (m *model) refill(g *modelGroup) {
	for g.items > 0 && (g.rule.MaxParallel == 0 || len(g.branches) < g.rule.MaxParallel) {
		to := g.rule.target()
		if g.rule.ForEach == nil {
			to = g.rule.To[g.size-g.items]
		}
		g.items--
		b := &modelLine{in: g, first: to, fired: map[int]int{}}
		g.branches = append(g.branches, b)
		m.begin(b, to)
	}
}

func (g *modelGroup) remove(l *modelLine) {
	g.branches = slices.DeleteFunc(g.branches, func(b *modelLine) bool { return b == l })
}

func (m *model) succeed(l *modelLine) {
	if l.in == nil {
		m.over = true
		return
	}
	l.in.ended++
	l.in.remove(l)
	m.settle(l.in)
}

func (m *model) arrive(l *modelLine, a modelArrival) {
	l.in.arrived = append(l.in.arrived, a)
	l.in.remove(l)
	m.settle(l.in)
}

// settle looks whether a group is joined, or over.
func (m *model) settle(g *modelGroup) {
	at := map[int][]modelArrival{}
	for _, a := range g.arrived {
		at[a.join] = append(at[a.join], a)
	}
	for join, some := range at {
		j := m.team.Handoffs[join-1].Join
		complete := false
		switch j.Mode {
		case JoinAny:
			complete = true
		case JoinCount:
			complete = len(some) >= j.Count
		case JoinAll:
			complete = len(some)+g.ended == g.size
		}
		if complete {
			g.line.group = nil
			m.joined(g.line, some)
			return
		}
	}
	m.refill(g)
	switch {
	case len(g.branches) > 0:
	case g.ended == g.size:
		g.line.group = nil
		m.succeed(g.line)
	default:
		m.over = true
	}
}

// joined goes on in a line when a join is complete.
func (m *model) joined(l *modelLine, some []modelArrival) {
	first := some[0].join
	for _, r := range m.team.Handoffs[first-1:] {
		if r.Retry != nil || r.Join != nil && m.firstOf(r) != first || r.Max > 0 && l.fired[r.Number] >= r.Max {
			continue
		}
		if !slices.ContainsFunc(some, func(a modelArrival) bool { return !r.covers(a.node) || !r.selects(a.reason) }) && m.fire(l, r) {
			return
		}
	}
	m.over = true
}

// clone copies a model.
func (m *model) clone() *model {
	c := *m
	c.root = m.root.clone(nil)
	return &c
}

func (l *modelLine) clone(in *modelGroup) *modelLine {
	c := *l
	c.in, c.retries, c.fired = in, maps.Clone(l.retries), maps.Clone(l.fired)
	if l.group != nil {
		g := *l.group
		g.line, g.branches, g.arrived = &c, nil, slices.Clone(g.arrived)
		for _, b := range l.group.branches {
			g.branches = append(g.branches, b.clone(&g))
		}
		c.group = &g
	}
	return &c
}

// nested reports whether the line is in two branches that began alike, one
// within the other: then there can be a third one. Rules with a join count in
// the line that started the branch.
func (l *modelLine) nested(team *Team) bool {
	began := map[string]bool{}
	for ; l.in != nil; l = l.in.line {
		key := fmt.Sprint(l.in.rule.Number, l.first)
		for _, r := range team.Handoffs {
			if r.Join != nil && r.Max > 0 {
				key += fmt.Sprint(",", min(r.Max, l.in.line.fired[r.Number]))
			}
		}
		if began[key] {
			return true
		}
		began[key] = true
	}
	return false
}

// key tells what can come apart.
func (l *modelLine) key(team *Team) string {
	var b strings.Builder
	fmt.Fprint(&b, l.node, l.reminder)
	for _, r := range team.Handoffs {
		if r.Max > 0 {
			fmt.Fprint(&b, ",", l.fired[r.Number])
		}
		if r.Retry != nil {
			fmt.Fprint(&b, ";", l.retries[r.Number])
		}
	}
	if g := l.group; g != nil {
		arrived := slices.Clone(g.arrived)
		slices.SortFunc(arrived, func(a, b modelArrival) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		fmt.Fprint(&b, "(", g.rule.Number, g.items, g.size, g.ended, arrived)
		var keys []string
		for _, branch := range g.branches {
			keys = append(keys, branch.key(team))
		}
		slices.Sort(keys)
		fmt.Fprint(&b, keys, ")")
	}
	return b.String()
}

// most is how many more turns the task can take. It is negative when there is
// no bound, and ok is false when there is too much to try.
func (m *model) most(known, path map[string]int, work *int) (most int, ok bool) {
	if m.over {
		return 0, true
	}
	for _, l := range m.live() {
		if l.nested(m.team) {
			return -1, true
		}
	}
	key := m.root.key(m.team)
	if n, have := known[key]; have {
		return n, true
	}
	if path[key] > 0 {
		return -1, true
	}
	path[key] = 1
	defer delete(path, key)
	for i, l := range m.live() {
		for _, reason := range m.reasons(l) {
			for way := []int{}; ; {
				next := m.clone()
				var asked []int
				at := 0
				next.pick = func(n int) int {
					if at == len(way) {
						way = append(way, 0)
					}
					asked = append(asked, n)
					at++
					return way[at-1]
				}
				next.turns = 0
				if *work--; *work < 0 {
					return 0, false
				}
				next.end(next.live()[i], reason)
				n, ok := next.most(known, path, work)
				if !ok || n < 0 {
					return n, ok
				}
				most = max(most, next.turns+n)
				for len(way) > 0 && way[len(way)-1] == asked[len(way)-1]-1 {
					way = way[:len(way)-1]
				}
				if len(way) == 0 {
					break
				}
				way[len(way)-1]++
			}
		}
	}
	known[key] = most
	return most, true
}

// anyParallelTeam draws a small team with branches. Its rules are random and
// need not pass the checks of Parse.
func anyParallelTeam(rt *rapid.T, t testing.TB) *Team {
	var b strings.Builder
	b.WriteString("version: 1\nname: random\nagents:\n  a: {prompt: x, turn_timeout: 10m}\n  b: {prompt: x, turn_timeout: 20m}\n")
	names := []string{"a", "b"}
	if rapid.IntRange(0, 3).Draw(rt, "outcomes") == 0 {
		names = append(names, "o")
		b.WriteString("  o: {prompt: x, turn_timeout: 5m, outcomes: [yes, no]}\n")
	}
	if rapid.IntRange(0, 2).Draw(rt, "check") == 0 {
		names = append(names, "tests")
		b.WriteString("checks: {tests: {run: make, timeout: 3m}}\n")
	}
	if rapid.IntRange(0, 3).Draw(rt, "gate") == 0 {
		names = append(names, "merge")
		b.WriteString("gates: {merge: {question: Merge, expires: 1h}}\n")
	}
	name := func() string { return rapid.SampledFrom(names).Draw(rt, "node") }
	b.WriteString("start: a\nhandoffs:\n")
	for range rapid.IntRange(1, 6).Draw(rt, "rules") {
		from := rapid.SampledFrom([]string{`"*"`, name(), name(), "[a, b]"}).Draw(rt, "from")
		on := rapid.SampledFrom([]string{`"*"`, `"*"`, "end_turn", "error", "[end_turn, passed, yes, approved]", "[error, failed, no]", "no_outcome"}).Draw(rt, "on")
		fmt.Fprintf(&b, "  - {from: %s, on: %s", from, on)
		if rapid.IntRange(0, 3).Draw(rt, "has max") > 0 {
			fmt.Fprintf(&b, ", max: %d", rapid.IntRange(1, 2).Draw(rt, "max"))
		}
		kind := rapid.IntRange(0, 11).Draw(rt, "kind")
		if kind >= 6 && rapid.IntRange(0, 1).Draw(rt, "joins") == 0 {
			fmt.Fprintf(&b, ", join: %s", rapid.SampledFrom([]string{"all", "all", "any", "2"}).Draw(rt, "join"))
		}
		switch kind {
		case 0:
			fmt.Fprintf(&b, ", retry: {max: 1, backoff: %s}}\n", rapid.SampledFrom([]string{"0s", "7s"}).Draw(rt, "backoff"))
		case 1, 2, 3:
			fmt.Fprintf(&b, ", for_each: data, max_items: %d, max_parallel: %d, to: %s}\n", rapid.IntRange(1, 3).Draw(rt, "items"), rapid.IntRange(1, 3).Draw(rt, "parallel"), name())
		case 4, 5, 6:
			first := name()
			second := rapid.SampledFrom(slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == first })).Draw(rt, "second")
			fmt.Fprintf(&b, ", to: [%s, %s]}\n", first, second)
		case 7:
			fmt.Fprintf(&b, ", to: %s}\n", rapid.SampledFrom(terminals()).Draw(rt, "end"))
		default:
			fmt.Fprintf(&b, ", to: %s}\n", name())
		}
	}
	return unchecked(t, b.String())
}

// TestWorstCaseIsThatOfTheModel tries everything that a task of a small team can do.
func TestWorstCaseIsThatOfTheModel(t *testing.T) {
	t.Parallel()
	exact, parallel, endless := 0, 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		team := anyParallelTeam(rt, t)
		worst, rough := team.WorstCase(), team.worstCase(0)
		if !rough.Unbounded && (worst.Unbounded || rough.Turns < worst.Turns || rough.Time < worst.Time || rough.Waiting < worst.Waiting) {
			rt.Fatalf("%s\nthe estimate is %+v, and exactly it is %+v", team.Source, rough, worst)
		}
		m := newModel(team)
		m.start()
		work := 10_000
		most, ok := m.most(map[string]int{}, map[string]int{}, &work)
		if !ok {
			return
		}
		sum := m.turns + most
		switch {
		case (most < 0) != worst.Unbounded:
			rt.Fatalf("%s\nthe worst case is %+v, and really it is %d turns more", team.Source, worst, most)
		case most < 0:
			endless++
		case sum > worst.Turns, worst.Exact && sum != worst.Turns:
			rt.Fatalf("%s\nthe worst case is %+v, and really it is %d turns", team.Source, worst, sum)
		case worst.Exact:
			exact++
			if len(worst.Gates) == 0 && slices.ContainsFunc(team.Handoffs, (*Rule).forks) {
				parallel++
			}
		}
	})
	t.Logf("%d exact, %d of them with branches, %d endless", exact, parallel, endless)
	if exact == 0 || endless == 0 {
		t.Errorf("%d exact, %d of them with branches, %d endless", exact, parallel, endless)
	}
}

// TestWorstCaseTakesAsLong drives Decide with tasks in which every node takes
// some time, and limits are reached.
func TestWorstCaseTakesAsLong(t *testing.T) {
	t.Parallel()
	limited, paused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		team := anyParallelTeam(rt, t)
		anyLimits(rt, team)
		worst := team.WorstCase()
		if worst.Unbounded {
			return
		}
		if worst.BoundBy == BoundByTurns || worst.TimeBoundBy != "" {
			limited++
		}
		c := newClock(rt, t, team)
		for c.step() {
			took := c.now.Sub(c.s.Started)
			if c.s.Attempts > worst.Turns || took > worst.Time+worst.Waiting || len(worst.Gates) == 0 && took > worst.Time {
				rt.Fatalf("%d turns in %s, and the worst case is %+v", c.s.Attempts, took, worst)
			}
		}
		if c.s.Status == TaskPaused {
			paused++
		}
	})
	t.Logf("%d teams with a limit, %d tasks paused", limited, paused)
	if limited == 0 || paused == 0 {
		t.Errorf("%d teams with a limit, %d tasks paused", limited, paused)
	}
}

func anyLimits(rt *rapid.T, team *Team) {
	turns := func() int { return rapid.SampledFrom([]int{0, 0, 1, 2, 5, 9}).Draw(rt, "turns") }
	duration := func() time.Duration {
		return rapid.SampledFrom([]time.Duration{0, 0, 0, 15 * time.Minute, time.Hour}).Draw(rt, "duration")
	}
	team.Limits = Limits{Turns: turns(), Duration: duration(), AtLimit: rapid.SampledFrom([]string{AtLimitRules, AtLimitPause}).Draw(rt, "at limit")}
	for _, r := range team.Handoffs {
		if r.Retry == nil && !r.terminal() && rapid.IntRange(0, 3).Draw(rt, "limits") == 0 {
			r.Limits = Limits{Turns: turns(), Duration: duration()}
		}
	}
}

// clock lets the nodes of a task take their time.
type clock struct {
	rt   *rapid.T
	t    *testing.T
	team *Team
	v    *visits
	s    State
	now  time.Time
	ends map[int]time.Time // by turn
}

func newClock(rt *rapid.T, t *testing.T, team *Team) *clock {
	c := &clock{rt: rt, t: t, team: team, v: newVisits(team, 0), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ends: map[int]time.Time{}}
	c.apply(TaskSubmitted{Task: "T1", Team: team.Name, Revision: team.Revision})
	c.apply(TaskClaimed{})
	return c
}

func (c *clock) apply(body EventBody) {
	next, effects, err := Decide(c.team, c.s, Event{At: c.now, Body: body})
	if err != nil {
		c.rt.Fatalf("%s: %v", body.EventType(), err)
	}
	c.s = next
	for _, e := range effects {
		switch e := e.(type) {
		case StartTurn:
			one := c.v.nodes[e.Node].one
			c.ends[e.Turn] = c.now.Add((one.time + one.waiting) / time.Duration(rapid.SampledFrom([]int{1, 1, 1, 2, 9}).Draw(c.rt, "part")))
			if e.Kind != KindGate {
				c.begin(e)
			}
		case StopTurn:
			c.ends[e.Turn] = c.now
		default:
		}
	}
}

func (c *clock) begin(e StartTurn) {
	if slices.ContainsFunc(c.s.Turns, func(t Turn) bool { return t.ID == e.Turn && t.Attempt == e.Attempt }) {
		c.apply(TurnSending{Turn: e.Turn, Attempt: e.Attempt, ClientMessageID: "m"})
	}
}

// step lets the next thing happen; false when the task does not go on.
func (c *clock) step() bool {
	if c.s.Status.Terminal() || c.s.Status == TaskPaused {
		return false
	}
	first, at := -1, c.s.WakeAt
	for i, t := range c.s.Turns {
		if end, ok := c.ends[t.ID]; ok && (t.State != TurnPending || t.Kind == KindGate) && (at.IsZero() || end.Before(at)) {
			first, at = i, end
		}
	}
	if at.After(c.now) {
		c.now = at
	}
	if first < 0 {
		c.apply(TimerFired{})
		return true
	}
	turn := c.s.Turns[first]
	delete(c.ends, turn.ID)
	if turn.Kind == KindGate {
		c.apply(GateAnswered{Turn: turn.ID, Approved: rapid.Bool().Draw(c.rt, "approved")})
		return true
	}
	f := TurnFinished{
		Turn: turn.ID, Attempt: turn.Attempt, Reason: rapid.SampledFrom([]Reason{ReasonEndTurn, ReasonEndTurn, ReasonError, "new"}).Draw(c.rt, "reason"),
		Outcome: rapid.SampledFrom([]string{"", "yes", "no"}).Draw(c.rt, "outcome"), Output: "text",
		Data: slices.Repeat([]any{1.0}, rapid.IntRange(0, 3).Draw(c.rt, "elements")),
	}
	if turn.Kind == KindCheck {
		f.Reason = rapid.SampledFrom(c.team.Reasons(turn.Node)[:3]).Draw(c.rt, "check")
	}
	if turn.Stopping != "" {
		f.Reason = ReasonBudgetExceeded
	}
	c.apply(f)
	return true
}
