package engine

import "strings"

// turns are the pieces of work that are ready. Tasks take turns, so that one
// with a thousand branches does not keep the others waiting; a task and the
// tasks of its sub-teams count as one.
type turns struct {
	// waiting holds the work of every task that has some, and order whose is next.
	waiting map[string]*fifo[*work]
	order   fifo[string]
	// active counts what is waiting or in a slot, by task.
	active map[string]int
}

func newTurns() turns {
	return turns{waiting: map[string]*fifo[*work]{}, active: map[string]int{}}
}

// tasks is how many tasks have something that waits or is in a slot.
func (t *turns) tasks() int { return len(t.active) }

func (t *turns) push(w *work) {
	task := topTask(w.key.task)
	t.active[task]++
	if t.waiting[task] == nil {
		t.waiting[task] = &fifo[*work]{}
		t.order.push(task)
	}
	t.waiting[task].push(w)
}

// pop takes the next piece of work of the task whose turn it is. It counts
// until end.
func (t *turns) pop() (*work, bool) {
	task, ok := t.order.pop()
	if !ok {
		return nil, false
	}
	w, _ := t.waiting[task].pop()
	if t.waiting[task].empty() {
		delete(t.waiting, task)
	} else {
		t.order.push(task)
	}
	return w, true
}

// begin counts something that never waited here.
func (t *turns) begin(task string) { t.active[topTask(task)]++ }

// end is called when a slot is given back.
func (t *turns) end(task string) {
	task = topTask(task)
	if t.active[task]--; t.active[task] == 0 {
		delete(t.active, task)
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
