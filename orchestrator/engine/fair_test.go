package engine

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func anywhere(*work) (string, bool) { return "", true }

// queued puts a task in line that was submitted at a time.
func queued(f *fair, task, team string, priority int, created time.Duration) {
	f.queue(&ticket{task: task, of: origin{team: team, priority: priority, created: time.Unix(0, 0).Add(created)}})
}

// claims are the tasks in the order in which they would be claimed, each done at once.
func claims(f *fair) string {
	var order []string
	for t := f.claim(1); t != nil; t = f.claim(1) {
		order = append(order, t.task)
		f.end(t.task)
	}
	return strings.Join(order, " ")
}

// A priority is worth a time of waiting, so that nothing waits for ever.
func TestPrioritiesAge(t *testing.T) {
	f := newFair()
	queued(&f, "low", "t", -1, 0)
	queued(&f, "old", "t", 0, 5*time.Minute)
	queued(&f, "soon", "t", 2, 24*time.Minute)
	queued(&f, "high", "t", 2, 26*time.Minute)
	queued(&f, "mid", "u", 1, 13*time.Minute)
	if got, want := claims(&f), "mid soon old high low"; got != want {
		t.Errorf("claimed %s; want %s", got, want)
	}
	// However high the priorities of what comes are, its time comes.
	f = newFair()
	queued(&f, "patient", "t", -mostPriority, 0)
	queued(&f, "later", "t", 1_000_000, 2*mostPriority*priorityStep+time.Second)
	if got := claims(&f); got != "patient later" {
		t.Errorf("claimed %s", got)
	}
}

// While as many tasks as there are slots have something to do, only more urgent ones are claimed.
func TestUrgentTasksAreClaimedBeforeOthersEnd(t *testing.T) {
	f := newFair()
	for i := range 3 {
		queued(&f, fmt.Sprintf("n%d", i), "t", 0, time.Duration(i))
	}
	for i := range 2 {
		if task := f.claim(2); task == nil || task.task != fmt.Sprintf("n%d", i) {
			t.Fatalf("claimed %+v", task)
		}
	}
	if task := f.claim(2); task != nil {
		t.Fatalf("claimed %s beside two others", task.task)
	}
	queued(&f, "urgent", "t", 1, time.Hour)
	if task := f.claim(2); task == nil || task.task != "urgent" {
		t.Fatalf("claimed %+v", task)
	}
	if task := f.claim(2); task != nil {
		t.Fatalf("claimed %s beside three others", task.task)
	}
}

// ready pushes a turn of a task.
func ready(f *fair, task, team string, turn int, at place, now time.Duration) *work {
	w := &work{key: turnKey{task: task, turn: turn}, of: origin{team: team}, place: at}
	f.push(w, now)
	return w
}

// A task with many branches, and all the tasks of its sub-teams, take turns with others.
func TestTasksTakeTurns(t *testing.T) {
	f := newFair()
	for i := range 50 {
		ready(&f, fmt.Sprintf("wide.%d", i), "child", 1, place{}, 0)
	}
	for i := range 50 {
		ready(&f, "wide", "t", i, place{}, 0)
	}
	ready(&f, "narrow", "t", 1, place{}, time.Second)
	ready(&f, "narrow", "t", 2, place{}, time.Second)
	seen := map[string]int{}
	for i := range 8 {
		w := f.pop(time.Duration(2+i)*time.Second, anywhere)
		seen[topTask(w.key.task)]++
	}
	if seen["narrow"] != 2 {
		t.Errorf("of the first eight %v", seen)
	}
}

// What waits for one App Server keeps nobody else waiting.
func TestServersWithoutRoomArePassedOver(t *testing.T) {
	f := newFair()
	for i := range 3 {
		ready(&f, fmt.Sprintf("dead%d", i), "t", 1, place{agent: true, server: "dead"}, 0)
	}
	ready(&f, "new", "t", 1, place{agent: true}, time.Second)
	ready(&f, "check", "t", 1, place{}, 2*time.Second)
	take := func(w *work) (string, bool) {
		if w.place.server == "dead" {
			return "", false
		}
		return "alive", true
	}
	var got []string
	for w := f.pop(3*time.Second, take); w != nil; w = f.pop(3*time.Second, take) {
		got = append(got, w.key.task+"@"+w.room)
	}
	if want := []string{"new@alive", "check@"}; !slices.Equal(got, want) {
		t.Errorf("started %v; want %v", got, want)
	}
	if n := f.waiting[place{agent: true, server: "dead"}]; n != 3 {
		t.Errorf("%d wait for the dead one", n)
	}
}

