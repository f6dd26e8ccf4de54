package appclient

import (
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestStartTimeout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		set  time.Duration
		fold fold
		want time.Duration
	}{
		{"started", 0, fold{acknowledges: true, acked: true, result: TurnResult{Disposition: DispositionStarted}}, 30 * time.Second},
		{"queued", 0, fold{acknowledges: true, acked: true, result: TurnResult{Disposition: DispositionQueued}}, 15 * time.Second},
		{"taken up", 0, fold{acknowledges: true, acked: true, dequeued: true, result: TurnResult{Disposition: DispositionQueued}}, 30 * time.Second},
		{"an old server", 0, fold{}, 30 * time.Second},
		{"given", time.Minute, fold{acknowledges: true, acked: true, result: TurnResult{Disposition: DispositionQueued}}, time.Minute},
	} {
		l := turnLoop{RunningTurn: &RunningTurn{turn: Turn{StartTimeout: test.set}}, fold: test.fold}
		if got := l.startTimeout(); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestQueueCountsItems: tiny items fill a queue too.
func TestQueueCountsItems(t *testing.T) {
	t.Parallel()
	q := newQueue[int](10 * itemOverhead)
	for i := range 100 {
		q.push(i, 0)
	}
	if items, err := q.takeAll(nil); len(items) != 10 || !errors.Is(err, ErrSlowConsumer) {
		t.Errorf("%d items, %v", len(items), err)
	}
}

func TestRetiredIsBounded(t *testing.T) {
	t.Parallel()
	c := newClient(Config{}, ServerInfo{})
	for i := range 3 * maxRetired {
		c.retire(Runtime{"a", strconv.Itoa(i)})
	}
	last := c.retiredOrder[len(c.retiredOrder)-1]
	if len(c.retired) != maxRetired || len(c.retiredOrder) != maxRetired || !c.retired[last] {
		t.Errorf("%d retired, %d in order", len(c.retired), len(c.retiredOrder))
	}
	c.acquire(last, nil, RuntimeStart{})
	if c.retired[last] || slices.Contains(c.retiredOrder, last) {
		t.Error("an acquired runtime is retired")
	}
}
