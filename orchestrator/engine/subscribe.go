package engine

import (
	"sync"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// How many updates a reader may be behind, of one task and of all. Progress uses
// at most half of it, so that a talkative model does not push records out. What
// all tasks say is read in time where two hundred models stream 50 pieces a second
// and the reader pauses for a third of a second.
const (
	subscriptionBuffer    = 1024
	subscriptionBufferAll = 8192
)

// Update is something that people watch: a Record, a Progress or a Storage is
// set. Its contents are shared and must not be changed.
type Update struct {
	// Task is empty with Storage, which every subscription gets.
	Task     string
	Record   *Record
	Progress *TurnProgress
	// Storage says that the store does not work, or that it works again.
	Storage *StorageTrouble
}

// Record is a committed decision.
type Record struct {
	// Seq counts the events of the task from 1, as store.Record does.
	Seq     int64
	Event   workflow.Event
	Effects []workflow.Effect
	// State is the state after the event.
	State *workflow.State
}

// TurnProgress is a live observation of a running turn. It is not stored.
type TurnProgress struct {
	Turn    int
	Attempt int
	Node    string
	Progress
	// Encoded is what its readers make of it, each of them the same.
	Encoded *Encoded
}

// Encoded is made by the first who needs it.
type Encoded struct {
	once sync.Once
	text []byte
	err  error
}

// Text returns what encode has returned the first time. It must not be changed.
func (e *Encoded) Text(encode func() ([]byte, error)) ([]byte, error) {
	if e == nil {
		return encode()
	}
	e.once.Do(func() { e.text, e.err = encode() })
	return e.text, e.err
}

// Subscription delivers updates. Records come in the order of their task and
// none is left out; progress is left out where the reader is behind.
type Subscription struct {
	hub  *hub
	task string
	c    chan Update
	err  error // guarded by hub.mu
	// quiet says that progress is not wanted; guarded by hub.mu.
	quiet bool
}

// Subscribe delivers the updates of one task, or of all when task is empty,
// from now on. The caller must Close the subscription.
func (e *Engine) Subscribe(task string) *Subscription { return e.hub.subscribe(task) }

// WithoutProgress leaves out the progress of turns from now on. It returns s.
func (s *Subscription) WithoutProgress() *Subscription {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.quiet = true
	return s
}

// Updates is closed when the subscription ends; Err then says why.
func (s *Subscription) Updates() <-chan Update { return s.c }

// Err is nil while the subscription lives and after Close, ErrSlowReader when
// the reader was too far behind, and ErrStopped when Run ended.
func (s *Subscription) Err() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.err
}

// Close ends the subscription. It may be called again.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.hub.end(s, nil)
}

// hub delivers updates to subscriptions and ends to waiters. Nothing in it
// waits for a reader.
type hub struct {
	mu      sync.Mutex
	closed  error // set when Run has ended
	subs    map[*Subscription]bool
	waiters map[string]map[chan struct{}]bool
}

func (h *hub) subscribe(task string) *Subscription {
	h.mu.Lock()
	defer h.mu.Unlock()
	buffer := subscriptionBuffer
	if task == "" {
		buffer = subscriptionBufferAll
	}
	s := &Subscription{hub: h, task: task, c: make(chan Update, buffer)}
	if h.closed != nil {
		s.err = h.closed
		close(s.c)
		return s
	}
	if h.subs == nil {
		h.subs = map[*Subscription]bool{}
	}
	h.subs[s] = true
	return s
}

// end closes a subscription. h.mu is held.
func (h *hub) end(s *Subscription, err error) {
	if h.subs[s] {
		delete(h.subs, s)
		s.err = err
		close(s.c)
	}
}

func (h *hub) publish(u Update) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs {
		if s.task != "" && s.task != u.Task && u.Storage == nil {
			continue
		}
		if u.Progress != nil && (s.quiet || len(s.c) >= cap(s.c)/2) {
			continue
		}
		select {
		case s.c <- u:
		default:
			h.end(s, ErrSlowReader)
		}
	}
}

func (h *hub) closeAll(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = err
	for s := range h.subs {
		h.end(s, err)
	}
}

// watch returns a channel that gets a token when the task has ended, or cannot be driven.
func (h *hub) watch(task string) (ended <-chan struct{}, forget func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := make(chan struct{}, 1)
	if h.waiters == nil {
		h.waiters = map[string]map[chan struct{}]bool{}
	}
	if h.waiters[task] == nil {
		h.waiters[task] = map[chan struct{}]bool{}
	}
	h.waiters[task][c] = true
	return c, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.waiters[task], c)
		if len(h.waiters[task]) == 0 {
			delete(h.waiters, task)
		}
	}
}

// ended tells those who wait for a task.
func (h *hub) ended(task string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range h.waiters[task] {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}
