package batch

import (
	"errors"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is a batch whose items are moved about by chance.
type model struct {
	state State
	items []ItemState
	waits []bool
	tries []int
	begun []int // how many attempts have begun, by item
	now   time.Time
}

func (m *model) counts() Counts {
	var c Counts
	for i, s := range m.items {
		c.add(s, 1, i < m.state.Options.Canary)
		if m.waits[i] {
			c.Running--
			c.Waiting++
		}
	}
	return c
}

func (m *model) decide(t *rapid.T, verb Verb) {
	m.now = m.now.Add(time.Second)
	before := m.counts()
	next, work, err := Decide(m.state, before, Event{At: m.now, Verb: verb, By: "ann"})
	if err != nil {
		if !errors.Is(err, ErrRefused) {
			t.Fatal(err)
		}
		return
	}
	m.state = next
	for i := range m.items {
		if work.RetryItems && m.items[i] == ItemFailed {
			m.items[i] = ItemPending
			m.tries[i]++
		}
		if work.CancelItems && !m.items[i].Ended() {
			m.items[i], m.waits[i] = ItemCancelled, false
		}
	}
	for range work.Start {
		i := slices.Index(m.items, ItemPending)
		if i < 0 {
			t.Fatalf("%s: %d are to begin, and too few are pending: %v", verb, work.Start, m.items)
		}
		m.items[i] = ItemRunning
		m.begun[i]++
		if m.begun[i] != m.tries[i] {
			t.Fatalf("item %d has begun %d times in %d attempts", i+1, m.begun[i], m.tries[i])
		}
	}
	after := m.counts()
	if work.Start > 0 && after.Running > m.state.Options.MaxParallel {
		t.Fatalf("%d run, and %d may", after.Running, m.state.Options.MaxParallel)
	}
	if work.Start > 0 && m.state.Status != Running {
		t.Fatalf("a batch that is %s begins items", m.state.Status)
	}
	if canary := m.state.Options.Canary; work.Start > 0 && canary > 0 && canary < len(m.items) && !m.state.CanaryPassed {
		if i := slices.IndexFunc(m.begun[canary:], func(n int) bool { return n > 0 }); i >= 0 {
			t.Fatalf("item %d has begun before anybody has said yes after the canary", canary+i+1)
		}
	}
}

func TestBatchesKeepTheirBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 12).Draw(t, "items")
		m := &model{
			state: start(n, Options{
				MaxParallel: rapid.IntRange(1, 4).Draw(t, "max_parallel"), Canary: rapid.IntRange(0, 4).Draw(t, "canary"),
				StopWhenFailed: Threshold{Count: rapid.IntRange(0, 4).Draw(t, "stop_when_failed")},
			}),
			items: slices.Repeat([]ItemState{ItemPending}, n), waits: make([]bool, n), tries: slices.Repeat([]int{1}, n), begun: make([]int, n),
			now: time.Unix(0, 0),
		}
		m.decide(t, Look)
		t.Repeat(map[string]func(*rapid.T){
			"end": func(t *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(t, "item")
				if m.items[i] == ItemRunning && !m.waits[i] {
					m.items[i] = rapid.SampledFrom([]ItemState{ItemSucceeded, ItemSucceeded, ItemFailed, ItemCancelled}).Draw(t, "as")
					m.decide(t, Look)
				}
			},
			"wait": func(t *rapid.T) {
				i := rapid.IntRange(0, n-1).Draw(t, "item")
				if m.items[i] == ItemRunning {
					m.waits[i] = !m.waits[i]
					m.decide(t, Look)
				}
			},
			"ask": func(t *rapid.T) {
				m.decide(t, rapid.SampledFrom([]Verb{Pause, Resume, Continue, Stop, RetryFailed, Resume, Continue}).Draw(t, "verb"))
			},
			"cancel": func(t *rapid.T) {
				if rapid.IntRange(0, 20).Draw(t, "really") == 0 {
					m.decide(t, Cancel)
				}
			},
		})
		// Somebody who always says yes brings every batch to its end.
		for round := range 10 * n {
			if m.state.Status.Terminal() {
				break
			}
			for i := range m.items {
				if m.items[i] == ItemRunning {
					m.items[i], m.waits[i] = ItemSucceeded, false
				}
			}
			m.decide(t, Look)
			m.decide(t, Resume)
			m.decide(t, Continue)
			if round == 10*n-1 {
				t.Fatalf("it does not end: %s, %v", m.state.Status, m.items)
			}
		}
		if i := slices.IndexFunc(m.items, func(s ItemState) bool { return !s.Ended() }); i >= 0 && m.state.Status.Terminal() {
			t.Fatalf("it is %s, and item %d is %s", m.state.Status, i+1, m.items[i])
		}
	})
}
