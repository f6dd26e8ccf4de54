package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/seed-e05a5b32/orchestrator/internal/realserver"
	"github.com/seed-e05a5b32/orchestrator/internal/scriptedmodel"
)

// realModel is the model that the App Server finds at the scripted one.
const realModel = "lmstudio/" + scriptedmodel.Model

// measureReal measures how close the daemon keeps real App Servers to their own
// ceiling, which the bare loop shows in the same run.
func measureReal(ctx context.Context, b *bench) error {
	if b.letta == "" {
		b.say("real: LEFT OUT: the real App Server, which needs Node.js 20 or later")
		return nil
	}
	tasks := 24
	if b.quick {
		tasks = 4
	}
	for _, servers := range b.realPools() {
		for range max(1, b.rounds/3) {
			bare, err := b.realRound(ctx, servers, tasks*servers, b.realBare)
			if err != nil {
				return err
			}
			daemon, err := b.realRound(ctx, servers, tasks*servers, b.realDaemon)
			if err != nil {
				return err
			}
			name := fmt.Sprintf("/servers=%d", servers)
			b.results.add("Real/bare"+name, bare, "turns/s")
			b.results.add("Real/daemon"+name, daemon, "turns/s")
			b.results.add("RealOfCeiling"+name, 100*daemon/bare, "%")
		}
	}
	return nil
}

// realPools are the numbers of App Servers.
func (b *bench) realPools() []int { return []int{1, 3} }

// realAtOnce is how many turns run at once on each server.
const realAtOnce = 8

// realRound starts servers and a model of their own, and returns turns per second.
func (b *bench) realRound(ctx context.Context, servers, tasks int, run func(ctx context.Context, urls []string, tasks int) (time.Duration, error)) (_ float64, err error) {
	model, err := scriptedmodel.Start(ctx, func(scriptedmodel.Request) scriptedmodel.Reply { return scriptedmodel.Reply{Text: "done"} })
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, model.Close()) }()
	var urls []string
	for range servers {
		home, err := b.newDataDir()
		if err != nil {
			return 0, err
		}
		if err := os.MkdirAll(home, 0o700); err != nil {
			return 0, err
		}
		s, err := realserver.Start(b.letta, home, realserver.Environment(home, model.URL())) //nolint:contextcheck // it is killed below
		if err != nil {
			return 0, err
		}
		defer s.Kill()
		urls = append(urls, s.URL())
	}
	took, err := run(ctx, urls, tasks)
	if err != nil {
		return 0, err
	}
	if got, want := len(model.Requests()), tasks*turnsPerTask; got < want {
		return 0, fmt.Errorf("the model was asked %d times, want %d", got, want)
	}
	return float64(tasks*turnsPerTask) / took.Seconds(), nil
}

// realBare has a bare loop for each server.
func (b *bench) realBare(ctx context.Context, urls []string, tasks int) (time.Duration, error) {
	begin := time.Now()
	var group errgroup.Group
	for _, url := range urls {
		group.Go(func() error {
			p, err := b.self(ctx, "bare", "--url", url, "--cwd", b.dir, "--model", realModel,
				"--tasks", strconv.Itoa(tasks/len(urls)), "--parallel", strconv.Itoa(realAtOnce))
			if err != nil {
				return err
			}
			_, err = p.line(ctx, "done")
			<-p.done
			return err
		})
	}
	err := group.Wait()
	return time.Since(begin), err
}

// realDaemon has the daemon use all servers.
func (b *bench) realDaemon(ctx context.Context, urls []string, tasks int) (_ time.Duration, err error) {
	dir, err := b.newDataDir()
	if err != nil {
		return 0, err
	}
	if err := b.submitted(ctx, dir, tasks); err != nil {
		return 0, err
	}
	file := filepath.Join(b.dir, filepath.Base(dir)+".yaml")
	var text strings.Builder
	fmt.Fprintf(&text, "version: 1\ndata_dir: %s\nmodel: %s\nlimits: {max_turns: %d}\napp_servers:\n", dir, realModel, realAtOnce*len(urls))
	for i, url := range urls {
		fmt.Fprintf(&text, "  - {name: s%d, url: %q, max_turns: %d}\n", i, url, realAtOnce)
	}
	if err := os.WriteFile(file, []byte(text.String()), 0o600); err != nil {
		return 0, err
	}
	begin := time.Now()
	d, err := b.startConfigured(ctx, dir, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	err = d.allEnded(ctx)
	return time.Since(begin), err
}

// readHandoffs gives the handoffs of any program from the request log of a
// scripted model: a line of JSON for each request, with "task", "begin" and "end"
// in seconds. A handoff is from the end of a request to the begin of the next one
// of the same task.
func readHandoffs(_ context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("handoffs", flag.ContinueOnError)
	if err := flags.Parse(args); err != nil {
		return err
	}
	file, err := os.Open(flags.Arg(0))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	ended := map[string]float64{}
	var times []time.Duration
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var r struct {
			Task       string
			Begin, End float64
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("%s: %w", flags.Arg(0), err)
		}
		if end, ok := ended[r.Task]; ok {
			times = append(times, time.Duration((r.Begin-end)*float64(time.Second)))
		}
		ended[r.Task] = r.End
	}
	slices.Sort(times)
	fmt.Fprintf(out, "%d handoffs, p50 %s, p99 %s\n", len(times), percentile(times, 50), percentile(times, 99))
	return nil
}
