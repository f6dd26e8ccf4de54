package workflow

import (
	"fmt"
	"hash/fnv"
	"time"
)

// The defaults of retry.
const (
	defaultBackoff    = 10 * time.Second
	defaultMaxBackoff = 5 * time.Minute
)

// delay is how long to wait before the retry number n (from 0) of a turn: the
// back-off doubled n times, at most the maximum, and then 20 % more or less.
// The deviation is a hash and not a random number, so that a replay computes
// the same time; it keeps tasks that failed together from returning together.
func (r *Retry) delay(task string, turn, attempt, n int) time.Duration {
	d := min(r.Backoff, r.MaxBackoff)
	for range n {
		if d >= r.MaxBackoff/2 {
			d = r.MaxBackoff
			break
		}
		d *= 2
	}
	h := fnv.New32a()
	// A hash.Hash never returns an error.
	_, _ = fmt.Fprintf(h, "%s/%d/%d", task, turn, attempt)
	deviation := float64(h.Sum32()%4001)/10_000 - 0.2
	return d + time.Duration(float64(d)*deviation)
}
