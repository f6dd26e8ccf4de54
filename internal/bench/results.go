package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// measurement is one value of one thing that was measured.
type measurement struct {
	name, unit string
	value      float64
}

// results are what was measured, in the order of time. Everything is told at once too.
type results struct {
	machine machine
	all     []measurement
	out     io.Writer
}

// machine is where and on what it was measured.
type machine struct {
	date, commit, goVersion, processor, system, memory, disk string
	processors                                               int
}

func newResults(ctx context.Context, root string, out io.Writer) (*results, error) {
	m := machine{
		date: time.Now().UTC().Format(time.RFC3339), goVersion: runtime.Version(),
		system: runtime.GOOS + "/" + runtime.GOARCH, processors: runtime.NumCPU(),
	}
	commit := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--abbrev=12")
	commit.Dir = root
	text, err := commit.Output()
	if err != nil {
		return nil, fmt.Errorf("find out the commit: %w", err)
	}
	m.commit = strings.TrimSpace(string(text))
	m.processor = fieldOf("/proc/cpuinfo", "model name")
	m.memory = fieldOf("/proc/meminfo", "MemTotal")
	if m.disk, err = syncTime(); err != nil {
		return nil, err
	}
	r := &results{machine: m, out: out}
	fmt.Fprint(out, r.header())
	return r, nil
}

// fieldOf is the first field of that name in a file of /proc; empty where there is none.
func fieldOf(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	return ""
}

// syncTime is how long the disk takes to make a few pages durable: what no
// decision that is durable can be faster than.
func syncTime() (_ string, err error) {
	file, err := os.CreateTemp("", "orchestrator-bench-sync-")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer func() { _ = file.Close() }()
	var times []time.Duration
	for range 300 {
		if _, err := file.Write(make([]byte, 12<<10)); err != nil {
			return "", err
		}
		begin := time.Now()
		if err := file.Sync(); err != nil {
			return "", err
		}
		times = append(times, time.Since(begin))
	}
	slices.Sort(times)
	return fmt.Sprintf("fsync of 12 kB appended: p50 %s, p99 %s",
		percentile(times, 50).Round(10*time.Microsecond), percentile(times, 99).Round(10*time.Microsecond)), nil
}

// units are those that benchstat does not know, and whether more of them is better.
func units() map[string]string {
	return map[string]string{"tasks/s": "higher", "turns/s": "higher", "chunks/s": "higher", "×": "lower", "%": "higher"}
}

func (r *results) header() string {
	m := r.machine
	var s strings.Builder
	fmt.Fprintf(&s, "goos: %s\ngoarch: %s\npkg: github.com/seed-e05a5b32/orchestrator/internal/bench\ncpu: %s\n", runtime.GOOS, runtime.GOARCH, m.processor)
	fmt.Fprintf(&s, "command: make bench\ndate: %s\ncommit: %s\ntoolchain: %s\nprocessors: %d\nmemory: %s\ndisk: %s\n", m.date, m.commit, m.goVersion, m.processors, m.memory, m.disk)
	names := units()
	for _, unit := range slices.Sorted(func(yield func(string) bool) {
		for unit := range names {
			if !yield(unit) {
				return
			}
		}
	}) {
		fmt.Fprintf(&s, "Unit %s better=%s\n", unit, names[unit])
	}
	return s.String() + "\n"
}

// add notes values of one round, as pairs of a value and its unit.
func (r *results) add(name string, pairs ...any) {
	line := "Benchmark" + name + " 1"
	for i := 0; i < len(pairs); i += 2 {
		value, unit := pairs[i], pairs[i+1].(string)
		var number float64
		switch v := value.(type) {
		case float64:
			number = v
		case int64:
			number = float64(v)
		case int:
			number = float64(v)
		case time.Duration:
			number = float64(v) / float64(time.Millisecond)
		}
		r.all = append(r.all, measurement{name, unit, number})
		line += fmt.Sprintf(" %.4g %s", number, unit)
	}
	fmt.Fprintln(r.out, line)
}

// text is the result as it is stored.
func (r *results) text() string {
	var s strings.Builder
	s.WriteString(r.header())
	for _, m := range r.all {
		fmt.Fprintf(&s, "Benchmark%s 1 %.5g %s\n", m.name, m.value, m.unit)
	}
	return s.String()
}

// of are the values of a thing, sorted.
func (r *results) of(name, unit string) []float64 {
	var values []float64
	for _, m := range r.all {
		if m.name == name && m.unit == unit {
			values = append(values, m.value)
		}
	}
	slices.Sort(values)
	return values
}

// file is the name under which a result is stored.
func (r *results) file() string {
	day, clock, _ := strings.Cut(r.machine.date, "T")
	return filepath.Join(day + "-" + strings.NewReplacer(":", "", "Z", "").Replace(clock) + "-" + r.machine.commit + ".txt")
}
