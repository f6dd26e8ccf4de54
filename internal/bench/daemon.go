package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"github.com/seed-e05a5b32/orchestrator/orchestrator"
	"github.com/seed-e05a5b32/orchestrator/orchestrator/config"
)

// daemon is the daemon that is measured.
type daemon struct {
	*process
	dir    string
	client *http.Client
}

// startDaemon starts it on a data directory and waits until it listens.
func (b *bench) startDaemon(ctx context.Context, dir, server string, maxTurns int) (*daemon, error) {
	args := []string{"--data-dir", dir, "--app-server", server, "--max-turns", strconv.Itoa(maxTurns)}
	var p *process
	var err error
	if b.profile == "" {
		p, err = b.start(ctx, b.program, append([]string{"serve", "--grace", "1s"}, args...)...)
	} else {
		p, err = b.self(ctx, append([]string{"daemon", "--profile", filepath.Join(b.profile, filepath.Base(dir))}, args...)...)
	}
	if err != nil {
		return nil, err
	}
	return b.connect(ctx, p, dir)
}

// startConfigured starts it with a configuration.
func (b *bench) startConfigured(ctx context.Context, dir, file string) (*daemon, error) {
	p, err := b.start(ctx, b.program, "serve", "--grace", "1s", "--config", file)
	if err != nil {
		return nil, err
	}
	return b.connect(ctx, p, dir)
}

// connect waits until a daemon listens.
func (b *bench) connect(ctx context.Context, p *process, dir string) (*daemon, error) {
	d := &daemon{process: p, dir: dir}
	url, err := p.line(ctx, "listening at unix://")
	if err != nil {
		p.kill()
		return nil, err
	}
	d.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", url)
		},
		MaxIdleConnsPerHost: 64,
	}}
	return d, nil
}

// self starts this program again, as a child.
func (b *bench) self(ctx context.Context, args ...string) (*process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return b.start(ctx, program, args...)
}

// ask asks its API.
func (d *daemon) ask(ctx context.Context, path string, into any) error {
	return getJSON(ctx, d.client, "http://daemon"+path, into)
}

// stop ends it as SIGTERM does.
func (d *daemon) stop() error {
	d.client.CloseIdleConnections()
	return d.process.stop()
}

// runDaemon is the child that is a daemon with a profile: what `serve` does, and
// nothing besides.
func runDaemon(ctx context.Context, args []string, out io.Writer) (err error) {
	var dir, server, profile string
	var maxTurns int
	flags := flag.NewFlagSet("daemon", flag.ContinueOnError)
	flags.StringVar(&dir, "data-dir", "", "the data directory")
	flags.StringVar(&server, "app-server", "", "the App Server")
	flags.StringVar(&profile, "profile", "", "a file, whose name is completed, for its profiles")
	flags.IntVar(&maxTurns, "max-turns", 1, "how many turns run at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	servers := []config.AppServer{{Name: "bench", URL: server, MaxTurns: maxTurns}}
	c := config.Config{DataDir: dir, AppServers: servers, Limits: config.Limits{MaxTurns: maxTurns}, Grace: time.Second, GraceSet: true}
	d, err := orchestrator.NewDaemon(ctx, orchestrator.DaemonOptions{
		Config: c, Log: zerolog.New(os.Stderr).Level(zerolog.WarnLevel),
		Ready: func(urls []string) { fmt.Fprintln(out, "listening at", strings.Join(urls, " ")) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close(context.WithoutCancel(ctx))) }()
	file, err := os.Create(profile + ".cpu")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return err
	}
	defer pprof.StopCPUProfile()
	defer func() {
		heap, failed := os.Create(profile + ".heap")
		if failed == nil {
			failed = errors.Join(pprof.Lookup("allocs").WriteTo(heap, 0), heap.Close())
		}
		err = errors.Join(err, failed)
	}()
	return d.Serve(ctx)
}
