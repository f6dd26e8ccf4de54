package workflow

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestAcceptedTeamsNeverStick plays teams that Parse accepts by the words of
// docs/team-file.md, with a player that shares nothing with the checks: whatever
// the nodes end with, and in whatever order, there is always a rule, no join
// waits for ever, the task ends, and nothing runs that the checks call unreachable.
func TestAcceptedTeamsNeverStick(t *testing.T) {
	t.Parallel()
	accepted, parallel := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var team *Team
		var src string
		for range 10 { // most are refused
			src = randomTeam(t)
			if parsed, err := Parse("t.yaml", []byte(src), ParseOptions{}); err == nil {
				team = parsed
				break
			}
		}
		if team == nil {
			return
		}
		accepted++
		x := explore(team)
		for range 20 {
			p := player{t: t, team: team, branches: map[int]*playedBranch{0: {fired: map[int]int{}}}, visited: map[string]bool{}}
			if why := p.play(); why != "" {
				t.Fatalf("%s\n%s\n%s", why, strings.Join(p.log, "\n"), src)
			}
			if p.last > 0 {
				parallel++
			}
			for node := range p.visited {
				if !x.reached(node) {
					t.Fatalf("%s ran\n%s", node, src)
				}
			}
		}
	})
	t.Logf("%d accepted, %d with branches", accepted, parallel)
	if accepted < 5 || parallel < 1 {
		t.Errorf("%d teams were accepted, and %d tasks had branches: the test says nothing", accepted, parallel)
	}
}

// TestAcceptedTeamsNeverStickInDecide is TestAcceptedTeamsNeverStick played by Decide.
func TestAcceptedTeamsNeverStickInDecide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		src := randomTeam(t)
		team, err := Parse("t.yaml", []byte(src), ParseOptions{})
		if err != nil {
			return
		}
		var s State
		var last []Effect
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		do := func(body EventBody) {
			at = at.Add(time.Second)
			if s, last, err = Decide(team, s, Event{At: at, Body: body}); err != nil {
				t.Fatalf("%+v: %v\n%s", body, err, src)
			}
		}
		do(TaskSubmitted{Task: "T", Team: team.Name, Revision: team.Revision, Workspace: "/w"})
		do(TaskClaimed{})
		for steps := 0; !s.Status.Terminal(); steps++ {
			if steps > 5_000 || len(s.Turns) == 0 {
				t.Fatalf("after %d steps the task is %s, with %d turns\n%s", steps, s.Status, len(s.Turns), src)
			}
			turn := s.Turns[rapid.IntRange(0, len(s.Turns)-1).Draw(t, "turn")]
			do(TurnSending{Turn: turn.ID, Attempt: turn.Attempt})
			do(TurnFinished{Turn: turn.ID, Attempt: turn.Attempt, Reason: rapid.SampledFrom(team.Reasons(turn.Node)).Draw(t, "reason")})
		}
		explanation := s.Result.Explanation
		if strings.Contains(explanation, "no rule says") || strings.Contains(explanation, "can never be complete") && strings.HasSuffix(explanation, " 0 ended before") {
			for _, effect := range last {
				if h, ok := effect.(Handoff); ok && slices.ContainsFunc(h.Skipped, func(r SkippedRule) bool { return strings.HasPrefix(r.Why, "used up") }) {
					return // of that there is a warning
				}
			}
			t.Fatalf("%s\n%s", explanation, src)
		}
	})
}

