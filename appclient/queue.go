package appclient

import (
	"context"
	"sync"
)

// queue is an unbounded hand-over between a producer that must not block and
// one consumer, capped by bytes.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	sizes []int64
	bytes int64
	limit int64
	err   error         // why no more items come
	wake  chan struct{} // holds one token when there may be something to take
}

func newQueue[T any](limit int64) *queue[T] {
	return &queue[T]{limit: limit, wake: make(chan struct{}, 1)}
}

// itemOverhead is what an item takes besides its payload, about: a flood of tiny frames counts as well.
const itemOverhead = 256

// push adds an item. An item that would exceed the limit ends the queue with
// ErrSlowConsumer; what is queued can still be taken.
func (q *queue[T]) push(item T, size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.add(item, size)
	q.signal()
}

// maxQuiet is how many items may wait for a consumer who is not woken.
const maxQuiet = 512

// pushQuietly is push for a consumer who need not look soon.
func (q *queue[T]) pushQuietly(item T, size int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.add(item, size); len(q.items) >= maxQuiet || q.err != nil {
		q.signal()
	}
}

// add needs q.mu.
func (q *queue[T]) add(item T, size int64) {
	if q.err != nil {
		return
	}
	size += itemOverhead
	// One item is always taken in, however large.
	if len(q.items) > 0 && q.bytes+size > q.limit {
		q.err = ErrSlowConsumer
	} else {
		q.items, q.sizes, q.bytes = append(q.items, item), append(q.sizes, size), q.bytes+size
	}
}

// close ends the queue with err after the items that are in it.
func (q *queue[T]) close(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
	q.signal()
}

func (q *queue[T]) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// takeAll returns everything queued, and the reason for the end once nothing more will
// come. Room is what it returned before, which nobody uses any more; nil for nothing.
func (q *queue[T]) takeAll(room []T) ([]T, error) {
	clear(room)
	if cap(room) > mostRoom {
		room = nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items, q.sizes, q.bytes = room[:0], q.sizes[:0], 0
	return items, q.err
}

// mostRoom is how many items there is room for in a queue that has become empty.
const mostRoom = 16

// next waits for one item.
func (q *queue[T]) next(ctx context.Context) (T, error) {
	var zero T
	for {
		q.mu.Lock()
		if len(q.items) > 0 {
			item := q.items[0]
			q.bytes -= q.sizes[0]
			q.items[0] = zero
			q.items, q.sizes = q.items[1:], q.sizes[1:]
			if len(q.items) > 0 || q.err != nil {
				q.signal()
			}
			q.mu.Unlock()
			return item, nil
		}
		err := q.err
		if err != nil {
			q.signal() // for any other waiter
		}
		q.mu.Unlock()
		if err != nil {
			return zero, err
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			return zero, ctx.Err()
		}
	}
}