// Whatever happens: no team passes its limits, nothing is lost or taken twice, and
// when all is done nothing is left in memory.
func TestFairAlways(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := fairModel{fair: newFair(), room: map[string]int{"s1": 2, "s2": 1}, waiting: map[*work]bool{}, tickets: map[string]*ticket{}}
		m.limit(t)
		actions := map[string]func(*rapid.T){
			"":       m.check,
			"queue":  m.queue,
			"claim":  m.claim,
			"push":   m.push,
			"pop":    m.pop,
			"return": m.giveBack,
			"drop":   m.drop,
			"lend":   m.lend,
			"limit":  m.limit,
		}
		for range 4 {
			t.Repeat(actions)
		}
		// All of it comes to its end.
		for len(m.waiting)+len(m.running)+len(m.claimed)+len(m.lent)+len(m.tickets) > 0 {
			before := len(m.waiting) + len(m.tickets)
			for len(m.running) > 0 {
				m.giveBack(t)
			}
			for _, w := range m.lent {
				m.fair.back(w)
				m.take(w.room, -1)
				m.running = append(m.running, w)
			}
			m.lent = nil
			for _, task := range m.claimed {
				m.fair.end(task)
			}
			m.claimed = nil
			m.pop(t)
			m.claim(t)
			if len(m.running)+len(m.claimed) == 0 && before > 0 {
				t.Fatalf("nothing of %d that wait can go on", before)
			}
		}
		f := &m.fair
		if n := len(f.teams) + len(f.claims) + f.queued + len(f.lines) + len(f.shares) + len(f.waiting) + len(f.members) + len(f.tops) + len(f.begun); n > 0 {
			t.Fatalf("something is left: %+v", f)
		}
	})
}

// fairModel drives a fair as an engine does.
type fairModel struct {
	fair    fair
	now     time.Duration
	next    int
	room    map[string]int // of the servers
	limits  map[string]TeamLimit
	tickets map[string]*ticket
	claimed []string
	waiting map[*work]bool
	running []*work
	lent    []*work
}

func (m *fairModel) origin(t *rapid.T) origin {
	return origin{team: rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "team"), priority: rapid.IntRange(-2, 2).Draw(t, "priority"), created: time.Unix(0, int64(m.now))}
}

func (m *fairModel) tick() { m.now += time.Second }

func (m *fairModel) limit(t *rapid.T) {
	m.limits = map[string]TeamLimit{
		"a": {Tasks: rapid.IntRange(0, 2).Draw(t, "tasks"), Turns: rapid.IntRange(0, 2).Draw(t, "turns")},
		"b": {Turns: rapid.IntRange(1, 3).Draw(t, "turns")},
	}
	m.fair.limit(m.limits)
}

func (m *fairModel) queue(t *rapid.T) {
	m.tick()
	m.next++
	tk := &ticket{task: fmt.Sprintf("q%d", m.next), of: m.origin(t)}
	m.tickets[tk.task] = tk
	m.fair.queue(tk)
}

func (m *fairModel) claim(t *rapid.T) {
	m.tick()
	counts := m.admitted()
	tk := m.fair.claim(rapid.SampledFrom([]int{1, 4, 1000}).Draw(t, "most"))
	if tk == nil {
		return
	}
	if m.tickets[tk.task] != tk {
		t.Fatalf("%s was claimed and is not in line", tk.task)
	}
	if l, before := m.limits[tk.of.team].Tasks, counts[tk.of.team]; l > 0 && before >= l {
		t.Fatalf("%s was claimed beside %d tasks of its team", tk.task, l)
	}
	delete(m.tickets, tk.task)
	m.claimed = append(m.claimed, tk.task)
}

