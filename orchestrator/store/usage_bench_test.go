package store

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what this process has used: the machine may do other things meanwhile.
func cpuTime(tb testing.TB) time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// BenchmarkUsage sums up a million turns of 100 days, five teams and three models.
func BenchmarkUsage(b *testing.B) {
	s, err := Open(b.Context(), Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			b.Error(err)
		}
	}()
	const turns = 1_000_000
	began := at(0)
	step := 100 * 24 * time.Hour / turns
	if _, err := s.writes.ExecContext(b.Context(), `
		WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
		INSERT INTO turn_usage (task, turn, attempt, account, team, agent, server, model, batch, at, prompt, completion, total, cached, requests, cost)
		SELECT printf('01JDQ7%020d', i / 5), 1 + i % 5, 1, printf('01JDQ7%020d', i / 5), 'team-' || (i / 5 % 5), 'agent-' || (i % 5), 'server', 'provider/model-' || (i % 3),
		  CASE i / 50 % 2 WHEN 0 THEN '' ELSE printf('01BATCH%019d', i / 5000) END, ?2 + i * ?3, 1000, 200, 1200, 500, 3, 4200 FROM n`,
		turns, micros(began), step.Microseconds()); err != nil {
		b.Fatal(err)
	}
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		b.Fatal(err)
	}
	week := began.Add(93 * 24 * time.Hour)
	for _, c := range []struct {
		name string
		f    UsageFilter
	}{
		{"team", UsageFilter{By: UsageByTeam}},
		{"agent", UsageFilter{By: UsageByAgent}},
		{"model", UsageFilter{By: UsageByModel}},
		{"day", UsageFilter{By: UsageByDay, Location: zone}},
		{"task", UsageFilter{By: UsageByTask}},
		{"week-by-team", UsageFilter{By: UsageByTeam, Since: week}},
		{"week-by-day", UsageFilter{By: UsageByDay, Location: zone, Since: week}},
		{"batch", UsageFilter{By: UsageByModel, Batch: fmt.Sprintf("01BATCH%019d", 7)}},
	} {
		b.Run(c.name, func(b *testing.B) {
			before := cpuTime(b)
			defer func() {
				b.ReportMetric(float64((cpuTime(b)-before).Milliseconds())/float64(b.N), "cpu-ms/op")
			}()
			for b.Loop() {
				sums, err := s.Usage(b.Context(), c.f)
				if err != nil || len(sums) == 0 {
					b.Fatal(len(sums), err)
				}
			}
		})
	}
}
