package engine

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// limit changes the limits of the teams.
func (f *fair) limit(teams map[string]TeamLimit) {
	f.limits = teams
	for name, t := range f.teams {
		t.limit = teams[name]
		f.admit(t)
	}
}

// begin counts something that a task has to do. now is when that became so.
func (f *fair) begin(task string, of origin, now time.Duration) *member {
	m := f.members[task]
	if m == nil {
		m = &member{task: task, team: of.team}
		f.members[task] = m
		t := f.use(of.team)
		if m.admitted = t.tasksOpen() && len(t.held.items) == 0; m.admitted {
			t.tasks++
		} else {
			m.at = f.stamp(now, of.priority)
			t.held.add(m)
		}
		t.settle()
	}
	m.active++
	name := topTask(task)
	of.priority = min(max(of.priority, -mostPriority), mostPriority)
	if f.tops[name] == nil {
		f.tops[name] = &top{priority: of.priority}
		f.begun[of.priority]++
	}
	f.tops[name].active++
	return m
}

// force is begin for what is in a slot already, whatever the limit of tasks.
func (f *fair) force(task string, of origin) {
	m := f.begin(task, of, 0)
	if m.admitted {
		return
	}
	t := f.teams[m.team]
	t.held.remove(m)
	f.let(t, m)
	t.settle()
}

// end is called when something that was begun is done, or has to wait elsewhere.
func (f *fair) end(task string) {
	name := topTask(task)
	above := f.tops[name]
	if above.active--; above.active == 0 {
		delete(f.tops, name)
		if f.begun[above.priority]--; f.begun[above.priority] == 0 {
			delete(f.begun, above.priority)
		}
	}
	m := f.members[task]
	if m.active--; m.active > 0 {
		return
	}
	delete(f.members, task)
	t := f.teams[m.team]
	if m.admitted {
		t.tasks--
	} else {
		t.held.remove(m)
	}
	f.admit(t)
	f.release(m.team)
}

// admit lets the tasks of a team in line that have waited for others of it.
func (f *fair) admit(t *team) {
	for len(t.held.items) > 0 && t.tasksOpen() {
		m := t.held.items[0]
		t.held.remove(m)
		f.let(t, m)
	}
	t.settle()
}

func (f *fair) let(t *team, m *member) {
	m.admitted = true
	t.tasks++
	held := m.held
	m.held = nil
	for _, w := range held {
		f.line(w)
	}
}

// push adds a piece of work that is ready. It counts until end.
func (f *fair) push(w *work, now time.Duration) {
	w.since, w.waits = now, true
	f.waiting[w.place]++
	if m := f.begin(w.key.task, w.of, now); !m.admitted {
		m.held = append(m.held, w)
		return
	}
	f.line(w)
}

// line puts a piece of work in its line.
func (f *fair) line(w *work) {
	key := w.shareKey()
	s := f.shares[key]
	if s != nil {
		s.works.push(w)
		return
	}
	s = &share{key: key, at: f.stamp(w.since, w.of.priority)}
	s.works.push(w)
	f.shares[key] = s
	t := f.teams[key.team]
	seg := t.ready[key.at]
	if seg == nil {
		l := f.lines[key.at]
		if l == nil {
			l = &line[*share]{}
			f.lines[key.at] = l
		}
		seg = &segment[*share]{line: l}
		t.ready[key.at] = seg
	}
	seg.add(s)
	t.settle()
}

// pop takes the next piece of work. take is asked for room on its App Server,
// and says which that is; a line for which there is none is passed over.
func (f *fair) pop(now time.Duration, take func(w *work) (server string, ok bool)) *work {
	var heads []*share
	for _, l := range f.lines {
		if s, _, ok := l.first(); ok {
			heads = append(heads, s)
		}
	}
	slices.SortFunc(heads, func(a, b *share) int {
		return cmp.Or(cmp.Compare(a.at.at, b.at.at), cmp.Compare(a.at.seq, b.at.seq))
	})
	for _, s := range heads {
		w := s.works.items[s.works.head]
		room := ""
		if w.place.agent {
			var ok bool
			if room, ok = take(w); !ok {
				continue
			}
		}
		f.takeOut(s, func() { s.works.pop() })
		w.room, w.waits = room, false
		f.waited(w)
		if !s.works.empty() { // the task's next turn comes after those of the others
			s.at = f.stamp(now, w.of.priority)
			seg := f.teams[s.key.team].ready[s.key.at]
			seg.moved(s)
		}
		t := f.teams[s.key.team]
		if w.counts() {
			t.turns++
		}
		t.settle()
		return w
	}
	return nil
}

// takeOut changes the works of a share, and takes it away when none are left.
func (f *fair) takeOut(s *share, change func()) {
	change()
	if !s.works.empty() {
		return
	}
	t := f.teams[s.key.team]
	seg := t.ready[s.key.at]
	seg.remove(s)
	delete(f.shares, s.key)
	if len(seg.items.items) == 0 {
		delete(t.ready, s.key.at)
	}
	if seg.line.size == 0 {
		delete(f.lines, s.key.at)
	}
	t.settle()
}

func (f *fair) waited(w *work) {
	if f.waiting[w.place]--; f.waiting[w.place] == 0 {
		delete(f.waiting, w.place)
	}
}

// drop takes a piece of work out that waits in line.
func (f *fair) drop(w *work) {
	w.waits = false
	f.waited(w)
	if m := f.members[w.key.task]; !m.admitted {
		m.held = slices.DeleteFunc(m.held, func(other *work) bool { return other == w })
	} else {
		s := f.shares[w.shareKey()]
		f.takeOut(s, func() { s.works.remove(func(other *work) bool { return other == w }) })
	}
	f.end(w.key.task)
}

// returned is called when a piece of work does not run any more.
func (f *fair) returned(w *work) {
	if w.counts() {
		t := f.teams[w.of.team]
		t.turns--
		t.settle()
	}
	f.end(w.key.task)
}

// back is called when a piece of work runs on that did not need a slot for a while.
func (f *fair) back(w *work) {
	f.force(w.key.task, w.of)
	if w.counts() {
		t := f.teams[w.of.team]
		t.turns++
		t.settle()
	}
}

// topTask is the task that a person submitted; see Engine.Children for the names of others.
func topTask(task string) string {
	top, _, _ := strings.Cut(task, ".")
	return top
}

// fifo is a queue whose memory is given back as it empties.
type fifo[T any] struct {
	items []T
	head  int
}

func (f *fifo[T]) push(item T) { f.items = append(f.items, item) }

func (f *fifo[T]) empty() bool { return f.head == len(f.items) }

func (f *fifo[T]) pop() (item T, ok bool) {
	if f.empty() {
		return item, false
	}
	var zero T
	item, f.items[f.head] = f.items[f.head], zero
	f.head++
	if f.head > len(f.items)/2 {
		f.items, f.head = append([]T(nil), f.items[f.head:]...), 0
	}
	return item, true
}

func (f *fifo[T]) remove(is func(T) bool) {
	f.items, f.head = slices.DeleteFunc(slices.Clone(f.items[f.head:]), is), 0
}
