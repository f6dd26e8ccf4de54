package workflow

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// visits says what the nodes of a team take and what can follow them. It is
// what play and estimate have in common.
type visits struct {
	team  *Team
	joins []*joinPoint
	nodes map[string]*visit
	// work is how much may be played through.
	work int
	// tail is what can follow a deadline; see afterLimit.
	tail time.Duration
}

// visit is a node.
type visit struct {
	kind NodeKind
	// one is a single attempt. Of a sub-team that nothing bounds only least is set.
	one cost
	// child is the worst case of a sub-team.
	child WorstCase
	// first and reminder list what can follow an attempt; a reminder alone can
	// end with no_outcome.
	first, reminder []choice
	// budget is for budget_exceeded, with all rules about it.
	budget choice
}

// choice is what can follow when a node ends with a reason: the rules about it
// up to the first that fires whenever it is asked, in order.
type choice struct {
	rules []*Rule
	// ends says, for each rule with a join, what arrives there.
	ends []ending
}

// ending is how a branch ends other than with its task: it arrives at a join,
// or reaches succeeded.
type ending struct {
	// join is the index of the join, or -1 for succeeded.
	join int
	// about is that of the combination, of what arrives.
	about string
}

func succeeded() ending { return ending{join: -1} }

func newVisits(t *Team, work int) *visits {
	v := &visits{team: t, joins: t.joinPoints(), nodes: map[string]*visit{}, work: work / (len(t.Teams) + 1)}
	for _, name := range t.NodeNames {
		kind, _ := t.Kind(name)
		n := &visit{kind: kind}
		switch kind {
		case KindCheck:
			n.one.time = cmp.Or(t.Checks[name].Timeout, DefaultCheckTimeout)
		case KindGate:
			n.one.waiting = cmp.Or(t.Gates[name].Expires, DefaultGateExpires)
		case KindTeam:
			n.child = t.Teams[name].worstCase(v.work)
			n.one = cost{turns: n.child.Turns, least: t.Teams[name].least(), time: n.child.Time, waiting: n.child.Waiting}
		default:
			n.one = cost{turns: 1, least: 1, time: t.Agents[name].turnTime()}
		}
		n.first, n.reminder = v.choices(name, false), v.choices(name, true)
		n.budget = v.choice(name, ReasonBudgetExceeded, false, func(*Rule) bool { return true })
		v.nodes[name] = n
	}
	v.tail = v.afterLimit().time
	return v
}

// turnTime is the most that one attempt of the agent takes.
func (a *Agent) turnTime() time.Duration { return cmp.Or(a.TurnTimeout, DefaultTurnTimeout) }

// worstCase is that of the other team with the limits of the node.
func (s *SubTeam) worstCase(work int) WorstCase {
	if s.Team == nil {
		return WorstCase{}
	}
	limited := *s.Team
	limited.Limits = limited.Limits.combine(s.Limits)
	return limited.worstCase(work)
}

// least is how many turns a sub-team takes at least.
func (s *SubTeam) least() int {
	if s.Team == nil {
		return 0
	}
	switch kind, _ := s.Team.Kind(s.Team.Start); kind {
	case KindAgent:
		return 1
	case KindTeam:
		return s.Team.Teams[s.Team.Start].least()
	default:
		return 0
	}
}

// takesTurn reports whether a node needs a turn that a limit can refuse.
func (v *visits) takesTurn(node string) bool {
	n := v.nodes[node]
	return n != nil && (n.kind == KindAgent || n.kind == KindTeam)
}

// asksForTurn reports whether what a rule says needs a turn, when it fires
// after the node.
func (v *visits) asksForTurn(r *Rule, node string) bool {
	return r.Retry != nil && v.takesTurn(node) || slices.ContainsFunc(r.To, v.takesTurn)
}

// choices lists, for everything that a node can end with in time, what can
// follow. What comes to the same is listed once.
func (v *visits) choices(node string, reminder bool) []choice {
	reasons := v.team.Reasons(node)
	agent := v.team.Agents[node]
	if agent != nil {
		reasons = append(reasons, "") // stands for a stop reason that this program does not know
	}
	var out []choice
	add := func(c choice) {
		if !slices.ContainsFunc(out, func(have choice) bool { return slices.Equal(have.rules, c.rules) && slices.Equal(have.ends, c.ends) }) {
			out = append(out, c)
		}
	}
	for _, reason := range reasons {
		if reason == ReasonBudgetExceeded || reason == ReasonNoOutcome && !reminder {
			continue
		}
		if reason == ReasonUncertain {
			for _, c := range v.uncertain(node) {
				add(c)
			}
			continue
		}
		add(v.choice(node, reason, true, func(*Rule) bool { return true }))
		if agent == nil || !slices.Contains(agent.ControllerTools, ToolHandoff) || reason != ReasonEndTurn && !slices.Contains(agent.Outcomes, string(reason)) {
			continue
		}
		for _, pick := range slices.Concat(v.team.NodeNames, terminals()) {
			if c := v.choice(node, reason, true, func(r *Rule) bool { return r.Retry != nil || slices.Contains(r.To, pick) }); len(c.rules) > 0 {
				add(c)
			}
		}
	}
	return out
}

// uncertain lists what can follow where it cannot be known whether a turn ran:
// the rules that name it go before all others, which try nothing again.
func (v *visits) uncertain(node string) []choice {
	names := func(r *Rule) bool { return slices.Contains(r.On, ReasonUncertain) }
	var out []choice
	if c := v.choice(node, ReasonUncertain, true, names); len(c.rules) > 0 {
		out = append(out, c)
		if c.rules[len(c.rules)-1].sure() {
			return out
		}
	}
	return append(out, v.choice(node, ReasonUncertain, true, func(r *Rule) bool { return r.Retry == nil || names(r) }))
}

// choice lists the rules about a reason that are allowed; with untilSure up to
// the first that fires in any case.
func (v *visits) choice(node string, reason Reason, untilSure bool, allowed func(*Rule) bool) choice {
	var c choice
	for _, r := range v.team.Handoffs {
		if !r.covers(node) || !r.selects(reason) || !allowed(r) {
			continue
		}
		c.rules, c.ends = append(c.rules, r), append(c.ends, v.arrival(r, node, reason))
		if untilSure && r.sure() {
			break
		}
	}
	return c
}

// sure reports whether a rule whose from and on match is the last one that is
// tried: it fires in any case. One that ends the task cannot be used up.
func (r *Rule) sure() bool { return r.always() || r.terminal() && r.unconditional() }

// arrival says what arrives at the join of a rule; the zero ending for a rule without.
func (v *visits) arrival(r *Rule, node string, reason Reason) ending {
	if r.Join == nil {
		return ending{}
	}
	at := slices.IndexFunc(v.joins, func(j *joinPoint) bool { return j.has(r) })
	return ending{join: at, about: combination{}.with(v.joins[at], arrival{node: node, reason: reason}).about}
}

// gates lists the gates among nodes, and those of sub-teams.
func (v *visits) gates(nodes []string) []string {
	var out []string
	for _, name := range v.team.NodeNames {
		if !slices.Contains(nodes, name) {
			continue
		}
		switch n := v.nodes[name]; n.kind {
		case KindGate:
			out = append(out, name)
		case KindTeam:
			for _, gate := range n.child.Gates {
				out = append(out, name+"/"+gate)
			}
		default:
		}
	}
	return out
}

// unboundedTime is the time of what nothing bounds.
const unboundedTime = time.Duration(math.MaxInt64)
