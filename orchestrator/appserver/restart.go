package appserver

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// steady is how long a server must have been up for its exit to be taken for
// a new trouble and not for more of the old one.
const steady = time.Minute

// restartDelays says how long to wait before each restart.
type restartDelays struct{ backoff backoff.ExponentialBackOff }

func newRestartDelays(first, longest time.Duration) *restartDelays {
	d := &restartDelays{backoff.ExponentialBackOff{
		InitialInterval: first, MaxInterval: longest, Multiplier: 2, RandomizationFactor: 0.2,
	}}
	d.backoff.Reset()
	return d
}

// next returns the delay before the next start of a server that was up for so long.
func (d *restartDelays) next(up time.Duration) time.Duration {
	if up >= steady {
		d.backoff.Reset()
	}
	return d.backoff.NextBackOff()
}

// sleep waits and reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
