package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// load is how much there is to do at once.
type load struct {
	tasks, parallel int
	delay           time.Duration
}

func (l load) name() string {
	name := "/at_once=" + strconv.Itoa(l.parallel) + "/turn="
	if l.delay == 0 {
		return name + "instant"
	}
	return name + l.delay.String()
}

// parseLoad reads TASKS,AT_ONCE,TURN.
func parseLoad(text string) (load, error) {
	var l load
	var turn string
	if _, err := fmt.Sscanf(strings.ReplaceAll(text, ",", " "), "%d %d %s", &l.tasks, &l.parallel, &turn); err != nil || l.tasks < 1 || l.parallel < 1 {
		return l, errors.New("it is three values, as 300,16,0s")
	}
	var err error
	l.delay, err = time.ParseDuration(turn)
	return l, err
}

func (b *bench) loads() []load {
	if b.load != (load{}) {
		return []load{b.load}
	}
	if b.quick {
		return []load{{200, 1, 0}, {600, 128, 0}}
	}
	return []load{{100, 1, 0}, {300, 16, 0}, {600, 128, 0}, {1500, 1000, 0}, {500, 250, time.Second}, {1000, 1000, time.Second}}
}

// measureHandoffs measures the cost of a handoff, and what is done in a second,
// of the daemon, of the bare loop, and of the bare loop with a journal, one after the other.
func measureHandoffs(ctx context.Context, b *bench) error {
	for round := range b.rounds {
		for _, l := range b.loads() {
			sides := []func(context.Context, load) (ran, error){b.bareLoad, b.journalLoad, b.daemonLoad}
			var took [3]ran
			for n := range sides {
				side := (n + round) % len(sides) // who is first takes turns
				var err error
				if took[side], err = sides[side](ctx, l); err != nil {
					return fmt.Errorf("%d tasks, %d at once: %w", l.tasks, l.parallel, err)
				}
			}
			for side, name := range []string{"bare", "journal", "daemon"} {
				t := took[side]
				b.results.add("Handoff/"+name+l.name(),
					percentile(t.log.ToFrame, 50), "p50-ms", percentile(t.log.ToFrame, 99), "p99-ms",
					percentile(t.log.ToInput, 50), "input-p50-ms", percentile(t.log.ToInput, 99), "input-p99-ms")
				b.results.add("Tasks/"+name+l.name(),
					float64(l.tasks)/t.log.Wall.Seconds(), "tasks/s",
					t.cpu/time.Duration(l.tasks), "cpu-ms/task", t.serverCPU/time.Duration(l.tasks), "server-cpu-ms/task")
			}
			bare := took[0].log.Wall.Seconds()
			b.results.add("JournalOverBare"+l.name(), took[1].log.Wall.Seconds()/bare, "×")
			b.results.add("WallOverBare"+l.name(), took[2].log.Wall.Seconds()/bare, "×")
		}
	}
	return nil
}

// ran is what a load came to.
type ran struct {
	log            serverLog
	cpu, serverCPU time.Duration
}

// bareLoad has the bare loop carry out a load on a server of its own.
func (b *bench) bareLoad(ctx context.Context, l load) (ran, error) { return b.looped(ctx, l) }

// journalLoad has it keep a journal.
func (b *bench) journalLoad(ctx context.Context, l load) (ran, error) {
	dir, err := b.newDataDir()
	if err != nil {
		return ran{}, err
	}
	return b.looped(ctx, l, "--journal", filepath.Join(dir, "journal.db"))
}

func (b *bench) looped(ctx context.Context, l load, more ...string) (r ran, err error) {
	server, err := b.startScripted(ctx, "--delay", l.delay.String())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	args := []string{"bare", "--url", server.url, "--cwd", b.dir, "--tasks", strconv.Itoa(l.tasks), "--parallel", strconv.Itoa(l.parallel)}
	p, err := b.self(ctx, append(args, more...)...)
	if err != nil {
		return r, err
	}
	_, err = p.line(ctx, "done")
	<-p.done
	if err != nil {
		return r, err
	}
	r.cpu = p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
	return r, b.readServer(ctx, server, l, &r)
}

func (b *bench) readServer(ctx context.Context, server *scripted, l load, r *ran) (err error) {
	if r.log, err = server.await(ctx, time.Minute, func(log serverLog) bool { return log.Turns >= l.tasks*turnsPerTask }); err != nil {
		return err
	}
	r.serverCPU, err = server.used()
	return err
}

// daemonLoad has the daemon do the same: the tasks are in its store when it starts.
func (b *bench) daemonLoad(ctx context.Context, l load) (ran, error) {
	dir, err := b.newDataDir()
	if err != nil {
		return ran{}, err
	}
	if err := b.submitted(ctx, dir, l.tasks); err != nil {
		return ran{}, err
	}
	return b.daemonOn(ctx, dir, l)
}

// daemonOn has the daemon carry out the tasks of a data directory.
func (b *bench) daemonOn(ctx context.Context, dir string, l load) (r ran, err error) {
	server, err := b.startScripted(ctx, "--delay", l.delay.String())
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	d, err := b.startDaemon(ctx, dir, server.url, l.parallel)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := b.readServer(ctx, server, l, &r); err != nil {
		return r, fmt.Errorf("%w\n%s", err, d.said())
	}
	if err := d.allEnded(ctx); err != nil {
		return r, err
	}
	r.cpu, err = d.used()
	return r, err
}

// allEnded waits until the daemon has recorded the end of its tasks, and fails if
// not all have succeeded.
func (d *daemon) allEnded(ctx context.Context) error {
	err := eventually(ctx, time.Minute, 20*time.Millisecond, func() (bool, error) {
		var open taskPage
		err := d.ask(ctx, "/v1/tasks?state=queued,running,waiting,paused&limit=1", &open)
		return len(open.Tasks) == 0, err
	})
	if err != nil {
		return fmt.Errorf("tasks have not ended: %w", err)
	}
	var failed taskPage
	if err := d.ask(ctx, "/v1/tasks?state=failed&limit=1", &failed); err != nil {
		return err
	}
	if len(failed.Tasks) > 0 {
		return fmt.Errorf("a task has failed: %+v", failed.Tasks[0])
	}
	return nil
}

// taskPage is an answer of list-tasks, as far as it is looked at.
type taskPage struct {
	Tasks []struct {
		Task   string `json:"task"`
		Status string `json:"status"`
		Detail any    `json:"result"`
	} `json:"tasks"`
	Next string `json:"next"`
}

// newDataDir makes a directory.
func (b *bench) newDataDir() (string, error) { return os.MkdirTemp(b.dir, "data-") }
