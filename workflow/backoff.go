package workflow

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// The defaults of retry.
const (
	defaultBackoff    = 10 * time.Second
	defaultMaxBackoff = 5 * time.Minute
)

// deviation is by how much of itself a back-off differs at most.
const deviation = 0.2

// base is the back-off before the retry number n (from 0): the first one
// doubled n times, at most the maximum.
func (r *Retry) base(n int) time.Duration {
	d := min(r.Backoff, r.MaxBackoff)
	for range n {
		if d == 0 {
			break
		}
		if d >= r.MaxBackoff/2 {
			return r.MaxBackoff
		}
		d *= 2
	}
	return d
}

// delay is how long to wait before the retry number n (from 0) of a turn: base,
// and then 20 % more or less. The deviation is a hash and not a random number,
// so that a replay computes the same time; it keeps tasks that failed together
// from returning together.
func (r *Retry) delay(task string, turn, attempt, n int) time.Duration {
	d := r.base(n)
	h := fnv.New32a()
	// A hash.Hash never returns an error.
	_, _ = fmt.Fprintf(h, "%s/%d/%d", task, turn, attempt)
	by := float64(h.Sum32()%4001)/10_000 - deviation
	return d + time.Duration(float64(d)*by)
}

// longest is the most that delay returns for the retry number n.
func (r *Retry) longest(n int) time.Duration {
	d := r.base(n)
	more := math.Ceil(float64(d) * deviation)
	if more >= math.MaxInt64 {
		return math.MaxInt64
	}
	return addUp(d, time.Duration(more))
}

// longestSum is the sum of the longest delays of the first n retries.
func (r *Retry) longestSum(n int) time.Duration {
	var sum time.Duration
	for i := range n {
		if d := r.base(i); d == 0 || d == r.MaxBackoff {
			return addUp(sum, multiply(r.longest(i), n-i))
		}
		sum = addUp(sum, r.longest(i))
	}
	return sum
}

// maxQuotaWait bounds one wait for a provider's quota.
const maxQuotaWait = 7 * 24 * time.Hour

// spread is a part of most that differs between turns, so that those which wait
// for the same time do not return together. It is a hash, as in delay.
func spread(task string, turn, attempt int, most time.Duration) time.Duration {
	h := fnv.New32a()
	// A hash.Hash never returns an error.
	_, _ = fmt.Fprintf(h, "%s/%d/%d", task, turn, attempt)
	return time.Duration(float64(most) * float64(h.Sum32()%1001) / 1000)
}
