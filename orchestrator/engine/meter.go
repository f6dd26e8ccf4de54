package engine

import (
	"context"
	"maps"

	"github.com/seed-e05a5b32/orchestrator/workflow"
)

// meter counts what the turns that run have used so far, to stop them at a limit.
type meter struct {
	// spent is by task and then by turn; guarded by Engine.mu.
	spent map[string]map[int]workflow.Spent
}

func newMeter() meter { return meter{spent: map[string]map[int]workflow.Spent{}} }

// measure notes the usage of an attempt so far and stops what is over a limit, of
// its task or of one that this runs for.
func (e *Engine) measure(ctx context.Context, w *work, model string, usage workflow.Usage) {
	state, team, err := e.peek(ctx, w.ent)
	if err != nil {
		return // what commits next finds out
	}
	above, err := e.above(ctx, state, e.peek)
	if err != nil {
		return
	}
	levels := append([]ancestor{{team: team, state: state}}, above...) // its own task is the nearest
	used := workflow.Spent{Tokens: usage.TotalTokens}
	if e.o.Prices != nil {
		used.Cost, _ = e.o.Prices.Price(model, usage) // what has no price is not started under a limit of money
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.spent[w.key.task] == nil {
		e.spent[w.key.task] = map[int]workflow.Spent{}
	}
	e.spent[w.key.task][w.key.turn] = used
	for _, a := range levels {
		for id, note := range workflow.OverBudget(a.team, a.state, e.liveSpent(a.state)) {
			turn, ok := liveTurn(a.state, id)
			switch {
			case !ok || turn.Kind == workflow.KindTeam && (turn.Stopping != "" || e.phase != phaseRunning):
			case turn.Kind == workflow.KindTeam:
				e.spawn(func(ctx context.Context) {
					_, err := e.apply(context.WithoutCancel(ctx), a.state.Task, workflow.LimitReached{Turn: id, Attempt: turn.Attempt, Note: note})
					e.handleChange(ctx, a.state.Task, "stop the sub-team", err)
				})
			default:
				e.stopTurn(turnKey{a.state.Task, id, turn.Attempt}, note)
			}
		}
	}
}

// liveSpent is what the turns of a task that run have used so far, those of its
// sub-teams included. e.mu is held.
func (e *Engine) liveSpent(state workflow.State) map[int]workflow.Spent {
	out := maps.Clone(e.spent[state.Task])
	if out == nil {
		out = map[int]workflow.Spent{}
	}
	for _, turn := range state.Turns {
		if turn.Child == "" {
			continue
		}
		var sum workflow.Spent
		for task, turns := range e.spent {
			if !runsFor(task, turn.Child) {
				continue
			}
			for _, spent := range turns {
				sum.Tokens += spent.Tokens
				sum.Cost += spent.Cost
			}
		}
		out[turn.ID] = sum
	}
	return out
}

// forget ends the metering of an attempt. e.mu is held.
func (e *Engine) forget(key turnKey) {
	if turns := e.spent[key.task]; turns != nil {
		delete(turns, key.turn)
		if len(turns) == 0 {
			delete(e.spent, key.task)
		}
	}
}

// stopTurn has a running attempt end because of a limit. One whose fate is
// being found out is left: it ends by what is found. e.mu is held.
func (e *Engine) stopTurn(key turnKey, note string) {
	if w := e.known[key]; w != nil && w.cancel != nil && !w.reconcile {
		w.cancel(&BudgetError{Note: note})
	}
}

// price says what a turn has cost, or that it is not known.
func (e *Engine) price(model string, used workflow.Usage) (cost int64, unpriced bool) {
	if used.TotalTokens == 0 {
		return 0, false
	}
	known := false
	if e.o.Prices != nil {
		cost, known = e.o.Prices.Price(model, used)
	}
	return cost, !known
}
