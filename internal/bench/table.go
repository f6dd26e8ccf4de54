package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// row is a line of the table: one thing with its target, where it has one.
type row struct {
	what, name, unit, shown string
	most, least             float64
}

const withJournal = "the same of the bare loop with a journal"

// rows are what the table shows first, in this order. What was not measured is left out.
func rows() []row {
	alone, fewer, second, saturated := "/at_once=1/turn=instant", "/at_once=250/turn=1s", "/at_once=1000/turn=1s", "/at_once=128/turn=instant"
	list := []row{
		{"handoff, one task, p50", "Handoff/daemon" + alone, "p50-ms", "ms", 1, 0},
		{"handoff, one task, p99", "Handoff/daemon" + alone, "p99-ms", "ms", 5, 0},
		{withJournal + ", p50", "Handoff/journal" + alone, "p50-ms", "ms", 0, 0},
		{withJournal + ", p99", "Handoff/journal" + alone, "p99-ms", "ms", 0, 0},
		{"handoff, 250 tasks with turns of 1 s, p50", "Handoff/daemon" + fewer, "p50-ms", "ms", 0, 0},
		{"handoff, 250 tasks with turns of 1 s, p99", "Handoff/daemon" + fewer, "p99-ms", "ms", 0, 0},
		{"handoff, 1,000 tasks with turns of 1 s, p50", "Handoff/daemon" + second, "p50-ms", "ms", 1, 0},
		{"handoff, 1,000 tasks with turns of 1 s, p99", "Handoff/daemon" + second, "p99-ms", "ms", 5, 0},
		{"the same of the bare loop, p50", "Handoff/bare" + second, "p50-ms", "ms", 0, 0},
		{"the same of the bare loop, p99", "Handoff/bare" + second, "p99-ms", "ms", 0, 0},
		{withJournal + ", p50", "Handoff/journal" + second, "p50-ms", "ms", 0, 0},
		{withJournal + ", p99", "Handoff/journal" + second, "p99-ms", "ms", 0, 0},
		{"handoff at saturation (128 tasks, instant answers), p50", "Handoff/daemon" + saturated, "p50-ms", "ms", 0, 0},
		{"the same of the bare loop", "Handoff/bare" + saturated, "p50-ms", "ms", 0, 0},
		{"handoff at saturation, p99", "Handoff/daemon" + saturated, "p99-ms", "ms", 0, 0},
		{"the same of the bare loop", "Handoff/bare" + saturated, "p99-ms", "ms", 0, 0},
	}
	for _, n := range []string{"1", "16", "128", "1000"} {
		list = append(list,
			row{"throughput, " + n + " at once, instant answers", "Tasks/daemon/at_once=" + n + "/turn=instant", "tasks/s", "tasks/s", 0, 0},
			row{"its wall time over that of the bare loop", "WallOverBare/at_once=" + n + "/turn=instant", "×", "×", 1.3, 0},
			row{withJournal, "JournalOverBare/at_once=" + n + "/turn=instant", "×", "×", 0, 0})
	}
	return append(list,
		row{"its wall time over that of the bare loop, 1,000 tasks with turns of 1 s", "WallOverBare" + second, "×", "×", 1.3, 0},
		row{"processor time of a task of three instant turns, 128 at once", "Tasks/daemon" + saturated, "cpu-ms/task", "ms", 0, 0},
		row{"the same of the bare loop", "Tasks/bare" + saturated, "cpu-ms/task", "ms", 0, 0},
		row{withJournal, "Tasks/journal" + saturated, "cpu-ms/task", "ms", 0, 0},
		row{"what the server takes for it", "Tasks/daemon" + saturated, "server-cpu-ms/task", "ms", 0, 0},
		row{"memory, 1,000 running turns", "Memory/running=1000", "rss-MB", "MB", 250, 0},
		row{"memory, 100,000 waiting tasks", "Memory/waiting=100000", "rss-MB", "MB", 150, 0},
		row{"memory, 100,000 queued tasks", "Memory/queued=100000", "rss-MB", "MB", 0, 0},
		row{"start with 10,000 tasks in flight: all claimed again", "Start/in_flight=10000", "claimed-ms", "ms", 2000, 0},
		row{"a task, with 1 kept", "Size/kept=1", "ms/task", "ms", 0, 0},
		row{"a task, with 1,000 kept", "Size/kept=1000", "ms/task", "ms", 0, 0},
		row{"a task, with 100,000 kept", "Size/kept=100000", "ms/task", "ms", 0, 0},
		row{"streams: what 20 readers of 200 turns got", "Stream/turns=200/readers=20", "%", "%", 0, 100},
		row{"streams: pieces in a second", "Stream/turns=200/readers=20", "chunks/s", "/s", 0, 0},
		row{"real App Server: the ceiling, by the bare loop", "Real/bare/servers=1", "turns/s", "turns/s", 0, 0},
		row{"real App Server: the daemon, of the ceiling", "RealOfCeiling/servers=1", "%", "%", 0, 0},
		row{"three real App Servers: the ceiling", "Real/bare/servers=3", "turns/s", "turns/s", 0, 0},
		row{"three real App Servers: the daemon, of the ceiling", "RealOfCeiling/servers=3", "%", "%", 0, 0},
	)
}

// table is the table of docs/performance.md.
func (r *results) table() string {
	var s strings.Builder
	m := r.machine
	fmt.Fprintf(&s, "Measured %s at commit %s by `make bench`, on: %s, %d processors, %s of memory, %s, %s; %s.\nThe medians of the rounds; in brackets the least and the most.\n\n",
		m.date, m.commit, cmp.Or(m.processor, "an unknown processor"), m.processors, m.memory, m.system, m.goVersion, m.disk)
	fmt.Fprintf(&s, "| what | measured | target | |\n|---|---|---|---|\n")
	all := rows()
	for _, l := range r.lists() {
		all = append(all, row{"list of 100 of 100,000 tasks, " + strings.ReplaceAll(l[strings.LastIndex(l, "=")+1:], "_", " "), l, "ms", "ms", 50, 0})
	}
	for _, line := range all {
		values := r.of(line.name, line.unit)
		if len(values) == 0 {
			continue
		}
		value := values[len(values)/2]
		measured := number(value) + " " + line.shown
		if len(values) > 1 {
			measured += fmt.Sprintf(" (%s … %s)", number(values[0]), number(values[len(values)-1]))
		}
		target, met := "", ""
		switch {
		case line.most > 0:
			target, met = "≤ "+number(line.most), mark(value <= line.most)
		case line.least > 0:
			target, met = "≥ "+number(line.least), mark(value >= line.least)
		}
		fmt.Fprintf(&s, "| %s | %s | %s | %s |\n", line.what, measured, target, met)
	}
	return s.String()
}

func mark(met bool) string {
	if met {
		return "✓"
	}
	return "✗"
}

// lists are the names of the lists that were measured.
func (r *results) lists() []string {
	var names []string
	for _, m := range r.all {
		if strings.HasPrefix(m.name, "List/") && !slices.Contains(names, m.name) {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names
}

func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
