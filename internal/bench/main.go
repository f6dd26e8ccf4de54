package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		stop()
		os.Exit(1)
	}
}

// run is a child where the first argument names one, and else the whole benchmark.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	if len(args) > 0 {
		if child, ok := children()[args[0]]; ok {
			return child(ctx, args[1:], out)
		}
	}
	o, err := parseOptions(args, errOut)
	if err != nil {
		return err
	}
	return o.measure(ctx, out, errOut)
}

// children are the processes that the benchmark starts of itself.
func children() map[string]func(context.Context, []string, io.Writer) error {
	return map[string]func(context.Context, []string, io.Writer) error{
		"scripted": serveScripted, "bare": runBare, "daemon": runDaemon, "handoffs": readHandoffs,
	}
}

// options say what is measured, and how thoroughly.
type options struct {
	root    string // of the repository
	only    string
	rounds  int
	quick   bool
	letta   string
	stored  string
	profile string
	load    load // the one load of handoffs that is measured; zero for all
}

func parseOptions(args []string, errOut io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.root, "root", ".", "the repository")
	flags.StringVar(&o.only, "only", "", "parts to measure, separated by commas: "+strings.Join(partNames(), ", "))
	flags.IntVar(&o.rounds, "rounds", 6, "how often each thing is measured that is compared with the last result")
	flags.BoolVar(&o.quick, "quick", false, "a few small ones, to see that it works; nothing is stored")
	flags.StringVar(&o.letta, "letta", "", "the command of the real App Server; empty leaves it out")
	flags.StringVar(&o.stored, "results", "bench/results", "where results are stored, within the repository; empty stores none")
	flags.StringVar(&o.profile, "profile", "", "a directory for CPU profiles of the daemon, which then runs in a child of this program")
	flags.Func("load", "measure handoffs with this load alone: the tasks, those at once, and how long a turn takes, as 300,16,0s", func(text string) (err error) {
		o.load, err = parseLoad(text)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	for _, name := range strings.FieldsFunc(o.only, func(r rune) bool { return r == ',' }) {
		if !slices.Contains(partNames(), name) {
			return o, fmt.Errorf("there is no part %q: there are %s", name, strings.Join(partNames(), ", "))
		}
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("what is %q?", flags.Arg(0))
	}
	if o.quick {
		o.rounds = 1
	}
	if o.quick || o.load != (load{}) {
		o.stored = ""
	}
	var err error
	o.root, err = filepath.Abs(o.root)
	return o, err
}

// part is one thing that is measured.
type part struct {
	name    string
	measure func(context.Context, *bench) error
}

func parts() []part {
	return []part{
		{"handoff", measureHandoffs}, {"memory", measureMemory}, {"start", measureStart},
		{"size", measureSize}, {"list", measureLists}, {"stream", measureStreams}, {"real", measureReal},
	}
}

func partNames() []string {
	var names []string
	for _, p := range parts() {
		names = append(names, p.name)
	}
	return names
}

// bench is one run of the benchmark.
type bench struct {
	options
	dir     string // for everything that is made
	program string // the orchestrator
	results *results
	log     io.Writer
}

func (o options) measure(ctx context.Context, out, errOut io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "orchestrator-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b := &bench{options: o, dir: dir, program: filepath.Join(dir, "orchestrator"), log: errOut}
	if err := b.build(ctx); err != nil {
		return err
	}
	if b.results, err = newResults(ctx, o.root, out); err != nil {
		return err
	}
	began := time.Now()
	for _, p := range parts() {
		if o.only != "" && !slices.Contains(strings.Split(o.only, ","), p.name) {
			continue
		}
		b.say("%s", p.name)
		if err := p.measure(ctx, b); err != nil {
			return fmt.Errorf("measure %s: %w", p.name, err)
		}
	}
	b.say("took %s", time.Since(began).Round(time.Second))
	if o.stored == "" {
		return nil
	}
	return b.conclude(ctx, out)
}

// say tells how far it is.
func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, "bench: "+format+"\n", args...)
}
