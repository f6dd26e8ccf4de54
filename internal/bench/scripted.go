package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/appclient/apptest"
)

// serveScripted is the child that serves the scripted App Server, and its log
// over HTTP.
func serveScripted(ctx context.Context, args []string, out io.Writer) (err error) {
	var listen string
	var delay, pause time.Duration
	var chunks int
	flags := flag.NewFlagSet("scripted", flag.ContinueOnError)
	flags.StringVar(&listen, "listen", "127.0.0.1:0", "the address")
	flags.DurationVar(&delay, "delay", 0, "how long a turn takes: between a half and one and a half of it")
	flags.IntVar(&chunks, "chunks", 1, "how many pieces an answer has")
	flags.DurationVar(&pause, "pause", 0, "the pause after each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	say := apptest.Step{Say: strings.Repeat("word ", chunks), ChunkDelay: pause}
	seen := newHandoffs()
	server, err := apptest.New(apptest.Options{
		Listen: listen, MaxQueuedFrames: 1 << 20,
		Answer: func(apptest.AskedTurn) (apptest.Turn, bool) {
			if delay == 0 {
				return apptest.Turn{say}, true
			}
			// Those that begin together must not end together.
			return apptest.Turn{{Delay: delay/2 + rand.N(delay)}, say}, true
		},
		Wire: func(f apptest.Frame, at time.Time) {
			seen.wire(f.Connection, f.FromClient, f.Data, at)
		},
	})
	if err != nil {
		return err
	}
	if err := server.Start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log", func(w http.ResponseWriter, r *http.Request) {
		log := seen.log(r.URL.Query().Has("counts"))
		log.Asked = server.ModelRequests()
		_ = json.NewEncoder(w).Encode(log) // a reader that is gone asks no more
	})
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go func() { _ = web.Serve(l) }() // ends with Close
	defer func() { err = errors.Join(err, web.Close()) }()
	fmt.Fprintf(out, "ready %s http://%s/log\n", server.URL(), l.Addr())
	<-ctx.Done()
	return nil
}

// scripted is that child, seen from here.
type scripted struct {
	*process
	url, log string
}

func (b *bench) startScripted(ctx context.Context, args ...string) (*scripted, error) {
	p, err := b.self(ctx, append([]string{"scripted"}, args...)...)
	if err != nil {
		return nil, err
	}
	line, err := p.line(ctx, "ready ")
	if err != nil {
		p.kill()
		return nil, err
	}
	s := &scripted{process: p}
	s.url, s.log, _ = strings.Cut(line, " ")
	return s, nil
}

// await waits until the counts of the log are as wanted, and returns all of it. It
// asks for no more than the counts meanwhile, so as not to disturb what is measured.
func (s *scripted) await(ctx context.Context, limit time.Duration, want func(serverLog) bool) (serverLog, error) {
	var log serverLog
	err := eventually(ctx, limit, 50*time.Millisecond, func() (bool, error) {
		err := getJSON(ctx, http.DefaultClient, s.log+"?counts", &log)
		return err == nil && want(log), err
	})
	if err != nil {
		return log, fmt.Errorf("the App Server has seen %d turns begin and %d end: %w", log.Asked, log.Turns, err)
	}
	return log, getJSON(ctx, http.DefaultClient, s.log, &log)
}
