package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// usageEvent is what one event says of what an attempt at a turn has used.
type usageEvent struct {
	turn, attempt int
	usage         workflow.Usage
	model         string
	cost          int64
	unpriced      bool
	// reconciled says that the end of the attempt was not seen.
	reconciled bool
}

// usageOf is false for an event that says nothing of it.
func usageOf(body workflow.EventBody) (usageEvent, bool) {
	switch b := body.(type) {
	case workflow.TurnFinished:
		return usageEvent{b.Turn, b.Attempt, b.Usage, b.Model, b.Cost, b.Unpriced, false}, true
	case workflow.TurnUsed:
		return usageEvent{b.Turn, b.Attempt, b.Usage, b.Model, b.Cost, b.Unpriced, false}, true
	case workflow.TurnReconciled:
		ran := b.Finding != workflow.FindingNotConsumed
		return usageEvent{b.Turn, b.Attempt, b.Usage, b.Model, b.Cost, b.Unpriced, ran}, ran || b.Usage != workflow.Usage{}
	}
	return usageEvent{}, false
}

// countUsage notes which attempts were sent to App Servers, and what they have
// used. Migration 10 does the same with the journals of earlier versions.
func (s *Store) countUsage(ctx context.Context, tx *sql.Tx, state *workflow.State, event workflow.Event) error {
	const op = "count what the turn has used"
	if b, ok := event.Body.(workflow.TurnSending); ok {
		if b.Runtime == (workflow.Runtime{}) {
			return nil // of a check or a sub-team
		}
		account := Account(state.Task)
		batch := sql.NullString{String: state.Batch, Valid: account == state.Task}
		_, err := s.exec(ctx, tx,
			`INSERT INTO turn_usage (account, task, turn, attempt, team, agent, server, batch)
			 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, COALESCE(?8, (SELECT batch FROM tasks WHERE id = ?1), '')) ON CONFLICT DO NOTHING`,
			account, state.Task, b.Turn, b.Attempt, state.Team, nodeOf(state, b.Turn), b.Runtime.Server, batch)
		return s.fail(ctx, op, err)
	}
	e, ok := usageOf(event.Body)
	if !ok {
		return nil
	}
	u := e.usage
	// An attempt that was never sent has no row, and nothing was used.
	_, err := s.exec(ctx, tx,
		`UPDATE turn_usage SET at = ?4, model = CASE ?5 WHEN '' THEN model ELSE ?5 END, prompt = prompt + ?6, completion = completion + ?7, total = total + ?8,
		   cached = cached + ?9, reasoning = reasoning + ?10, requests = requests + ?11, cost = cost + ?12,
		   unpriced = max(unpriced, ?13), reconciled = max(reconciled, ?14)
		 WHERE account = ?15 AND task = ?1 AND turn = ?2 AND attempt = ?3`,
		state.Task, e.turn, e.attempt, micros(event.At), e.model, u.PromptTokens, u.CompletionTokens, u.TotalTokens,
		u.CachedInputTokens, u.ReasoningTokens, u.Requests, e.cost, e.unpriced, e.reconciled, Account(state.Task))
	return s.fail(ctx, op, err)
}

func nodeOf(state *workflow.State, turn int) string {
	for _, t := range state.Turns {
		if t.ID == turn {
			return t.Node
		}
	}
	return ""
}

// Account is the task that what another one uses is charged to: the one that it
// is a sub-team of, however many are between them, else itself. The names of
// tasks say it.
func Account(task string) string {
	parts := strings.Split(task, ".")
	for n := len(parts); n >= 3 && !strings.HasPrefix(parts[n-1], "s"); n = len(parts) {
		parts = parts[:n-2]
	}
	return strings.Join(parts, ".")
}

// usageRow is a row of turn_usage as verification compares it.
type usageRow struct {
	agent, server, model string
	at                   int64
	usage                workflow.Usage
	cost                 int64
	unpriced, reconciled bool
}

// verifyUsage compares what is counted of a task with what its journal says.
func (s *Store) verifyUsage(ctx context.Context, tx *sql.Tx, task string, journal []workflow.Recorded) error {
	type key struct{ turn, attempt int }
	want := map[key]usageRow{}
	nodes := map[int]string{}
	for _, r := range journal {
		for _, effect := range r.Effects {
			if start, ok := effect.(workflow.StartTurn); ok {
				nodes[start.Turn] = start.Node
			}
		}
		if b, ok := r.Event.Body.(workflow.TurnSending); ok && b.Runtime != (workflow.Runtime{}) {
			want[key{b.Turn, b.Attempt}] = usageRow{agent: nodes[b.Turn], server: b.Runtime.Server}
			continue
		}
		e, ok := usageOf(r.Event.Body)
		row, sent := want[key{e.turn, e.attempt}]
		if !ok || !sent {
			continue
		}
		row.at, row.usage, row.cost = micros(r.Event.At), row.usage.Add(e.usage), row.cost+e.cost
		if e.model != "" {
			row.model = e.model
		}
		row.unpriced, row.reconciled = row.unpriced || e.unpriced, row.reconciled || e.reconciled
		want[key{e.turn, e.attempt}] = row
	}
	differs := func(k key, detail string) error {
		return &workflow.HistoryError{Task: task, Seq: int64(len(journal)), Detail: fmt.Sprintf("what turn %d, attempt %d, has used is not counted as the journal says: %s", k.turn, k.attempt, detail)}
	}
	rows, err := queryIn(ctx, s, tx, "verify what is counted", func(rows *sql.Rows) (struct {
		key
		usageRow
	}, error) {
		var r struct {
			key
			usageRow
		}
		u := &r.usage
		err := rows.Scan(&r.turn, &r.attempt, &r.agent, &r.server, &r.model, &r.at, &u.PromptTokens, &u.CompletionTokens, &u.TotalTokens,
			&u.CachedInputTokens, &u.ReasoningTokens, &u.Requests, &r.cost, &r.unpriced, &r.reconciled)
		return r, err
	}, `SELECT turn, attempt, agent, server, model, COALESCE(at, 0), prompt, completion, total, cached, reasoning, requests, cost, unpriced, reconciled
		FROM turn_usage WHERE account = ? AND task = ?`, Account(task), task)
	if err != nil {
		return err
	}
	for _, r := range rows {
		if w, ok := want[r.key]; !ok || w != r.usageRow {
			return differs(r.key, fmt.Sprintf("it is %+v, and should be %+v", r.usageRow, w))
		}
		delete(want, r.key)
	}
	for k := range want {
		return differs(k, "it is missing")
	}
	return nil
}
