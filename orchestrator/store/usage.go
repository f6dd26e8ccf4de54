package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// UsageBy says by what usage is summed up.
type UsageBy string

// What usage can be summed up by. A task is charged with its sub-teams; the team
// and the agent are those that did the work.
const (
	UsageByTeam   UsageBy = "team"
	UsageByAgent  UsageBy = "agent"
	UsageByModel  UsageBy = "model"
	UsageByServer UsageBy = "server"
	UsageByDay    UsageBy = "day"
	UsageByTask   UsageBy = "task"
	UsageByBatch  UsageBy = "batch"
	// UsageByTurn is by attempt, and wants UsageFilter.Task.
	UsageByTurn UsageBy = "turn"
)

// UsageKinds are all that usage can be summed up by.
func UsageKinds() []UsageBy {
	return []UsageBy{UsageByTeam, UsageByAgent, UsageByModel, UsageByServer, UsageByDay, UsageByTask, UsageByBatch, UsageByTurn}
}

// ErrUsageBy means that usage cannot be summed up by what is asked for.
var ErrUsageBy = errors.New("usage cannot be summed up by this")

// UsageFilter selects turns by the time of their end, from Since on and before
// Until; zero times are no bounds, and so are empty names. Batch and Task are
// whole IDs; a task stands for its sub-teams too.
type UsageFilter struct {
	By                UsageBy
	Since, Until      time.Time
	Team, Batch, Task string
	// Location is where days begin and end; UTC when nil.
	Location *time.Location
}

// UsageSum is what a group of attempts at turns has used.
type UsageSum struct {
	// Key names the group: a team, "TEAM/AGENT", a model, a server, a day as
	// 2006-01-02, the ID of a task or of a batch, or "TASK.TURN.ATTEMPT". It is empty
	// for turns without one.
	Key string
	// Turns counts attempts of agents that were sent, however they ended.
	Turns int64
	Usage workflow.Usage
	// Cost is in millionths of a US dollar, without that of Unpriced turns, which
	// nobody knows.
	Cost     int64
	Unpriced int64
	// Reconciled turns ended unseen: they may have used more.
	Reconciled int64
}

// Add adds what another group has used.
func (u *UsageSum) Add(v UsageSum) {
	u.Turns, u.Usage, u.Cost = u.Turns+v.Turns, u.Usage.Add(v.Usage), u.Cost+v.Cost
	u.Unpriced, u.Reconciled = u.Unpriced+v.Unpriced, u.Reconciled+v.Reconciled
}

// Usage sums up what attempts at turns have used, also of tasks that were
// removed since: days in their order, all others by tokens, the most first.
// Errors: ErrUsageBy, ErrStorage.
func (s *Store) Usage(ctx context.Context, f UsageFilter) ([]UsageSum, error) {
	first, last, err := s.usageRange(ctx)
	if err != nil || first.IsZero() {
		return nil, err
	}
	if f.Since.Before(first) {
		f.Since = first
	}
	if end := last.Add(time.Microsecond); f.Until.IsZero() || f.Until.After(end) {
		f.Until = end
	}
	// The index by time costs more than it saves where most of what there is is
	// asked for, and the other indexes are better ones.
	at := "at"
	if f.Batch != "" || f.Task != "" || f.Until.Sub(f.Since) > last.Sub(first)/4 {
		at = "+at"
	}
	if f.By == UsageByDay {
		return s.usageByDay(ctx, f, at)
	}
	var key string
	switch f.By {
	case UsageByTeam, UsageByModel, UsageByServer, UsageByBatch:
		key = string(f.By)
	case UsageByTask:
		key = "account"
	case UsageByAgent:
		key = "team || '/' || agent"
	case UsageByTurn:
		if f.Task == "" {
			return nil, fmt.Errorf("%w: turns are summed up of one task", ErrUsageBy)
		}
		key = "task || '.' || turn || '.' || attempt"
	case UsageByDay:
	default:
		return nil, fmt.Errorf("%w: %q", ErrUsageBy, f.By)
	}
	sums, err := s.sumUsage(ctx, f, key, at)
	slices.SortFunc(sums, func(a, b UsageSum) int {
		return cmp.Or(cmp.Compare(b.Usage.TotalTokens, a.Usage.TotalTokens), cmp.Compare(b.Turns, a.Turns), cmp.Compare(a.Key, b.Key))
	})
	return sums, err
}

