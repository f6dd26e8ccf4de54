//go:build faults

package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// network is a proxy between the daemon and its App Server.
type network struct {
	proxy *toxiproxy.Proxy
}

func startNetwork(t *testing.T, server string) *network {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	n := &network{toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), t.Name(), "127.0.0.1:0", u.Host)}
	if err := n.proxy.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.proxy.Stop)
	return n
}

func (n *network) address() string { return "ws://" + n.proxy.Listen + "/ws" }

// poison lets a toxic work for a while. stream is "upstream" (to the App Server) or "downstream".
func (n *network) poison(w *world, kind, stream, attributes string, d time.Duration) error {
	name := kind + " " + stream
	text := fmt.Sprintf(`{"name": %q, "type": %q, "stream": %q, "attributes": {%s}}`, name, kind, stream, attributes)
	if _, err := n.proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
		return fmt.Errorf("add the toxic %s: %w", name, err)
	}
	w.pause(d)
	if err := n.proxy.Toxics.RemoveToxic(context.Background(), name); err != nil {
		return fmt.Errorf("remove the toxic %s: %w", name, err)
	}
	return nil
}

// trouble makes n faults, each when a turn runs.
func (n *network) trouble(w *world, r *rand.Rand, count int) error {
	moments := []string{whenAccepted, whenStreams, whenTool, whenApproval}
	for i := 0; i < count; {
		if !w.await(moments[r.IntN(len(moments))], r) {
			select {
			case <-w.finished:
				return nil
			default:
				continue
			}
		}
		if err := n.fault(w, r); err != nil {
			return err
		}
		w.isUp()
		i++
		w.pause(time.Duration(r.IntN(200)) * time.Millisecond)
	}
	return nil
}

func (n *network) fault(w *world, r *rand.Rand) error {
	stream := []string{"upstream", "downstream"}[r.IntN(2)]
	short := time.Duration(50+r.IntN(400)) * time.Millisecond
	switch r.IntN(5) {
	case 0:
		w.isDown("network cut, and nobody listens for a while")
		n.proxy.Stop()
		w.pause(short)
		return n.proxy.Start()
	case 1:
		w.isDown("network slow " + stream)
		return n.poison(w, "latency", stream, `"latency": 150, "jitter": 100`, 3*short)
	case 2:
		w.isDown("network reset " + stream)
		return n.poison(w, "reset_peer", stream, `"timeout": 0`, short)
	case 3:
		w.isDown("network half-open: lost " + stream)
		return n.poison(w, "timeout", stream, `"timeout": 0`, 3*short)
	default:
		w.isDown("network cut in the middle of a frame " + stream)
		return n.poison(w, "limit_data", stream, fmt.Sprintf(`"bytes": %d`, 1+r.IntN(3000)), short)
	}
}

// networkTroubled disturbs the network n times.
func networkTroubled(t *testing.T, r *report, n int) {
	random := random(t)
	for left := n; left > 0; {
		dir := t.TempDir()
		s := startScripted(t, dir, pace{word: 10 * time.Millisecond})
		net := startNetwork(t, s.address())
		w := newWorld(t, dir, s, net.address(), 12)
		o := w.during(func() error { return net.trouble(w, random, left) }, survive, false)
		r.add("scripted: network", o)
		left -= sum(o, "network")
		if t.Failed() {
			return
		}
	}
}