// admitted counts the tasks of each team that have something to do and may.
func (m *fairModel) admitted() map[string]int {
	counts := map[string]int{}
	for name, team := range m.fair.teams {
		counts[name] = team.tasks
	}
	return counts
}

func (m *fairModel) push(t *rapid.T) {
	m.tick()
	w := &work{
		key:   turnKey{task: rapid.SampledFrom([]string{"t1", "t2", "t3", "t3.1", "t4.2.1"}).Draw(t, "task"), turn: m.next},
		place: rapid.SampledFrom([]place{{}, {agent: true}, {agent: true, server: "s1"}, {agent: true, server: "s2"}}).Draw(t, "place"),
		claim: rapid.Bool().Draw(t, "claim"),
	}
	// What a task is of does not change.
	w.of = origin{team: map[string]string{"t1": "a", "t2": "a", "t3": "b", "t3.1": "a", "t4.2.1": "c"}[w.key.task]}
	m.next++
	m.waiting[w] = true
	m.fair.push(w, m.now)
}

func (m *fairModel) take(server string, n int) {
	if server != "" {
		m.room[server] += n
	}
}

func (m *fairModel) pop(t *rapid.T) {
	m.tick()
	w := m.fair.pop(m.now, func(w *work) (string, bool) {
		for _, s := range []string{"s1", "s2"} {
			if (w.place.server == "" || w.place.server == s) && m.room[s] > 0 {
				m.room[s]--
				return s, true
			}
		}
		return "", false
	})
	if w == nil {
		return
	}
	if !m.waiting[w] {
		t.Fatalf("%v runs and was not in line", w.key)
	}
	if w.place.agent != (w.room != "") || w.place.server != "" && w.room != w.place.server {
		t.Fatalf("%v of %+v runs at %q", w.key, w.place, w.room)
	}
	delete(m.waiting, w)
	m.running = append(m.running, w)
	if l := m.limits[w.of.team].Turns; l > 0 && w.counts() {
		if n := m.turns(w.of.team); n > l {
			t.Fatalf("%d turns of team %s run; %d may", n, w.of.team, l)
		}
	}
}

func (m *fairModel) turns(team string) int {
	n := 0
	for _, w := range m.running {
		if w.of.team == team && w.counts() {
			n++
		}
	}
	return n
}

func (m *fairModel) giveBack(t *rapid.T) {
	if len(m.running) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.running)-1).Draw(t, "which")
	w := m.running[i]
	m.running = slices.Delete(m.running, i, i+1)
	m.take(w.room, 1)
	m.fair.returned(w)
}

// lend gives the slot of a turn away for a while, or takes it back, as a question does.
func (m *fairModel) lend(t *rapid.T) {
	if len(m.lent) > 0 && rapid.Bool().Draw(t, "back") {
		w := m.lent[0]
		m.lent = m.lent[1:]
		m.fair.back(w)
		m.take(w.room, -1)
		m.running = append(m.running, w)
		return
	}
	if len(m.running) == 0 {
		return
	}
	w := m.running[0]
	m.running = m.running[1:]
	m.take(w.room, 1)
	m.fair.returned(w)
	m.lent = append(m.lent, w)
}

func (m *fairModel) drop(t *rapid.T) {
	var all []*work
	for w := range m.waiting {
		all = append(all, w)
	}
	if len(all) == 0 {
		return
	}
	slices.SortFunc(all, func(a, b *work) int { return a.key.turn - b.key.turn })
	w := rapid.SampledFrom(all).Draw(t, "drop")
	delete(m.waiting, w)
	m.fair.drop(w)
}

// check compares what is counted with what there is.
func (m *fairModel) check(t *rapid.T) {
	total := 0
	for _, n := range m.fair.waiting {
		total += n
	}
	if total != len(m.waiting) || m.fair.queued != len(m.tickets) {
		t.Fatalf("%d turns and %d tasks are in line; counted are %d and %d", len(m.waiting), len(m.tickets), total, m.fair.queued)
	}
	for name, team := range m.fair.teams {
		if team.turns != m.turns(name) {
			t.Fatalf("team %s: %d turns run, %d are counted", name, m.turns(name), team.turns)
		}
	}
}
