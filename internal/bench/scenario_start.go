package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"
)

// measureStart measures the start of a daemon with tasks in flight: from the
// start of its process until it has claimed all of them again. It knows of each
// then, and every turn that may have been sent is in line to be found out about,
// or is being found out about.
func measureStart(ctx context.Context, b *bench) error {
	n := 10_000
	if b.quick {
		n = 200
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	url := "ws://" + address + "/ws"
	dir, err := b.newDataDir()
	if err != nil {
		return err
	}
	if err := b.filled(ctx, dir, n, inFlight(url)); err != nil {
		return err
	}
	server, err := b.startScripted(ctx, "--listen", address)
	if err != nil {
		return err
	}
	defer server.kill()
	for range b.rounds {
		copied, err := b.copyDataDir(dir)
		if err != nil {
			return err
		}
		begin := time.Now()
		d, err := b.startDaemon(ctx, copied, url, 128)
		if err != nil {
			return err
		}
		listening := time.Since(begin)
		claimed, err := d.awaitClaimed(ctx, begin, n)
		d.kill()
		if err != nil {
			return err
		}
		b.results.add(fmt.Sprintf("Start/in_flight=%d", n), listening, "listening-ms", claimed, "claimed-ms")
	}
	return nil
}

// awaitClaimed waits until the log of the daemon says that it has taken up all tasks.
func (d *daemon) awaitClaimed(ctx context.Context, begin time.Time, n int) (time.Duration, error) {
	var took time.Duration
	err := eventually(ctx, time.Minute, 5*time.Millisecond, func() (bool, error) {
		took = time.Since(begin)
		return strings.Contains(d.said(), fmt.Sprintf("took up the tasks that had not ended tasks=%d", n)), nil
	})
	return took, err
}