// usageByDay asks for each stretch of time in which clocks of the zone go evenly,
// so that SQL can tell days by dividing.
func (s *Store) usageByDay(ctx context.Context, f UsageFilter, at string) ([]UsageSum, error) {
	zone := f.Location
	if zone == nil {
		zone = time.UTC
	}
	const day = int64(24 * time.Hour / time.Microsecond)
	var days []UsageSum
	for from := f.Since; from.Before(f.Until); {
		_, offset := from.In(zone).Zone()
		_, to := from.In(zone).ZoneBounds()
		if to.IsZero() || to.After(f.Until) {
			to = f.Until
		}
		part := f
		part.Since, part.Until = from, to
		sums, err := s.sumUsage(ctx, part, fmt.Sprintf("date((at + %d) / %d * 86400, 'unixepoch')", int64(offset)*1e6, day), at)
		if err != nil {
			return nil, err
		}
		slices.SortFunc(sums, func(a, b UsageSum) int { return cmp.Compare(a.Key, b.Key) })
		for _, sum := range sums {
			if n := len(days); n > 0 && days[n-1].Key == sum.Key { // the clocks were changed on this day
				days[n-1].Add(sum)
				continue
			}
			days = append(days, sum)
		}
		from = to
	}
	return days, nil
}

// usageRange is when the first and the last figures came; zero where there are none.
func (s *Store) usageRange(ctx context.Context) (first, last time.Time, err error) {
	var from, to sql.NullInt64
	// Two statements: each reads one end of the index.
	for query, target := range map[string]*sql.NullInt64{
		"SELECT MIN(at) FROM turn_usage WHERE at IS NOT NULL": &from, "SELECT MAX(at) FROM turn_usage WHERE at IS NOT NULL": &to,
	} {
		if err := s.reads.QueryRowContext(ctx, query).Scan(target); err != nil {
			return first, last, s.fail(ctx, "sum up what turns have used", err)
		}
	}
	if !from.Valid || !to.Valid {
		return first, last, nil
	}
	return fromMicros(from.Int64), fromMicros(to.Int64), nil
}

// sumUsage groups by an expression of ours. at is how it names the time: as "+at"
// the index is not used.
func (s *Store) sumUsage(ctx context.Context, f UsageFilter, key, at string) ([]UsageSum, error) {
	where, args := []string{}, []any{}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, strings.ReplaceAll(condition, "?", fmt.Sprintf("?%d", len(args))))
	}
	add(at+" >= ?", micros(f.Since))
	add(at+" < ?", micros(f.Until))
	if f.Team != "" {
		add("team = ?", f.Team)
	}
	if f.Batch != "" {
		add("batch <> '' AND batch = ?", f.Batch)
	}
	if f.Task != "" {
		add("account = ?", Account(f.Task))
		add("(task = ? OR task > ? || '.' AND task < ? || '/')", f.Task)
	}
	return query(ctx, s, "sum up what turns have used", func(rows *sql.Rows) (UsageSum, error) {
		var sum UsageSum
		u := &sum.Usage
		err := rows.Scan(&sum.Key, &sum.Turns, &u.PromptTokens, &u.CompletionTokens, &u.TotalTokens, &u.CachedInputTokens, &u.ReasoningTokens, &u.Requests,
			&sum.Cost, &sum.Unpriced, &sum.Reconciled)
		return sum, err
	}, "SELECT "+key+", COUNT(*), SUM(prompt), SUM(completion), SUM(total), SUM(cached), SUM(reasoning), SUM(requests), SUM(cost), SUM(unpriced), SUM(reconciled) FROM turn_usage WHERE "+
		strings.Join(where, " AND ")+" GROUP BY 1", args...)
}