// randomTeam writes a small team of checks, most often one that begins with branches.
func randomTeam(t *rapid.T) string {
	nodes := []string{"a", "b", "c", "d"}
	reasons := []string{`"*"`, `"*"`, `"*"`, "passed", "failed", "[failed, timeout]", "[passed, failed]"}
	one := func(label string, from ...string) string { return rapid.SampledFrom(from).Draw(t, label) }
	some := func(label string, least int) string {
		return "[" + strings.Join(rapid.SliceOfNDistinct(rapid.SampledFrom(nodes[1:]), least, 3, rapid.ID[string]).Draw(t, label), ", ") + "]"
	}
	var rules []string
	if rapid.IntRange(0, 9).Draw(t, "begin") > 0 {
		rules = append(rules, fmt.Sprintf("{from: a, on: %s, to: %s}", one("on", reasons...), some("to", 1)))
	}
	for range rapid.IntRange(1, 5).Draw(t, "rules") {
		r := fmt.Sprintf("{from: %s, on: %s", one("from", "b", "c", "d", some("from", 1), "[b, c, d]", "[b, c, d]", `"*"`), one("on", reasons...))
		to := one("to", "b", "c", "d", "a", TerminalSucceeded, TerminalSucceeded, TerminalFailed)
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			r += ", to: " + some("to", 2)
		case 1:
			r += ", for_each: '[1, 2, 3]', to: " + one("to", "b", "c", "d")
		case 2, 3, 4, 5, 6:
			r += ", join: " + one("join", "all", "all", "all", "any", "2") + ", to: " + to
		default:
			r += ", to: " + to
		}
		if rapid.IntRange(0, 4).Draw(t, "when") == 0 {
			r += ", when: visits > 1"
		}
		if to == "a" || rapid.IntRange(0, 3).Draw(t, "max") == 0 {
			r += ", max: 1"
		}
		rules = append(rules, r+"}")
	}
	if rapid.IntRange(0, 3).Draw(t, "last rule") > 0 {
		rules = append(rules, `{from: "*", on: "*", to: failed}`)
	}
	src := "version: 1\nname: t\nchecks:\n"
	for _, node := range nodes {
		if node == "a" || slices.ContainsFunc(rules, func(r string) bool { return strings.Contains(r[strings.Index(r, "to: "):], node) }) {
			src += "  " + node + ": {run: x}\n"
		} else {
			for i, r := range rules { // nothing leads there
				rules[i] = strings.NewReplacer(", "+node+"]", "]", "["+node+", ", "[", "from: "+node+",", "from: a,", "["+node+"]", "[a]").Replace(r)
			}
		}
	}
	return src + "start: a\nhandoffs:\n  - " + strings.Join(rules, "\n  - ") + "\n"
}

type playedBranch struct {
	parent int
	group  *playedGroup
	fired  map[int]int
}

type playedGroup struct {
	parent, alive, size int
	items               bool
	arrived             []playedArrival
}

type playedArrival struct {
	join         *Rule
	node, reason string
}

type playedLine struct {
	node   string
	branch int
}

// player plays one task.
type player struct {
	t        *rapid.T
	team     *Team
	lines    []playedLine
	branches map[int]*playedBranch
	last     int
	visited  map[string]bool
	log      []string
	ended    bool
}

// play returns what went wrong.
func (p *player) play() string {
	p.lines = []playedLine{{node: p.team.Start}}
	for steps := 0; len(p.lines) > 0 && !p.ended; steps++ {
		if steps > 5_000 {
			return "the task does not end"
		}
		i := rapid.IntRange(0, len(p.lines)-1).Draw(p.t, "line")
		line := p.lines[i]
		p.lines = slices.Delete(p.lines, i, i+1)
		p.visited[line.node] = true
		reason := rapid.SampledFrom(p.team.Reasons(line.node)).Draw(p.t, "reason")
		p.log = append(p.log, fmt.Sprintf("%s in %d: %s", line.node, line.branch, reason))
		if why := p.route(line, reason); why != "" {
			return why
		}
	}
	return ""
}

func (p *player) route(line playedLine, reason Reason) string {
	usedUp := false
	for _, r := range p.team.Handoffs {
		if !r.covers(line.node) || !r.selects(reason) {
			continue
		}
		counted := line.branch
		if r.Join != nil {
			counted = p.branches[line.branch].parent
		}
		if r.Max > 0 && p.branches[counted].fired[r.Number] >= r.Max {
			usedUp = true
			continue
		}
		if r.Join != nil {
			arrival := playedArrival{join: r, node: line.node, reason: string(reason)}
			if line.branch == 0 {
				return p.joined([]playedArrival{arrival}, 0)
			}
			g := p.branches[line.branch].group
			g.arrived = append(g.arrived, arrival)
			g.alive--
			return p.complete(g, r)
		}
		if p.holds(r) {
			return p.fire(r, line.branch)
		}
	}
	if usedUp {
		p.ended = true // of that there is a warning
		return ""
	}
	return "no rule"
}

