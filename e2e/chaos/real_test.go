//go:build faults

package chaos

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// realPace lets there be time to hit a turn of the real App Server.
var realPace = pace{delay: 50 * time.Millisecond, word: 20 * time.Millisecond}

// killsAtOnce bounds the faults in one world: the tasks must have time to end between them.
const killsAtOnce = 8

// realDaemonKilled kills the daemon n times on the real App Server.
func realDaemonKilled(t *testing.T, r *report, n int) {
	random := random(t)
	for left := n; left > 0; {
		dir := t.TempDir()
		s := startReal(t, dir, realPace)
		w := newWorld(t, dir, s, s.address(), 9)
		w.run(deaths(random, left))
		o := w.verify(false)
		r.add("0.30.28: daemon at any time", o)
		left -= sum(o, "daemon")
		if t.Failed() {
			return
		}
	}
}

// realServerKilled kills the real App Server n times. A wild one kills it also
// while it rewrites a record in place: then it has lost the conversation, and
// uncertain is the right end.
func realServerKilled(t *testing.T, r *report, n int, wild, both bool) {
	random := random(t)
	name := "0.30.28: App Server, its records whole"
	switch {
	case wild:
		name = "0.30.28: App Server, at any instant"
	case both:
		name = "0.30.28: daemon and App Server"
	}
	for left := n; left > 0; {
		dir := t.TempDir()
		s := startReal(t, dir, realPace)
		w := newWorld(t, dir, s, s.address(), 9)
		dies := survive
		if both {
			dies = deaths(rand.New(rand.NewPCG(random.Uint64(), 0)), 2*killsAtOnce)
		}
		o := w.during(func() error { return w.killServer(random, min(left, killsAtOnce), wild) }, dies, wild)
		r.add(name, o)
		left -= sum(o, "App Server")
		if t.Failed() {
			return
		}
	}
}

// realNetworkTroubled disturbs the network before the real App Server n times.
func realNetworkTroubled(t *testing.T, r *report, n int) {
	random := random(t)
	for left := n; left > 0; {
		dir := t.TempDir()
		s := startReal(t, dir, realPace)
		net := startNetwork(t, s.address())
		w := newWorld(t, dir, s, net.address(), 9)
		o := w.during(func() error { return net.trouble(w, random, min(left, killsAtOnce)) }, survive, false)
		r.add("0.30.28: network", o)
		left -= sum(o, "network")
		if t.Failed() {
			return
		}
	}
}

// sum counts the faults of a kind.
func sum(o outcome, kind string) (n int) {
	for k, times := range o.faults {
		if strings.HasPrefix(k, kind) {
			n += times
		}
	}
	return n
}
