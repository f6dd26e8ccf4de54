package store

import (
	"runtime"
	"slices"
	"sync"
)

// maxTogether bounds how many writes are committed in one transaction, so that
// none waits for too many others.
const maxTogether = 256

// writer is the goroutine that carries out the writes. It is one for all, and not
// whoever wants to write, so that the deep stack which SQLite needs grows once, and
// the next transaction does not wait for somebody to be woken.
type writer struct {
	wake chan struct{}
	stop chan struct{}
	done chan struct{}
}

func (s *Store) startWriter() {
	w := &writer{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	s.writer = w
	go func() {
		defer close(w.done)
		for {
			select {
			case <-w.wake:
				s.writeAll()
			case <-w.stop:
				s.writeAll() // whoever waits gets an answer
				return
			}
		}
	}()
}

// writeAll carries out the writes that wait, and those that come meanwhile. Before
// each transaction it lets those go on who have got their answer: what they write
// next goes into it, and not each into one of its own.
func (s *Store) writeAll() {
	for {
		runtime.Gosched()
		s.writing <- struct{}{}
		next := s.queue.take()
		if len(next) > 0 {
			s.commitTogether(next)
		}
		<-s.writing
		if len(next) == 0 {
			return
		}
	}
}

func (w *writer) close() {
	if w == nil {
		return
	}
	close(w.stop)
	<-w.done
}

// writeQueue has the writes that wait, the first first.
type writeQueue struct {
	mu    sync.Mutex
	items []*pendingWrite
}

func (q *writeQueue) add(w *pendingWrite) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, w)
}

// take returns those that are next.
func (q *writeQueue) take() []*pendingWrite {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.items), maxTogether)
	next := q.items[:n:n]
	if q.items = q.items[n:]; len(q.items) == 0 {
		q.items = nil
	}
	return next
}

// withdraw takes a write back, and is false when somebody has taken it.
func (q *writeQueue) withdraw(w *pendingWrite) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.items, w)
	if i >= 0 {
		q.items = slices.Delete(slices.Clone(q.items), i, i+1)
	}
	return i >= 0
}