// holds decides conditions and lists at random.
func (p *player) holds(r *Rule) bool {
	return (r.When == nil || rapid.Bool().Draw(p.t, "when")) && (r.ForEach == nil || rapid.Bool().Draw(p.t, "list"))
}

func (p *player) fire(r *Rule, in int) string {
	p.log = append(p.log, fmt.Sprintf("  %s (in %d)", r, in))
	p.branches[in].fired[r.Number]++
	if len(r.To) == 1 && isTerminal(r.To[0]) {
		if r.To[0] != TerminalSucceeded {
			p.ended = true
			return ""
		}
		return p.end(in)
	}
	if len(r.To) == 1 && r.ForEach == nil {
		p.lines = append(p.lines, playedLine{r.To[0], in})
		return ""
	}
	to := r.To
	if r.ForEach != nil {
		to = slices.Repeat(r.To, rapid.IntRange(1, 3).Draw(p.t, "items"))
	}
	g := &playedGroup{parent: in, alive: len(to), size: len(to), items: r.ForEach != nil}
	for _, node := range to {
		p.last++
		p.branches[p.last] = &playedBranch{parent: in, group: g, fired: map[int]int{}}
		p.lines = append(p.lines, playedLine{node, p.last})
	}
	return ""
}

// end ends a branch with succeeded.
func (p *player) end(branch int) string {
	if branch == 0 {
		p.ended = true
		return ""
	}
	g := p.branches[branch].group
	g.alive--
	return p.complete(g, nil)
}

// complete looks whether a join of the group is complete after something
// arrived at r, or a branch ended.
func (p *player) complete(g *playedGroup, r *Rule) string {
	if r != nil {
		var there []playedArrival
		for _, a := range g.arrived {
			if sameJoin(a.join, r) {
				there = append(there, a)
			}
		}
		if r.Join.Mode == JoinAny || r.Join.Mode == JoinCount && len(there) == r.Join.Count {
			return p.joined(there, g.parent, g)
		}
	}
	switch {
	case g.alive > 0:
		return ""
	case len(g.arrived) == 0:
		return p.end(g.parent)
	}
	for _, a := range g.arrived {
		if a.join.Join.Mode != JoinAll || !sameJoin(a.join, g.arrived[0].join) {
			if g.items && slices.ContainsFunc(g.arrived, func(a playedArrival) bool { return a.join.Join.Mode == JoinCount }) || g.size > len(g.arrived) {
				p.ended = true // a list that is too short, or a branch that succeeded: said by a warning, or the author's will
				return ""
			}
			return "stuck at joins"
		}
	}
	return p.joined(g.arrived, g.parent, g)
}

func sameJoin(a, b *Rule) bool {
	sort := func(s []string) []string { return slices.Sorted(slices.Values(s)) }
	return *a.Join == *b.Join && slices.Equal(sort(a.From), sort(b.From))
}

// joined goes on with what has arrived, in the parent; what is left of the group is cancelled.
func (p *player) joined(arrived []playedArrival, in int, groups ...*playedGroup) string {
	for _, g := range groups {
		p.lines = slices.DeleteFunc(p.lines, func(l playedLine) bool {
			for b := l.branch; b != 0; b = p.branches[b].parent {
				if p.branches[b].group == g {
					return true
				}
			}
			return false
		})
	}
	first := slices.IndexFunc(p.team.Handoffs, func(r *Rule) bool { return r.Join != nil && sameJoin(r, arrived[0].join) })
	usedUp := false
	for _, r := range p.team.Handoffs[first:] {
		if r.Join != nil && !sameJoin(r, arrived[0].join) || slices.ContainsFunc(arrived, func(a playedArrival) bool { return !r.covers(a.node) || !r.selects(Reason(a.reason)) }) {
			continue
		}
		if r.Max > 0 && p.branches[in].fired[r.Number] >= r.Max {
			usedUp = true
			continue
		}
		if p.holds(r) {
			return p.fire(r, in)
		}
	}
	if usedUp {
		p.ended = true
		return ""
	}
	return fmt.Sprintf("no rule for what arrived: %v", arrived)
}
