package workflow

import (
	"encoding/binary"
	"slices"
	"time"
)

// play goes through everything that a task can do: every agent may end with
// every reason, and every condition may be true or false. What a task can do
// depends on little of its State, so there are few different situations.
type play struct {
	team *Team
	// work is how many more steps, times rules, may be looked at.
	work int
	// limited says that situation.left counts.
	limited bool
	lists   map[string][2][][]*Rule
	known   map[string]cost
	// steps are the rules that led to the current situation, nil for a
	// reminder; path says at which step a situation on the way was met.
	steps []*Rule
	path  map[string]int
	loop  []int
}

// situation is an attempt that begins.
type situation struct {
	agent    string
	reminder bool
	// left counts the attempts that limits.turns still allows, this one included.
	left int
	// fired and retries count by rule index: the firings of rules with max, and
	// the retries of this turn.
	fired, retries []int
}

func newPlay(t *Team, work, limit int) *play {
	p := &play{team: t, work: work, limited: limit > 0, lists: map[string][2][][]*Rule{}, known: map[string]cost{}, path: map[string]int{}}
	for _, agent := range t.AgentNames {
		p.lists[agent] = [2][][]*Rule{t.ruleLists(agent, false), t.ruleLists(agent, true)}
	}
	return p
}

// run returns the worst case; false when there is none (then loop is set) or
// when it would take too long to find.
func (p *play) run() (cost, bool) {
	rules := len(p.team.Handoffs)
	s := situation{agent: p.team.Start, fired: make([]int, rules), retries: make([]int, rules)}
	if p.limited {
		s.left = p.team.Limits.Turns
	}
	return p.worst(s)
}

func (s situation) key() string {
	key := []byte(s.agent)
	key = append(key, 0)
	if s.reminder {
		key[len(key)-1] = 1
	}
	key = binary.AppendUvarint(key, uint64(s.left))
	for i := range s.fired {
		key = binary.AppendUvarint(key, uint64(s.fired[i]))
		key = binary.AppendUvarint(key, uint64(s.retries[i]))
	}
	return string(key)
}

// worst is the worst case from a situation on.
func (p *play) worst(s situation) (cost, bool) {
	if p.work -= len(p.team.Handoffs) + 1; p.work < 0 {
		return cost{}, false
	}
	key := s.key()
	if c, ok := p.known[key]; ok {
		return c, true
	}
	if at, ok := p.path[key]; ok {
		p.blame(p.steps[at:])
		return cost{}, false
	}
	if len(p.known)+len(p.path) == maxSituations {
		return cost{}, false
	}
	p.path[key] = len(p.steps)
	var rest cost
	follow := func(r *Rule, next situation, wait time.Duration) bool {
		p.steps = append(p.steps, r)
		c, ok := p.worst(next)
		p.steps = p.steps[:len(p.steps)-1]
		rest = rest.atLeast(c.plus(cost{time: wait}))
		return ok
	}
	if !p.limited || s.left > 1 {
		if !p.next(s, follow) {
			return cost{}, false
		}
	}
	delete(p.path, key)
	c := rest.plus(cost{turns: 1, time: p.team.Agents[s.agent].turnTime()})
	p.known[key] = c
	return c, true
}

// next calls follow for every attempt that can come next, with the rule that
// asks for it, and stops when follow does.
func (p *play) next(s situation, follow func(*Rule, situation, time.Duration) bool) bool {
	fresh := situation{agent: s.agent, left: max(s.left-1, 0), fired: s.fired, retries: make([]int, len(s.retries))}
	lists := p.lists[s.agent][0]
	if s.reminder {
		lists = p.lists[s.agent][1]
	} else if len(p.team.Agents[s.agent].Outcomes) > 0 {
		reminder := fresh
		reminder.reminder = true
		if !follow(nil, reminder, 0) {
			return false
		}
	}
	for _, list := range lists {
		for _, r := range list {
			i := r.Number - 1
			if r.Max > 0 && s.fired[i] >= r.Max || r.Retry != nil && s.retries[i] >= r.Retry.Max {
				continue
			}
			next, wait := fresh, time.Duration(0)
			if r.Max > 0 {
				next.fired = plusOne(s.fired, i)
			}
			switch {
			case r.Retry != nil:
				next.reminder, next.retries, wait = s.reminder, plusOne(s.retries, i), r.Retry.longest(s.retries[i])
			case !r.terminal():
				next.agent = r.To
			}
			if !r.terminal() && !follow(r, next, wait) {
				return false
			}
			if r.When == nil {
				break
			}
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
