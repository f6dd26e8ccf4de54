package appserver

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// probesInHang is how many probes fall into Options.HangTimeout.
const probesInHang = 6

// watchHealth asks the process again and again whether it is ready, and kills it
// when it has not answered for limit: a server that hangs does not exit by
// itself, and holds on to everything that waits for it. It returns when the
// process has ended, or ctx.
func (s *Server) watchHealth(ctx context.Context, p *process, limit time.Duration) {
	address, err := readyURL(p.url)
	if err != nil {
		return // it has been ready at this address
	}
	// No connection is kept: whether a new one is accepted is part of the question.
	transport := &http.Transport{DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: limit / probesInHang}
	tick := time.NewTicker(limit / probesInHang)
	defer tick.Stop()
	failed := 0
	for {
		select {
		case <-p.exited:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := ready(ctx, client, address)
		if err == nil {
			failed = 0
			continue
		}
		// Counted and not timed: where this process itself was stopped, or the
		// machine asleep, no time has passed for the server either.
		if failed++; failed < probesInHang {
			continue
		}
		s.opts.Log.Warn().Err(err).Dur("silent", limit).Msg("App Server hangs and is killed")
		p.hung.Store(true)
		// Whether it worked shows in whether the process exits.
		_ = kill(p.cmd)
		return
	}
}

// ending is why a process that nobody has stopped has ended.
func (p *process) ending(limit time.Duration) error {
	if p.hung.Load() {
		return fmt.Errorf("the App Server hung: it did not answer for %v and was killed", limit)
	}
	return fmt.Errorf("the App Server stopped: %w%s", p.err, quoteOutput(p.output.last()))
}
