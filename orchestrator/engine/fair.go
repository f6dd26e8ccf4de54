package engine

import (
	"maps"
	"slices"
	"time"
)

const (
	// priorityStep is how much earlier something counts as having come for each
	// step of its priority: what waits longer than the difference goes first, so
	// that nothing waits for ever.
	priorityStep = 10 * time.Minute
	// mostPriority bounds priorities in either direction, and with it that wait.
	mostPriority = 1000
)

// origin is what decides about the place of a task in line.
type origin struct {
	team     string
	priority int
	created  time.Time
}

// aged is the time that something counts as having come at.
func aged(at time.Duration, priority int) time.Duration {
	return at - time.Duration(min(max(priority, -mostPriority), mostPriority))*priorityStep
}

// fair decides what is next: tasks to claim by when they were submitted, and what
// is ready by when it became so, each the earlier for its priority. Tasks whose
// work is ready take turns, so that one with a thousand branches does not keep the
// others waiting; a task and the tasks of its sub-teams count as one there.
type fair struct {
	limits map[string]TeamLimit
	teams  map[string]*team
	// claims are the tasks to claim, by priority.
	claims map[int]*line[*ticket]
	// queued counts them.
	queued int
	// lines are what is ready, by where it can run.
	lines   map[place]*line[*share]
	shares  map[shareKey]*share
	waiting map[place]int
	// members and tops have something to do: it waits in a line, or is in a slot.
	members map[string]*member
	tops    map[string]*top
	// begun counts tops by priority.
	begun map[int]int
	seq   uint64
}

func newFair() fair {
	return fair{
		teams: map[string]*team{}, claims: map[int]*line[*ticket]{},
		lines: map[place]*line[*share]{}, shares: map[shareKey]*share{}, waiting: map[place]int{},
		members: map[string]*member{}, tops: map[string]*top{}, begun: map[int]int{},
	}
}

// place is where a piece of work can run.
type place struct {
	agent bool // on an App Server
	// server is the one that it has to be; empty for any.
	server string
}

// team is what is known of a team that has something in line or in a slot.
type team struct {
	limit TeamLimit
	tasks int // members that are admitted
	turns int // in a slot
	// held are tasks that have something to do and wait for others of the team.
	held    sorted[*member]
	ready   map[place]*segment[*share]
	tickets map[int]*segment[*ticket]
	users   int // tickets in line and members
}

func (t *team) turnsOpen() bool { return t.limit.Turns <= 0 || t.turns < t.limit.Turns }
func (t *team) tasksOpen() bool { return t.limit.Tasks <= 0 || t.tasks < t.limit.Tasks }

// settle brings the team in line with its limits.
func (t *team) settle() {
	turns := t.turnsOpen()
	for _, s := range t.ready {
		s.settle(turns)
	}
	claims := turns && t.tasksOpen() && len(t.held.items) == 0
	for _, s := range t.tickets {
		s.settle(claims)
	}
}

// ticket is a task to claim, or one that cannot be claimed before it has its place.
type ticket struct {
	spot
	at    stamp
	task  string
	of    origin
	state ticketState
}

func (t *ticket) stamped() stamp { return t.at }

type ticketState int

const (
	ticketIdle   ticketState = iota // the task waits for something else
	ticketQueued                    // it is in line
	ticketTaken                     // it is being claimed
)

// member is a task that has something to do.
type member struct {
	spot
	at       stamp
	task     string
	team     string
	active   int
	admitted bool
	held     []*work // until it is admitted
}

func (m *member) stamped() stamp { return m.at }

// top is a task that a person submitted, with those that it has started.
type top struct{ active, priority int }

// share is what a task, with its sub-teams, has in the line of a team.
type share struct {
	spot
	key   shareKey
	at    stamp
	works fifo[*work]
}

func (s *share) stamped() stamp { return s.at }

type shareKey struct {
	at        place
	team, top string
}

// use returns a team that something new is of.
func (f *fair) use(name string) *team {
	t := f.teams[name]
	if t == nil {
		t = &team{limit: f.limits[name], ready: map[place]*segment[*share]{}, tickets: map[int]*segment[*ticket]{}}
		f.teams[name] = t
	}
	t.users++
	return t
}

// release forgets a team that nobody uses.
func (f *fair) release(name string) {
	t := f.teams[name]
	if t.users--; t.users == 0 {
		delete(f.teams, name)
	}
}

func (f *fair) stamp(at time.Duration, priority int) stamp {
	f.seq++
	return stamp{at: aged(at, priority), seq: f.seq}
}

// tasks is how many tasks have something that waits or is in a slot.
func (f *fair) tasks() int { return len(f.tops) }

// queue puts a task in line to be claimed.
func (f *fair) queue(t *ticket) {
	team := f.use(t.of.team)
	f.queued++
	t.state, t.at = ticketQueued, f.stamp(time.Duration(t.of.created.UnixNano()), t.of.priority)
	seg := team.tickets[t.of.priority]
	if seg == nil {
		l := f.claims[t.of.priority]
		if l == nil {
			l = &line[*ticket]{}
			f.claims[t.of.priority] = l
		}
		seg = &segment[*ticket]{line: l}
		team.tickets[t.of.priority] = seg
	}
	seg.add(t)
	team.settle()
}

// claim takes the next task to claim. It is one of a priority such that fewer
// than most tasks of at least that one have something to do. The task counts
// until end.
func (f *fair) claim(most int) *ticket {
	var best *ticket
	var from *segment[*ticket]
	priorities := slices.Sorted(maps.Keys(f.claims))
	begun := slices.Sorted(maps.Keys(f.begun))
	busy := 0
	for _, p := range slices.Backward(priorities) {
		for len(begun) > 0 && begun[len(begun)-1] >= p {
			busy += f.begun[begun[len(begun)-1]]
			begun = begun[:len(begun)-1]
		}
		if busy >= most {
			break
		}
		if t, seg, ok := f.claims[p].first(); ok && (best == nil || t.at.before(best.at)) {
			best, from = t, seg
		}
	}
	if best == nil {
		return nil
	}
	team := f.teams[best.of.team]
	from.remove(best)
	if len(from.items.items) == 0 {
		delete(team.tickets, best.of.priority)
	}
	if from.line.size == 0 {
		delete(f.claims, best.of.priority)
	}
	f.queued--
	best.state = ticketTaken
	f.force(best.task, best.of)
	f.release(best.of.team)
	return best
}
